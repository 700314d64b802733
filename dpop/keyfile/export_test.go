package keyfile

// CheapPassphrases makes passphrases cheap to try, so that tests are fast.
func CheapPassphrases() { workFactor = 10 }

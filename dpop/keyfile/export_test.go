package keyfile

import (
	"crypto/rsa"
	"io"
	"sync"
)

// CheapPassphrases makes passphrases cheap to try, so that tests are fast.
func CheapPassphrases() { workFactor = 10 }

// FewRSAKeys makes the first RSA key of each length serve for all that are created.
func FewRSAKeys() {
	var mu sync.Mutex
	made := map[int]*rsa.PrivateKey{}
	makeRSA = func(random io.Reader, bits int) (key *rsa.PrivateKey, err error) {
		mu.Lock()
		defer mu.Unlock()
		if made[bits] == nil {
			made[bits], err = rsa.GenerateKey(random, bits)
		}
		return made[bits], err
	}
}

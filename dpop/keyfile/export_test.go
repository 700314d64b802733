package keyfile

import (
	"crypto/rsa"
	"io"

	"github.com/senderlock/senderlock/internal/poptest"
)

// CheapPassphrases makes passphrases cheap to try, so that tests are fast.
func CheapPassphrases() { workFactor = 10 }

// KnownRSAKeys makes one RSA key of each length serve for all that are created.
func KnownRSAKeys() {
	makeRSA = func(_ io.Reader, bits int) (*rsa.PrivateKey, error) {
		return poptest.RSA("PS256", bits).Private.(*rsa.PrivateKey), nil
	}
}

package conformance

import (
	"crypto/x509"

	"github.com/senderlock/senderlock/conformance/vectors"
)

// RunHandler is Run without subtests, for servers that must fail.
var RunHandler = runHandler

// Certificates are those of the vectors, in their order.
func Certificates() []*x509.Certificate {
	var list []*x509.Certificate
	for _, c := range vectors.FixedKeys().Certificates {
		leaf, err := x509.ParseCertificate(c.Certificate)
		if err != nil {
			panic(err)
		}
		list = append(list, leaf)
	}
	return list
}

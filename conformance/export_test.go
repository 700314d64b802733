package conformance

import (
	"crypto/x509"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

// Certificates are those of the vectors, in their order.
func Certificates() []*x509.Certificate {
	var list []*x509.Certificate
	for _, c := range cases.Fixed().Certificates {
		leaf, err := x509.ParseCertificate(c.Certificate)
		if err != nil {
			panic(err)
		}
		list = append(list, leaf)
	}
	return list
}

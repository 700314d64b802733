package mtls

import (
	"crypto/x509"
	"net/http"
)

// CertificateSource returns the certificate with which the client of a request proved itself: the end-entity
// certificate alone, never one of its chain. It returns nil and no error when the client presented none, and an
// error when the request must be refused, whatever it is about, because of where a certificate comes from. What the
// certificate says is not looked at before somebody asks the [Certificate]. Sources made by this package return the
// causes listed in its variables. A source is safe for concurrent use.
type CertificateSource func(*http.Request) (*Certificate, error)

// FromTLS takes the certificate from the request's own TLS connection (RFC 8705 §3). It is a [CertificateSource]
// that never fails; over plain HTTP there is no certificate. Fields of the request are not looked at. The server
// must ask for certificates: see [ServerTLS].
func FromTLS(r *http.Request) (*Certificate, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	leaf, chain := r.TLS.PeerCertificates[0], r.TLS.PeerCertificates[1:]
	issuers := func() ([]*x509.Certificate, error) { return chain, nil }
	return &Certificate{DER: leaf.Raw, parsed: leaf, issuers: issuers}, nil
}

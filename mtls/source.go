package mtls

import (
	"crypto/x509"
	"net/http"
)

// CertificateSource returns the certificate with which the client of a request proved itself: the end-entity
// certificate alone, never one of its chain. It returns nil and no error when the client presented none, and an
// error when the request must be refused; sources made by this package return the causes listed in its
// variables. A source is safe for concurrent use.
type CertificateSource func(*http.Request) (*x509.Certificate, error)

// FromTLS takes the certificate from the request's own TLS connection (RFC 8705 §3). It is a [CertificateSource]
// that never fails; over plain HTTP there is no certificate. Fields of the request are not looked at. The server
// must ask for certificates: see [ServerTLS].
func FromTLS(r *http.Request) (*x509.Certificate, error) {
	return source(fromTLS).leaf(r)
}

// presented is what came with a request: the client's certificate, or nil, and a function that parses the
// certificates which may lead from it to a root.
type presented struct {
	cert    *x509.Certificate
	issuers func() ([]*x509.Certificate, error)
}

// source is a CertificateSource that keeps what Verification needs.
type source func(*http.Request) (presented, error)

func (s source) leaf(r *http.Request) (*x509.Certificate, error) {
	p, err := s(r)
	return p.cert, err
}

func fromTLS(r *http.Request) (presented, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return presented{}, nil
	}
	peer := r.TLS.PeerCertificates
	return presented{peer[0], func() ([]*x509.Certificate, error) { return peer[1:], nil }}, nil
}

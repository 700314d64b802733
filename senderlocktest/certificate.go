package senderlocktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"time"
)

// NewCertificate makes a self-signed certificate for a client, with a fresh P-256 key. It is valid for as long as
// anybody's clock may show, and binds as well as any other (RFC 8705 §6.2).
func NewCertificate(name string) tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: time.Date(1999, time.January, 1, 0, 0, 0, 0, time.UTC), // testing/synctest begins in 2000
		NotAfter:  time.Date(2049, time.January, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:  x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

// WithCertificate returns the request as it arrives over a TLS connection on which the client presented a certificate,
// for [mtls.FromTLS].
func WithCertificate(r *http.Request, certificate tls.Certificate) *http.Request {
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{certificate.Leaf}}
	return r
}

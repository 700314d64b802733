package poptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/mint"
)

// CA is a certificate authority with a random P-256 key.
type CA struct {
	// Certificate is the authority's own certificate.
	Certificate *x509.Certificate
	key         crypto.Signer
}

// NewCA makes an authority. Its certificates and those it issues are valid
// from a day before [Now] for twenty years, so that handshakes, which use the
// real clock, succeed as well.
func NewCA(t testing.TB) *CA {
	t.Helper()
	c := issue(t, nil, "poptest CA", []func(*x509.Certificate){func(c *x509.Certificate) {
		c.IsCA = true
		c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		c.ExtKeyUsage, c.DNSNames, c.IPAddresses = nil, nil, nil
	}})
	return &CA{Certificate: c.Leaf, key: c.PrivateKey.(crypto.Signer)}
}

// Issue makes a certificate with a fresh P-256 key, good for client and
// server, for name, localhost and the loopback addresses. Each mutate
// function may change the template before it is signed.
func (ca *CA) Issue(t testing.TB, name string, mutate ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return issue(t, ca, name, mutate)
}

// Pool returns a new pool that holds the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	return pool
}

// SelfSigned is Issue without an authority.
func SelfSigned(t testing.TB, name string, mutate ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	return issue(t, nil, name, mutate)
}

// X5T returns the x5t#S256 thumbprint of a certificate, RFC 8705 §3.1.
func X5T(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return mint.Base64(sum[:])
}

// PEM returns a certificate with its chain and its private key (PKCS #8) as
// they stand in files.
func PEM(t testing.TB, c tls.Certificate) (cert, key []byte) {
	t.Helper()
	for _, der := range c.Certificate {
		cert = append(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// StartTLS starts a server with a certificate of a P-256 key, which all servers of a process share. The key of httptest's own
// is RSA, whose signature is most of what a handshake costs.
func StartTLS(t testing.TB, server *httptest.Server) {
	t.Helper()
	served.once.Do(func() {
		served.certificate = SelfSigned(t, "example.com", func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "*.example.com") })
	})
	if server.TLS == nil {
		server.TLS = &tls.Config{}
	}
	server.TLS.Certificates = []tls.Certificate{served.certificate}
	server.StartTLS()
}

var served struct {
	once        sync.Once
	certificate tls.Certificate
}

func issue(t testing.TB, ca *CA, name string, mutate []func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		// A nil serial number lets CreateCertificate choose a random one.
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             Now.Add(-24 * time.Hour),
		NotAfter:              Now.AddDate(20, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		DNSNames:              []string{name, "localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		BasicConstraintsValid: true,
	}
	for _, f := range mutate {
		f(template)
	}
	parent, signer := template, crypto.Signer(key)
	if ca != nil {
		parent, signer = ca.Certificate, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

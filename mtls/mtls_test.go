package mtls_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/fips140"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

const (
	proxyAddr    = "10.1.0.7:41234"
	strangerAddr = "203.0.113.9:41234"
)

var proxies = trusted("10.1.0.0/24", "fd00:1::/64")

func trusted(addresses ...string) mtls.Peers { return mtls.Peers{Addresses: addresses} }

// request is a GET from a peer, with fields given as name, value, name, value.
func request(peer string, fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/accounts", nil)
	r.RemoteAddr = peer
	for i := 0; i < len(fields); i += 2 {
		r.Header[fields[i]] = append(r.Header[fields[i]], fields[i+1])
	}
	return r
}

func fromProxy(t testing.TB, p mtls.Proxy) mtls.CertificateSource {
	t.Helper()
	if p.Trusted.IsZero() {
		p.Trusted = proxies
	}
	source, err := mtls.FromProxy(p)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// wants fails the test unless a source's answer is cert (nil: none was presented) or the cause.
func wants(t *testing.T, got *mtls.Certificate, err error, cert *x509.Certificate, cause error) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Fatalf("error = %v, want %v", err, cause)
	}
	if cause != nil && (got != nil || reason.Of(err) == "") {
		t.Fatalf("refused with certificate %v and reason %q", got != nil, reason.Of(err))
	}
	if (got == nil) != (cert == nil) || got != nil && !bytes.Equal(got.DER, cert.Raw) {
		t.Fatalf("certificate with thumbprint %q, want that of %v", got.Thumbprint(), subject(cert))
	}
}

// verify asks a source for the certificate of a request and then the certificate for what its Verification says.
func verify(source mtls.CertificateSource, r *http.Request) (*mtls.Certificate, error) {
	cert, err := source(r)
	if err != nil || cert == nil {
		return nil, err
	}
	if err := cert.Verify(); err != nil {
		return nil, err
	}
	return cert, nil
}

// presented is what a client presents that has this certificate.
func presented(c *x509.Certificate) *mtls.Certificate { return &mtls.Certificate{DER: c.Raw} }

func thumbprint(c *x509.Certificate) string { return presented(c).Thumbprint() }

func subject(c *x509.Certificate) string {
	if c == nil {
		return "none"
	}
	return c.Subject.String()
}

func parsePEM(t testing.TB, text string) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// RS-087, RS-090: the certificate of RFC 8705 Appendix A is self-signed and expired.
func TestThumbprintOfRFC8705AppendixA(t *testing.T) {
	a := poptest.Vectors().RFC8705.AppendixA
	cert := parsePEM(t, a.CertificatePEM)
	if got := thumbprint(cert); got != a.X5T {
		t.Errorf("thumbprint = %s, want %s", got, a.X5T)
	}
	if !presented(cert).Matches(a.X5T) {
		t.Error("the certificate does not match its own thumbprint")
	}
}

func TestMatches(t *testing.T) {
	ca := poptest.NewCA(t)
	first := ca.Issue(t, "client")
	cert := presented(first.Leaf)
	sum, nothing := sha256.Sum256(cert.DER), sha256.Sum256(nil)
	var old [sha1.Size]byte
	fips140.WithoutEnforcement(func() { old = sha1.Sum(cert.DER) })
	key := sha256.Sum256(first.Leaf.RawSubjectPublicKeyInfo)
	example := poptest.Vectors().RFC8705.Section31
	b64 := base64.RawURLEncoding.EncodeToString
	cases := []struct {
		name       string
		cert       *mtls.Certificate
		thumbprint string
		want       bool
	}{
		{"RS-086 its own", cert, b64(sum[:]), true},
		{"RS-086 another certificate", presented(ca.Issue(t, "client").Leaf), b64(sum[:]), false},
		{"RS-086 no certificate", nil, b64(sum[:]), false},
		{"no certificate and no thumbprint", nil, "", false},
		{"a certificate without octets", &mtls.Certificate{}, b64(nothing[:]), false},
		{"neither octets nor a thumbprint", &mtls.Certificate{}, "", false},
		{"RS-091 RS-093 renewed with the same key", presented(reissue(t, ca, first)), b64(sum[:]), false},
		{"RS-087 hex", cert, hex.EncodeToString(sum[:]), false},
		{"RS-087 SHA-1", cert, b64(old[:]), false},
		{"RS-087 padded", cert, b64(sum[:]) + "=", false},
		{"RS-087 base64 with + and /", presented(plusCert(t, ca)), stdThumbprint(plusCert(t, ca)), false},
		{"RS-093 hash of the key alone", cert, b64(key[:]), false},
		{"trailing bits not zero", cert, nonCanonical(b64(sum[:])), false},
		{"RFC 8705 §3.1 example", cert, example.CNF.X5T, false},
		{"empty thumbprint", cert, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := c.cert.Matches(c.thumbprint); got != c.want {
				t.Errorf("Matches = %v, want %v", got, c.want)
			}
		})
	}
}

// reissue makes a new certificate for the key of an old one.
func reissue(t *testing.T, ca *poptest.CA, old tls.Certificate) *x509.Certificate {
	t.Helper()
	template := *old.Leaf
	template.SerialNumber = nil
	key := old.PrivateKey.(*ecdsa.PrivateKey)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

var plus *x509.Certificate

// plusCert has a thumbprint that differs between base64 and base64url.
func plusCert(t *testing.T, ca *poptest.CA) *x509.Certificate {
	for plus == nil || stdThumbprint(plus) == thumbprint(plus) {
		plus = ca.Issue(t, "plus").Leaf
	}
	return plus
}

func stdThumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawStdEncoding.EncodeToString(sum[:])
}

// nonCanonical changes the last character so that it decodes to the same octets.
func nonCanonical(s string) string {
	want, _ := base64.RawURLEncoding.DecodeString(s)
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" {
		other := s[:len(s)-1] + string(c)
		if got, err := base64.RawURLEncoding.DecodeString(other); err == nil && other != s && string(got) == string(want) {
			return other
		}
	}
	panic("no other spelling")
}

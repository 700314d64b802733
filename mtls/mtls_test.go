package mtls_test

import (
	"crypto/ecdsa"
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
	"net/netip"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

const (
	proxyAddr    = "10.1.0.7:41234"
	strangerAddr = "203.0.113.9:41234"
)

var proxies = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/24"), netip.MustParsePrefix("fd00:1::/64")}

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
	if p.Trusted == nil {
		p.Trusted = proxies
	}
	source, err := mtls.FromProxy(p)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// wants fails the test unless a source's answer is cert (nil: none was presented) or the cause.
func wants(t *testing.T, got *x509.Certificate, err error, cert *x509.Certificate, cause error) {
	t.Helper()
	if !errors.Is(err, cause) {
		t.Fatalf("error = %v, want %v", err, cause)
	}
	if cause != nil && (got != nil || mtls.Reason(err) == "") {
		t.Fatalf("refused with certificate %v and reason %q", got != nil, mtls.Reason(err))
	}
	if (got == nil) != (cert == nil) || got != nil && !got.Equal(cert) {
		t.Fatalf("certificate = %v, want %v", subject(got), subject(cert))
	}
}

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
	if got := mtls.Thumbprint(cert); got != a.X5T {
		t.Errorf("thumbprint = %s, want %s", got, a.X5T)
	}
	if !mtls.Matches(cert, a.X5T) {
		t.Error("the certificate does not match its own thumbprint")
	}
}

func TestMatches(t *testing.T) {
	ca := poptest.NewCA(t)
	first := ca.Issue(t, "client")
	cert := first.Leaf
	renewed := reissue(t, ca, first)
	sum, old := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw)
	key := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	example := poptest.Vectors().RFC8705.Section31
	b64 := base64.RawURLEncoding.EncodeToString
	cases := []struct {
		name       string
		cert       *x509.Certificate
		thumbprint string
		want       bool
	}{
		{"RS-086 its own", cert, b64(sum[:]), true},
		{"RS-086 another certificate", ca.Issue(t, "client").Leaf, b64(sum[:]), false},
		{"RS-086 no certificate", nil, b64(sum[:]), false},
		{"no certificate and no thumbprint", nil, "", false},
		{"a certificate without octets", &x509.Certificate{}, mtls.Thumbprint(&x509.Certificate{}), false},
		{"RS-091 RS-093 renewed with the same key", renewed, b64(sum[:]), false},
		{"RS-087 hex", cert, hex.EncodeToString(sum[:]), false},
		{"RS-087 SHA-1", cert, b64(old[:]), false},
		{"RS-087 padded", cert, b64(sum[:]) + "=", false},
		{"RS-087 base64 with + and /", plusCert(t, ca), stdThumbprint(plusCert(t, ca)), false},
		{"RS-093 hash of the key alone", cert, b64(key[:]), false},
		{"trailing bits not zero", cert, nonCanonical(b64(sum[:])), false},
		{"RFC 8705 §3.1 example", cert, example.CNF.X5T, false},
		{"empty thumbprint", cert, "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := mtls.Matches(c.cert, c.thumbprint); got != c.want {
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
	for plus == nil || stdThumbprint(plus) == mtls.Thumbprint(plus) {
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

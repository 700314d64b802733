package mtls_test

import (
	"bytes"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

// strangeCurve is a certificate on a curve that crypto/x509 does not know (prime239v3 of ANSI X9.62), as others, such
// as those of Brainpool (RFC 5639), are in use.
func strangeCurve(t testing.TB) []byte {
	t.Helper()
	p256 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	prime239v3 := []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x06}
	der := bytes.Replace(poptest.SelfSigned(t, "strange").Leaf.Raw, p256, prime239v3, 1)
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("crypto/x509 parses it")
	}
	return der
}

// RFC 8705 §3.1 hashes octets: what crypto/x509 cannot parse binds a token, and is good for nothing else.
func TestCertificateThatGoCannotParse(t *testing.T) {
	der := strangeCurve(t)
	proxy := mtls.Proxy{Trusted: proxies, Format: mtls.Base64DER}
	verified, err := mtls.Verification{Roots: poptest.NewCA(t).Pool(), Now: poptest.NewClock().Now}.FromProxy(proxy)
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range []mtls.CertificateSource{fromProxy(t, proxy), verified} {
		got, err := source(request(proxyAddr, "X-Ssl-Client-Cert", base64DER(der)))
		wants(t, got, err, &x509.Certificate{Raw: der}, nil)
		if want := stdSum(der); got.Thumbprint() != want || !got.Matches(want) {
			t.Errorf("thumbprint = %s, want %s", got.Thumbprint(), want)
		}
		if cert, err := got.X509(); cert != nil || reason.Of(err) != mtls.ErrCertificate.Name {
			t.Errorf("X509 = %v, %v", cert, err)
		}
	}
	got, err := verify(verified, request(proxyAddr, "X-Ssl-Client-Cert", base64DER(der)))
	wants(t, got, err, nil, mtls.ErrCertificate)
	// With anything changed about its one sequence it is no certificate to anybody (RFC 5280 §4.1).
	for name, evil := range map[string][]byte{
		"an octet behind it": append(bytes.Clone(der), 0),
		"cut":                der[:len(der)-1],
		"a set":              append([]byte{0x31}, der[1:]...),
		"its content alone":  der[4:],
	} {
		t.Run(name, func(t *testing.T) {
			got, err := fromProxy(t, proxy)(request(proxyAddr, "X-Ssl-Client-Cert", base64DER(evil)))
			wants(t, got, err, nil, mtls.ErrCertificate)
		})
	}
}

// Once at most: that of a connection is parsed already.
func TestCertificateIsParsedOnce(t *testing.T) {
	want := poptest.SelfSigned(t, "client").Leaf
	for name, c := range map[string]*mtls.Certificate{"by hand": presented(want), "of a connection": fromTLS(t, want)} {
		first, err := c.X509()
		if err != nil || !first.Equal(want) || name == "of a connection" && first != want {
			t.Fatalf("%s: %v, %v", name, first, err)
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if again, err := c.X509(); again != first || err != nil {
					t.Errorf("%s: another answer, error %v", name, err)
				}
			})
		}
		wg.Wait()
	}
}

func fromTLS(t *testing.T, certs ...*x509.Certificate) *mtls.Certificate {
	t.Helper()
	c, err := mtls.FromTLS(overTLS(certs...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// RS-090: without a Verification possession alone counts.
func TestVerifyWithoutVerification(t *testing.T) {
	old := poptest.SelfSigned(t, "client", expired).Leaf
	field := base64DER(old.Raw)
	proxied, err := fromProxy(t, mtls.Proxy{Format: mtls.Base64DER})(request(proxyAddr, "X-Ssl-Client-Cert", field))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*mtls.Certificate{
		"by hand": presented(old), "of a connection": fromTLS(t, old), "of a proxy": proxied,
	} {
		if err := c.Verify(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What counts is the moment of the question, since a stream asks again.
func TestVerifyIsJudgedWhenCalled(t *testing.T) {
	ca := poptest.NewCA(t)
	leaf, clock := ca.Issue(t, "client").Leaf, poptest.NewClock()
	source, err := mtls.Verification{Roots: ca.Pool(), Now: clock.Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := source(overTLS(leaf))
	wants(t, cert, err, leaf, nil)
	for _, step := range []struct {
		at     time.Time
		reason string
	}{
		{poptest.Now, ""}, {leaf.NotAfter, ""}, {leaf.NotAfter.Add(time.Second), "certificate_expired"},
		{leaf.NotBefore.Add(-time.Second), "certificate_not_yet_valid"}, {poptest.Now, ""},
	} {
		clock.Set(step.at)
		if got := reason.Of(cert.Verify()); got != step.reason {
			t.Errorf("at %v: %q, want %q", step.at, got, step.reason)
		}
	}
}

func TestNoCertificate(t *testing.T) {
	var none *mtls.Certificate
	_, err := none.X509()
	for name, got := range map[string]string{"X509": reason.Of(err), "Verify": reason.Of(none.Verify())} {
		if got != mtls.ErrCertificate.Name {
			t.Errorf("%s: %q", name, got)
		}
	}
	for _, c := range []*mtls.Certificate{none, {}} {
		if got := c.Thumbprint(); got != "" {
			t.Errorf("thumbprint = %q", got)
		}
	}
}

package mtls_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

func serverOnly(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }

// intermediate is an authority below ca, and a certificate of a client that it issued.
func intermediate(t testing.TB, ca *poptest.CA, mutate ...func(*x509.Certificate)) (middle, leaf *x509.Certificate) {
	t.Helper()
	m := ca.Issue(t, "middle", append(mutate, func(c *x509.Certificate) {
		c.IsCA, c.KeyUsage, c.DNSNames, c.IPAddresses = true, x509.KeyUsageCertSign, nil, nil
	})...)
	key := poptest.NewKey("ES256").Private
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "below"},
		NotBefore: poptest.Now.AddDate(0, 0, -1), NotAfter: poptest.Now.AddDate(1, 0, 0),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, m.Leaf, key.Public(), m.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return m.Leaf, leaf
}

func overTLS(certs ...*x509.Certificate) *http.Request {
	r := request(strangerAddr)
	r.TLS = &tls.ConnectionState{PeerCertificates: certs}
	return r
}

func TestVerification(t *testing.T) {
	ca, other := poptest.NewCA(t), poptest.NewCA(t)
	middle, below := intermediate(t, ca)
	lateMiddle, belowLate := intermediate(t, ca, expired)
	constrained, belowConstrained := intermediate(t, ca, serverOnly)
	later := func(c *x509.Certificate) { c.NotBefore = poptest.Now.Add(time.Second) }
	until := func(c *x509.Certificate) { c.NotAfter = poptest.Now }
	since := func(c *x509.Certificate) { c.NotBefore = poptest.Now }
	past := func(c *x509.Certificate) { c.NotAfter = poptest.Now.Add(-time.Second) }
	anyUse := func(c *x509.Certificate) { c.ExtKeyUsage = nil }
	cases := []struct {
		name  string
		certs []*x509.Certificate
		cause error
	}{
		{"none", nil, nil},
		{"issued by a root", []*x509.Certificate{ca.Issue(t, "client").Leaf}, nil},
		{"issued below a root", []*x509.Certificate{below, middle}, nil},
		{"without extended key usage", []*x509.Certificate{ca.Issue(t, "any", anyUse).Leaf}, nil},
		{"in its last second", []*x509.Certificate{ca.Issue(t, "last", until).Leaf}, nil},
		{"in its first second", []*x509.Certificate{ca.Issue(t, "first", since).Leaf}, nil},
		{"root in the chain too", []*x509.Certificate{below, middle, ca.Certificate}, nil},
		{"RS-090 self-signed", []*x509.Certificate{poptest.SelfSigned(t, "self").Leaf}, mtls.ErrUntrusted},
		{"another authority", []*x509.Certificate{other.Issue(t, "client").Leaf, other.Certificate}, mtls.ErrUntrusted},
		{"below a root, chain missing", []*x509.Certificate{below}, mtls.ErrUntrusted},
		{"certificate of a client as authority", []*x509.Certificate{reissuedBy(t, ca), ca.Certificate}, mtls.ErrUntrusted},
		{"intermediate expired", []*x509.Certificate{belowLate, lateMiddle}, mtls.ErrUntrusted},
		{"intermediate not for clients", []*x509.Certificate{belowConstrained, constrained}, mtls.ErrUsage},
		{"expired", []*x509.Certificate{ca.Issue(t, "past", past).Leaf}, mtls.ErrExpired},
		{"not yet valid", []*x509.Certificate{ca.Issue(t, "later", later).Leaf}, mtls.ErrNotYetValid},
		{"for servers only", []*x509.Certificate{ca.Issue(t, "server", serverOnly).Leaf}, mtls.ErrUsage},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			source, err := mtls.Verification{Roots: ca.Pool(), Now: poptest.NewClock().Now}.FromTLS()
			if err != nil {
				t.Fatal(err)
			}
			var want *x509.Certificate
			if len(c.certs) > 0 {
				want = c.certs[0]
			}
			for range 2 { // the second answer is the remembered one
				got, err := source(overTLS(c.certs...))
				wants(t, got, err, want, nil) // whoever does not ask is not told
				if want == nil {
					continue
				}
				if err := got.Verify(); !errors.Is(err, c.cause) || c.cause != nil && reason.Of(err) == "" {
					t.Errorf("Verify = %v, want %v", err, c.cause)
				} else if (c.cause == mtls.ErrUntrusted || c.cause == mtls.ErrUsage) && !strings.Contains(err.Error(), "x509: ") {
					t.Errorf("Verify = %v, which does not say what crypto/x509 found", err)
				}
			}
		})
	}
}

// reissuedBy is a certificate signed by the key of a client of ca, which may not issue any.
func reissuedBy(t *testing.T, ca *poptest.CA) *x509.Certificate {
	t.Helper()
	return reissue(t, ca, ca.Issue(t, "client"))
}

func TestIntermediatesOfTheServer(t *testing.T) {
	ca := poptest.NewCA(t)
	middle, below := intermediate(t, ca)
	pool := x509.NewCertPool()
	pool.AddCert(middle)
	source, err := mtls.Verification{Roots: ca.Pool(), Intermediates: pool, Now: poptest.NewClock().Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	got, err := verify(source, overTLS(below))
	wants(t, got, err, below, nil)
}

// RS-099: the chain comes from where each format has it, and the client's certificate never does.
func TestVerificationBehindProxies(t *testing.T) {
	ca := poptest.NewCA(t)
	middle, below := intermediate(t, ca)
	direct := ca.Issue(t, "client").Leaf
	stranger := poptest.SelfSigned(t, "stranger").Leaf
	const field, chain = "Client-Cert", "Client-Cert-Chain"
	leaf, up, root := byteSequence(below.Raw), byteSequence(middle.Raw), byteSequence(ca.Certificate.Raw)
	cases := []struct {
		name   string
		format mtls.Format
		fields []string
		cert   *x509.Certificate
		cause  error
	}{
		{"Client-Cert alone", mtls.RFC9440, []string{field, byteSequence(direct.Raw)}, direct, nil},
		{"with chain", mtls.RFC9440, []string{field, leaf, chain, up}, below, nil},
		{"chain of two", mtls.RFC9440, []string{field, leaf, chain, up + ", " + root}, below, nil},
		{"chain in two fields", mtls.RFC9440, []string{field, leaf, chain, root, chain, up}, below, nil},
		{"chain missing", mtls.RFC9440, []string{field, leaf}, nil, mtls.ErrUntrusted},
		{"RS-099 good leaf in the chain alone", mtls.RFC9440, []string{chain, byteSequence(direct.Raw)}, nil, nil},
		{"RS-099 good leaf in the chain, another as Client-Cert", mtls.RFC9440,
			[]string{field, byteSequence(stranger.Raw), chain, byteSequence(direct.Raw)}, nil, mtls.ErrUntrusted},
		{"chain is no list", mtls.RFC9440, []string{field, leaf, chain, "!"}, nil, mtls.ErrMalformed},
		{"chain of tokens", mtls.RFC9440, []string{field, leaf, chain, "a, b"}, nil, mtls.ErrMalformed},
		{"chain with an inner list", mtls.RFC9440, []string{field, leaf, chain, "(" + up + ")"}, nil, mtls.ErrMalformed},
		{"chain with parameters", mtls.RFC9440, []string{field, leaf, chain, up + ";a"}, nil, mtls.ErrMalformed},
		{"chain of no certificates", mtls.RFC9440, []string{field, leaf, chain, ":AAAA:"}, nil, mtls.ErrCertificate},
		{"chain too large", mtls.RFC9440,
			[]string{field, leaf, chain, ":" + strings.Repeat("A", mtls.DefaultMaxSize) + ":"}, nil, mtls.ErrTooLarge},
		{"Envoy", mtls.Envoy, []string{"X-Forwarded-Client-Cert", xfcc("", below.Raw, middle.Raw)}, below, nil},
		{"Envoy, chain missing", mtls.Envoy, []string{"X-Forwarded-Client-Cert", xfcc("", below.Raw)}, nil, mtls.ErrUntrusted},
		{"Traefik", mtls.Traefik, []string{"X-Forwarded-Tls-Client-Cert", traefik(below.Raw, middle.Raw)}, below, nil},
		{"ALB", mtls.ALBPassthrough, []string{"X-Amzn-Mtls-Clientcert", alb(below.Raw, middle.Raw)}, below, nil},
		{"ALB, good leaf behind another", mtls.ALBPassthrough,
			[]string{"X-Amzn-Mtls-Clientcert", alb(stranger.Raw, direct.Raw)}, nil, mtls.ErrUntrusted},
		{"nginx", mtls.EscapedPEM, []string{"X-Ssl-Client-Cert", nginx(direct.Raw)}, direct, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := mtls.Verification{Roots: ca.Pool(), Now: poptest.NewClock().Now}
			source, err := v.FromProxy(mtls.Proxy{Trusted: proxies, Format: c.format})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				got, err := verify(source, request(proxyAddr, c.fields...))
				wants(t, got, err, c.cert, c.cause)
			}
		})
	}
}

// A chain in a field of its own, as Google's load balancer can name it ({client_cert_chain}, in the format of
// RFC 9440), HAProxy writes it (ssl_c_chain_der,base64; so do the settings that Keycloak documents), and Apache
// (SSL_CLIENT_CERT_CHAIN_0).
func TestChainField(t *testing.T) {
	ca := poptest.NewCA(t)
	middle, below := intermediate(t, ca)
	direct, stranger := ca.Issue(t, "client").Leaf, poptest.SelfSigned(t, "stranger").Leaf
	const field, sep, haproxy = "Client-Cert", "X-Client-Cert-Chain", "X-Ssl-Client-Cert"
	leaf, up := byteSequence(below.Raw), byteSequence(middle.Raw)
	both := base64DER(append(bytes.Clone(middle.Raw), ca.Certificate.Raw...))
	spaced := strings.ReplaceAll(pemText(middle.Raw), "\n", " ")
	cases := []struct {
		name   string
		format mtls.Format
		fields []string
		cause  error
	}{
		{"RFC 9440", mtls.RFC9440, []string{field, leaf, sep, up}, nil},
		{"RFC 9440, two lines", mtls.RFC9440, []string{field, leaf, sep, byteSequence(ca.Certificate.Raw), sep, up}, nil},
		{"RFC 9440, under its own name", mtls.RFC9440, []string{field, leaf, field + "-Chain", up}, mtls.ErrUntrusted},
		{"RFC 9440, none", mtls.RFC9440, []string{field, leaf, sep, "(null)"}, mtls.ErrUntrusted},
		{"RFC 9440, none before another line", mtls.RFC9440, []string{field, leaf, sep, "(null)", sep, up}, mtls.ErrMalformed},
		{"HAProxy", mtls.Base64DER, []string{haproxy, base64DER(below.Raw), sep, base64DER(middle.Raw)}, nil},
		{"HAProxy, chain of two", mtls.Base64DER, []string{haproxy, base64DER(below.Raw), sep, both}, nil},
		{"HAProxy, chain with the certificate", mtls.Base64DER, []string{haproxy, base64DER(below.Raw), sep,
			base64DER(append(bytes.Clone(below.Raw), middle.Raw...))}, nil},
		{"HAProxy, chain empty", mtls.Base64DER, []string{haproxy, base64DER(below.Raw), sep, ""}, mtls.ErrUntrusted},
		{"HAProxy, no chain", mtls.Base64DER, []string{haproxy, base64DER(below.Raw)}, mtls.ErrUntrusted},
		{"HAProxy, twice", mtls.Base64DER,
			[]string{haproxy, base64DER(below.Raw), sep, base64DER(middle.Raw), sep, base64DER(middle.Raw)}, mtls.ErrMultiple},
		{"HAProxy, list", mtls.Base64DER, []string{haproxy, base64DER(below.Raw), sep, traefik(middle.Raw, direct.Raw)},
			mtls.ErrMalformed},
		{"HAProxy, chain cut", mtls.Base64DER,
			[]string{haproxy, base64DER(below.Raw), sep, base64DER(middle.Raw[:len(middle.Raw)-3])}, mtls.ErrCertificate},
		{"HAProxy, octet behind the chain", mtls.Base64DER,
			[]string{haproxy, base64DER(below.Raw), sep, base64DER(append(bytes.Clone(middle.Raw), 0))}, mtls.ErrCertificate},
		{"HAProxy, chain too large", mtls.Base64DER,
			[]string{haproxy, base64DER(below.Raw), sep, strings.Repeat("A", mtls.DefaultMaxSize+4)}, mtls.ErrTooLarge},
		{"PEM", mtls.EscapedPEM, []string{haproxy, nginx(below.Raw), sep, nginx(middle.Raw)}, nil},
		{"PEM with spaces", mtls.EscapedPEM, []string{haproxy, nginx(below.Raw), sep, spaced}, nil},
		{"PEM, text behind", mtls.EscapedPEM, []string{haproxy, nginx(below.Raw), sep, spaced + "x"}, mtls.ErrMalformed},
		{"RS-099 good certificate in the chain, another as the client's", mtls.Base64DER,
			[]string{haproxy, base64DER(stranger.Raw), sep, base64DER(direct.Raw)}, mtls.ErrUntrusted},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v := mtls.Verification{Roots: ca.Pool(), Now: poptest.NewClock().Now}
			source, err := v.FromProxy(mtls.Proxy{Trusted: proxies, Format: c.format, ChainField: "x-client-cert-chain"})
			if err != nil {
				t.Fatal(err)
			}
			var want *x509.Certificate
			if c.cause == nil {
				want = below
			}
			got, err := verify(source, request(proxyAddr, c.fields...))
			wants(t, got, err, want, c.cause)
			got, err = source(request(strangerAddr, c.fields[2:]...)) // it says nothing of the client
			wants(t, got, err, nil, nil)
		})
	}
}

// Without ChainField no field but that of RFC 9440 is one, whatever it is called.
func TestNoChainField(t *testing.T) {
	ca := poptest.NewCA(t)
	middle, below := intermediate(t, ca)
	for format, chain := range map[mtls.Format]string{
		mtls.EscapedPEM: nginx(middle.Raw), mtls.Base64DER: base64DER(middle.Raw), mtls.Traefik: traefik(middle.Raw),
	} {
		v := mtls.Verification{Roots: ca.Pool(), Now: poptest.NewClock().Now}
		source, err := v.FromProxy(mtls.Proxy{Trusted: proxies, Format: format})
		if err != nil {
			t.Fatal(err)
		}
		e := encoders[format]
		got, err := verify(source, request(proxyAddr, e.field, e.encode(below.Raw), e.field+"-Chain", chain))
		wants(t, got, err, nil, mtls.ErrUntrusted)
	}
}

// crypto/tls does not look at the chain again when a session is resumed; the sources do.
func TestResumedSessionIsVerifiedAgain(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ca, next := poptest.NewCA(t), poptest.NewCA(t)
			clock := poptest.NewClock()
			verified := func(roots *x509.CertPool) mtls.CertificateSource {
				source, err := mtls.Verification{Roots: roots, Now: clock.Now}.FromTLS()
				if err != nil {
					t.Fatal(err)
				}
				return source
			}
			var source atomic.Pointer[mtls.CertificateSource]
			source.Store(new(verified(ca.Pool())))
			s := server(t, func(r *http.Request) (*mtls.Certificate, error) { return (*source.Load())(r) }, nil)
			cert := ca.Issue(t, "client")
			cl := client(t, s, cert)
			tlsConfig(cl).MaxVersion = version
			tlsConfig(cl).ClientSessionCache = tls.NewLRUClientSessionCache(4)

			good := thumbprint(cert.Leaf)
			steps := []struct {
				name    string
				do      func()
				want    string
				resumed bool
			}{
				{"first connection", func() {}, good, false},
				{"resumed", func() {}, good, true},
				{"resumed, expired", func() { clock.Set(cert.Leaf.NotAfter.Add(time.Second)) }, "certificate_expired", true},
				{"resumed, clock put right", func() { clock.Set(poptest.Now) }, good, true},
				{"resumed, other authority", func() { source.Store(new(verified(next.Pool()))) }, "certificate_untrusted", true},
			}
			for _, step := range steps {
				step.do()
				got, resumed := get(t, cl, s.URL)
				if got != step.want || resumed != step.resumed {
					t.Errorf("%s: %s, resumed %v; want %s, %v", step.name, got, resumed, step.want, step.resumed)
				}
			}
		})
	}
}

// What is remembered holds as long as the shortest certificate of the chain, and refusals for ten seconds.
func TestRememberedAnswers(t *testing.T) {
	ca := poptest.NewCA(t)
	short := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = poptest.Now.Add(-time.Minute), poptest.Now.Add(time.Minute)
	}
	middle, below := intermediate(t, ca, short)
	clock := poptest.NewClock()
	source, err := mtls.Verification{Roots: ca.Pool(), Now: clock.Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name  string
		at    time.Duration
		certs []*x509.Certificate
		cause error
	}{
		{"chain missing", 0, []*x509.Certificate{below}, mtls.ErrUntrusted},
		{"refusal remembered", 10 * time.Second, []*x509.Certificate{below, middle}, mtls.ErrUntrusted},
		{"refusal forgotten", 11 * time.Second, []*x509.Certificate{below, middle}, nil},
		{"acceptance remembered", 60 * time.Second, []*x509.Certificate{below}, nil},
		{"intermediate expired", 61 * time.Second, []*x509.Certificate{below, middle}, mtls.ErrUntrusted},
		{"clock set back within the refusal", 59 * time.Second, []*x509.Certificate{below, middle}, nil},
		{"clock set back before the intermediate", -61 * time.Second, []*x509.Certificate{below, middle}, mtls.ErrUntrusted},
	}
	for _, s := range steps {
		clock.Set(poptest.Now.Add(s.at))
		var want *x509.Certificate
		if s.cause == nil {
			want = below
		}
		got, err := verify(source, overTLS(s.certs...))
		if !errors.Is(err, s.cause) {
			t.Fatalf("%s: error = %v, want %v", s.name, err, s.cause)
		}
		wants(t, got, err, want, s.cause)
	}
}

func TestTimesAreMeasured(t *testing.T) {
	ca := poptest.NewCA(t)
	cert := ca.Issue(t, "client").Leaf
	clock := poptest.NewClock()
	source, err := mtls.Verification{Roots: ca.Pool(), Now: clock.Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]string{
		cert.NotAfter.Add(90 * time.Second):   "certificate_expired by 1m30s",
		cert.NotBefore.Add(-90 * time.Second): "certificate_not_yet_valid by 1m30s",
	} {
		clock.Set(at)
		_, err := verify(source, overTLS(cert))
		e, _ := errors.AsType[*reason.Error](err)
		if got := fmt.Sprintf("%s by %s", e.Name, e.Difference); got != want {
			t.Errorf("refused for %s, want %s", got, want)
		}
	}
}

// A key that is expensive to verify with is refused before any signature is checked with it.
func TestHugeRSAKeyInTheChain(t *testing.T) {
	ca := poptest.NewCA(t)
	n := new(big.Int).Lsh(big.NewInt(1), 16000)
	huge := &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
	signer := poptest.NewKey("ES256").Private
	template := &x509.Certificate{NotBefore: poptest.Now, NotAfter: poptest.Now, IsCA: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, huge, signer)
	if err != nil {
		t.Fatal(err)
	}
	source, err := mtls.Verification{Roots: ca.Pool(), Now: poptest.NewClock().Now}.FromProxy(
		mtls.Proxy{Trusted: proxies, Format: mtls.ALBPassthrough})
	if err != nil {
		t.Fatal(err)
	}
	_, below := intermediate(t, ca)
	got, err := verify(source, request(proxyAddr, "X-Amzn-Mtls-Clientcert", alb(below.Raw, der)))
	wants(t, got, err, nil, mtls.ErrUntrusted)
	if e, _ := errors.AsType[*reason.Error](err); e.Received != "16001 bits" {
		t.Errorf("error = %v, want the size of the key", err)
	}
}

func TestVerificationSettings(t *testing.T) {
	for _, v := range []mtls.Verification{{}, {Roots: x509.NewCertPool()}} {
		_, direct := v.FromTLS()
		_, proxied := v.FromProxy(mtls.Proxy{Trusted: proxies})
		for _, err := range []error{direct, proxied} {
			if err == nil || !strings.Contains(err.Error(), "Verification.Roots") {
				t.Errorf("error = %v", err)
			}
		}
	}
}

// The pool is the source's own: a root that is added later does not count.
func TestRootsAreCopied(t *testing.T) {
	ca, later := poptest.NewCA(t), poptest.NewCA(t)
	pool := ca.Pool()
	source, err := mtls.Verification{Roots: pool, Now: poptest.NewClock().Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(later.Certificate)
	got, err := verify(source, overTLS(later.Issue(t, "client").Leaf))
	wants(t, got, err, nil, mtls.ErrUntrusted)
}

func TestVerificationIsSafeForConcurrentUse(t *testing.T) {
	ca := poptest.NewCA(t)
	source, err := mtls.Verification{Roots: ca.Pool(), Now: poptest.NewClock().Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	middle, below := intermediate(t, ca)
	good, bad := overTLS(below, middle), overTLS(poptest.SelfSigned(t, "self").Leaf)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if got, err := verify(source, good); err != nil || !bytes.Equal(got.DER, below.Raw) {
					t.Errorf("good certificate: %v", err)
				}
				if _, err := verify(source, bad); !errors.Is(err, mtls.ErrUntrusted) {
					t.Errorf("self-signed certificate: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func TestMemoryIsBounded(t *testing.T) {
	for n, want := range map[int]int{10: 10, mtls.MaxVerdicts: mtls.MaxVerdicts, mtls.MaxVerdicts + 500: mtls.MaxVerdicts} {
		if accepted, refused := mtls.Remember(n); accepted != want || refused != want {
			t.Errorf("of %d each: %d and %d kept, want %d", n, accepted, refused, want)
		}
	}
}

// A refusal is remembered, so it must not hold on to a certificate, nor to the names in one.
func TestRefusalsAreSmall(t *testing.T) {
	huge := strings.Repeat("é", 9000)
	leaf := poptest.SelfSigned(t, "leaf", func(c *x509.Certificate) { c.Subject.CommonName, c.IsCA = huge, true }).Leaf
	source, err := mtls.Verification{Roots: poptest.NewCA(t).Pool(), Now: poptest.NewClock().Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	got, err := verify(source, overTLS(leaf, leaf))
	wants(t, got, err, nil, mtls.ErrUntrusted)
	if len(err.Error()) > 600 {
		t.Errorf("the error has %d octets", len(err.Error()))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		t.Error("the error holds the certificate")
	}
}

// An authority may have an RSA key of an ordinary size, and what is wrong with a field stays what it is.
func TestVerificationByAnRSAAuthority(t *testing.T) {
	key := poptest.NewKey("RS256").Private
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: poptest.Now.AddDate(0, 0, -1), NotAfter: poptest.Now.AddDate(1, 0, 0),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	issue := func(template, parent *x509.Certificate, public, by any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	root := issue(authority("root"), authority("root"), key.Public(), key)
	middle := issue(authority("middle"), root, key.Public(), key)
	leaf := authority("client")
	leaf.IsCA, leaf.KeyUsage, leaf.ExtKeyUsage = false, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	client := issue(leaf, middle, poptest.NewKey("ES256").Private.Public(), key)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	v := mtls.Verification{Roots: pool, Now: poptest.NewClock().Now}
	source, err := v.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	got, err := verify(source, overTLS(client, middle))
	wants(t, got, err, client, nil)

	if source, err = v.FromProxy(mtls.Proxy{Trusted: proxies}); err != nil {
		t.Fatal(err)
	}
	got, err = source(request(proxyAddr, "Client-Cert", "x"))
	wants(t, got, err, nil, mtls.ErrMalformed)
}

// A pool of intermediates is the source's own too.
func TestIntermediatesAreCopied(t *testing.T) {
	ca := poptest.NewCA(t)
	middle, below := intermediate(t, ca)
	pool := x509.NewCertPool()
	source, err := mtls.Verification{Roots: ca.Pool(), Intermediates: pool, Now: poptest.NewClock().Now}.FromTLS()
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(middle)
	got, err := verify(source, overTLS(below))
	wants(t, got, err, nil, mtls.ErrUntrusted)
}

// An error of crypto/x509 that quotes what a client wrote is cut, within no character.
func TestErrorsAreCut(t *testing.T) {
	// A name as a URI that cannot be one, in place of a name that can.
	good := poptest.SelfSigned(t, "leaf", func(c *x509.Certificate) {
		c.URIs = []*url.URL{{Scheme: "http", Host: "a.example", Path: "/" + strings.Repeat("é", 300)}}
	}).Leaf.Raw
	der := bytes.Replace(good, []byte("http://a.example"), []byte("http://[.example"), 1)
	if bytes.Equal(der, good) {
		t.Fatal("the certificate has no such name")
	}
	_, err := (&mtls.Certificate{DER: der}).X509()
	if reason.Of(err) != mtls.ErrCertificate.Name || len(err.Error()) > 400 || !strings.Contains(err.Error(), "…") || !utf8.ValidString(err.Error()) {
		t.Errorf("%d octets: %v", len(err.Error()), err)
	}
}

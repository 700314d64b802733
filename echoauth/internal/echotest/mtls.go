package echotest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

// tlsAPI is an api on a real TLS server. It keeps the reason of the last refusal.
type tlsAPI struct {
	*api
	server *httptest.Server
	reason string
}

func (f suite) newTLSAPI(t *testing.T, source mtls.CertificateSource, demands ...access.Requirement) *tlsAPI {
	t.Helper()
	a := &tlsAPI{}
	auth := f.newAuth(t, func(c *access.Config) {
		c.Certificates = source
		c.Deny = func(_ http.ResponseWriter, _ *http.Request, e *access.Error) { a.reason = e.Reason() }
	})
	var required []Middleware
	for _, q := range demands {
		required = append(required, auth.Require(q))
	}
	a.api = f.newAPI(auth, required...)
	a.server = httptest.NewUnstartedServer(a)
	config, err := mtls.ServerTLS(nil)
	if err != nil {
		t.Fatal(err)
	}
	a.server.TLS, a.server.EnableHTTP2 = config, true
	a.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	poptest.StartTLS(t, a.server)
	t.Cleanup(a.server.Close)
	return a
}

// client presents a certificate, or none, and makes a connection for every request.
func (a *tlsAPI) client(t *testing.T, certificate *tls.Certificate, changes ...func(*http.Transport)) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(a.server.Certificate())
	config := &tls.Config{RootCAs: roots, ServerName: "example.com"}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	for _, change := range changes {
		change(transport)
	}
	return &http.Client{Transport: transport}
}

// answer is what a request gets, with whether its handler ran.
type answer struct {
	status int
	reason string
	ran    int
}

var handled = answer{status: 200, ran: 1}

func refused(reason string) answer { return answer{status: 401, reason: reason} }

func (a *tlsAPI) do(t *testing.T, c *http.Client, r *http.Request) (answer, *http.Response) {
	t.Helper()
	u, err := url.Parse(a.server.URL + "/accounts")
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.RequestURI, r.Host = u, "", "api.example.com"
	a.reason = ""
	resp, err := c.Do(r.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, a.reason, a.ran()}, resp
}

func x5t(c tls.Certificate) func(*poptest.Token) {
	return func(t *poptest.Token) { t.X5T = poptest.X5T(c.Leaf) }
}

func certificateBound(c tls.Certificate) string {
	return poptest.Token{X5T: poptest.X5T(c.Leaf)}.String()
}

func sameKey(t *testing.T, old tls.Certificate) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: old.Leaf.Subject, NotAfter: old.Leaf.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, old.Leaf.PublicKey, old.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: old.PrivateKey, Leaf: renewed}
}

func (f suite) TestCertificateBoundTokensOverTLS(t *testing.T) {
	ca := poptest.NewCA(t)
	own, other, self := ca.Issue(t, "client"), ca.Issue(t, "client"), poptest.SelfSigned(t, "self")
	expired := ca.Issue(t, "client", func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 1).Add(-1) })
	renewed := sameKey(t, own)
	chained := other
	chained.Certificate = [][]byte{other.Leaf.Raw, own.Leaf.Raw} // a thief who adds the owner's as if it were an issuer's
	with := func(token string) *http.Request {
		r := get(poptest.URL)
		r.Header.Set("Authorization", "Bearer "+token)
		return r
	}
	proved := func(token string, changes ...func(*poptest.Proof)) *http.Request {
		return signed(get(poptest.URL), token, poptest.URL, changes...)
	}
	thief := func(p *poptest.Proof) { p.Key = poptest.Keyed("ES256", "thief") }
	claiming := with(certificateBound(own))
	claiming.Header.Set("Client-Cert", ":"+base64.StdEncoding.EncodeToString(own.Leaf.Raw)+":")
	a := f.newTLSAPI(t, mtls.FromTLS)
	for name, test := range map[string]struct {
		certificate *tls.Certificate
		r           *http.Request
		want        answer
	}{
		"RS-085 its certificate":                  {&own, with(certificateBound(own)), handled},
		"RS-090 a self-signed one":                {&self, with(certificateBound(self)), handled},
		"RS-090 an expired one":                   {&expired, with(certificateBound(expired)), handled},
		"RS-086 RS-089 RS-096 no certificate":     {nil, with(certificateBound(own)), refused("certificate_missing")},
		"RS-086 another certificate":              {&other, with(certificateBound(own)), refused("certificate_mismatch")},
		"RS-091 RS-093 the certificate renewed":   {&renewed, with(certificateBound(own)), refused("certificate_mismatch")},
		"the renewed one and a new token":         {&renewed, with(certificateBound(renewed)), handled},
		"its certificate as that of an issuer":    {&chained, with(certificateBound(own)), refused("certificate_mismatch")},
		"RS-098 its certificate in a field":       {nil, claiming, refused("certificate_missing")},
		"an unbound token beside a certificate":   {&own, with(poptest.Token{}.String()), refused("token_unbound")},
		"a DPoP-bound token beside a certificate": {&other, proved(bound()), handled},
		"a DPoP-bound token without one":          {nil, proved(bound()), handled},
		"RS-037 both bindings, both proved":       {&own, proved(bound(x5t(own))), handled},
		"RS-037 both, no certificate":             {nil, proved(bound(x5t(own))), refused("certificate_missing")},
		"RS-037 both, another certificate":        {&other, proved(bound(x5t(own))), refused("certificate_mismatch")},
		"RS-037 both, a thief's proof":            {&own, proved(bound(x5t(own)), thief), refused("key_mismatch")},
		"RS-037 both, no proof":                   {&own, with(bound(x5t(own))), refused("bound_token_as_bearer")},
	} {
		t.Run(name, func(t *testing.T) {
			got, resp := a.do(t, a.client(t, test.certificate), test.r)
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			challenge := strings.Join(resp.Header.Values("WWW-Authenticate"), ", ")
			if refusal := test.want.status == 401; refusal != strings.Contains(challenge, `error="invalid_token"`) {
				t.Errorf("challenge %q", challenge)
			}
		})
	}
}

// RS-037: a route can demand both bindings.
func (f suite) TestRouteDemandsBothBindingsOverTLS(t *testing.T) {
	own := poptest.SelfSigned(t, "client")
	a := f.newTLSAPI(t, mtls.FromTLS, access.Requirement{Binding: access.BindingDPoP | access.BindingCertificate})
	c := a.client(t, &own)
	token := bound(x5t(own))
	if got, _ := a.do(t, c, signed(get(poptest.URL), token, poptest.URL)); got != handled {
		t.Errorf("both: %+v", got)
	}
	if got, _ := a.do(t, c, signed(get(poptest.URL), bound(), poptest.URL)); got != refused("binding_missing") {
		t.Errorf("the key alone: %+v", got)
	}
	r := get(poptest.URL)
	r.Header.Set("Authorization", "Bearer "+certificateBound(own))
	if got, _ := a.do(t, c, r); got != refused("binding_missing") {
		t.Errorf("the certificate alone: %+v", got)
	}
}

// RS-084: the handshake asks for a certificate, in every version, also of clients whose token needs none. RS-094: TLS
// 1.0 and 1.1 fail.
func (f suite) TestHandshake(t *testing.T) {
	own := poptest.SelfSigned(t, "client")
	a := f.newTLSAPI(t, mtls.FromTLS)
	for version, accepted := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			if !accepted {
				poptest.NeedsRetired(t, "a client of "+tls.VersionName(version))
			}
			asked := false
			c := a.client(t, &own, func(tr *http.Transport) {
				tr.TLSClientConfig.MinVersion, tr.TLSClientConfig.MaxVersion = tls.VersionTLS10, version
				present := tr.TLSClientConfig.GetClientCertificate
				tr.TLSClientConfig.GetClientCertificate = func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
					asked = true
					return present(info)
				}
			})
			r := get(a.server.URL + "/accounts")
			r.RequestURI = ""
			resp, err := c.Do(r)
			if err == nil {
				_ = resp.Body.Close()
			}
			if asked != accepted || accepted != (err == nil) || err != nil && !strings.Contains(err.Error(), "protocol version") {
				t.Errorf("asked for a certificate: %t, error %v", asked, err)
			}
			if a.ran() != 0 {
				t.Error("the handler ran without a token")
			}
		})
	}
}

// RS-085, RS-086: HTTP/2, and a session that is resumed, bring the certificate of their connection.
func (f suite) TestHTTP2AndResumedSessions(t *testing.T) {
	own, other := poptest.SelfSigned(t, "client"), poptest.SelfSigned(t, "other")
	a := f.newTLSAPI(t, mtls.FromTLS)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, http2 := range []bool{false, true} {
			name := tls.VersionName(version) + map[bool]string{false: " HTTP/1.1", true: " HTTP/2"}[http2]
			t.Run(name, func(t *testing.T) {
				c := a.client(t, &own, func(tr *http.Transport) {
					tr.ForceAttemptHTTP2 = http2
					tr.TLSClientConfig.MaxVersion = version
					tr.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
				})
				for i := range 4 {
					owner, want := own, handled
					if i%2 == 1 {
						owner, want = other, refused("certificate_mismatch")
					}
					r := get(poptest.URL)
					r.Header.Set("Authorization", "Bearer "+certificateBound(owner))
					got, resp := a.do(t, c, r)
					if got != want {
						t.Errorf("request %d: got %+v, want %+v", i+1, got, want)
					}
					if resp.TLS.DidResume != (i > 0) || (resp.ProtoMajor == 2) != http2 {
						t.Errorf("request %d: resumed: %t, %s", i+1, resp.TLS.DidResume, resp.Proto)
					}
				}
			})
		}
	}
}

// RS-092, RS-097, RS-098: every format of a proxy, from a listed peer and from another.
func (f suite) TestCertificatesFromProxies(t *testing.T) {
	ca := poptest.NewCA(t)
	own, other := ca.Issue(t, "client"), ca.Issue(t, "client")
	text := func(c tls.Certificate) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Leaf.Raw}))
	}
	base64DER := func(c tls.Certificate) string { return base64.StdEncoding.EncodeToString(c.Leaf.Raw) }
	escapedPEM := func(c tls.Certificate) string { return strings.ReplaceAll(url.QueryEscape(text(c)), "+", "%20") }
	for field, test := range map[string]struct { // two formats share a field, and differ here by its spelling
		format mtls.Format
		value  func(tls.Certificate) string
	}{
		"Client-Cert":                 {mtls.RFC9440, func(c tls.Certificate) string { return ":" + base64DER(c) + ":" }},
		"X-Forwarded-Client-Cert":     {mtls.Envoy, func(c tls.Certificate) string { return `Cert="` + escapedPEM(c) + `"` }},
		"X-Ssl-Client-Cert":           {mtls.EscapedPEM, escapedPEM},
		"X-Amzn-Mtls-Clientcert":      {mtls.ALBPassthrough, escapedPEM},
		"X-Amzn-Mtls-Clientcert-Leaf": {mtls.ALBVerify, escapedPEM},
		"X-Forwarded-Tls-Client-Cert": {mtls.Traefik, base64DER},
		"X-SSL-Client-Cert":           {mtls.Base64DER, base64DER},
	} {
		t.Run(field, func(t *testing.T) {
			for name, listed := range map[string]bool{"a listed peer": true, "another peer": false} {
				proxies := "192.0.2.0/24"
				if listed {
					proxies = "127.0.0.1/32"
				}
				source, err := mtls.FromProxy(mtls.Proxy{Format: test.format, Trusted: mtls.Peers{Addresses: []string{proxies}}})
				if err != nil {
					t.Fatal(err)
				}
				a := f.newTLSAPI(t, source)
				for what, step := range map[string]struct {
					values       []string
					alias        bool
					own, foreign answer
				}{
					"its certificate":     {values: []string{test.value(own)}, own: handled, foreign: refused("certificate_field_foreign")},
					"another certificate": {values: []string{test.value(other)}, own: refused("certificate_mismatch"), foreign: refused("certificate_field_foreign")},
					"no certificate":      {own: refused("certificate_missing"), foreign: refused("certificate_missing")},
					"an empty field":      {values: []string{""}, own: refused("certificate_missing"), foreign: refused("certificate_field_foreign")},
					"the field twice":     {values: []string{test.value(own), test.value(own)}, own: refused("certificate_field_multiple"), foreign: refused("certificate_field_multiple")},
					"an alias":            {values: []string{test.value(own)}, alias: true, own: refused("certificate_field_alias"), foreign: refused("certificate_field_alias")},
					"something malformed": {values: []string{"%%"}, own: refused("certificate_field_malformed"), foreign: refused("certificate_field_foreign")},
				} {
					r := get(poptest.URL)
					r.Header.Set("Authorization", "Bearer "+certificateBound(own))
					spelled := field
					if step.alias {
						spelled = strings.ReplaceAll(field, "-", "_")
					}
					if step.values != nil {
						r.Header[spelled] = step.values
					}
					want := step.foreign
					if listed {
						want = step.own
					}
					// The peer's own certificate is the owner's, and counts for nothing.
					if got, _ := a.do(t, a.client(t, &own), r); got != want {
						t.Errorf("%s from %s: got %+v, want %+v", what, name, got, want)
					}
				}
			}
		})
	}
}

// RS-092, RS-098: what a source refuses is refused whatever the token is bound to.
func (f suite) TestForeignFieldBesideAProof(t *testing.T) {
	source, err := mtls.FromProxy(mtls.Proxy{Trusted: mtls.Peers{Addresses: []string{"192.0.2.0/24"}}})
	if err != nil {
		t.Fatal(err)
	}
	a := f.newTLSAPI(t, source)
	r := signed(get(poptest.URL), bound(), poptest.URL)
	r.Header.Set("Client-Cert", "::")
	if got, _ := a.do(t, a.client(t, nil), r); got != refused("certificate_field_foreign") {
		t.Errorf("got %+v", got)
	}
}

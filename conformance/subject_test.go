package conformance_test

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

const origin = "https://api.example.com"

// subject is our middleware as the suite asks it: every endpoint, one clock.
type subject struct {
	http.Handler
	issuer *conformance.Issuer
	clock  *poptest.Clock
	config access.Config // of every endpoint
	runs   atomic.Int64
}

// defects change the parts that a subject is made of.
type defects struct {
	config  func(*access.Config)
	tokens  func(access.Validator) access.Validator
	handler func(http.Handler) http.Handler
	replay  func(dpop.ReplayStore) dpop.ReplayStore
}

func newIssuer(t testing.TB) *conformance.Issuer {
	t.Helper()
	issuer, err := conformance.NewIssuer(conformance.IssuerConfig{Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := issuer.Close(); err != nil {
			t.Error(err)
		}
	})
	return issuer
}

func newSubject(t testing.TB, issuer *conformance.Issuer, d defects) *subject {
	t.Helper()
	s := &subject{issuer: issuer, clock: poptest.NewClock()}
	s.config = access.Config{
		Origins: []string{origin},
		Issuers: []access.Issuer{
			{URL: issuer.URL(), Audience: origin}, {URL: issuer.URL() + "/down", Audience: origin},
			{URL: issuer.URL() + "/rotating", Audience: origin},
		},
		InsecureForgetAtStart: true,
		KnownKeys:             1000, // one of a subject's five Guards sees fewer
		KnownTokens:           1000,
		Log:                   slog.New(slog.DiscardHandler),
		Now:                   s.clock.Now,
	}
	s.build(t, d)
	return s
}

// build makes the endpoints.
func (s *subject) build(t testing.TB, d defects) {
	t.Helper()
	opaque, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint: s.issuer.URL() + "/introspect", Issuer: s.issuer.URL(), Audience: s.config.Issuers[0].Audience,
		ClientID: "resource-server", ClientSecret: "secret", Now: s.config.Now, Log: s.config.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opaque.Close() })
	auth := func(changes ...func(*access.Config)) *echoauth.Auth {
		c := s.config
		c.Tokens = opaque
		for _, change := range changes {
			change(&c)
		}
		if d.config != nil {
			d.config(&c)
		}
		if d.replay != nil {
			memory, err := dpop.NewMemory(dpop.MemoryConfig{Now: c.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = memory.Close() })
			c.Replay = d.replay(memory)
		}
		if d.tokens != nil {
			c.Wrap = d.tokens
		}
		guard, err := access.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = guard.Close() })
		return echoauth.New(guard)
	}
	main := auth(func(c *access.Config) { c.Resources = []access.Resource{{URL: c.Origins[0]}} })
	e := echo.New()
	main.PublishMetadata(e)
	handle := func(path string, auth *echoauth.Auth, q access.Requirement) {
		e.Any(path, func(c echo.Context) error {
			s.runs.Add(1)
			return c.String(http.StatusOK, "ok\n")
		}, auth.Authenticate(), auth.Require(q))
	}
	handle("/resource", main, access.Requirement{})
	handle("/resource/*", main, access.Requirement{})
	handle("/nonce", main, access.Requirement{Nonce: true})
	handle("/scope", main, access.Requirement{Scopes: []string{"conformance:write"}})
	handle("/fresh", main, access.Requirement{MaxAuthAge: 5 * time.Minute})
	handle("/strong", main, access.Requirement{ACRValues: []string{"urn:conformance:strong"}})
	handle("/bearer", auth(func(c *access.Config) { c.InsecureAllowBearer = true }), access.Requirement{})
	handle("/mtls", auth(func(c *access.Config) { c.Certificates = mtls.FromTLS }), access.Requirement{})
	handle("/proxied", auth(func(c *access.Config) { c.ForwardedBy = access.Peers{Addresses: []string{"127.0.0.0/8"}} }),
		access.Requirement{})
	handle("/certproxy", auth(func(c *access.Config) {
		var err error
		c.Certificates, err = mtls.FromProxy(mtls.Proxy{Trusted: mtls.Peers{Addresses: []string{"127.0.0.0/8"}}})
		if err != nil {
			t.Fatal(err)
		}
	}), access.Requirement{})
	s.Handler = e
	if d.handler != nil {
		s.Handler = d.handler(e)
	}
}

// options ask everything that the subject claims.
func (s *subject) options() conformance.Options {
	return conformance.Options{
		Issuer: s.issuer, Profile: conformance.Strict,
		Endpoints: map[string]string{
			"nonce": "/nonce", "scope": "/scope", "fresh": "/fresh", "strong": "/strong",
			"bearer": "/bearer", "mtls": "/mtls", "proxied": "/proxied", "certproxy": "/certproxy",
		},
		Now: s.clock.Now, Advance: s.clock.Advance, Effects: s.runs.Load, WarmUp: -1,
		Timeout: time.Minute, Quick: 30 * time.Second, // this machine may be busy
		Flood: 100,
	}
}

// Our middleware passes every case in the strict profile.
func TestMiddlewareStrict(t *testing.T) {
	s := newSubject(t, newIssuer(t), defects{})
	report := run(t, s, s.options())
	readme, err := os.ReadFile("README.md")
	if err != nil || !strings.Contains(string(readme), "passes **"+report.Score()+"**") {
		t.Errorf("README.md does not say that our middleware passes **%s** (%v)", report.Score(), err)
	}
}

// It passes as well over HTTP/2, in whatever order the cases come.
func TestMiddlewareOverHTTP2(t *testing.T) {
	s := newSubject(t, newIssuer(t), defects{})
	o := s.options()
	o.HTTP2, o.Shuffle = true, 20
	report := run(t, s, o)
	if report.Count[conformance.Pass] < 1600 {
		t.Errorf("only %d cases were asked", report.Count[conformance.Pass])
	}
	for _, skip := range report.Skips() {
		if strings.Contains(skip.Why, "is not accepted") {
			t.Errorf("not asked: %s", skip.Why)
		}
	}
}

// run asks a subject; what fails is an error of the test.
func run(t *testing.T, s *subject, o conformance.Options) *conformance.Report {
	t.Helper()
	report, err := conformance.Run(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, failure := range report.Failures() {
		t.Error(failure)
	}
	t.Log(report.Verdict())
	return report
}

func algorithms(names ...string) func(*access.Config) {
	return func(c *access.Config) { c.Algorithms = names }
}

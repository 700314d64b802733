package access_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// bound is a good token, bound to poptest.ClientKey.
func bound(changes ...func(*poptest.Token)) string {
	t := poptest.Token{JKT: poptest.ClientKey().Thumbprint()}
	for _, change := range changes {
		change(&t)
	}
	return t.String()
}

// claim replaces one claim of a token; nil removes it.
func claim(name string, value any) func(*poptest.Token) {
	return func(t *poptest.Token) {
		if t.Claims == nil {
			t.Claims = map[string]any{}
		}
		t.Claims[name] = value
	}
}

// member replaces one header member of a token; nil removes it.
func member(name string, value any) func(*poptest.Token) {
	return func(t *poptest.Token) {
		if t.Header == nil {
			t.Header = map[string]any{}
		}
		t.Header[name] = value
	}
}

func staticIssuer() access.Issuer {
	return access.Issuer{
		URL: poptest.Issuer, Audience: poptest.Audience,
		JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}),
	}
}

// config is what [access.New] takes at least, with small caches: tests make many Guards, and none uses many keys.
func config() access.Config {
	return access.Config{
		Origins: []string{poptest.Audience}, Issuers: []access.Issuer{staticIssuer()}, KnownKeys: 1000, KnownTokens: 1000,
	}
}

// setup is a Guard with its settings, which tests change before it is made.
type setup struct {
	*access.Guard
	access.Config
	clock         *poptest.Clock
	introspection *access.Introspection
}

// newGuard returns a guard of poptest's issuer and audience, under a clock that shows poptest.Now.
func newGuard(t testing.TB, changes ...func(*setup)) *setup {
	t.Helper()
	s := &setup{Config: config(), clock: poptest.NewClock()}
	s.InsecureForgetAtStart, s.Log, s.Now = true, slog.New(slog.DiscardHandler), s.clock.Now
	if _, measured := t.(*testing.B); measured {
		s.KnownKeys, s.KnownTokens = 0, 0
	}
	for _, change := range changes {
		change(s)
	}
	var err error
	if s.Guard, err = access.New(s.Config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// get is a GET of poptest.URL with the given Authorization and DPoP fields; empty ones are left out.
func get(authorization, proof string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, poptest.URL, nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	if proof != "" {
		r.Header.Set("DPoP", proof)
	}
	return r
}

// owner is the request of the token's owner.
func owner(token string) *http.Request {
	return get("DPoP "+token, poptest.Proof{Token: token}.String())
}

// refusal is what a test expects of an *access.Error.
type refusal struct {
	status int
	code   string
	reason string
}

// expect fails unless err is the refusal, and returns the *access.Error.
func expect(t *testing.T, err error, want refusal) *access.Error {
	t.Helper()
	e, ok := errors.AsType[*access.Error](err)
	if !ok {
		t.Fatalf("got %v, want %v", err, want)
	}
	if got := (refusal{e.Status, e.Code, e.Reason()}); got != want {
		t.Fatalf("got %v, want %v\n%v", got, want, err)
	}
	return e
}

// challenges are the WWW-Authenticate fields of a refusal.
func challenges(e *access.Error) []string {
	h := http.Header{}
	e.SetHeaders(h)
	return h.Values("WWW-Authenticate")
}

// algs is the parameter that stands on each DPoP challenge of a guard with default settings.
var algs = `algs="` + strings.Join(dpop.Algorithms(), " ") + `"`

// WaitForIntrospection returns when everything that the introspection has learned can be found.
func (s *setup) WaitForIntrospection() { s.introspection.WaitForCaches() }

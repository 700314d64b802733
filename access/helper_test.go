package access_test

import (
	"errors"
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

// setup is a Guard in the making, with what tests want to change.
type setup struct {
	access.Guard
	clock    *poptest.Clock
	jwt      *access.JWT
	verifier *dpop.Verifier
}

// newGuard returns a guard of poptest's issuer and audience, under a clock that shows poptest.Now.
func newGuard(t testing.TB, changes ...func(*setup)) *setup {
	t.Helper()
	s := &setup{clock: poptest.NewClock()}
	s.jwt = &access.JWT{Issuers: []access.Issuer{staticIssuer()}, Now: s.clock.Now}
	origins, err := dpop.NewOrigins([]string{poptest.Audience}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.verifier = &dpop.Verifier{Origins: origins, InsecureForgetAtStart: true, Now: s.clock.Now}
	s.Tokens, s.DPoP, s.Now = s.jwt, s.verifier, s.clock.Now
	for _, change := range changes {
		change(s)
	}
	if err := s.Validate(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, closer := range []func() error{s.Close, s.jwt.Close, s.verifier.Close} {
			if err := closer(); err != nil {
				t.Error(err)
			}
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

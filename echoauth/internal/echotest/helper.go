package echotest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// config is a good configuration under a fixed clock.
func config() access.Config {
	return access.Config{
		Origins: []string{poptest.Audience},
		Issuers: []access.Issuer{{
			URL: poptest.Issuer, Audience: poptest.Audience,
			JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}),
		}},
		InsecureForgetAtStart: true,
		KnownKeys:             1000,
		KnownTokens:           1000,
		Log:                   slog.New(slog.DiscardHandler),
		Now:                   poptest.NewClock().Now,
	}
}

// NewGuard makes a Guard of a good configuration under a fixed clock.
func NewGuard(t testing.TB, changes ...func(*access.Config)) *access.Guard {
	t.Helper()
	c := config()
	for _, change := range changes {
		change(&c)
	}
	guard, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := guard.Close(); err != nil {
			t.Error(err)
		}
	})
	return guard
}

func (f suite) newAuth(t testing.TB, changes ...func(*access.Config)) Auth {
	t.Helper()
	return f.Auth(NewGuard(t, changes...), nil)
}

// api is an Echo server whose handlers count.
type api struct {
	Server
	mu   sync.Mutex
	runs int
}

// newAPI protects everything, and has one route.
func (f suite) newAPI(auth Auth, middleware ...Middleware) *api {
	a := &api{Server: f.New()}
	a.Handle("", "/accounts", a.handler, append([]Middleware{auth.Authenticate()}, middleware...)...)
	return a
}

func (a *api) handler(c Context) error {
	a.mu.Lock()
	a.runs++
	a.mu.Unlock()
	grant := c.Grant()
	return c.JSON(http.StatusOK, map[string]string{"subject": grant.Subject, "binding": grant.Binding.String()})
}

func (a *api) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// ran returns how often a handler ran since the last call.
func (a *api) ran() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.runs
	a.runs = 0
	return n
}

func bound(changes ...func(*poptest.Token)) string {
	t := poptest.Token{JKT: poptest.ClientKey().Thumbprint()}
	for _, change := range changes {
		change(&t)
	}
	return t.String()
}

// signed adds the credentials of the token's owner to a request for a public URL.
func signed(r *http.Request, token, url string, changes ...func(*poptest.Proof)) *http.Request {
	p := poptest.Proof{Token: token, Method: r.Method, URL: url}
	for _, change := range changes {
		change(&p)
	}
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", p.String())
	return r
}

func get(target string) *http.Request { return httptest.NewRequest(http.MethodGet, target, nil) }

// owner is a good request for poptest.URL.
func owner() *http.Request { return signed(get(poptest.URL), bound(), poptest.URL) }

// hasCode reports whether the answer's first challenge carries an error code; an empty one means none at all.
func hasCode(w *httptest.ResponseRecorder, code string) bool {
	first := w.Header().Get("WWW-Authenticate")
	if code == "" {
		return !strings.Contains(first, "error=")
	}
	return strings.Contains(first, `error="`+code+`"`)
}

// Owner is a good request for [NewGuard].
func Owner() *http.Request { return owner() }

// Hostile is one whose proof is for a URL that has "hostile" in it.
func Hostile() *http.Request { return signed(get(poptest.URL), bound(), poptest.Audience+"/hostile") }

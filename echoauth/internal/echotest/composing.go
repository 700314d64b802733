package echotest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// The Skipper lets requests pass Authenticate, and nothing else.
func (f suite) TestSkipper(t *testing.T) {
	var log strings.Builder
	guard := NewGuard(t, func(c *access.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	auth := f.Auth(guard, func(c Context) bool { return strings.HasPrefix(c.Request().URL.Path, "/open") })
	s := f.New()
	s.Use(auth.Authenticate())
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "Skipper") {
		t.Errorf("the log says %q", &log)
	}
	grants := 0
	handler := func(c Context) error {
		if c.Grant() != nil {
			grants++
		}
		return c.NoContent(204)
	}
	s.Handle("GET", "/open", handler)
	s.Handle("GET", "/open/required", handler, auth.RequireScope("accounts:read"))
	s.Handle("GET", "/open/stream", handler, auth.Stream(access.Stream{}))
	s.Handle("GET", "/accounts", handler)
	for name, test := range map[string]struct {
		path           string
		nobody, owner  int
		grantsOfOwners int
	}{
		"skipped":               {"/open", 204, 204, 0},
		"skipped, but required": {"/open/required", 401, 204, 1},
		"skipped, but streamed": {"/open/stream", 401, 204, 1},
		"not skipped":           {"/accounts", 401, 204, 1},
	} {
		t.Run(name, func(t *testing.T) {
			grants = 0
			url := poptest.Audience + test.path
			a := &api{Server: s}
			if w := a.serve(get(url)); w.Code != test.nobody || grants != 0 {
				t.Errorf("nobody: %d, %d grants", w.Code, grants)
			}
			if w := a.serve(signed(get(url), bound(), url)); w.Code != test.owner || grants != test.grantsOfOwners {
				t.Errorf("the owner: %d, %d grants", w.Code, grants)
			}
		})
	}
}

func (f suite) TestNothingIsSaidWithoutASkipper(t *testing.T) {
	var log strings.Builder
	auth := f.newAuth(t, func(c *access.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	if auth.Authenticate(); log.Len() > 0 {
		t.Errorf("the log says %q", &log)
	}
}

// What cannot be meant is found when a server starts.
func (f suite) TestWrongUsePanicsAtStart(t *testing.T) {
	auth := f.newAuth(t)
	for name, test := range map[string]struct {
		make func()
		want string
	}{
		"no scope":              {func() { auth.RequireScope(strings.Fields("")...) }, "RequireScope without scopes"},
		"two scopes in one":     {func() { auth.RequireScope("a b") }, `Scopes has "a b"`},
		"an empty scope":        {func() { auth.RequireScope("") }, `Scopes has ""`},
		"one of any scopes":     {func() { auth.Require(access.Requirement{AnyScope: []string{`"`}}) }, "AnyScope has"},
		"a part of a second":    {func() { auth.Require(access.Requirement{MaxAuthAge: 1}) }, "MaxAuthAge is 1ns"},
		"an interval":           {func() { auth.Stream(access.Stream{Every: -1}) }, "access.Stream: Every is -1ns"},
		"a stream's policy":     {func() { auth.Stream(access.Stream{Policies: []access.Policy{nil}}) }, "Policies[0] is nil"},
		"nothing to publish":    {func() { auth.PublishMetadata(f.New()) }, "Config.Resources"},
		"a Guard that is a nil": {func() { f.Auth(nil, nil) }, "the Guard is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.HasPrefix(p, "echoauth: ") || !strings.Contains(p, test.want) {
					t.Errorf("panic %q, want %q in it", p, test.want)
				}
			}()
			test.make()
		})
	}
}

// Middleware in front of everything lets clients read what is published, and nothing else.
func (f suite) TestMetadataBehindUse(t *testing.T) {
	for name, publish := range map[string]bool{"published": true, "not as a route": false} {
		t.Run(name, func(t *testing.T) {
			told := 0
			auth := f.newAuth(t, func(c *access.Config) {
				c.Resources = []access.Resource{{URL: poptest.Audience}}
				c.Observer.Decided = func(context.Context, access.Decision) { told++ }
			})
			a := &api{Server: f.New()}
			a.Use(auth.Authenticate())
			if publish {
				auth.PublishMetadata(a.Server)
			}
			a.Handle("GET", "/later", a.handler, auth.RequireScope("payments:write"))
			const path = "/.well-known/oauth-protected-resource"
			w := a.serve(get(poptest.Audience + path))
			if w.Code != 200 || !strings.Contains(w.Body.String(), "payments:write") || told != 0 {
				t.Errorf("%d %s, %d decisions", w.Code, w.Body, told)
			}
			if w := a.serve(httptest.NewRequest("HEAD", poptest.Audience+path, nil)); w.Code != 200 {
				t.Errorf("HEAD: %d", w.Code)
			}
			for _, r := range []string{"POST " + path, "GET " + path + "/x", "GET /later", "GET /"} {
				method, target, _ := strings.Cut(r, " ")
				if w := a.serve(httptest.NewRequest(method, poptest.Audience+target, nil)); w.Code != 401 {
					t.Errorf("%s: %d", r, w.Code)
				}
			}
			if a.ran() != 0 {
				t.Error("a protected handler ran")
			}
		})
	}
}

// Two Guards of one process and one namespace, each with the memory that comes by itself, accept a proof once, whichever
// of them it meets first.
func (f suite) TestTwoGuardsSideBySide(t *testing.T) {
	now := func(c *access.Config) { c.Now = nil }
	apart := func(c *access.Config) { c.Now, c.Namespace = nil, "another" }
	const admin, escaped = poptest.Audience + "/files/admin", poptest.Audience + "/files/%61dmin"
	for name, test := range map[string]struct {
		second   func(*access.Config)
		targets  []string
		statuses []int
	}{
		"one, then the other": {now, []string{admin, escaped, admin, escaped}, []int{200, 401, 401, 401}},
		"the other way round": {now, []string{escaped, admin, escaped, admin}, []int{200, 401, 401, 401}},
		"another namespace":   {apart, []string{admin, escaped, admin, escaped}, []int{200, 200, 401, 401}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{Server: f.New()}
			a.Handle("GET", "/files/admin", a.handler, f.newAuth(t, now).Authenticate())
			a.Handle("GET", "/files/:id", a.handler, f.newAuth(t, test.second).Authenticate())
			token := bound(func(p *poptest.Token) { p.IssuedAt = time.Now() })
			proof := signed(get(admin), token, admin, func(p *poptest.Proof) { p.IssuedAt = time.Now() }).Header
			var statuses []int
			for _, target := range test.targets {
				r := get(target)
				r.Header = proof.Clone()
				statuses = append(statuses, a.serve(r).Code)
			}
			if fmt.Sprint(statuses) != fmt.Sprint(test.statuses) {
				t.Errorf("answers %d, want %d", statuses, test.statuses)
			}
		})
	}
}

// A group and a route of it judge a request once, by whichever Auths of the Guard, and tell one decision.
func (f suite) TestGroupAndRouteJudgeOnce(t *testing.T) {
	var heard []access.Decision
	guard := NewGuard(t, func(c *access.Config) {
		c.Observer.Decided = func(_ context.Context, d access.Decision) { heard = append(heard, d) }
	})
	one, other := f.Auth(guard, nil), f.Auth(guard, nil)
	a := &api{Server: f.New()}
	a.Group("/v1", one.Authenticate()).Handle("GET", "/x", a.handler, other.Authenticate(), other.RequireScope("accounts:read"))
	const url = poptest.Audience + "/v1/x"
	r := signed(get(url), bound(), url)
	for i, want := range []string{"", "proof_replayed"} {
		heard = nil
		a.serve(r.Clone(t.Context()))
		if ran := a.ran(); len(heard) != 1 || heard[0].Reason() != want || (ran == 1) != (want == "") {
			t.Errorf("request %d: %+v, the handler ran %d times", i+1, heard, ran)
		}
	}
}

// Whatever grant a test of a handler sets, the handler and the middleware can work with it.
func (f suite) TestSetGrantOfZero(t *testing.T) {
	guard := NewGuard(t)
	auth := f.Auth(guard, nil)
	for name, grant := range map[string]*access.Grant{"zero": {}, "nil": nil} {
		t.Run(name, func(t *testing.T) {
			r := get(poptest.URL)
			c := f.Context(httptest.NewRecorder(), r)
			c.SetGrant(grant)
			if c.Grant() != grant {
				t.Error("the handler does not find it")
			}
			if grant != nil {
				grant.SetHeaders(c.Response().Header())
				if grant.HasScopes("a") || grant.Binding != 0 || !grant.HasScopes() {
					t.Errorf("grant %+v", grant)
				}
				var claims map[string]any
				if err := grant.Claims(&claims); err != nil || len(claims) > 0 || grant.Revocable().Issuer != "" {
					t.Errorf("claims %v, %v, %+v", claims, err, grant.Revocable())
				}
				if err := guard.Allow(c.Request(), grant, access.Requirement{Scopes: []string{"a"}, Nonce: true, MaxAuthAge: time.Second}); err == nil {
					t.Error("allowed")
				}
			}
			ctx, cancel := guard.Watch(c.Request(), grant, access.Stream{})
			cancel()
			<-ctx.Done()

			a := &api{Server: f.New()}
			setting := f.Around(func(c Context, next func() error) error {
				c.SetGrant(grant)
				return next()
			})
			a.Handle("GET", "/accounts", a.handler, setting, auth.Authenticate(), auth.RequireScope("accounts:read"), auth.Stream(access.Stream{}))
			if w := a.serve(get(poptest.URL)); w.Code != 401 || a.ran() != 0 {
				t.Errorf("nobody: %d", w.Code)
			}
			if w := a.serve(owner()); w.Code != 200 || a.ran() != 1 {
				t.Errorf("the owner: %d %s", w.Code, w.Body)
			}
			behind := &api{Server: f.New()}
			behind.Handle("GET", "/accounts", func(c Context) error {
				if c.Grant() != grant {
					t.Error("set behind the middleware, it is not found")
				}
				return c.NoContent(204)
			}, auth.Authenticate(), setting, auth.RequireScope("accounts:read"), auth.Stream(access.Stream{}))
			if w := behind.serve(owner()); w.Code != 204 {
				t.Errorf("set behind the middleware: %d %s", w.Code, w.Body)
			}
		})
	}
}

package access_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// site is a Guard and a handler behind it, with what was decided and whether the handler ran.
type site struct {
	*setup
	answer http.HandlerFunc // nil: "ok"

	mu    sync.Mutex
	heard []access.Decision
	ran   int
	grant *access.Grant // of the last run
}

func newSite(t testing.TB, changes ...func(*setup)) *site {
	t.Helper()
	site := &site{}
	site.setup = newGuard(t, append([]func(*setup){func(s *setup) {
		s.Observer.Decided = func(_ context.Context, d access.Decision) {
			site.mu.Lock()
			defer site.mu.Unlock()
			site.heard = append(site.heard, d)
		}
	}}, changes...)...)
	return site
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.ran++
	s.grant = access.GrantFrom(r.Context())
	s.mu.Unlock()
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

// serve sends a request through a handler.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// accepts fails unless the request is answered by the handler, and one decision is told.
func (s *site) accepts(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := serve(h, r)
	s.decided(t, "")
	if w.Code != 200 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
	return w
}

// refuses fails unless the request is answered with the refusal, the handler did not run, and one decision is told.
func (s *site) refuses(t *testing.T, h http.Handler, r *http.Request, status int, reason string) *httptest.ResponseRecorder {
	t.Helper()
	w := serve(h, r)
	s.decided(t, reason)
	if w.Code != status {
		t.Errorf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	return w
}

// decided fails unless there was one decision since the last call, with this reason, and the handler ran only if it has
// none.
func (s *site) decided(t *testing.T, reason string) access.Decision {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	heard, ran := s.heard, s.ran
	s.heard, s.ran = nil, 0
	if len(heard) != 1 {
		t.Errorf("%d decisions: %+v", len(heard), heard)
		return access.Decision{}
	}
	if got := heard[0].Reason(); got != reason {
		t.Errorf("reason %q, want %q: %v", got, reason, heard[0].Refusal)
	}
	if (ran == 1) != (reason == "") || ran > 1 {
		t.Errorf("the handler ran %d times, reason %q", ran, reason)
	}
	return heard[0]
}

func scope(scopes ...string) access.Requirement { return access.Requirement{Scopes: scopes} }

// A group and a route of it each have a Handler: a request is judged once, so its proof is not taken for a replay.
func TestHandlersOfOneGuardJudgeOnce(t *testing.T) {
	s := newSite(t)
	api := http.NewServeMux()
	api.Handle("GET /accounts", s.Handler(s, scope("accounts:read")))
	api.Handle("POST /accounts", s.Handler(s, scope("accounts:write")))
	group := http.NewServeMux()
	group.Handle("/", s.Handler(s.Handler(api), access.Requirement{Binding: access.BindingDPoP}))

	s.accepts(t, group, owner(bound()))
	if s.grant == nil || s.grant.Subject != "user-1" || s.grant.Binding != access.BindingDPoP {
		t.Errorf("grant %+v", s.grant)
	}
	r := owner(bound())
	s.accepts(t, group, r)
	s.refuses(t, group, r, 401, "proof_replayed")

	token := bound()
	post := httptest.NewRequest("POST", poptest.URL, nil)
	post.Header.Set("Authorization", "DPoP "+token)
	post.Header.Set("DPoP", poptest.Proof{Token: token, Method: "POST"}.String())
	w := s.refuses(t, group, post, 403, "scope_missing") // the inner one's, and the only decision
	if got := w.Header().Get("WWW-Authenticate"); !strings.Contains(got, `scope="accounts:write"`) {
		t.Errorf("challenge %q", got)
	}
}

// The route is the one that was matched last, and Config.Route names it for routers that do not set Pattern.
func TestRouteOfADecision(t *testing.T) {
	for name, test := range map[string]struct {
		route func(*http.Request) string
		want  string
	}{
		"the multiplexer's":  {nil, "GET /accounts"},
		"as said":            {func(*http.Request) string { return "/accounts/{id}" }, "/accounts/{id}"},
		"a function's panic": {func(*http.Request) string { panic("a bug") }, ""},
	} {
		for kind, wrap := range map[string]func(*site, http.Handler) http.Handler{
			"Handler": func(s *site, h http.Handler) http.Handler { return s.Handler(h) },
			"Stream":  func(s *site, h http.Handler) http.Handler { return s.Stream(h, access.Stream{}) },
		} {
			t.Run(name+" behind "+kind, func(t *testing.T) {
				s := newSite(t, func(s *setup) { s.Config.Route = test.route })
				mux := http.NewServeMux()
				mux.Handle("GET /accounts", s)
				if w := serve(wrap(s, mux), owner(bound())); w.Code != 200 {
					t.Errorf("status %d", w.Code)
				}
				if d := s.decided(t, ""); d.Route != test.want {
					t.Errorf("route %q, want %q", d.Route, test.want)
				}
			})
		}
	}
}

// What an outer Handler accepted is accepted for that request alone: whatever carries its context and is another request
// is judged for itself.
func TestContextsOpenNoRoute(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*http.Request)
		status int
		reason string
	}{
		"the same request":      {func(*http.Request) {}, 200, ""},
		"another path":          {func(r *http.Request) { r.RequestURI, r.URL.Path = "/admin", "/admin" }, 401, "htu_mismatch"},
		"another query":         {func(r *http.Request) { r.RequestURI += "?all=1" }, 401, "proof_replayed"},
		"another method":        {func(r *http.Request) { r.Method = "DELETE" }, 401, "htm_mismatch"},
		"another token":         {func(r *http.Request) { r.Header.Set("Authorization", "DPoP "+bound()) }, 401, "ath_mismatch"},
		"changed in place":      {func(r *http.Request) { r.Header["Authorization"][0] = "DPoP " + bound() }, 401, "ath_mismatch"},
		"no token":              {func(r *http.Request) { r.Header.Del("Authorization") }, 401, "credentials_missing"},
		"a token more":          {func(r *http.Request) { r.Header.Add("Authorization", "DPoP x") }, 400, "token_sent_twice"},
		"a request of our own":  {func(r *http.Request) { *r = *internal(r.Context(), "/admin") }, 401, "credentials_missing"},
		"one of the other kind": {func(r *http.Request) { *r = *internal(r.Context(), "") }, 401, "credentials_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			inner := s.Handler(s)
			var w *httptest.ResponseRecorder
			outer := s.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				test.change(r)
				w = serve(inner, r)
			}))
			serve(outer, owner(bound()))
			if w.Code != test.status || (s.ran == 1) != (test.reason == "") {
				t.Errorf("status %d, the handler ran %d times", w.Code, s.ran)
			}
			if s.heard[0].Reason() != test.reason {
				t.Errorf("reason %q, want %q", s.heard[0].Reason(), test.reason)
			}
		})
	}
}

// internal is a request that a handler makes, with the context of its own.
func internal(ctx context.Context, target string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, "GET", poptest.Audience+target, nil)
	if err != nil {
		panic(err)
	}
	r.RequestURI = target
	return r
}

// Another Guard judges for itself, and what it finds is what its handlers see.
func TestAnotherGuardJudgesForItself(t *testing.T) {
	a := newSite(t)
	b := newSite(t, func(s *setup) {
		s.Policies = []access.Policy{func(_ *http.Request, g *access.Grant) error { g.Subject = "seen by b"; return nil }}
	})
	r := owner(bound())
	a.accepts(t, a.Handler(b.Handler(a)), r)
	if a.grant.Subject != "seen by b" {
		t.Errorf("the grant is that of %q", a.grant.Subject)
	}
	b.heard = nil
	a.refuses(t, a.Handler(b.Handler(a)), r, 401, "proof_replayed")

	strict := newSite(t, func(s *setup) {
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return access.ErrTokenInactive }}
	})
	strict.refuses(t, a.Handler(strict.Handler(strict)), owner(bound()), 401, "token_inactive")
}

// A grant that is put into a context is for tests of handlers: it opens nothing.
func TestWithGrant(t *testing.T) {
	if access.GrantFrom(t.Context()) != nil {
		t.Error("a grant out of nothing")
	}
	made := &access.Grant{Token: access.Token{Subject: "made up"}}
	ctx := access.WithGrant(t.Context(), made)
	if access.GrantFrom(ctx) != made {
		t.Error("the grant is not found")
	}
	s := newSite(t)
	s.refuses(t, s.Handler(s), get("", "").WithContext(ctx), 401, "credentials_missing")
	s.accepts(t, s.Handler(s), owner(bound()).WithContext(ctx))
	if s.grant.Subject != "user-1" {
		t.Errorf("the handler sees the grant of %q", s.grant.Subject)
	}
}

// An acceptance is told when the answer begins, once, however late the handler returns.
func TestAcceptedIsToldWhenTheAnswerBegins(t *testing.T) {
	for name, test := range map[string]struct {
		begin func(http.ResponseWriter)
		told  int // right after it
	}{
		"WriteHeader": {func(w http.ResponseWriter) { w.WriteHeader(200) }, 1},
		"Write":       {func(w http.ResponseWriter) { _, _ = w.Write([]byte("ok")) }, 1},
		"Flush":       {func(w http.ResponseWriter) { w.(http.Flusher).Flush() }, 1},
		"nothing":     {func(http.ResponseWriter) {}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			s.answer = func(w http.ResponseWriter, _ *http.Request) {
				if test.begin(w); len(s.heard) != test.told {
					t.Errorf("told %d times", len(s.heard))
				}
				_, _ = io.WriteString(w, "more")
			}
			s.accepts(t, s.Handler(s.Handler(s)), owner(bound()))
		})
	}
	t.Run("a handler's panic", func(t *testing.T) {
		s := newSite(t)
		s.answer = func(http.ResponseWriter, *http.Request) { panic("a bug of the handler") }
		func() {
			defer func() { _ = recover() }()
			serve(s.Handler(s), owner(bound()))
		}()
		s.decided(t, "")
	})
}

// A handler that demands more by what was asked for: its refusal is the only decision.
func TestAllowInAHandler(t *testing.T) {
	s := newSite(t)
	h := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.Allow(r, access.GrantFrom(r.Context()), scope("payments:write")); err != nil {
			s.WriteError(w, r, err)
			return
		}
		s.ServeHTTP(w, r)
	}))
	w := s.refuses(t, h, owner(bound()), 403, "scope_missing")
	if !strings.Contains(w.Header().Get("WWW-Authenticate"), `scope="payments:write"`) {
		t.Errorf("header %v", w.Header())
	}
	s.accepts(t, h, owner(bound(claim("scope", "payments:write"))))
}

// An inner Handler may run on when the outer one has answered.
func TestHandlersInATimeoutHandler(t *testing.T) {
	s := newSite(t)
	release := make(chan struct{})
	slow := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	var inner sync.WaitGroup
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.Add(1)
		defer inner.Done()
		slow.ServeHTTP(w, r)
	})
	w := serve(s.Handler(http.TimeoutHandler(counted, time.Millisecond, "too slow")), owner(bound()))
	close(release)
	inner.Wait()
	if w.Code != 503 || w.Body.String() != "too slow" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	s.ran = 1
	s.decided(t, "")
}

func TestHandlerRefusesWrongDemandsAtStart(t *testing.T) {
	s := newGuard(t)
	for name, route := range map[string]func(){
		"two scopes in one":     func() { s.Handler(nil, scope("a b")) },
		"one of any":            func() { s.Handler(nil, access.Requirement{AnyScope: []string{""}}) },
		"an interval of a year": func() { s.Stream(nil, access.Stream{Every: 9000 * time.Hour}) },
		"a stream's demand":     func() { s.Stream(nil, access.Stream{}, scope("")) },
	} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.HasPrefix(p.(string), "access.") {
					t.Errorf("%s: %v", name, p)
				}
			}()
			route()
		}()
	}
}

// Of several scopes one is enough, beside those that must all be there.
func TestAnyScope(t *testing.T) {
	demand := access.Requirement{Scopes: []string{"a"}, AnyScope: []string{"b", "c"}}
	s := newSite(t)
	h := s.Handler(s, demand)
	for scopes, want := range map[string]string{
		"a b": "", "a c": "", "a b c d": "", "a": "scope_missing", "b c": "scope_missing", "a bc": "scope_missing",
	} {
		r := owner(bound(claim("scope", scopes)))
		if want == "" {
			s.accepts(t, h, r)
			continue
		}
		w := s.refuses(t, h, r, 403, want)
		if got := w.Header().Get("WWW-Authenticate"); !strings.Contains(got, `scope="a b c"`) {
			t.Errorf("%s: challenge %q", scopes, got)
		}
	}
}

// Whatever Deny does, the handler does not run and the client is refused.
func TestDeny(t *testing.T) {
	for name, test := range map[string]struct {
		deny   func(http.ResponseWriter, *http.Request, *access.Error)
		status int
		body   string
	}{
		"writes": {func(w http.ResponseWriter, _ *http.Request, e *access.Error) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(e.Status)
			_, _ = io.WriteString(w, e.Reason())
		}, 401, "credentials_missing"},
		"writes another status": {func(w http.ResponseWriter, _ *http.Request, _ *access.Error) { w.WriteHeader(404) }, 404, ""},
		"writes nothing":        {func(http.ResponseWriter, *http.Request, *access.Error) {}, 401, `{"message":"no credentials were sent"}` + "\n"},
		"panics":                {func(http.ResponseWriter, *http.Request, *access.Error) { panic("a bug") }, 401, `{"message":"no credentials were sent"}` + "\n"},
		"panics behind an answer": {func(w http.ResponseWriter, _ *http.Request, _ *access.Error) {
			w.WriteHeader(418)
			panic("a bug")
		}, 418, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *setup) { s.Deny = test.deny })
			w := s.refuses(t, s.Handler(s), get("", ""), test.status, "credentials_missing")
			if w.Body.String() != test.body || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%v %s", w.Header(), w.Body)
			}
			w = httptest.NewRecorder()
			r := get("", "")
			_, err := s.Check(r)
			if s.WriteError(w, r, err); w.Code != test.status || w.Body.String() != test.body {
				t.Errorf("WriteError: %d %s", w.Code, w.Body)
			}
		})
	}
	t.Run("nothing, and our own trouble", func(t *testing.T) {
		s := newSite(t, func(s *setup) {
			s.Replay, s.Deny = failingStore{}, func(http.ResponseWriter, *http.Request, *access.Error) {}
		})
		w := s.refuses(t, s.Handler(s), owner(bound()), 503, "replay_store_unreachable")
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("header %v", w.Header())
		}
	})
}

// What is published of the API is served without a token by a Handler in front of everything, and nothing else is.
func TestHandlerServesMetadata(t *testing.T) {
	s := newSite(t, func(s *setup) { s.Resources = resource() })
	h := s.Handler(s)
	request := func(method, target string) *http.Request {
		return httptest.NewRequest(method, poptest.Audience+target, nil)
	}
	path := s.MetadataPaths()[0]
	for _, method := range []string{"GET", "HEAD"} {
		if w := serve(h, request(method, path)); w.Code != 200 || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d %v", method, w.Code, w.Header())
		}
	}
	if s.ran != 0 || len(s.heard) != 0 {
		t.Errorf("the handler ran %d times, %d decisions", s.ran, len(s.heard))
	}
	for name, r := range map[string]*http.Request{
		"another method":    request("POST", path),
		"a path below":      request("GET", path+"/x"),
		"another resource":  request("GET", path+"2"),
		"the rest":          request("GET", "/"),
		"without a leading": request("GET", "/x"+path),
	} {
		t.Run(name, func(t *testing.T) { s.refuses(t, h, r, 401, "credentials_missing") })
	}
	t.Run("without Resource", func(t *testing.T) {
		s := newSite(t)
		s.refuses(t, s.Handler(s), request("GET", path), 401, "credentials_missing")
	})
}

// A response that goes on for long ends with its token: with the refusal as its answer if it has none yet.
func TestStreamHandler(t *testing.T) {
	session := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySession, Value: "s-1"}
	for name, test := range map[string]struct {
		event  func(*testing.T, *setup)
		begun  bool
		status int
		reason string // of the second decision; empty: there is none
	}{
		"taken back before an answer": {func(t *testing.T, s *setup) { mustRevoke(t, s, session) }, false, 401, "session_revoked"},
		"taken back behind it":        {func(t *testing.T, s *setup) { mustRevoke(t, s, session) }, true, 200, ""},
		"our own trouble": {
			func(_ *testing.T, s *setup) { _ = s.Revocation.(*revocation.Memory).Close() }, false, 503, "revocation_closed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t, inBubbleTime, func(s *setup) { s.Revocation = newRevocations(t, s) })
				s.answer = func(w http.ResponseWriter, r *http.Request) {
					if test.begun {
						w.WriteHeader(200)
					}
					test.event(t, s.setup)
					<-r.Context().Done()
				}
				r := owner(bound(claim("sid", "s-1"))).WithContext(t.Context())
				w := serve(s.Stream(s, access.Stream{}, scope("accounts:read")), r)
				if w.Code != test.status || s.ran != 1 {
					t.Errorf("status %d", w.Code)
				}
				if len(s.heard) != 1 || s.heard[0].Reason() != test.reason {
					t.Fatalf("decisions %+v", s.heard)
				}
				if test.status == 503 && s.heard[0].Outcome() != access.Unavailable {
					t.Errorf("our trouble is told as %s", s.heard[0].Outcome())
				}
			})
		})
	}
	s := newSite(t)
	s.refuses(t, s.Stream(s, access.Stream{}, scope("b")), owner(bound()), 403, "scope_missing")
	s.refuses(t, s.Stream(s, access.Stream{}), get("", ""), 401, "credentials_missing")
}

// An inner Handler tells no decision when it is done: the outer one's answer may still come. What is told then is the
// request as the innermost saw it.
func TestInnerHandlersLeaveTheDecisionToTheOuter(t *testing.T) {
	s := newSite(t)
	inner := s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	outer := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		routed := r.WithContext(r.Context())
		routed.Pattern = "GET /inner"
		if inner.ServeHTTP(w, routed); len(s.heard) != 0 {
			t.Error("it is told already")
		}
		s.ServeHTTP(w, r)
	}))
	r := owner(bound())
	r.Pattern = "GET /outer"
	serve(outer, r)
	if d := s.decided(t, ""); d.Route != "GET /inner" {
		t.Errorf("route %q", d.Route)
	}
}

// An adapter gets back what the next handler returns, or its own rendering of a refusal, and its pattern is the route.
func TestRouteOfAnAdapter(t *testing.T) {
	handlers, renderings := errors.New("the handler's"), errors.New("the rendering's")
	session := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySession, Value: "s-1"}
	for name, test := range map[string]struct {
		stream bool
		token  string
		next   func(context.Context, http.ResponseWriter) error // nil: it returns its error at once
		want   error
		reason string // of what is told first
	}{
		"a handler's error":     {false, "", nil, handlers, ""},
		"a refusal":             {false, "opaque", nil, renderings, "token_jws_malformed"},
		"of a stream":           {true, "", nil, handlers, ""},
		"a refusal of a stream": {true, "opaque", nil, renderings, "token_jws_malformed"},
		"a stream that is cut":  {true, "", func(ctx context.Context, _ http.ResponseWriter) error { <-ctx.Done(); return ctx.Err() }, renderings, "session_revoked"},
		"cut, and no error":     {true, "", func(ctx context.Context, _ http.ResponseWriter) error { <-ctx.Done(); return nil }, renderings, "session_revoked"},
		"cut, and another":      {true, "", func(ctx context.Context, _ http.ResponseWriter) error { <-ctx.Done(); return handlers }, handlers, ""},
		"cut behind an answer": {true, "", func(ctx context.Context, w http.ResponseWriter) error {
			w.WriteHeader(200)
			<-ctx.Done()
			return handlers
		}, handlers, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := newSite(t, inBubbleTime, func(s *setup) {
					s.Revocation, s.Log = newRevocations(t, s), slog.New(slog.NewTextHandler(&log, nil))
				})
				route, err := s.Guard.Route()
				if test.stream {
					route, err = s.StreamRoute(access.Stream{})
				}
				if err != nil {
					t.Fatal(err)
				}
				r := owner(cmp.Or(test.token, bound(claim("sid", "s-1")))).WithContext(t.Context())
				w := httptest.NewRecorder()
				got := route.Serve(access.Passage{Writer: w, RefusalWriter: w, Request: r, Pattern: "/accounts/:id"},
					func(w http.ResponseWriter, r *http.Request) error {
						if test.next == nil {
							return handlers
						}
						mustRevoke(t, s.setup, session)
						return test.next(r.Context(), w)
					}, func(*access.Error, bool) error { return renderings })
				if got != test.want {
					t.Errorf("got %v, want %v", got, test.want)
				}
				if len(s.heard) != 1 || s.heard[0].Route != "/accounts/:id" || s.heard[0].Reason() != test.reason {
					t.Errorf("told %+v", s.heard)
				}
				if ended := strings.Contains(log.String(), "response ended"); ended != (test.next != nil && test.reason == "") {
					t.Errorf("the log says %s", &log)
				}
			})
		})
	}
}

// The pattern of an outer Route stays where an inner one knows none.
func TestPatternOfAnOuterRoute(t *testing.T) {
	s := newSite(t)
	route, err := s.Guard.Route()
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	err = route.Serve(access.Passage{Writer: w, RefusalWriter: w, Request: owner(bound()), Pattern: "/accounts/:id"},
		func(w http.ResponseWriter, r *http.Request) error { s.Handler(s).ServeHTTP(w, r); return nil }, nil)
	if d := s.decided(t, ""); err != nil || d.Route != "/accounts/:id" {
		t.Errorf("route %q, %v", d.Route, err)
	}
}

// What happens to cookies between two Routes concerns a token in one alone: a proof is not asked for again.
func TestCookiesBetweenRoutes(t *testing.T) {
	s := newSite(t, takes(readsElsewhere()))
	logsOut := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Cookie")
		s.Handler(s).ServeHTTP(w, r)
	})
	s.accepts(t, s.Handler(logsOut), withHeader(owner(bound()), "Cookie", "language=de"))
	if w := serve(s.Handler(logsOut), inCookie(poptest.Token{}.String())); w.Code != 401 {
		t.Errorf("a token in a cookie that is gone: status %d", w.Code)
	}
}

// A response that was cut is told as that, although the client goes before its handler returns.
func TestCutBeforeTheClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var store *revocation.Memory
		s := newSite(t, inBubbleTime, func(s *setup) {
			store = newRevocations(t, s)
			s.Revocation, s.Log = store, slog.New(slog.NewTextHandler(&log, nil))
		})
		client, leave := context.WithCancel(t.Context())
		defer leave()
		s.answer = func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = store.Close()
			<-r.Context().Done()
			leave()
		}
		serve(s.Stream(s, access.Stream{}), owner(bound()).WithContext(client))
		if line := log.String(); !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "response ended") || !strings.Contains(line, "revocation_closed") {
			t.Errorf("the log says %s", line)
		}
	})
}

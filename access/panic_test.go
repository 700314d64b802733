package access_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

// Code of the application that panics ends one request with 503: the handler does not run, and the log says where.
func TestApplicationPanics(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*testing.T, *setup)
		where  string
	}{
		"a policy": {func(_ *testing.T, s *setup) {
			s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { panic("a bug") }}
		}, "a Policy"},
		"the address": {func(t *testing.T, s *setup) {
			s.Register = newRevocations(t, s)
			s.Address = func(*http.Request) (netip.Addr, error) { panic("a bug") }
		}, "Address"},
		"the certificates": {func(_ *testing.T, s *setup) {
			s.Certificates = func(*http.Request) (*mtls.Certificate, error) { panic("a bug") }
		}, "Certificates"},
		"the validator": {func(_ *testing.T, s *setup) {
			s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { panic("a bug") })
		}, "Validator"},
		"a look-up": {func(t *testing.T, s *setup) {
			policy, err := access.Recheck{Lookup: func(context.Context, *access.Token) error { panic("a bug") }}.Policy()
			if err != nil {
				t.Fatal(err)
			}
			s.Policies = []access.Policy{policy}
		}, "Recheck.Lookup"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newSite(t, func(s *setup) {
				test.change(t, s)
				s.Log = slog.New(slog.NewTextHandler(&log, nil))
			})
			w := s.refuses(t, s.Handler(s), owner(bound()), 503, "panic")
			if strings.Contains(w.Body.String(), "bug") || w.Header().Get("Retry-After") == "" {
				t.Errorf("the client gets %v %s", w.Header(), w.Body)
			}
			if line := log.String(); strings.Count(line, "level=ERROR") != 1 || !strings.Contains(line, test.where) || !strings.Contains(line, "a bug") {
				t.Errorf("the log says %s", line)
			}
		})
	}
}

// An Observer that panics at an acceptance ends the request with 503, whatever the handler has begun to answer; at a
// refusal the refusal stays.
func TestObserverPanics(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a handler that writes": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Set-Cookie", "a=b")
			if n, err := w.Write([]byte("secret")); n != 0 || err == nil {
				t.Errorf("%d octets were written, %v", n, err)
			}
		},
		"only a status": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) },
		"a flush": func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err == nil {
				t.Error("it was flushed")
			}
		},
		"a file": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "secret.txt", poptest.Now, strings.NewReader("secret"))
		},
		"a hijack": func(w http.ResponseWriter, _ *http.Request) {
			if _, _, err := http.NewResponseController(w).Hijack(); err == nil {
				t.Error("it was taken over")
			}
		},
		"nothing at all": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *setup) {
				s.Observer.Decided = func(context.Context, access.Decision) { panic("a bug") }
			})
			s.answer = answer
			const page = "https://app.example.com"
			inner := s.Handler(s.Handler(s))
			w := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as CORS in front of the Guard
				w.Header().Set("Access-Control-Allow-Origin", page)
				w.Header().Set("Vary", "Origin")
				inner.ServeHTTP(w, r)
			}), owner(bound()))
			if w.Code != 503 || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Set-Cookie") != "" || w.Header().Get("Retry-After") != "1" {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			if w.Header().Get("Access-Control-Allow-Origin") != page || w.Header().Get("Vary") != "Origin" {
				t.Errorf("the page cannot read it: %v", w.Header())
			}
			_, err := s.Check(owner(bound()))
			expect(t, err, refusal{503, "", "panic"})
			s.ran = 0
			w = serve(s.Handler(s), get("", ""))
			if w.Code != 401 || s.ran != 0 {
				t.Errorf("a refusal: %d, the handler ran %d times", w.Code, s.ran)
			}
		})
	}
}

// Keys are fetched where nobody else would catch a panic.
func TestObserverOfFetchesPanics(t *testing.T) {
	issuer := poptest.NewIssuerServer(t)
	var log bytes.Buffer
	s := newSite(t, func(s *setup) {
		s.Issuers, s.HTTPClient = []access.Issuer{{URL: issuer.URL(), Audience: poptest.Audience}}, issuer.Client()
		s.Observer.Fetched = func(access.Fetch) { panic("a bug") }
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	s.accepts(t, s.Handler(s), ownerOf(issuer, poptest.Token{}))
	if !strings.Contains(log.String(), "Observer.Fetched") || !strings.Contains(log.String(), "a bug") {
		t.Errorf("the log says %s", log.String())
	}
}

// A client that hangs up before the decision is nobody's trouble.
func TestClientHangsUp(t *testing.T) {
	for name, test := range map[string]struct {
		cause   error
		outcome access.Outcome
		level   string
	}{
		"hung up":         {context.Canceled, access.Abandoned, "level=DEBUG"},
		"our own trouble": {nil, access.Unavailable, "level=ERROR"},
		"out of time":     {context.DeadlineExceeded, access.Unavailable, "level=ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newSite(t, func(s *setup) {
				s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
				s.Policies = []access.Policy{func(r *http.Request, _ *access.Grant) error {
					if err := r.Context().Err(); err != nil {
						return err
					}
					return http.ErrServerClosed
				}}
			})
			ctx := t.Context()
			switch test.cause {
			case context.Canceled:
				gone, hangUp := context.WithCancel(ctx)
				hangUp()
				ctx = gone
			case context.DeadlineExceeded:
				late, cancel := context.WithDeadline(ctx, poptest.Now.AddDate(-20, 0, 0))
				defer cancel()
				ctx = late
			}
			w := httptest.NewRecorder()
			s.Handler(s).ServeHTTP(w, owner(bound()).WithContext(ctx))
			if d := s.decided(t, "policy_failed"); d.Outcome() != test.outcome || w.Code != 503 {
				t.Errorf("%s, status %d", d.Outcome(), w.Code)
			}
			if line := log.String(); !strings.Contains(line, test.level) || strings.Count(line, "\n") != 1 {
				t.Errorf("the log says %s", line)
			}
		})
	}
	t.Run("a refusal is one", func(t *testing.T) {
		s := newSite(t)
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		s.Handler(s).ServeHTTP(httptest.NewRecorder(), get("", "").WithContext(gone))
		if d := s.decided(t, "credentials_missing"); d.Outcome() != access.Refused {
			t.Errorf("told as %s", d.Outcome())
		}
	})
}

// What a request is logged as, and at which level.
func TestLogOfDecisions(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*setup)
		r      *http.Request
		want   string
	}{
		"accepted":                     {func(*setup) {}, owner(bound()), `level=DEBUG msg="request accepted" outcome=accepted`},
		"accepted, with LogAccepted":   {func(s *setup) { s.LogAccepted = true }, owner(bound()), `level=INFO msg="request accepted"`},
		"refused":                      {func(*setup) {}, get("", ""), `level=INFO msg="request refused" outcome=refused`},
		"our own trouble is an error":  {func(s *setup) { s.Replay = failingStore{} }, owner(bound()), `level=ERROR msg="request could not be decided" outcome=unavailable`},
		"an accepted one has a client": {func(*setup) {}, owner(bound()), "client=client-1"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newSite(t, test.change, func(s *setup) {
				s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			serve(s.Handler(s), test.r)
			if line := log.String(); strings.Count(line, "\n") != 1 || !strings.Contains(line, test.want) {
				t.Errorf("the log says %s, want %s", line, test.want)
			}
			for _, field := range []string{"Authorization", "Dpop"} {
				if secret := strings.TrimPrefix(test.r.Header.Get(field), "DPoP "); secret != "" && strings.Contains(log.String(), secret) {
					t.Errorf("%s is in the log", field)
				}
			}
		})
	}
}

package access_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// stream is an API whose events are opened by tickets.
type stream struct {
	*setup
	t       *testing.T
	handler http.Handler
	ran     int
	seen    []*http.Request // by the handler
	told    []access.Decision
	store   *revocation.Memory
}

func newStream(t *testing.T, c access.TicketsConfig) *stream {
	s := &stream{t: t}
	s.setup = newGuard(t, func(g *setup) {
		var err error
		if s.store, err = revocation.NewMemory(revocation.Options{Now: g.clock.Now}); err != nil {
			t.Fatal(err)
		}
		g.Revocation = s.store
		g.Observer.Decided = func(_ context.Context, d access.Decision) { s.told = append(s.told, d) }
	})
	tickets, err := s.Tickets(c)
	if err != nil {
		t.Fatal(err)
	}
	need := access.Requirement{Scopes: []string{"accounts:read"}}
	mux := http.NewServeMux()
	mux.Handle("/tickets", tickets.Issue(need))
	mux.Handle("GET /events", tickets.Stream(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ran++
		s.seen = append(s.seen, r)
		fmt.Fprint(w, access.GrantFrom(r.Context()).Subject)
	}), access.Stream{}, need))
	mux.Handle("GET /other", s.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { s.ran++ })))
	s.handler = mux
	return s
}

func (s *stream) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// ask asks for a ticket.
func (s *stream) ask(token string, fields ...string) (string, *httptest.ResponseRecorder) {
	const url = "https://api.example.com/tickets"
	r := httptest.NewRequest(http.MethodPost, url, nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", poptest.Proof{Token: token, Method: "POST", URL: url, IssuedAt: s.clock.Now()}.String())
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := s.serve(r)
	var got struct {
		Ticket string `json:"ticket"`
	}
	_ = json.Unmarshal(w.Body.Bytes(), &got)
	return got.Ticket, w
}

func open(target string, fields ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://api.example.com"+target, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	return r
}

func TestTicket(t *testing.T) {
	s := newStream(t, access.TicketsConfig{})
	ticket, w := s.ask(bound())
	if w.Code != http.StatusOK || len(ticket) < 26 || w.Header().Get("Cache-Control") != "no-store" ||
		!strings.Contains(w.Body.String(), `"expires_in":10`) {
		t.Fatalf("%d %s %v", w.Code, w.Body, w.Header())
	}
	s.clock.Advance(3 * time.Second)
	w = s.serve(open("/events?a=1&ticket=" + ticket + "&b=2"))
	if w.Code != http.StatusOK || w.Body.String() != "user-1" || s.ran != 1 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if r := s.seen[0]; r.URL.RawQuery != "a=1&b=2" || r.RequestURI != "https://api.example.com/events?a=1&b=2" {
		t.Errorf("the handler sees %q, %q", r.URL.RawQuery, r.RequestURI)
	}
	if d := s.told[len(s.told)-1]; d.Outcome() != access.Accepted || !d.Began.Equal(s.clock.Now()) || d.Duration != 0 {
		t.Errorf("the stream is told to have begun at %v, and to have taken %v", d.Began, d.Duration)
	}
}

// Whatever a thief does with a ticket, or an owner too late, the handler does not run.
func TestTicketsAreRefused(t *testing.T) {
	const page = "https://app.example.com"
	unknown := "ticket_unknown"
	for name, test := range map[string]struct {
		config  access.TicketsConfig
		attempt func(*stream) *http.Request
		status  int
		reason  string
	}{
		"used": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound())
			s.serve(open("/events?ticket=" + ticket))
			s.ran = 0
			return open("/events?ticket=" + ticket)
		}, status: 401, reason: unknown},
		"guessed": {attempt: func(*stream) *http.Request { return open("/events?ticket=ABCDEFGHIJKLMNOPQRSTUVWXYZ") }, status: 401, reason: unknown},
		"empty":   {attempt: func(*stream) *http.Request { return open("/events?ticket=") }, status: 401, reason: unknown},
		"too old": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound())
			s.clock.Advance(10 * time.Second)
			return open("/events?ticket=" + ticket)
		}, status: 401, reason: unknown},
		"two of them": {attempt: func(s *stream) *http.Request {
			a, _ := s.ask(bound())
			b, _ := s.ask(bound())
			return open("/events?ticket=" + a + "&ticket=" + b)
		}, status: 400, reason: unknown},
		"beside a token": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound())
			return open("/events?ticket="+ticket, "Authorization", "DPoP "+bound())
		}, status: 400, reason: "token_sent_twice"},
		"beside a proof": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound())
			return open("/events?ticket="+ticket, "DPoP", "x")
		}, status: 400, reason: "token_sent_twice"},
		"by two pages": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound(), "Origin", page)
			return withHeader(open("/events?ticket="+ticket, "Origin", page), "Origin", page)
		}, status: 401, reason: unknown},
		"by another page": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound(), "Origin", page)
			return open("/events?ticket="+ticket, "Origin", "https://evil.example.com")
		}, status: 401, reason: unknown},
		"by a page, asked for by none": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound())
			return open("/events?ticket="+ticket, "Origin", page)
		}, status: 401, reason: unknown},
		"on another route": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound())
			return open("/other?ticket=" + ticket)
		}, status: 401, reason: "credentials_missing"},
		"of a token that was taken back meanwhile": {attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound())
			entry := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "user-1"}
			if err := s.store.Revoke(s.t.Context(), entry); err != nil {
				s.t.Fatal(err)
			}
			return open("/events?ticket=" + ticket)
		}, status: 401, reason: "subject_revoked"},
		"of a token that expired meanwhile": {config: access.TicketsConfig{Life: time.Minute}, attempt: func(s *stream) *http.Request {
			ticket, _ := s.ask(bound(func(p *poptest.Token) { p.Lifetime = 10 * time.Second }))
			s.clock.Advance(21 * time.Second)
			return open("/events?ticket=" + ticket)
		}, status: 401, reason: "token_expired"},
		"no ticket and no token": {attempt: func(*stream) *http.Request { return open("/events") }, status: 401, reason: "credentials_missing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStream(t, test.config)
			r := test.attempt(s)
			s.told = nil
			w := s.serve(r)
			if w.Code != test.status || s.ran != 0 || len(s.told) != 1 || s.told[0].Reason() != test.reason {
				t.Errorf("%d %s, ran %d times, told %v", w.Code, w.Body, s.ran, s.told)
			}
		})
	}
}

// Accepted forms: a page of the same origin as the one that asked, no Origin at all as of an EventSource, and a client
// that can sign for itself.
func TestTicketsAreAccepted(t *testing.T) {
	const page = "https://app.example.com"
	s := newStream(t, access.TicketsConfig{})
	same, _ := s.ask(bound(), "Origin", page)
	without, _ := s.ask(bound(), "Origin", page)
	token := bound()
	for name, r := range map[string]*http.Request{
		"same origin": open("/events?ticket="+same, "Origin", page),
		"no Origin":   open("/events?ticket=" + without),
		"a proof": open("/events", "Authorization", "DPoP "+token,
			"DPoP", poptest.Proof{Token: token, URL: "https://api.example.com/events"}.String()),
	} {
		if w := s.serve(r); w.Code != http.StatusOK || w.Body.String() != "user-1" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestTicketsAreFew(t *testing.T) {
	s := newStream(t, access.TicketsConfig{Max: 2})
	for range 2 {
		if _, w := s.ask(bound()); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
	}
	if ticket, w := s.ask(bound()); w.Code != http.StatusServiceUnavailable || ticket != "" || w.Header().Get("Retry-After") == "" {
		t.Errorf("the third: %d %s", w.Code, w.Body)
	}
	s.clock.Advance(10 * time.Second)
	if _, w := s.ask(bound()); w.Code != http.StatusOK {
		t.Errorf("when the others are too old: %d", w.Code)
	}
	// Asking needs all that the stream needs, and a POST.
	if _, w := s.ask(bound(claim("scope", "other"))); w.Code != http.StatusForbidden {
		t.Errorf("without the scope: %d", w.Code)
	}
	token := bound()
	const url = "https://api.example.com/tickets"
	r := open("/tickets", "Authorization", "DPoP "+token, "DPoP", poptest.Proof{Token: token, URL: url}.String())
	if w := s.serve(r); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
		t.Errorf("GET: %d", w.Code)
	}
}

func TestTicketSettings(t *testing.T) {
	for want, c := range map[string]access.TicketsConfig{
		"Life is 1ms": {Life: time.Millisecond}, "Life is 1h0m0s": {Life: time.Hour}, "Max is -1": {Max: -1},
	} {
		if _, err := newGuard(t).Tickets(c); err == nil || !strings.HasPrefix(err.Error(), "access.TicketsConfig: "+want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A ticket's answer is JSON; the nonce that came with it does not come again with the stream.
func TestTicketOfAClientWithAnOldNonce(t *testing.T) {
	s := newStream(t, access.TicketsConfig{})
	nonce := s.askedFor(t)
	s.clock.Advance(time.Minute)
	token := bound()
	const url = "https://api.example.com/tickets"
	r := httptest.NewRequest(http.MethodPost, url, nil)
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", poptest.Proof{Token: token, Method: "POST", URL: url, IssuedAt: s.clock.Now(), Nonce: nonce}.String())
	w := s.serve(r)
	var got struct{ Ticket string }
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Header().Get("Content-Type") != "application/json" || w.Header().Get("DPoP-Nonce") == "" {
		t.Fatalf("%v, header %v", err, w.Header())
	}
	if w := s.serve(open("/events?ticket=" + got.Ticket)); w.Code != http.StatusOK || w.Header()["Dpop-Nonce"] != nil {
		t.Errorf("%d, header %v", w.Code, w.Header())
	}
}

// askedFor is a nonce of now.
func (s *stream) askedFor(t *testing.T) string {
	w := httptest.NewRecorder()
	s.NonceHandler().ServeHTTP(w, httptest.NewRequest("GET", "https://api.example.com/nonce", nil))
	return w.Header().Get("DPoP-Nonce")
}

// A ticket for a bearer token is judged for the route of the stream: by its entry of the list, and for as long as that bears.
func TestTicketOfABearerToken(t *testing.T) {
	entry := func(route string, lifetime time.Duration) access.Bearer {
		return access.Bearer{Clients: []string{"client-1"}, Routes: []string{route}, MaxTokenLifetime: lifetime}
	}
	for name, test := range map[string]struct {
		list   []access.Bearer
		status int
		reason string
	}{
		"both":            {[]access.Bearer{entry("POST /tickets", time.Hour), entry("GET /events", time.Hour)}, 200, ""},
		"not the stream":  {[]access.Bearer{entry("POST /tickets", time.Hour)}, 401, "token_unbound"},
		"not for so long": {[]access.Bearer{entry("POST /tickets", time.Hour), entry("GET /events", time.Minute)}, 401, "token_lifetime_too_long"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, takes(test.list...))
			tickets, err := s.Tickets(access.TicketsConfig{})
			if err != nil {
				t.Fatal(err)
			}
			// As behind the adapter of a framework, whose router knows the pattern.
			outer, err := s.Guard.Route()
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("POST", "https://api.example.com/tickets", nil)
			r.Header.Set("Authorization", "Bearer "+poptest.Token{}.String())
			w := httptest.NewRecorder()
			err = outer.Serve(access.Passage{Writer: w, RefusalWriter: w, Request: r, Pattern: "POST /tickets"},
				func(w http.ResponseWriter, r *http.Request) error { tickets.Issue().ServeHTTP(w, r); return nil },
				func(e *access.Error, _ bool) error { return e })
			var got struct{ Ticket string }
			if err := errors.Join(err, json.Unmarshal(w.Body.Bytes(), &got)); err != nil {
				t.Fatal(err)
			}
			s.heard = nil
			events := open("/events?ticket=" + got.Ticket)
			events.Pattern = "GET /events"
			stream := tickets.Stream(s, access.Stream{})
			if test.reason == "" {
				s.accepts(t, stream, events)
			} else {
				s.refuses(t, stream, events, test.status, test.reason)
			}
		})
	}
}

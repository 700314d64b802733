package access_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// takes gives the guard a list of bearer tokens that it still takes, until an hour from now where no date is given.
func takes(list ...access.Bearer) func(*setup) {
	for i := range list {
		if list[i].Until.IsZero() {
			list[i].Until = poptest.Now.Add(time.Hour)
		}
	}
	return func(s *setup) { s.Bearer = list }
}

// bearer is a request with a token under Bearer, on a route.
func bearer(token, pattern string) *http.Request {
	r := get("Bearer "+token, "")
	r.Pattern = pattern
	return r
}

// Which tokens that are bound to nobody an entry takes: all that it names must hold.
func TestBearerCriteria(t *testing.T) {
	unbound := refusal{401, "invalid_token", "token_unbound"}
	token := poptest.Token{}.String()
	all := access.Bearer{
		Issuers: []string{poptest.Issuer}, Clients: []string{"client-1"}, Routes: []string{"GET /old"}, Scopes: []string{"accounts:read"},
	}
	but := func(change func(*access.Bearer)) access.Bearer { b := all; change(&b); return b }
	for name, test := range map[string]struct {
		entry access.Bearer
		r     *http.Request
		want  refusal // zero: accepted
	}{
		"all hold":              {all, bearer(token, "GET /old"), refusal{}},
		"another issuer":        {but(func(b *access.Bearer) { b.Issuers = []string{"https://b.example"} }), bearer(token, "GET /old"), unbound},
		"another client":        {but(func(b *access.Bearer) { b.Clients = []string{"client-2"} }), bearer(token, "GET /old"), unbound},
		"another route":         {all, bearer(token, "GET /new"), unbound},
		"no known route":        {all, bearer(token, ""), unbound},
		"another scope":         {but(func(b *access.Bearer) { b.Scopes = []string{"b"} }), bearer(token, "GET /old"), unbound},
		"one of several":        {access.Bearer{Clients: []string{"client-2", "client-1"}}, bearer(token, ""), refusal{}},
		"fewer scopes":          {access.Bearer{Scopes: []string{"a", "accounts:read"}}, bearer(token, ""), refusal{}},
		"a scope more":          {access.Bearer{Scopes: []string{"accounts:read"}}, bearer(poptest.Token{Scope: "accounts:read b"}.String(), ""), unbound},
		"no scopes":             {access.Bearer{Scopes: []string{"a"}}, bearer(poptest.Token{Claims: map[string]any{"scope": nil}}.String(), ""), unbound},
		"a pattern, not a path": {access.Bearer{Routes: []string{"/accounts"}}, bearer(token, ""), unbound},
		"under DPoP":            {all, func() *http.Request { r := owner(token); r.Pattern = "GET /old"; return r }(), unbound},
		"bound, as Bearer":      {all, bearer(bound(), "GET /old"), refusal{401, "invalid_token", "bound_token_as_bearer"}},
		"bound, another's proof": {all, func() *http.Request {
			token := bound()
			return get("DPoP "+token, poptest.Proof{Token: token, Key: poptest.Keyed("ES256", "thief")}.String())
		}(), refusal{401, "invalid_token", "key_mismatch"}},
		"bound to a certificate": {all, bearer(poptest.Token{X5T: strings.Repeat("A", 43)}.String(), "GET /old"), refusal{401, "invalid_token", "certificate_not_accepted"}},
		"bound in another way":   {all, bearer(bound(claim("cnf", map[string]any{"kid": "a"})), "GET /old"), refusal{401, "invalid_token", "token_cnf_not_understood"}},
	} {
		t.Run(name, func(t *testing.T) {
			grant, err := newGuard(t, takes(test.entry)).Check(test.r)
			if test.want != (refusal{}) {
				expect(t, err, test.want)
			} else if err != nil || grant.Binding != 0 {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

// The route is the one that the adapter gives, before anything that the request says.
func TestBearerRouteOfTheAdapter(t *testing.T) {
	s := newGuard(t, takes(access.Bearer{Routes: []string{"/old/:id"}}))
	route, err := s.Guard.Route()
	if err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]int{"/old/:id": http.StatusOK, "/new/:id": http.StatusUnauthorized, "": http.StatusUnauthorized} {
		w := httptest.NewRecorder()
		_ = route.Serve(access.Passage{Writer: w, RefusalWriter: w, Request: bearer(poptest.Token{}.String(), ""), Pattern: pattern},
			func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(http.StatusOK); return nil },
			func(e *access.Error, _ bool) error { w.WriteHeader(e.Status); return nil })
		if w.Code != want {
			t.Errorf("pattern %q: status %d, want %d", pattern, w.Code, want)
		}
	}
}

// Where no entry takes a token, the log says for which client and route one was looked for: a pattern that is written as
// another router has it is seen there.
func TestBearerSaysWhatNoEntryTakes(t *testing.T) {
	s := newGuard(t, takes(access.Bearer{Clients: []string{"client-1"}, Routes: []string{"GET /orders"}}))
	_, err := s.Check(bearer(poptest.Token{}.String(), "/orders"))
	e := expect(t, err, refusal{401, "invalid_token", "token_unbound"})
	if want := `an entry of Bearer that takes client \"client-1\" on route \"/orders\"`; !strings.Contains(e.Error(), want) {
		t.Errorf("got %v, want %s in it", e, want)
	}
}

// From its date on an entry takes nothing, the refusal says so, and Bearer is no longer offered.
func TestBearerEnds(t *testing.T) {
	s := newGuard(t, takes(access.Bearer{Clients: []string{"client-1"}, Until: poptest.Now.Add(time.Minute)}),
		func(s *setup) { s.Resources = resource() })
	token, other := poptest.Token{}.String(), poptest.Token{ClientID: "client-2"}.String()
	offered := func(e *access.Error) bool {
		return slices.ContainsFunc(challenges(e), func(c string) bool { return strings.HasPrefix(c, "Bearer") })
	}
	s.clock.Advance(time.Minute - 1)
	if _, err := s.Check(bearer(token, "")); err != nil {
		t.Fatal(err)
	}
	_, err := s.Check(get("", ""))
	if e := expect(t, err, refusal{401, "", "credentials_missing"}); !offered(e) || s.Metadata().DPoPRequired {
		t.Errorf("before the date: challenges %q, DPoP required %v", challenges(e), s.Metadata().DPoPRequired)
	}
	s.clock.Advance(1)
	_, err = s.Check(bearer(token, ""))
	expect(t, err, refusal{401, "invalid_token", "bearer_ended"})
	_, err = s.Check(bearer(other, ""))
	expect(t, err, refusal{401, "invalid_token", "token_unbound"})
	_, err = s.Check(get("", ""))
	if e := expect(t, err, refusal{401, "", "credentials_missing"}); offered(e) || !s.Metadata().DPoPRequired {
		t.Errorf("after the date: challenges %q, DPoP required %v", challenges(e), s.Metadata().DPoPRequired)
	}
}

// An entry has a greatest lifetime of its own, for the tokens that it takes and for no others.
func TestBearerLifetime(t *testing.T) {
	day := poptest.Token{Lifetime: 24 * time.Hour}
	short := access.Bearer{Clients: []string{"client-1"}}
	long := access.Bearer{Clients: []string{"client-1"}, MaxTokenLifetime: 24 * time.Hour, Until: poptest.Now.Add(time.Minute)}
	s := newGuard(t, takes(short, long))
	if _, err := s.Check(bearer(day.String(), "")); err != nil {
		t.Error(err)
	}
	day.JKT = poptest.ClientKey().Thumbprint()
	tooLong := refusal{401, "invalid_token", "token_lifetime_too_long"}
	_, err := s.Check(owner(day.String()))
	expect(t, err, tooLong)
	_, err = s.Check(bearer(poptest.Token{Lifetime: 24*time.Hour + time.Second}.String(), ""))
	expect(t, err, tooLong)
	s.clock.Advance(time.Minute) // the long one ends, the short one goes on
	_, err = s.Check(bearer(poptest.Token{Lifetime: 24 * time.Hour}.String(), ""))
	expect(t, err, tooLong)
	if _, err := s.Check(bearer(poptest.Token{}.String(), "")); err != nil {
		t.Error(err)
	}
}

// The longest lifetime of all entries is what revocations must be kept for.
func TestBearerRetention(t *testing.T) {
	for name, test := range map[string]struct {
		kept time.Duration
		want string
	}{
		"as long":   {24 * time.Hour, ""},
		"too short": {24*time.Hour - 1, "Revocation keeps entries for tokens of 23h59m59.999999999s with a leeway of 1m0s, and tokens of 24h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := revocation.NewMemory(revocation.Options{Retention: revocation.Retention{Lifetime: test.kept}})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			s := setup{Config: access.Config{Origins: []string{poptest.Audience}, Issuers: []access.Issuer{staticIssuer()}, Revocation: store}}
			takes(access.Bearer{Clients: []string{"a"}, MaxTokenLifetime: 24 * time.Hour}, access.Bearer{Clients: []string{"b"}})(&s)
			guard, err := access.New(s.Config)
			if err == nil {
				_ = guard.Close()
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// A stream that an entry let begin ends at its date, of several at the last one that takes the token. One that is for
// shorter lives takes it not.
func TestBearerStreamEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inBubble(t, takes(
			access.Bearer{Clients: []string{"client-1"}, Until: poptest.Now.Add(90 * time.Second), MaxTokenLifetime: time.Hour},
			access.Bearer{Clients: []string{"client-1"}, Until: poptest.Now.Add(20 * time.Second), MaxTokenLifetime: time.Hour},
			access.Bearer{Clients: []string{"client-1"}, Until: poptest.Now.Add(200 * time.Second)},
			access.Bearer{Clients: []string{"client-2"}, Until: poptest.Now.Add(200 * time.Second), MaxTokenLifetime: time.Hour}))
		r := bearer(poptest.Token{Lifetime: time.Hour}.String(), "").WithContext(t.Context())
		grant, err := s.Check(r)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := s.Watch(r, grant, access.Stream{Every: time.Minute})
		defer cancel()
		<-ctx.Done()
		expect(t, context.Cause(ctx), refusal{401, "invalid_token", "bearer_ended"})
		if now := s.Now().Sub(poptest.Now); now != 90*time.Second {
			t.Errorf("it ended after %v", now)
		}
	})
}

// A ticket is for the route of the stream as well as for that of the POST.
func TestBearerTicket(t *testing.T) {
	for name, test := range map[string]struct {
		routes []string
		want   string
	}{
		"both routes":   {[]string{"POST /ticket", "GET /events"}, ""},
		"the POST only": {[]string{"POST /ticket"}, "token_unbound"},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			s := newGuard(t, hears(&heard), takes(access.Bearer{Routes: test.routes}))
			tickets, err := s.Tickets(access.TicketsConfig{})
			if err != nil {
				t.Fatal(err)
			}
			post := bearer(poptest.Token{}.String(), "POST /ticket")
			post.Method = http.MethodPost
			w := httptest.NewRecorder()
			tickets.Issue().ServeHTTP(w, post)
			_, rest, _ := strings.Cut(w.Body.String(), `"ticket":"`)
			ticket, _, _ := strings.Cut(rest, `"`)
			upgrade := httptest.NewRequest(http.MethodGet, poptest.URL+"?ticket="+ticket, nil)
			upgrade.Pattern = "GET /events"
			tickets.Stream(http.NotFoundHandler(), access.Stream{}).ServeHTTP(httptest.NewRecorder(), upgrade)
			if got := heard[len(heard)-1].Reason(); len(heard) != 2 || got != test.want {
				t.Errorf("%d decisions, the last with reason %q, want %q", len(heard), got, test.want)
			}
		})
	}
}

// InsecureAllowBearer is for everybody, for ever.
func TestInsecureAllowBearerHasNoEnd(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.InsecureAllowBearer = true })
	s.clock.Advance(10 * 365 * 24 * time.Hour)
	_, err := s.Check(bearer(poptest.Token{IssuedAt: s.clock.Now()}.String(), ""))
	if e, refused := errors.AsType[*access.Error](err); refused {
		t.Errorf("refused: %v", e)
	}
}

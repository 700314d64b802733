package access_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// behind counts the requests that come through, and looks for a grant.
type behind struct {
	requests int
	grant    *access.Grant
	header   http.Header
}

func (b *behind) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.requests++
	b.grant, b.header = access.GrantFrom(r.Context()), w.Header().Clone()
}

// A shadow lets everything on, says what the Guard would have said, and leaves nothing behind.
func TestUnprotectedShadow(t *testing.T) {
	token := bound()
	panics := withHeader(owner(token), "X-Panic", "1")
	for name, test := range map[string]struct {
		r      *http.Request
		would  access.Outcome
		reason string
	}{
		"good":            {owner(token), access.Accepted, ""},
		"no credentials":  {get("", ""), access.Refused, "credentials_missing"},
		"unbound":         {get("Bearer "+poptest.Token{}.String(), ""), access.Refused, "token_unbound"},
		"a thief":         {get("DPoP "+token, thiefProof(token)), access.Refused, "key_mismatch"},
		"taken back":      {owner(bound(claim("sid", "s-1"))), access.Refused, "session_revoked"},
		"a scope missing": {owner(bound(claim("scope", "b"))), access.Refused, "scope_missing"},
		"only reported":   {owner(bound(claim("exp", poptest.Now.Unix()+600))), access.Refused, "token_lifetime_too_long"},
		"a policy panics": {panics, access.Unavailable, "panic"},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			var a alerts
			s := newGuard(t, a.install, hears(&heard), tries(access.ReportOnly{MaxTokenLifetime: 5 * time.Minute}), func(s *setup) {
				store := newRevocations(t, s)
				mustRevokeIn(t, store, revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySession, Value: "s-1"})
				s.Revocation = store
				s.Policies = []access.Policy{func(r *http.Request, _ *access.Grant) error {
					if s.clock.Advance(3 * time.Millisecond); r.Header["X-Panic"] != nil {
						panic("policy")
					}
					return nil
				}}
			})
			var b behind
			test.r.Pattern = "GET /accounts"
			s.UnprotectedShadow(&b, access.Requirement{Scopes: []string{"accounts:read"}}).ServeHTTP(httptest.NewRecorder(), test.r)
			if b.requests != 1 || b.grant != nil || len(b.header) != 0 {
				t.Errorf("%d requests, grant %v, header %v", b.requests, b.grant, b.header)
			}
			if len(heard) != 1 {
				t.Fatalf("%d decisions", len(heard))
			}
			d := heard[0]
			if d.Outcome() != access.Shadowed || d.WouldBe() != test.would || d.Refusal != nil || d.Route != "GET /accounts" {
				t.Errorf("%s, would be %s; %+v", d.Outcome(), d.WouldBe(), d)
			}
			if asked := test.would != access.Refused; asked && d.Duration != 3*time.Millisecond {
				t.Errorf("it took %v", d.Duration)
			}
			if (d.Would != nil) != (test.reason != "") || d.Would != nil && d.Would.Reason() != test.reason {
				t.Errorf("would %v, want %q", d.Would, test.reason)
			}
			if len(a.heard) != 0 {
				t.Errorf("alerts %+v", a.heard)
			}
		})
	}
}

func mustRevokeIn(t *testing.T, store revocation.Store, e revocation.Entry) {
	t.Helper()
	if err := store.Revoke(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// Behind a shadow the Guard judges itself, and finds the proof unused and the token not on record.
func TestShadowLeavesProofAndRecord(t *testing.T) {
	var store *revocation.Memory
	s := newGuard(t, func(s *setup) {
		store = newRevocations(t, s)
		s.Register = store
	})
	var b behind
	inUse := -1
	recorded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		uses, err := store.Uses(r.Context(), poptest.Issuer, "user-1")
		if inUse = len(uses); err != nil {
			t.Error(err)
		}
		s.Handler(&b).ServeHTTP(w, r)
	})
	shadow := s.UnprotectedShadow(recorded)
	r := owner(bound())
	for range 2 {
		w := httptest.NewRecorder()
		shadow.ServeHTTP(w, r)
		if inUse == 0 && (w.Code != http.StatusOK || b.grant == nil) {
			t.Errorf("status %d, grant %v", w.Code, b.grant)
		}
	}
	if b.requests != 1 || inUse != 1 { // the second used the proof of the first again
		t.Errorf("%d requests came through, %d on record", b.requests, inUse)
	}
	w := httptest.NewRecorder()
	if shadow.ServeHTTP(w, get("", "")); w.Code != http.StatusUnauthorized || b.requests != 1 {
		t.Errorf("without credentials: status %d", w.Code)
	}
}

// A shadow asks about so many strangers' tokens in a second and no more, and about JWTs of the issuers as ever.
func TestShadowQuestionsAreBounded(t *testing.T) {
	var heard []access.Decision
	asked := 0
	s := newGuard(t, hears(&heard), func(s *setup) {
		s.Tokens = access.ValidatorFunc(func(context.Context, string) (*access.Token, error) {
			asked++
			return nil, access.ErrTokenInactive
		})
	})
	var b behind
	shadow := s.UnprotectedShadow(&b)
	flood := func() {
		for range 2 * access.MaxShadowQuestions {
			shadow.ServeHTTP(httptest.NewRecorder(), get("Bearer opaque", ""))
		}
	}
	flood()
	if last := heard[len(heard)-1]; asked != access.MaxShadowQuestions || last.WouldBe() != access.Unavailable || last.Would.Reason() != "shadow_not_asked" {
		t.Errorf("asked %d times, at last %v", asked, last.Would)
	}
	shadow.ServeHTTP(httptest.NewRecorder(), owner(bound()))
	if last := heard[len(heard)-1]; last.WouldBe() != access.Accepted {
		t.Errorf("a JWT: %v", last.Would)
	}
	s.clock.Advance(time.Second)
	flood()
	if asked != 2*access.MaxShadowQuestions || b.requests != 4*access.MaxShadowQuestions+1 {
		t.Errorf("asked %d times, %d requests came through", asked, b.requests)
	}
	s.clock.Advance(-time.Hour)
	if flood(); asked != 3*access.MaxShadowQuestions {
		t.Errorf("asked %d times, once the clock was set back", asked)
	}
}

// A wrong demand is refused when the route is made.
func TestShadowOfAWrongDemand(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	newGuard(t).UnprotectedShadow(http.NotFoundHandler(), access.Requirement{Scopes: []string{"a b"}})
}

// What a shadow does not ask about does not count, what no issuer of ours made does, and our own trouble is told as that.
func TestShadowCountsQuestionsAlone(t *testing.T) {
	const flood = 2 * access.MaxShadowQuestions
	foreign := bound(claim("iss", "https://elsewhere.example"))
	for name, test := range map[string]struct {
		tokens bool // there is somebody to ask
		r      *http.Request
		asked  int
		reason string // in the end
	}{
		"nobody to ask":           {false, get("DPoP opaque", ""), 0, "proof_missing"},
		"no credentials":          {true, get("", ""), 0, "credentials_missing"},
		"a JWT of another issuer": {true, get("Bearer "+foreign, ""), access.MaxShadowQuestions, "shadow_not_asked"},
		"a JWT of ours":           {true, get("Bearer "+bound(), ""), 0, "bound_token_as_bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			asked := 0
			s := newGuard(t, hears(&heard), func(s *setup) {
				if test.tokens {
					s.Tokens = access.ValidatorFunc(func(context.Context, string) (*access.Token, error) {
						asked++
						return nil, access.ErrTokenInactive
					})
				}
			})
			shadow := s.UnprotectedShadow(http.NotFoundHandler())
			for range flood {
				shadow.ServeHTTP(httptest.NewRecorder(), test.r)
			}
			if last := heard[flood-1]; asked != test.asked || last.Would.Reason() != test.reason {
				t.Errorf("asked %d times, want %d; at last %v", asked, test.asked, last.Would)
			}
		})
	}
}

func TestShadowInTrouble(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*setup)
		after  func(*setup)
		would  access.Outcome
		reason string
	}{
		"a store panics":         {func(s *setup) { s.Revocation = panicking{newRevocations(t, s)} }, nil, access.Unavailable, "panic"},
		"the Guard is closed":    {nil, func(s *setup) { _ = s.Close() }, access.Unavailable, "guard_closed"},
		"a policy's own trouble": {policy(&access.Error{Status: 500}), nil, access.Unavailable, ""},
		"a policy's own refusal": {policy(&access.Error{Status: 499}), nil, access.Refused, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			s := newGuard(t, hears(&heard), func(s *setup) {
				if test.change != nil {
					test.change(s)
				}
			})
			if test.after != nil {
				test.after(s)
			}
			var b behind
			s.UnprotectedShadow(&b).ServeHTTP(httptest.NewRecorder(), owner(bound()))
			if d := heard[0]; b.requests != 1 || d.WouldBe() != test.would || d.Would.Reason() != test.reason {
				t.Errorf("%d came through, would be %s, %v", b.requests, d.WouldBe(), d.Would)
			}
		})
	}
}

// panicking is a store that does when it is asked.
type panicking struct{ revocation.Store }

func (panicking) Revoked(context.Context, revocation.Token) (*revocation.Entry, error) {
	panic("a bug")
}

package access_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// The answer to a refusal has no field that says nothing.
func TestHeadersOfARefusal(t *testing.T) {
	for name, test := range map[string]struct {
		e    access.Error
		want http.Header
	}{
		"nothing to say": {access.Error{Status: 403}, http.Header{"Cache-Control": {"no-store"}}},
		"a nonce": {access.Error{Status: 401, Nonce: "n"}, http.Header{
			"Cache-Control": {"no-store"}, "Dpop-Nonce": {"n"}, "Access-Control-Expose-Headers": {"DPoP-Nonce"},
		}},
		"a second":           {access.Error{Status: 503, RetryAfter: time.Second}, http.Header{"Cache-Control": {"no-store"}, "Retry-After": {"1"}}},
		"a part of a second": {access.Error{Status: 503, RetryAfter: 1001 * time.Millisecond}, http.Header{"Cache-Control": {"no-store"}, "Retry-After": {"2"}}},
	} {
		h := http.Header{}
		for range 2 { // to say it again changes nothing
			if test.e.SetHeaders(h); !reflect.DeepEqual(h, test.want) {
				t.Errorf("%s: got %v, want %v", name, h, test.want)
			}
		}
	}
	s := newSite(t)
	if h := serve(s.Handler(s), get("", "")).Header(); h.Get("Content-Type") != "application/json" || h["Retry-After"] != nil || h["Dpop-Nonce"] != nil || h["Referrer-Policy"] != nil {
		t.Errorf("header %v", h)
	}
}

// A policy's own answer goes out as it is: with a challenge if it has a code, with those of another Guard if they are its
// own, and with nothing in them that RFC 6750 §3 does not allow.
func TestPolicysOwnAnswer(t *testing.T) {
	_, err := newGuard(t, func(s *setup) { s.Resources = resource() }).Check(get("DPoP "+bound(), ""))
	theirs, _ := errors.AsType[*access.Error](err)
	for name, test := range map[string]struct {
		answer *access.Error
		status int
		want   []string // challenges
	}{
		"without a code": {&access.Error{Status: 403, Description: "closed on Sundays"}, 403, nil},
		"with a code": {
			&access.Error{Status: 403, Code: "x", Description: "a\\b\"c~\x7fé\n "}, 403,
			[]string{`DPoP error="x", error_description="a?b?c~??? ", ` + algs},
		},
		"with an age":             {&access.Error{Status: 401, Code: "x", MaxAge: 90 * time.Second}, 401, []string{`DPoP error="x", error_description="", max_age="90", ` + algs}},
		"another Guard's":         {theirs, 401, challenges(theirs)},
		"our own trouble":         {&access.Error{Status: 500}, 500, nil},
		"the least of its status": {&access.Error{Status: 400}, 400, nil},
		"the most of it":          {&access.Error{Status: 599}, 599, nil},
		"less than that":          {&access.Error{Status: 399}, 503, nil},
		"more than that":          {&access.Error{Status: 600}, 503, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			s := newGuard(t, hears(&heard), func(s *setup) {
				s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return test.answer }}
			})
			_, err := s.Check(owner(bound()))
			e, ok := errors.AsType[*access.Error](err)
			if !ok || e.Status != test.status || !reflect.DeepEqual(challenges(e), test.want) {
				t.Errorf("got %v with %q, want %d with %q", err, challenges(e), test.status, test.want)
			}
			if attrs := heard[0].Attrs(); attrs[0].Value.String() != map[bool]string{true: "unavailable", false: "refused"}[test.status >= 500] {
				t.Errorf("told as %v", attrs)
			}
		})
	}
	if !strings.Contains(challenges(theirs)[0], "resource_metadata") {
		t.Errorf("the other Guard's challenges are %q", challenges(theirs))
	}
}

// What a route needs is named to who comes without a good token, and to nobody else.
func TestScopesOfARefusal(t *testing.T) {
	token := bound()
	for name, test := range map[string]struct {
		change func(*setup)
		r      *http.Request
		want   string
	}{
		"no token":           {nil, get("", ""), "a b"},
		"a token of nobody":  {nil, owner(bound(claim("iss", "https://evil.example"))), "a b"},
		"a broken proof":     {nil, get("DPoP "+token, "x"), ""},
		"a token twice":      {nil, withHeader(owner(token), "Authorization", "DPoP x"), ""},
		"our own trouble":    {func(s *setup) { s.Replay = failingStore{} }, owner(token), ""},
		"a policy's own 403": {policy(&access.Error{Status: 403}), owner(token), ""},
		"a policy's own 401": {policy(&access.Error{Status: 401, Code: access.CodeInvalidToken, Scope: "c"}), owner(token), "c"},
	} {
		t.Run(name, func(t *testing.T) {
			var told *access.Error
			s := newGuard(t, func(s *setup) {
				s.Deny = func(_ http.ResponseWriter, _ *http.Request, e *access.Error) { told = e }
				if test.change != nil {
					test.change(s)
				}
			})
			w := serve(s.Handler(http.NotFoundHandler(), scope("a", "b")), test.r)
			if told == nil || told.Scope != test.want || strings.Contains(w.Header().Get("WWW-Authenticate"), `scope="`) != (test.want != "") {
				t.Errorf("told %+v, header %v", told, w.Header())
			}
		})
	}
}

// policy gives a policy that refuses.
func policy(err error) func(*setup) {
	return func(s *setup) { s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return err }} }
}

// Where neither proofs nor certificates are taken, and the time of bearer tokens is over, a challenge is left all the same.
func TestChallengeWhereNothingIsTaken(t *testing.T) {
	s := newGuard(t, func(s *setup) {
		s.WithoutDPoP, s.Bearer = true, []access.Bearer{{Clients: []string{"client-1"}, Until: poptest.Now.Add(time.Second)}}
	})
	s.clock.Advance(time.Minute)
	for want, r := range map[string]*http.Request{"credentials_missing": get("", ""), "dpop_not_accepted": get("DPoP opaque", "")} {
		_, err := s.Check(r)
		e, ok := errors.AsType[*access.Error](err)
		if !ok || e.Status != 401 || e.Reason() != want || len(challenges(e)) != 1 || !strings.HasPrefix(challenges(e)[0], "Bearer") {
			t.Errorf("%v, %q", err, challenges(e))
		}
	}
}

func TestBindingByName(t *testing.T) {
	for binding, want := range map[access.Binding]string{
		0: "none", access.BindingDPoP: "DPoP", access.BindingCertificate: "certificate",
		access.BindingDPoP | access.BindingCertificate: "DPoP and certificate",
	} {
		if got := binding.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// All policies are asked, in their order, until one refuses.
func TestAllPoliciesAreAsked(t *testing.T) {
	asked := 0
	fine := func(*http.Request, *access.Grant) error { asked++; return nil }
	s := newGuard(t, func(s *setup) {
		s.Policies = []access.Policy{fine, fine, func(*http.Request, *access.Grant) error { return access.ErrAccount }, fine}
	})
	_, err := s.Check(owner(bound()))
	expect(t, err, refusal{401, "invalid_token", "account_not_active"})
	if asked != 2 {
		t.Errorf("%d were asked before", asked)
	}
}

// A client that has gone is told apart from trouble of ours, and from a refusal.
func TestDecisionAboutAClientThatHasGone(t *testing.T) {
	for status, want := range map[int]access.Outcome{499: access.Refused, 500: access.Abandoned, 503: access.Abandoned} {
		var heard []access.Decision
		var log bytes.Buffer
		s := newGuard(t, hears(&heard), policy(&access.Error{Status: status}), func(s *setup) {
			s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		_, _ = s.Check(owner(bound()).WithContext(ctx))
		if heard[0].Outcome() != want || !strings.Contains(log.String(), "request "+string(want)) {
			t.Errorf("%d: %s: %s", status, heard[0].Outcome(), &log)
		}
	}
}

// What goes wrong in rendering a refusal is logged.
func TestDenyThatPanicsIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := newGuard(t, func(s *setup) {
		s.Log = slog.New(slog.NewTextHandler(&log, nil))
		s.Deny = func(http.ResponseWriter, *http.Request, *access.Error) { panic("a bug of theirs") }
	})
	if w := serve(s.Handler(nil), get("", "")); w.Code != 401 || !strings.Contains(log.String(), "Deny failed") || !strings.Contains(log.String(), "a bug of theirs") {
		t.Errorf("%d: %s", w.Code, &log)
	}
}

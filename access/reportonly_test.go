package access_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// tries gives the guard demands that it reports.
func tries(demands access.ReportOnly) func(*setup) {
	return func(s *setup) { s.ReportOnly = &demands }
}

// What stricter demands would do to requests that are accepted, with the reason. Nothing else changes.
func TestReportOnly(t *testing.T) {
	bearer := get("Bearer "+poptest.Token{}.String(), "")
	for name, test := range map[string]struct {
		demands access.ReportOnly
		r       *http.Request
		would   access.Outcome
		code    string
		reason  string
	}{
		"nothing demanded":       {access.ReportOnly{}, bearer, access.Accepted, "", ""},
		"bound":                  {access.ReportOnly{Bound: true}, bearer, access.Refused, "invalid_token", "token_unbound"},
		"bound, and it is":       {access.ReportOnly{Bound: true}, owner(bound()), access.Accepted, "", ""},
		"bound to a key":         {access.ReportOnly{Requirement: access.Requirement{Binding: access.BindingDPoP}}, bearer, access.Refused, "invalid_token", "binding_missing"},
		"a nonce":                {access.ReportOnly{Requirement: access.Requirement{Nonce: true}}, owner(bound()), access.Challenged, "use_dpop_nonce", "nonce_missing"},
		"a nonce, and no proof":  {access.ReportOnly{Requirement: access.Requirement{Nonce: true}}, bearer, access.Refused, "invalid_token", "binding_missing"},
		"the lifetime":           {access.ReportOnly{MaxTokenLifetime: 5*time.Minute - time.Second}, owner(bound()), access.Refused, "invalid_token", "token_lifetime_too_long"},
		"just that lifetime":     {access.ReportOnly{MaxTokenLifetime: 5 * time.Minute}, owner(bound()), access.Accepted, "", ""},
		"the algorithm":          {access.ReportOnly{Algorithms: []string{"PS256", "EdDSA"}}, owner(bound()), access.Refused, "invalid_dpop_proof", "alg_not_allowed"},
		"its algorithm":          {access.ReportOnly{Algorithms: []string{"PS256", "ES256"}}, owner(bound()), access.Accepted, "", ""},
		"no proof, no algorithm": {access.ReportOnly{Algorithms: []string{"PS256"}}, bearer, access.Accepted, "", ""},
		"a scope":                {access.ReportOnly{Requirement: access.Requirement{Scopes: []string{"b"}}}, owner(bound()), access.Refused, "insufficient_scope", "scope_missing"},
		"the age of the login": {access.ReportOnly{Requirement: access.Requirement{MaxAuthAge: time.Minute}},
			owner(bound(claim("auth_time", poptest.Now.Unix()-71))), access.Refused, "insufficient_user_authentication", "login_too_old"},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			s := newGuard(t, hears(&heard), tries(test.demands), func(s *setup) { s.InsecureAllowBearer = true })
			w := httptest.NewRecorder()
			s.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })).ServeHTTP(w, test.r)
			if w.Code != http.StatusNoContent || len(w.Header()) != 0 {
				t.Errorf("status %d, header %v", w.Code, w.Header())
			}
			if len(heard) != 1 || heard[0].Outcome() != access.Accepted || heard[0].Reason() != "" || heard[0].WouldBe() != test.would {
				t.Fatalf("would be %q, want %q; %+v", heard[0].WouldBe(), test.would, heard)
			}
			if would := heard[0].Would; (would != nil) != (test.reason != "") || would != nil && (would.Code != test.code || would.Reason() != test.reason) {
				t.Errorf("would %v, want %s %s", would, test.code, test.reason)
			}
		})
	}
}

// Demands that are only reported never let a request in, and of one that is refused they say nothing.
func TestReportOnlyLetsNobodyIn(t *testing.T) {
	var heard []access.Decision
	s := newGuard(t, hears(&heard), tries(access.ReportOnly{Algorithms: []string{"PS256"}}))
	token := bound()
	proof := poptest.Proof{Token: token}.String()
	if _, err := s.Check(get("DPoP "+token, proof)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		r       *http.Request
		demands []access.Requirement
		want    string
	}{
		{get("DPoP "+token, proof), nil, "proof_replayed"}, // although it would have been refused, it was used
		{get("Bearer "+poptest.Token{}.String(), ""), nil, "token_unbound"},
		{owner(token), []access.Requirement{{Scopes: []string{"b"}}}, "scope_missing"},
	} {
		_, err := s.Check(test.r, test.demands...)
		if d := heard[len(heard)-1]; reason.Of(err) != test.want || d.Would != nil || d.WouldBe() != "" {
			t.Errorf("%v, want %q; would %v", err, test.want, d.Would)
		}
	}
}

// The log tells what would be refused at Info, and what would not as ever.
func TestReportOnlyIsLogged(t *testing.T) {
	var log bytes.Buffer
	s := newGuard(t, tries(access.ReportOnly{Requirement: access.Requirement{Nonce: true}}),
		func(s *setup) { s.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	if _, err := s.Check(owner(bound())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"level=INFO", "outcome=accepted", "would.outcome=challenged", "would.reason=nonce_missing", "client=client-1", "binding=DPoP"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log: %s", want, &log)
		}
	}
	good := withNonce(t, s)
	log.Reset()
	if _, err := s.Check(good); err != nil {
		t.Fatal(err)
	}
	if log.Len() != 0 {
		t.Errorf("log: %s", &log)
	}
}

// withNonce is a request of the owner with a nonce of the guard.
func withNonce(t *testing.T, s *setup) *http.Request {
	t.Helper()
	_, err := s.Check(owner(bound()), access.Requirement{Nonce: true})
	e := expect(t, err, refusal{401, "use_dpop_nonce", "nonce_missing"})
	token := bound()
	return get("DPoP "+token, poptest.Proof{Token: token, Nonce: e.Nonce}.String())
}

func TestReportOnlyErrors(t *testing.T) {
	for want, demands := range map[string]access.ReportOnly{
		`Scopes has "a b"`:                    {Requirement: access.Requirement{Scopes: []string{"a b"}}},
		"ReportOnly.MaxTokenLifetime is -1ns": {MaxTokenLifetime: -1},
		`ReportOnly.Algorithms has "none"`:    {Algorithms: []string{"none"}},
		"ReportOnly.Algorithms is empty":      {Algorithms: []string{}},
	} {
		c := config()
		c.ReportOnly = &demands
		_, err := access.New(c)
		if err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// Settings count as they were when the Guard was made.
func TestReportOnlyIsCopied(t *testing.T) {
	demands := access.ReportOnly{MaxTokenLifetime: time.Minute}
	var heard []access.Decision
	s := newGuard(t, hears(&heard), func(s *setup) { s.ReportOnly = &demands })
	demands.MaxTokenLifetime = time.Hour
	if _, err := s.Check(owner(bound())); err != nil || heard[0].Would.Reason() != "token_lifetime_too_long" {
		t.Errorf("%v, would %v", err, heard[0].Would)
	}
}

package access_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

// hears collects decisions.
func hears(heard *[]access.Decision) func(*setup) {
	return func(s *setup) {
		s.Observer.Decided = func(_ context.Context, d access.Decision) { *heard = append(*heard, d) }
	}
}

// What a decision says is not put together where nobody hears of it: a flood of refusals costs no more than it must.
func TestDecisionsThatNobodyHears(t *testing.T) {
	token := bound()
	for name, test := range map[string]struct {
		level   slog.Level // from which on there is a log
		request func() *http.Request
		heard   bool
	}{
		"refused, logged":       {slog.LevelInfo, func() *http.Request { return get("", "") }, true},
		"refused, not logged":   {slog.LevelWarn, func() *http.Request { return get("", "") }, false},
		"accepted, debugged":    {slog.LevelDebug, func() *http.Request { return owner(token) }, true},
		"accepted, not logged":  {slog.LevelInfo, func() *http.Request { return owner(token) }, false},
		"our trouble, logged":   {slog.LevelError, func() *http.Request { return get("DPoP "+token, "x.y.z") }, true},
		"our trouble, not told": {slog.LevelError + 1, func() *http.Request { return get("DPoP "+token, "x.y.z") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			s := newGuard(t, func(s *setup) {
				s.Log = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: test.level}))
				s.RequestID = func(*http.Request) string { asked++; return "" }
			})
			if strings.HasPrefix(name, "our trouble") {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = s.Check(test.request())
			if asked != map[bool]int{true: 1}[test.heard] {
				t.Errorf("put together %d times, heard %t", asked, test.heard)
			}
		})
	}
}

// Check is one decision, with the demands of the route in it.
func TestCheckIsOneDecision(t *testing.T) {
	thief := poptest.Keyed("ES256", "thief")
	good := bound()
	for name, test := range map[string]struct {
		request *http.Request
		demands []access.Requirement
		outcome access.Outcome
		reason  string
		client  bool // issuer and client are known
		sender  bool // and so is the key
	}{
		"accepted":           {owner(bound()), nil, access.Accepted, "", true, true},
		"the demand met":     {owner(bound()), []access.Requirement{{Scopes: []string{"accounts:read"}}}, access.Accepted, "", true, true},
		"the demand not met": {owner(bound()), []access.Requirement{{}, {Scopes: []string{"b"}}, {}}, access.Refused, "scope_missing", true, true},
		"a wrong demand":     {owner(bound()), []access.Requirement{{Scopes: []string{"a b"}}}, access.Unavailable, "unavailable", true, true},
		"no credentials":     {get("", ""), nil, access.Refused, "credentials_missing", false, false},
		"no proof":           {get("DPoP "+good, ""), nil, access.Refused, "proof_missing", false, false},
		// What a token claims is heard of only when its signature is good: whoever makes tokens up cannot fill the
		// logs and metrics with names.
		"a forged token":  {owner(bound(func(p *poptest.Token) { p.Key = thief })), nil, access.Refused, "token_signature_invalid", false, false},
		"a thief's proof": {get("DPoP "+good, poptest.Proof{Token: good, Key: thief}.String()), nil, access.Refused, "key_mismatch", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			s := newGuard(t, hears(&heard))
			test.request.Pattern = "GET /accounts"
			_, err := s.Check(test.request, test.demands...)
			if len(heard) != 1 {
				t.Fatalf("%d decisions", len(heard))
			}
			d := heard[0]
			if d.Outcome() != test.outcome || d.Reason() != test.reason || (err == nil) != (d.Outcome() == access.Accepted) {
				t.Errorf("%s %q, want %s %q; error %v", d.Outcome(), d.Reason(), test.outcome, test.reason, err)
			}
			if (d.Issuer == poptest.Issuer) != test.client || (d.ClientID == "client-1") != test.client {
				t.Errorf("issuer %q, client %q", d.Issuer, d.ClientID)
			}
			if (d.Thumbprint == poptest.ClientKey().Thumbprint()) != test.sender || !test.sender && d.Thumbprint != "" {
				t.Errorf("thumbprint %q", d.Thumbprint)
			}
			if d.Route != "GET /accounts" || d.Method != "GET" || !d.Began.Equal(poptest.Now) {
				t.Errorf("%+v", d)
			}
		})
	}
}

// RS-181: whoever makes up a method, without any credentials, does not fill the log with it.
func TestDecisionOfAMadeUpMethod(t *testing.T) {
	for method, want := range map[string]string{
		"GET":                          "GET",
		"UPDATEREDIRECTREF":            "UPDATEREDIRECTREF",
		strings.Repeat("HOSTILE", 5e4): "HOSTILEHOSTILEHOSTILEHOSTILEHOST",
	} {
		r := get("", "")
		r.Method = method
		var heard []access.Decision
		_, err := newGuard(t, hears(&heard)).Check(r)
		expect(t, err, refusal{401, "", "credentials_missing"})
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).LogAttrs(t.Context(), slog.LevelInfo, "", heard[0].Attrs()...)
		if !strings.Contains(log.String(), " method="+want+" ") || log.Len() > 1000 {
			t.Errorf("a line of %d octets for a method of %d: %.300s", log.Len(), len(method), &log)
		}
	}
}

// A known token is told from a new one, and time is that of the clock.
func TestDecisionOfAKnownToken(t *testing.T) {
	var heard []access.Decision
	s := newGuard(t, hears(&heard), func(s *setup) {
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error {
			s.clock.Advance(3 * time.Millisecond)
			return nil
		}}
	})
	token := bound()
	for i := range 2 {
		if _, err := s.Check(owner(token)); err != nil {
			t.Fatal(err)
		}
		s.WaitForCache()
		if heard[i].TokenKnown != (i == 1) || heard[i].Duration != 3*time.Millisecond {
			t.Errorf("request %d: known %t, %v", i, heard[i].TokenKnown, heard[i].Duration)
		}
	}
}

// Our own trouble has a name where its cause has one.
func TestDecisionOfOurOwnTrouble(t *testing.T) {
	full, err := dpop.NewMemory(dpop.MemoryConfig{MaxEntries: 1, Now: poptest.NewClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	var heard []access.Decision
	s := newGuard(t, hears(&heard), func(s *setup) { s.Replay = full })
	for range 2 {
		_, err = s.Check(owner(bound()))
	}
	e := expect(t, err, refusal{503, "", "replay_memory_full"})
	if d := heard[1]; d.Outcome() != access.Unavailable || d.Reason() != "replay_memory_full" || d.Refusal != e || d.ClientID != "client-1" {
		t.Errorf("%s %q %+v", d.Outcome(), d.Reason(), d)
	}
}

// A key that did not sign is no binding that the sender has proved.
func TestDecisionOfABadSignature(t *testing.T) {
	var heard []access.Decision
	s := newGuard(t, hears(&heard))
	token := bound()
	_, _ = s.Check(get("DPoP "+token, poptest.Proof{Token: token, Signer: poptest.Keyed("ES256", "thief")}.String()))
	_, _ = s.Check(owner(token))
	if len(heard) != 2 || heard[0].Reason() != "signature_invalid" || heard[0].Binding != 0 || heard[1].Binding != access.BindingDPoP {
		t.Errorf("%+v", heard)
	}
}

// A token that was taken back is told with its client, and with the reason.
func TestDecisionOfARevokedToken(t *testing.T) {
	store, err := revocation.NewMemory(revocation.Options{Now: poptest.NewClock().Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Revoke(t.Context(), revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "user-1"}); err != nil {
		t.Fatal(err)
	}
	var heard []access.Decision
	s := newGuard(t, hears(&heard), func(s *setup) { s.Revocation = store })
	_, _ = s.Check(owner(bound()))
	if len(heard) != 1 || heard[0].Reason() != "subject_revoked" || heard[0].ClientID != "client-1" {
		t.Errorf("%+v", heard)
	}
}

// Each attempt to fetch keys is heard of, with what came of it.
func TestFetchesAreObserved(t *testing.T) {
	issuer := poptest.NewIssuerServer(t)
	var fetches []access.Fetch
	s := newGuard(t, func(s *setup) {
		s.Issuers = []access.Issuer{{URL: issuer.URL(), Audience: poptest.Audience}}
		s.HTTPClient = issuer.Client()
		s.Observer.Fetched = func(f access.Fetch) { fetches = append(fetches, f) }
	})
	issuer.SetFailing(true)
	_, err := s.Check(ownerOf(issuer, poptest.Token{}))
	expect(t, err, refusal{503, "", "keys_unreachable"})
	issuer.SetFailing(false)
	s.clock.Advance(11 * time.Second)
	if _, err := s.Check(ownerOf(issuer, poptest.Token{})); err != nil {
		t.Fatal(err)
	}
	if len(fetches) != 2 || reason.Of(fetches[0].Err) == "" || fetches[1].Err != nil || fetches[0].Issuer != issuer.URL() {
		t.Errorf("%+v", fetches)
	}
}

// The line of a decision has the thumbprint by which the sender proved to be itself, the alert, and what an observer broke.
func TestLineOfADecision(t *testing.T) {
	own := poptest.NewCA(t).Issue(t, "client")
	x5t := poptest.X5T(own.Leaf)
	token := bound(named...)
	for name, test := range map[string]struct {
		r             *http.Request
		want, without string
	}{
		"a key":              {owner(bound()), "thumbprint=" + poptest.ClientKey().Thumbprint(), "alert="},
		"a certificate":      {with(get("Bearer "+poptest.Token{X5T: x5t}.String(), ""), own), "thumbprint=" + x5t, "alert="},
		"no certificate":     {get("Bearer "+poptest.Token{X5T: x5t}.String(), ""), `thumbprint=""`, "binding="},
		"a stolen token":     {get("Bearer "+token, ""), "alert=bound_token_as_bearer", "binding="},
		"what broke is told": {owner(bound()), `"Observer.Decided failed"`, "alert="},
		"and a route's name": {owner(bound()), `"Route failed"`, "alert="},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			s := newGuard(t, accepting(func(s *setup) {
				s.Log, s.LogAccepted = slog.New(slog.NewTextHandler(&log, nil)), true
				if strings.Contains(test.want, "failed") {
					s.Observer.Decided = func(context.Context, access.Decision) { panic("a bug") }
					s.Config.Route = func(*http.Request) string { panic("a bug") }
				}
			}))
			_, _ = s.Check(test.r)
			if text := log.String(); !strings.Contains(text, test.want) || strings.Contains(text, test.without) || strings.Contains(text, "OnAlert failed") {
				t.Errorf("want %s, not %s: %s", test.want, test.without, text)
			}
		})
	}
}

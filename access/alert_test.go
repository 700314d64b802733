package access_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

// alerts collects alerts, and what the log says at Warn and above.
type alerts struct {
	heard []access.Alert
	log   bytes.Buffer
}

func (a *alerts) install(s *setup) {
	s.Log = slog.New(slog.NewTextHandler(&a.log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s.OnAlert = func(_ context.Context, alert access.Alert) { a.heard = append(a.heard, alert) }
}

var named = []func(*poptest.Token){claim("jti", "t-1"), claim("sid", "s-1")}

// thiefProof is a proof for a token with the key of somebody else.
func thiefProof(token string) string {
	return poptest.Proof{Token: token, Key: poptest.Keyed("ES256", "thief")}.String()
}

// Which requests raise an alert. The token has been used by its owner before, unless the case says otherwise.
func TestAlerts(t *testing.T) {
	ca := poptest.NewCA(t)
	own, other := ca.Issue(t, "client"), ca.Issue(t, "client")
	token := bound(named...)
	withCertificate := poptest.Token{X5T: poptest.X5T(own.Leaf)}
	for _, change := range named {
		change(&withCertificate)
	}
	certified := withCertificate.String()
	key, thief := poptest.ClientKey().Thumbprint(), poptest.Keyed("ES256", "thief").Thumbprint()
	forged := bound(func(p *poptest.Token) { p.Key = poptest.Keyed("ES256", "thief") })
	expired := bound(claim("exp", poptest.Now.Unix()-11))
	used := poptest.Proof{Token: token}.String()
	for name, test := range map[string]struct {
		r      *http.Request
		first  bool // nobody has used the token before
		reason string
		want   access.Alert // zero: none
	}{
		"as Bearer": {get("Bearer "+token, ""), true, "bound_token_as_bearer", access.Alert{Kind: "bound_token_as_bearer", Bound: key}},
		"as Bearer, with a broken proof": {get("Bearer "+token, "x"), false, "jws_malformed",
			access.Alert{Kind: "bound_token_as_bearer", Bound: key}},
		"as Bearer, in the query too": {withURL(get("Bearer "+token, ""), poptest.URL+"?access_token=x"), false, "token_sent_twice",
			access.Alert{Kind: "bound_token_as_bearer", Bound: key}},
		"another key": {get("DPoP "+token, thiefProof(token)), true, "key_mismatch",
			access.Alert{Kind: "key_mismatch", Bound: key, Presented: thief}},
		"no proof":       {get("DPoP "+token, ""), false, "proof_missing", access.Alert{Kind: "proof_missing", Bound: key}},
		"no certificate": {get("Bearer "+certified, ""), true, "certificate_missing", access.Alert{Kind: "certificate_missing", Bound: poptest.X5T(own.Leaf)}},
		"another certificate": {with(get("Bearer "+certified, ""), other), true, "certificate_mismatch",
			access.Alert{Kind: "certificate_mismatch", Bound: poptest.X5T(own.Leaf), Presented: poptest.X5T(other.Leaf), Proven: true}},

		"no proof, a token that is not known": {get("DPoP "+token, ""), true, "proof_missing", access.Alert{}},
		"a broken proof, and not known":       {get("Bearer "+token, "x"), true, "jws_malformed", access.Alert{}},
		"a forged token":                      {get("DPoP "+forged, thiefProof(forged)), true, "token_signature_invalid", access.Alert{}},
		"an expired token":                    {get("Bearer "+expired, ""), true, "token_expired", access.Alert{}},
		"an unbound token":                    {get("Bearer "+poptest.Token{}.String(), ""), true, "token_unbound", access.Alert{}},
		"a broken proof under DPoP":           {get("DPoP "+token, "x"), false, "jws_malformed", access.Alert{}},
		"a proof of yesterday":                {get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: poptest.Now.Add(-24 * time.Hour)}.String()), false, "iat_too_old", access.Alert{}},
		"a proof used before":                 {get("DPoP "+token, used), false, "proof_replayed", access.Alert{}},
		"the owner":                           {owner(token), false, "", access.Alert{}},
		"no token":                            {get("", thiefProof(token)), false, "credentials_missing", access.Alert{}},
	} {
		t.Run(name, func(t *testing.T) {
			var a alerts
			var decisions []access.Decision
			s := newGuard(t, a.install, hears(&decisions), accepting(nil))
			if !test.first {
				if _, err := s.Check(get("DPoP "+token, used)); err != nil {
					t.Fatal(err)
				}
				s.WaitForCache()
				decisions = nil
			}
			test.r.Pattern = "GET /accounts"
			_, _ = s.Check(test.r)
			if len(decisions) != 1 || decisions[0].Reason() != test.reason || decisions[0].Alert != test.want.Kind {
				t.Errorf("decisions %+v", decisions)
			}
			if test.want.Kind == "" {
				if len(a.heard) != 0 || strings.Contains(a.log.String(), "sender") {
					t.Errorf("heard %+v, log %s", a.heard, &a.log)
				}
				return
			}
			if len(a.heard) != 1 {
				t.Fatalf("heard %+v", a.heard)
			}
			got := a.heard[0]
			if got.Kind != test.want.Kind || got.Bound != test.want.Bound || got.Presented != test.want.Presented || got.Proven != test.want.Proven {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			if got.Token.ID != "t-1" || got.Token.Session != "s-1" || got.Token.Subject != "user-1" || got.Token.Client != "client-1" ||
				got.Route != "GET /accounts" || got.Address != netip.MustParseAddr("192.0.2.1") || !got.Time.Equal(poptest.Now) || got.Count != 1 {
				t.Errorf("got %+v", got)
			}
			for _, want := range []string{"level=WARN", "kind=" + got.Kind, "jti=t-1", "sid=s-1", "sub=user-1", "client=client-1",
				"bound=" + got.Bound, "address=192.0.2.1", `route="GET /accounts"`, "count=1"} {
				if !strings.Contains(a.log.String(), want) {
					t.Errorf("%q is not in the log: %s", want, &a.log)
				}
			}
		})
	}
}

// The log hears of the subject in the form that is set, and OnAlert as the token says it, to take the token back by.
func TestAlertNamesTheSubject(t *testing.T) {
	var a alerts
	s := newGuard(t, a.install, func(s *setup) { s.LogSubject = access.SubjectHashed })
	_, err := s.Check(get("Bearer "+bound(), ""))
	expect(t, err, refusal{401, "invalid_token", "bound_token_as_bearer"})
	if len(a.heard) != 1 || a.heard[0].Token.Subject != "user-1" {
		t.Errorf("heard %+v", a.heard)
	}
	if log := a.log.String(); strings.Contains(log, "user-1") || !strings.Contains(log, "sub="+access.SubjectHashed.Of("user-1")) {
		t.Errorf("the log says %s", log)
	}
}

// accepting takes certificates as well.
func accepting(more func(*setup)) func(*setup) {
	return func(s *setup) {
		s.Certificates = mtls.FromTLS
		if more != nil {
			more(s)
		}
	}
}

// One alert for a token and kind within a minute; the next one counts what came between.
func TestAlertsAreCounted(t *testing.T) {
	var a alerts
	var decisions []access.Decision
	s := newGuard(t, a.install, hears(&decisions))
	token, second := bound(named...), bound()
	steal := func(token string, times int) {
		for range times {
			_, _ = s.Check(get("Bearer "+token, ""))
		}
	}
	steal(token, 3)
	steal(second, 1)
	_, _ = s.Check(get("DPoP "+token, thiefProof(token)))
	s.clock.Advance(time.Minute - 1)
	steal(token, 1)
	s.clock.Advance(1)
	steal(token, 1)
	var got []int
	for _, alert := range a.heard {
		got = append(got, alert.Count)
	}
	if len(got) != 4 || got[0] != 1 || got[1] != 1 || got[2] != 1 || got[3] != 4 || a.heard[2].Kind != "key_mismatch" {
		t.Errorf("counts %v", got)
	}
	if strings.Count(a.log.String(), "level=WARN") != 4 {
		t.Errorf("log: %s", &a.log)
	}
	for _, d := range decisions {
		if d.Alert == "" {
			t.Errorf("a decision without it: %+v", d)
		}
	}
}

// What raises no alert costs no signature and asks nobody.
func TestAlertsAskNobody(t *testing.T) {
	asked := 0
	s := newGuard(t, new(alerts).install, func(s *setup) {
		s.Wrap = func(next access.Validator) access.Validator {
			return access.ValidatorFunc(func(ctx context.Context, token string) (*access.Token, error) {
				asked++
				return next.ValidateToken(ctx, token)
			})
		}
	})
	for _, r := range []*http.Request{get("DPoP "+bound(), ""), get("Bearer "+bound(), "x"), get("DPoP "+strings.Repeat("a", 1<<20), "")} {
		if _, err := s.Check(r); err == nil || asked != 0 {
			t.Errorf("asked %d times, error %v", asked, err)
		}
	}
}

// A hook that panics harms nobody, and neither does an address that cannot be found.
func TestAlertHookPanics(t *testing.T) {
	var a alerts
	s := newGuard(t, a.install, func(s *setup) {
		s.OnAlert = func(context.Context, access.Alert) { panic("hook") }
		s.Address = func(*http.Request) (netip.Addr, error) { panic("address") }
	})
	_, err := s.Check(get("Bearer "+bound(named...), ""))
	expect(t, err, refusal{401, "invalid_token", "bound_token_as_bearer"})
	if !strings.Contains(a.log.String(), "OnAlert failed") || !strings.Contains(a.log.String(), `address=""`) {
		t.Errorf("log: %s", &a.log)
	}
}

// The memory of alerts is bounded: a token that was forgotten raises one again.
func TestAlertsAreBounded(t *testing.T) {
	alarms := access.NewAlarms()
	for i := range 2 * access.MaxAlarms {
		if alarms.Count(string([]byte{byte(i), byte(i >> 8), byte(i >> 16)}), poptest.Now) != 1 {
			t.Fatal("a new one was not told")
		}
		if kept := alarms.Len(); kept > access.MaxAlarms {
			t.Fatalf("%d are kept", kept)
		}
	}
}

// A clock that is set back keeps nobody from hearing of what goes on, nor from reacting to it.
func TestAlertsWhenTheClockIsSetBack(t *testing.T) {
	alarms := access.NewAlarms()
	store := new(counting)
	react, err := access.React{By: revocation.ByToken, Store: store, MaxPerMinute: 1, Log: slog.New(slog.DiscardHandler)}.OnAlert()
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		to    time.Duration
		count int // of requests that an alert is about
		done  int // reactions altogether
	}{
		{0, 1, 1}, {0, 0, 1}, {-time.Second, 0, 1}, {-time.Hour, 3, 2}, {-time.Hour, 0, 2}, {-59 * time.Minute, 2, 3},
	} {
		now := poptest.Now.Add(step.to)
		if count := alarms.Count("token", now); count != step.count {
			t.Errorf("at %v: an alert about %d, want %d", step.to, count, step.count)
		}
		react(t.Context(), access.Alert{Token: revocation.Token{Issuer: poptest.Issuer, ID: "t-1"}, Time: now})
		if len(store.entries) != step.done {
			t.Errorf("at %v: %d reactions, want %d", step.to, len(store.entries), step.done)
		}
	}
}

// What a reaction takes back: what the token says, and never what the stranger presented.
func TestReact(t *testing.T) {
	thief := poptest.Keyed("ES256", "thief")
	for name, test := range map[string]struct {
		by       revocation.By
		reason   string // for which the owner is refused afterwards; empty: it is not
		sameKey  string // the same of another token of the same key
		sameSess string // and of another token of the same session, of another key
	}{
		"tell only":   {0, "", "", ""},
		"the token":   {revocation.ByToken, "token_revoked", "", ""},
		"the session": {revocation.BySession, "session_revoked", "", "session_revoked"},
		"the key":     {revocation.ByKey, "key_revoked", "key_revoked", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var a alerts
			s := newGuard(t, a.install, func(s *setup) {
				store := newRevocations(t, s)
				s.Revocation = store
				var err error
				if s.OnAlert, err = (access.React{By: test.by, Store: store, Log: s.Log}).OnAlert(); err != nil {
					t.Fatal(err)
				}
			})
			token := bound(named...)
			_, err := s.Check(get("DPoP "+token, thiefProof(token)))
			expect(t, err, refusal{401, "invalid_token", "key_mismatch"})
			if test.by != 0 && !strings.Contains(a.log.String(), "taken back after an alert") {
				t.Errorf("log: %s", &a.log)
			}
			thiefs := poptest.Token{JKT: thief.Thumbprint()}.String()
			sessions := poptest.Token{JKT: thief.Thumbprint(), Claims: map[string]any{"sid": "s-1"}}.String()
			s.clock.Advance(20 * time.Second)
			for _, check := range []struct {
				r    *http.Request
				want string
			}{
				{owner(token), test.reason},
				{owner(bound()), test.sameKey},
				{owner(bound(claim("iat", poptest.Now.Unix()+11))), ""}, // issued since
				{get("DPoP "+sessions, thiefProof(sessions)), test.sameSess},
				{get("DPoP "+thiefs, thiefProof(thiefs)), ""}, // whose key was presented
			} {
				if _, err := s.Check(check.r); reason.Of(err) != check.want {
					t.Errorf("%v, want %q", err, check.want)
				}
			}
		})
	}
}

// A token that is bound to a certificate alone is taken back by that.
func TestReactByCertificate(t *testing.T) {
	own := poptest.NewCA(t).Issue(t, "client")
	s := newGuard(t, accepting(func(s *setup) {
		store := newRevocations(t, s)
		s.Revocation = store
		s.OnAlert, _ = access.React{By: revocation.ByKey, Store: store, Log: s.Log}.OnAlert()
	}))
	token := poptest.Token{X5T: poptest.X5T(own.Leaf)}.String()
	_, err := s.Check(get("Bearer "+token, ""))
	expect(t, err, refusal{401, "invalid_token", "certificate_missing"})
	_, err = s.Check(with(get("Bearer "+token, ""), own))
	expect(t, err, refusal{401, "invalid_token", "certificate_revoked"})
}

// An issuer's clock may be ahead by as much as the Guard bears: what it has issued until now is taken back all the same, and
// what it issues later is not.
func TestReactWhereTheIssuersClockIsAhead(t *testing.T) {
	s := newGuard(t, func(s *setup) {
		store := newRevocations(t, s)
		s.Revocation, s.Leeway = store, time.Minute
		s.OnAlert, _ = access.React{By: revocation.ByKey, Store: store, Log: s.Log}.OnAlert()
	})
	token := bound(claim("iat", poptest.Now.Unix()+59))
	_, err := s.Check(get("DPoP "+token, thiefProof(token)))
	expect(t, err, refusal{401, "invalid_token", "key_mismatch"})
	_, err = s.Check(owner(token))
	expect(t, err, refusal{401, "invalid_token", "key_revoked"})
	s.clock.Advance(2 * time.Second)
	if _, err := s.Check(owner(bound(claim("iat", poptest.Now.Unix()+61)))); err != nil {
		t.Error(err)
	}
}

// counting is a store that counts what is revoked.
type counting struct {
	revocation.Store
	entries []revocation.Entry
	ctx     error
}

func (c *counting) Revoke(ctx context.Context, e revocation.Entry) error {
	c.entries, c.ctx = append(c.entries, e), ctx.Err()
	return nil
}

// A flood does not fill the store, and the client cannot call a reaction off by leaving.
func TestReactIsBounded(t *testing.T) {
	store := new(counting)
	var log bytes.Buffer
	react, err := access.React{By: revocation.ByToken, Store: store, MaxPerMinute: 2, Log: slog.New(slog.NewTextHandler(&log, nil))}.OnAlert()
	if err != nil {
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	alert := access.Alert{Token: revocation.Token{Issuer: poptest.Issuer, ID: "t-1"}, Time: poptest.Now}
	for range 3 {
		react(gone, alert)
	}
	if len(store.entries) != 2 || store.ctx != nil || !strings.Contains(log.String(), "2 have been taken back within a minute") {
		t.Errorf("%d entries, context %v, log %s", len(store.entries), store.ctx, &log)
	}
	alert.Time = alert.Time.Add(time.Minute)
	react(gone, alert)
	alert.Token.ID = "" // of a token without jti there is nothing to take back
	react(gone, alert)
	if len(store.entries) != 3 || !strings.Contains(log.String(), "no property by which to take back its token") {
		t.Errorf("%d entries, log %s", len(store.entries), &log)
	}
}

func TestReactErrors(t *testing.T) {
	store := new(counting)
	for name, test := range map[string]struct {
		react access.React
		want  string
	}{
		"no store":         {access.React{By: revocation.ByToken}, "Store is nil"},
		"a nil store":      {access.React{By: revocation.ByToken, Store: (*counting)(nil)}, "Store holds a nil"},
		"all of a client":  {access.React{By: revocation.ByClient, Store: store}, "By is client"},
		"all of a subject": {access.React{By: revocation.BySubject, Store: store}, "By is subject"},
		"less than none":   {access.React{By: revocation.ByToken, Store: store, MaxPerMinute: -1}, "MaxPerMinute is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			hook, err := test.react.OnAlert()
			if err == nil || hook != nil || !strings.HasPrefix(err.Error(), "access.React: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// What a policy says of a request whose sender has proved to be itself is no alert, whichever cause it gives.
func TestPolicyRaisesNoAlert(t *testing.T) {
	var a alerts
	s := newGuard(t, a.install, func(s *setup) {
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return access.ErrKeyMismatch }}
	})
	_, err := s.Check(owner(bound()))
	expect(t, err, refusal{401, "invalid_token", "key_mismatch"})
	if len(a.heard) != 0 {
		t.Errorf("heard %+v", a.heard)
	}
}

// Nobody has stolen what is bound to nobody, or is good no longer: no alert is raised about it.
func TestNoAlertAboutWhatIsWorthNothing(t *testing.T) {
	unbound, short := poptest.Token{}, poptest.Token{JKT: poptest.ClientKey().Thumbprint(), Lifetime: time.Minute}
	for name, test := range map[string]struct {
		token  poptest.Token
		scheme string
		after  func(s *setup, issuer *poptest.IssuerServer)
	}{
		"an unbound token":     {unbound, "Bearer ", func(*setup, *poptest.IssuerServer) {}},
		"one that has expired": {short, "DPoP ", func(s *setup, _ *poptest.IssuerServer) { s.clock.Advance(2 * time.Minute) }},
		"one of a key withdrawn": {short, "DPoP ", func(s *setup, issuer *poptest.IssuerServer) {
			k2 := poptest.Keyed("ES256", "k2")
			issuer.SetKeys(map[string]*poptest.Key{"k2": k2})
			s.clock.Advance(61 * time.Second) // past the cooldown, within the leeway
			next := issuer.Token(poptest.Token{KeyID: "k2", JKT: poptest.ClientKey().Thumbprint(), IssuedAt: s.clock.Now()})
			if _, err := s.Check(s.request(next)); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var a alerts
			issuer := poptest.NewIssuerServer(t)
			s := newGuard(t, a.install, func(s *setup) {
				s.Issuers = []access.Issuer{{URL: issuer.URL(), Audience: poptest.Audience}}
				s.HTTPClient, s.InsecureAllowBearer = issuer.Client(), true
			})
			token := issuer.Token(test.token)
			if _, err := s.Check(get(test.scheme+token, map[bool]string{true: poptest.Proof{Token: token}.String()}[test.scheme == "DPoP "])); err != nil {
				t.Fatal(err)
			}
			s.WaitForCache()
			test.after(s, issuer)
			_, err := s.Check(get("DPoP "+token, ""))
			expect(t, err, refusal{401, "invalid_dpop_proof", "proof_missing"})
			if len(a.heard) != 0 {
				t.Errorf("heard %+v", a.heard)
			}
		})
	}
}

// What a policy answers a bearer token in its own words, without a cause, is an answer and no alert.
func TestPolicysOwnAnswerToABearerToken(t *testing.T) {
	var a alerts
	s := newGuard(t, a.install, func(s *setup) {
		s.InsecureAllowBearer = true
		s.Policies = []access.Policy{func(*http.Request, *access.Grant) error { return &access.Error{Status: 403} }}
	})
	_, err := s.Check(get("Bearer "+poptest.Token{}.String(), ""))
	expect(t, err, refusal{403, "", ""})
	if len(a.heard) != 0 {
		t.Errorf("heard %+v", a.heard)
	}
}

// An alert is told by the log alone where nothing else is set, and a reaction without a log of its own by the default one.
func TestAlertsWithDefaults(t *testing.T) {
	var a alerts
	s := newGuard(t, a.install, func(s *setup) { s.OnAlert = nil })
	_, _ = s.Check(get("Bearer "+bound(named...), ""))
	if log := a.log.String(); !strings.Contains(log, "bound token without its sender") || strings.Contains(log, "OnAlert failed") {
		t.Errorf("the log says %s", log)
	}
	store := failingRevocations{errors.New("no way through")}
	react, err := access.React{By: revocation.ByToken, Store: store}.OnAlert()
	if err != nil {
		t.Fatal(err)
	}
	react(t.Context(), access.Alert{Token: revocation.Token{Issuer: poptest.Issuer, ID: "t-1"}, Time: poptest.Now})

	var log bytes.Buffer
	react, err = access.React{By: revocation.ByToken, Store: store, Log: slog.New(slog.NewTextHandler(&log, nil))}.OnAlert()
	if err != nil {
		t.Fatal(err)
	}
	react(t.Context(), access.Alert{Token: revocation.Token{Issuer: poptest.Issuer, ID: "t-1"}, Time: poptest.Now})
	if !strings.Contains(log.String(), "nothing was taken back") || !strings.Contains(log.String(), "no way through") {
		t.Errorf("the log says %s", &log)
	}
}

// failingRevocations is a store that takes nothing.
type failingRevocations struct{ error }

func (f failingRevocations) Revoke(context.Context, revocation.Entry) error { return f.error }
func (f failingRevocations) Revoked(context.Context, revocation.Token) (*revocation.Entry, error) {
	return nil, f.error
}
func (failingRevocations) Retention() revocation.Retention { return revocation.Retention{} }

// A known token that a page of another origin sends along in a cookie is told as what it is: a bound token elsewhere.
func TestAlertAboutAKnownTokenElsewhere(t *testing.T) {
	var a alerts
	s := newGuard(t, a.install, takes(readsElsewhere()))
	token := bound(named...)
	if _, err := s.Check(owner(token)); err != nil {
		t.Fatal(err)
	}
	s.WaitForCache()
	_, err := s.Check(method("POST", inCookie(token, "Sec-Fetch-Site", "cross-site")))
	expect(t, err, refusal{403, "", "cross_origin"})
	if len(a.heard) != 1 || a.heard[0].Kind != "bound_token_elsewhere" {
		t.Errorf("heard %+v", a.heard)
	}
}

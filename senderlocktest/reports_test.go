package senderlocktest_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
	"github.com/senderlock/senderlock/senderlocktest"
)

// told is an API that hears from its issuer who has logged out, with a token of alice in session s-1 that is good still.
type told struct {
	*world
	logout  *events.BackChannelLogout
	signals *events.SharedSignals
	token   string
}

func newTold(t *testing.T) *told {
	var store *revocation.Memory
	w := &told{world: newWorld(t, func(c *access.Config) {
		var err error
		if store, err = revocation.NewMemory(revocation.Options{Now: c.Now}); err != nil {
			t.Fatal(err)
		}
		c.Revocation = store
	})}
	provider := events.Provider{URL: w.issuer.URL(), Log: slog.New(slog.DiscardHandler), Now: w.clock.Now}
	var err error
	w.logout, err = events.NewBackChannelLogout(events.BackChannelLogoutConfig{
		Provider: provider, ClientIDs: []string{"client-1"}, Store: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.logout.Close() })
	w.signals, err = events.NewSharedSignals(events.SharedSignalsConfig{
		Provider: provider, Audiences: []string{senderlocktest.Origin}, Store: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.signals.Close() })
	w.token = w.login("s-1")
	if _, err := w.check(w.client, w.token); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *told) login(session string) string {
	return w.issuer.Token(senderlocktest.Token{
		Client: w.client, Subject: "alice", Session: session, Claims: map[string]any{"jti": "t-" + session},
	})
}

// after is why a token of alice's is refused.
func (w *told) after(token string) string {
	_, err := w.check(w.client, token)
	return reason.Of(err)
}

// A logout token ends the session or the user that it names, what came before it alone.
func TestLogoutToken(t *testing.T) {
	for name, c := range map[string]struct {
		logout       senderlocktest.Logout
		first, other string // why the tokens of both sessions are refused
	}{
		"of the session":         {senderlocktest.Logout{Subject: "alice", Session: "s-1"}, "session_revoked", ""},
		"of the session alone":   {senderlocktest.Logout{Session: "s-1", Claims: map[string]any{"sub": nil}}, "session_revoked", ""},
		"of the user":            {senderlocktest.Logout{Subject: "alice"}, "subject_revoked", "subject_revoked"},
		"of somebody else":       {senderlocktest.Logout{}, "", ""},
		"for several clients":    {senderlocktest.Logout{Subject: "alice", Claims: map[string]any{"aud": []string{"x", "client-1"}}}, "subject_revoked", "subject_revoked"},
		"with a claim of theirs": {senderlocktest.Logout{Subject: "alice", Claims: map[string]any{"trace": 1}}, "subject_revoked", "subject_revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTold(t)
			other := w.login("s-2")
			form := url.Values{"logout_token": {w.issuer.LogoutToken(c.logout)}}.Encode()
			if code := post(w.logout, "application/x-www-form-urlencoded", form); code != http.StatusOK {
				t.Fatalf("answered %d", code)
			}
			if first, second := w.after(w.token), w.after(other); first != c.first || second != c.other {
				t.Errorf("refused for %q and %q", first, second)
			}
			w.clock.Advance(time.Minute)
			if again := w.after(w.login("s-3")); again != "" {
				t.Errorf("a new login is refused for %q", again)
			}
		})
	}
}

// A security event token ends what its event ends.
func TestSecurityEventToken(t *testing.T) {
	opaque := map[string]any{"format": "opaque", "id": "alice"}
	for name, c := range map[string]struct {
		event senderlocktest.SecurityEvent
		after string
	}{
		"sessions of the user": {senderlocktest.SecurityEvent{Subject: "alice"}, "subject_revoked"},
		"the session":          {senderlocktest.SecurityEvent{Subject: "alice", Session: "s-1"}, "session_revoked"},
		"another session":      {senderlocktest.SecurityEvent{Subject: "alice", Session: "s-2"}, ""},
		"somebody else":        {senderlocktest.SecurityEvent{}, ""},
		"another event":        {senderlocktest.SecurityEvent{Subject: "alice", Type: events.AccountDisabled}, "subject_revoked"},
		"another format":       {senderlocktest.SecurityEvent{Claims: map[string]any{"sub_id": opaque}}, "subject_revoked"},
		"a new password":       {credential("update"), "subject_revoked"},
		"a password beside it": {credential("create"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTold(t)
			if code := post(w.signals, "application/secevent+jwt", w.issuer.SecurityEventToken(c.event)); code != http.StatusAccepted {
				t.Fatalf("answered %d", code)
			}
			if after := w.after(w.token); after != c.after {
				t.Errorf("refused for %q", after)
			}
		})
	}
}

func credential(change string) senderlocktest.SecurityEvent {
	return senderlocktest.SecurityEvent{
		Subject: "alice", Type: events.CredentialChange,
		Payload: map[string]any{"credential_type": "password", "change_type": change},
	}
}

// A subject in any format takes the place of the user, as the name of a token does.
func TestSecurityEventTokenOfToken(t *testing.T) {
	w := newTold(t)
	err := w.signals.Receive(t.Context(), w.issuer.SecurityEventToken(senderlocktest.SecurityEvent{
		Type:   events.TokenRevoked,
		Claims: map[string]any{"sub_id": map[string]any{"format": "jwt_id", "iss": w.issuer.URL(), "jti": "t-s-1"}},
	}))
	if after := w.after(w.token); err != nil || after != "token_revoked" {
		t.Errorf("refused for %q, %v", after, err)
	}
}

func post(h http.Handler, contentType, body string) int {
	r := httptest.NewRequest(http.MethodPost, senderlocktest.Origin+"/reports", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// Reports that are to be refused can be made as well.
func TestReportRefusals(t *testing.T) {
	logout := func(w *told, l senderlocktest.Logout) error {
		return w.logout.Receive(w.Context(), w.issuer.LogoutToken(l))
	}
	signal := func(w *told, e senderlocktest.SecurityEvent) error {
		return w.signals.Receive(w.Context(), w.issuer.SecurityEventToken(e))
	}
	for name, c := range map[string]struct {
		reason  string
		attempt func(*told) error
	}{
		"another application's logout": {"event_audience_wrong", func(w *told) error {
			return logout(w, senderlocktest.Logout{ClientID: "client-2"})
		}},
		"a logout of nobody": {"event_claim_wrong", func(w *told) error {
			return logout(w, senderlocktest.Logout{Claims: map[string]any{"sub": nil}})
		}},
		"a logout that comes late": {"event_expired", func(w *told) error {
			token := w.issuer.LogoutToken(senderlocktest.Logout{})
			w.clock.Advance(3 * time.Minute)
			return w.logout.Receive(w.Context(), token)
		}},
		"another issuer's logout": {"event_issuer_unknown", func(w *told) error {
			other := senderlocktest.NewIssuer(w.clock)
			defer other.Close()
			return w.logout.Receive(w.Context(), other.LogoutToken(senderlocktest.Logout{}))
		}},
		"a logout of another typ": {"event_typ_wrong", func(w *told) error {
			return logout(w, senderlocktest.Logout{Header: map[string]any{"typ": "JWT"}})
		}},
		"an event of another typ": {"event_typ_wrong", func(w *told) error {
			return signal(w, senderlocktest.SecurityEvent{Header: map[string]any{"typ": nil}})
		}},
		"an access token for a logout": {"event_typ_wrong", func(w *told) error {
			return w.logout.Receive(w.Context(), w.token)
		}},
		"an event for another receiver": {"event_audience_wrong", func(w *told) error {
			return signal(w, senderlocktest.SecurityEvent{Audience: "https://other.example.com"})
		}},
		"an event of which nothing is known": {"event_not_handled", func(w *told) error {
			return signal(w, senderlocktest.SecurityEvent{Type: "https://example.com/moved"})
		}},
		"an event of a wrong form": {"event_malformed", func(w *told) error {
			return signal(w, credential("guessed"))
		}},
		"a logout for an event": {"event_typ_wrong", func(w *told) error {
			return w.signals.Receive(w.Context(), w.issuer.LogoutToken(senderlocktest.Logout{}))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTold(t)
			if err := c.attempt(w); reason.Of(err) != c.reason {
				t.Errorf("got %v, want %s", err, c.reason)
			}
		})
	}
}

package echotest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

const (
	clientID = "client-1"
	stream   = "https://api.example.com/events"
)

// receiving is an API whose identity provider, a server of its own, reports logouts and security events to it.
type receiving struct {
	*api
	server *poptest.IssuerServer
	store  *revocation.Memory
}

func (f suite) newReceiving(t *testing.T) *receiving {
	t.Helper()
	r := &receiving{server: poptest.NewIssuerServer(t)}
	clock := poptest.NewClock()
	var err error
	if r.store, err = revocation.NewMemory(revocation.Options{Now: clock.Now}); err != nil {
		t.Fatal(err)
	}
	auth := f.newAuth(t, func(c *access.Config) {
		c.Issuers = []access.Issuer{{URL: r.server.URL(), Audience: poptest.Audience}}
		c.HTTPClient, c.Revocation, c.Now = r.server.Client(), r.store, clock.Now
	})
	r.api = f.newAPI(auth)
	provider := events.Provider{URL: r.server.URL(), HTTPClient: r.server.Client(), Now: clock.Now, Log: slog.New(slog.DiscardHandler)}
	logout, err := events.NewBackChannelLogout(events.BackChannelLogoutConfig{
		Provider: provider, ClientIDs: []string{clientID}, Store: r.store,
	})
	if err != nil {
		t.Fatal(err)
	}
	signals, err := events.NewSharedSignals(events.SharedSignalsConfig{
		Provider: provider, Audiences: []string{stream}, Store: r.store,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = logout.Close(), signals.Close() })
	r.Mount("POST", "/logout", logout)
	r.Mount("POST", "/events", signals)
	return r
}

// report signs a JWT with the provider's key.
func (r *receiving) report(typ string, claims map[string]any) string {
	claims["iss"], claims["jti"] = r.server.URL(), "j-1"
	claims["iat"] = poptest.Now.Unix()
	header, _ := json.Marshal(map[string]string{"typ": typ, "alg": "ES256", "kid": poptest.KeyID})
	payload, _ := json.Marshal(claims)
	return poptest.Compact(string(header), string(payload), poptest.IssuerKey())
}

func (r *receiving) logout(claims map[string]any) *httptest.ResponseRecorder {
	claims["aud"], claims["exp"] = clientID, poptest.Now.Add(2*time.Minute).Unix()
	claims["events"] = map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}}
	form := url.Values{"logout_token": {r.report("logout+jwt", claims)}}.Encode()
	return r.deliver("/logout", "application/x-www-form-urlencoded", form)
}

func (r *receiving) push(event string, claims map[string]any) *httptest.ResponseRecorder {
	claims["aud"], claims["events"] = stream, map[string]any{event: struct{}{}}
	return r.deliver("/events", "application/secevent+jwt", r.report("secevent+jwt", claims))
}

func (r *receiving) deliver(path, contentType, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, poptest.Audience+path, strings.NewReader(body))
	request.Header.Set("Content-Type", contentType)
	return r.serve(request)
}

// The provider reports, and the very next request with a token that was just accepted, and is cached, is refused; the
// handler does not run. Somebody else goes on.
func (f suite) TestReportsOfTheProvider(t *testing.T) {
	opaque := map[string]any{"format": "opaque", "id": "s-1"}
	user := func(r *receiving) map[string]any {
		return map[string]any{"format": "iss_sub", "iss": r.server.URL(), "sub": "user-1"}
	}
	for name, test := range map[string]struct {
		report func(*receiving) *httptest.ResponseRecorder
		status int
		reason string
	}{
		"logout of a session": {func(r *receiving) *httptest.ResponseRecorder {
			return r.logout(map[string]any{"sub": "user-1", "sid": "s-1"})
		}, 200, "session_revoked"},
		"logout of a user": {func(r *receiving) *httptest.ResponseRecorder {
			return r.logout(map[string]any{"sub": "user-1"})
		}, 200, "subject_revoked"},
		"session-revoked": {func(r *receiving) *httptest.ResponseRecorder {
			return r.push(events.SessionRevoked, map[string]any{"sub_id": opaque})
		}, 202, "session_revoked"},
		"account-disabled": {func(r *receiving) *httptest.ResponseRecorder {
			return r.push(events.AccountDisabled, map[string]any{"sub_id": user(r)})
		}, 202, "subject_revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			r := f.newReceiving(t)
			issue := func(sub, sid string) string {
				return r.server.Token(poptest.Token{
					JKT: poptest.ClientKey().Thumbprint(), Subject: sub, Claims: map[string]any{"sid": sid},
				})
			}
			token, other := issue("user-1", "s-1"), issue("user-2", "s-2")
			for range 2 {
				if w := r.serve(signed(get(poptest.URL), token, poptest.URL)); w.Code != 200 || r.ran() != 1 {
					t.Fatalf("before: %d %s", w.Code, w.Body)
				}
			}
			if w := test.report(r); w.Code != test.status {
				t.Fatalf("the provider is answered %d %s", w.Code, w.Body)
			}
			var refusal *access.Error
			r.OnError(func(_ Context, err error, usual func()) {
				refusal, _ = errors.AsType[*access.Error](err)
				usual()
			})
			w := r.serve(signed(get(poptest.URL), token, poptest.URL))
			if w.Code != 401 || !hasCode(w, "invalid_token") || r.ran() != 0 || refusal == nil || refusal.Reason() != test.reason {
				t.Errorf("after: %d %v %v", w.Code, w.Header(), refusal)
			}
			if w := r.serve(signed(get(poptest.URL), other, poptest.URL)); w.Code != 200 || r.ran() != 1 {
				t.Errorf("somebody else: %d %s", w.Code, w.Body)
			}
		})
	}
}

// The store is that of the middleware, so its troubles and refusals reach the provider, and nothing is revoked by a
// token that is not the provider's.
func (f suite) TestReportsThatFail(t *testing.T) {
	r := f.newReceiving(t)
	w := r.deliver("/logout", "application/x-www-form-urlencoded", "logout_token=x")
	if w.Code != 400 || !strings.Contains(w.Body.String(), `"error":"invalid_request"`) {
		t.Errorf("a bad logout token: %d %s", w.Code, w.Body)
	}
	w = r.deliver("/events", "application/secevent+jwt", "x")
	if w.Code != 400 || !strings.Contains(w.Body.String(), `"err":"invalid_request"`) {
		t.Errorf("a bad event: %d %s", w.Code, w.Body)
	}
	_ = r.store.Close()
	w = r.logout(map[string]any{"sub": "user-1"})
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("store down: %d %v", w.Code, w.Header())
	}
}

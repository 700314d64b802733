package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
)

const eventsSecret = "0123456789abcdefghij"

// tokenRevoked is a security event token of the issuer that ends one access token.
func (w *world) tokenRevoked(id string) string {
	return w.Token(poptest.Token{
		Audience: "events", IssuedAt: time.Now(), Header: map[string]any{"typ": "secevent+jwt"},
		Claims: map[string]any{
			"jti": "e-1", "sub": nil, "exp": nil, "scope": nil, "client_id": nil,
			"sub_id": map[string]any{"format": "jwt_id", "iss": w.URL(), "jti": id},
			"events": map[string]any{"https://schemas.openid.net/secevent/oauth/event-type/token-revoked": map[string]any{}},
		},
	})
}

// The provider pushes an event.
func TestPushedEvents(t *testing.T) {
	w := newWorld(t)
	p := w.start(t, env{"EVENTS_AUDIENCE": "events", "EVENTS_SECRET": eventsSecret})
	token := w.bound(claim("jti", "t1"))
	push := func(secret string) reply {
		return p.do(call{method: "POST", path: "/events", body: w.tokenRevoked("t1"), header: map[string]string{
			"Content-Type": "application/secevent+jwt", "Authorization": "Bearer " + secret,
		}})
	}
	if a := push("another secret of that length"); a.status != 400 || !strings.Contains(a.body, "authentication_failed") {
		t.Errorf("without the secret: %d %s", a.status, a.body)
	}
	if a := p.do(call{token: token}); a.status != 200 {
		t.Errorf("before the event: %d", a.status)
	}
	if a := push(eventsSecret); a.status != 202 {
		t.Errorf("with the secret: %d %s", a.status, a.body)
	}
	if a := p.do(call{token: token}); a.status != 401 {
		t.Errorf("after the event: %d", a.status)
	}
	p.decision("refused", "token_revoked")
}

// The program fetches an event, and nobody can push one.
func TestPolledEvents(t *testing.T) {
	w := newWorld(t)
	acknowledged, questions := make(chan struct{}), 0
	feed := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var q struct {
			Acks   []string `json:"ack"`
			AtOnce bool     `json:"returnImmediately"`
		}
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Header.Get("Authorization") != "Bearer "+eventsSecret || !q.AtOnce {
			t.Errorf("got %v, %+v: %v", r.Header, q, err)
		}
		sets := map[string]string{}
		switch questions++; {
		case slices.Contains(q.Acks, "e-1"):
			close(acknowledged)
		case questions == 1:
			sets["e-1"] = w.tokenRevoked("t1")
		}
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(map[string]any{"sets": sets})
	}))
	t.Cleanup(feed.Close)
	p := w.start(t, env{
		"EVENTS_AUDIENCE": "events", "EVENTS_SECRET": eventsSecret, "EVENTS_POLL_ENDPOINT": feed.URL, "EVENTS_POLL_INTERVAL": "1",
	})
	select {
	case <-acknowledged:
	case <-time.After(patience):
		t.Fatal("the event was not acknowledged")
	}
	if a := p.do(call{token: w.bound(claim("jti", "t1"))}); a.status != 401 {
		t.Errorf("after the event: %d", a.status)
	}
	p.decision("refused", "token_revoked")
	if a := p.do(call{method: "POST", path: "/events"}); a.status != 404 {
		t.Errorf("a push: %d", a.status)
	}
}

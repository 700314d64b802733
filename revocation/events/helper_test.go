package events_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

const (
	clientID  = "client-1"
	receiver  = "https://api.example.com/events"
	logoutURI = "http://schemas.openid.net/event/backchannel-logout"
	jwtType   = "application/secevent+jwt"
	form      = "application/x-www-form-urlencoded"
)

type members = map[string]any

// provider is poptest's issuer with fixed keys, under a clock that shows poptest.Now.
func provider(clock *poptest.Clock) events.Provider {
	return events.Provider{
		URL: poptest.Issuer, JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}),
		Log: slog.New(slog.DiscardHandler), Now: clock.Now,
	}
}

func newStore(t testing.TB, clock *poptest.Clock) *revocation.Memory {
	t.Helper()
	m, err := revocation.NewMemory(revocation.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// setup is a receiver of each kind over one store.
type setup struct {
	clock   *poptest.Clock
	store   *revocation.Memory
	logout  *events.BackChannelLogout
	signals *events.SharedSignals

	forLogout  events.BackChannelLogoutConfig
	forSignals events.SharedSignalsConfig
	log        *reasons
}

func newSetup(t testing.TB, changes ...func(*setup)) *setup {
	t.Helper()
	s := &setup{clock: poptest.NewClock(), log: &reasons{}}
	s.store = newStore(t, s.clock)
	p := provider(s.clock)
	p.Log = slog.New(s.log)
	s.forLogout = events.BackChannelLogoutConfig{Provider: p, ClientIDs: []string{clientID}, Store: s.store}
	s.forSignals = events.SharedSignalsConfig{Provider: p, Audiences: []string{receiver}, Store: s.store}
	for _, change := range changes {
		if change != nil {
			change(s)
		}
	}
	var err error
	if s.logout, err = events.NewBackChannelLogout(s.forLogout); err != nil {
		t.Fatal(err)
	}
	if s.signals, err = events.NewSharedSignals(s.forSignals); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.logout.Close(), s.signals.Close()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// compact signs a JWT of the given type. A nil claim is left out, like a nil header member.
func compact(header, claims members) string {
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
	return poptest.Compact(text(header), text(claims), poptest.IssuerKey())
}

func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func logoutHeader() members {
	return members{"typ": "logout+jwt", "alg": "ES256", "kid": poptest.KeyID}
}

func logoutClaims(changes ...members) members {
	claims := members{
		"iss": poptest.Issuer, "aud": clientID, "jti": "l-1",
		"iat": poptest.Now.Unix(), "exp": poptest.Now.Add(2 * time.Minute).Unix(),
		"sub": "user-1", "sid": "s-1", "events": members{logoutURI: members{}},
	}
	for _, change := range changes {
		maps.Copy(claims, change)
	}
	return claims
}

// logoutToken is a good logout token, but for the changes.
func logoutToken(changes ...members) string { return compact(logoutHeader(), logoutClaims(changes...)) }

func setHeader() members {
	return members{"typ": "secevent+jwt", "alg": "ES256", "kid": poptest.KeyID}
}

func setClaims(changes ...members) members {
	claims := members{
		"iss": poptest.Issuer, "aud": receiver, "jti": "e-1", "iat": poptest.Now.Unix(), "txn": "8675309",
		"sub_id": user(), "events": members{events.AccountDisabled: members{}},
	}
	for _, change := range changes {
		maps.Copy(claims, change)
	}
	return claims
}

// set is a good security event token, but for the changes.
func set(changes ...members) string { return compact(setHeader(), setClaims(changes...)) }

func user() members {
	return members{"format": "iss_sub", "iss": poptest.Issuer, "sub": "user-1"}
}

func opaque(id string) members { return members{"format": "opaque", "id": id} }

// one is the claim events with a single event.
func one(uri string, payload members) members {
	if payload == nil {
		payload = members{}
	}
	return members{"events": members{uri: payload}}
}

// postLogout delivers a logout token as a provider does.
func (s *setup) postLogout(token string) *httptest.ResponseRecorder {
	return serve(s.logout, request(form, url.Values{"logout_token": {token}}.Encode()))
}

// push delivers a security event token as a transmitter does.
func (s *setup) push(token string) *httptest.ResponseRecorder {
	return serve(s.signals, request(jwtType, token))
}

func request(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, receiver, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// token is an access token of user-1 in session s-1, issued at an offset from poptest.Now.
func token(issued time.Duration, changes ...func(*revocation.Token)) revocation.Token {
	t := revocation.Token{
		Issuer: poptest.Issuer, ID: "t-1", Subject: "user-1", Session: "s-1", Client: clientID,
		IssuedAt: poptest.Now.Add(issued), Expiry: poptest.Now.Add(issued + 15*time.Minute),
	}
	for _, change := range changes {
		change(&t)
	}
	return t
}

func of(subject, session string) func(*revocation.Token) {
	return func(t *revocation.Token) { t.ID, t.Subject, t.Session = "t-of-"+session, subject, session }
}

// by returns by which property a token is revoked, or "" if it is not.
func (s *setup) by(t testing.TB, tok revocation.Token) string {
	t.Helper()
	e, err := s.store.Revoked(context.Background(), tok)
	if err != nil {
		t.Fatal(err)
	}
	if e == nil {
		return ""
	}
	return e.By.String()
}

// reasons is a log of which only the reasons and messages are kept.
type reasons struct {
	mu       sync.Mutex
	reason   string
	cause    slog.Kind
	level    slog.Level
	messages []string
}

func (*reasons) Enabled(context.Context, slog.Level) bool { return true }
func (h *reasons) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h *reasons) WithGroup(string) slog.Handler          { return h }

func (h *reasons) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.messages = append(h.messages, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "reason" {
			h.reason, h.level = a.Value.String(), r.Level
		}
		if a.Key == "cause" {
			h.cause = a.Value.Kind()
		}
		return true
	})
	return nil
}

// last is the reason of the last line that had one.
func (h *reasons) last() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reason
}

func (h *reasons) heard(message string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.messages {
		if m == message {
			return true
		}
	}
	return false
}

// refused fails unless the answer has the status, the code under the given member, a description that does not
// repeat what came, and the reason in the log.
func (s *setup) refused(t *testing.T, w *httptest.ResponseRecorder, status int, member, code, reason string) {
	t.Helper()
	var body map[string]string
	if err := json.NewDecoder(bytes.NewReader(w.Body.Bytes())).Decode(&body); err != nil {
		t.Fatalf("%d, no JSON: %v %q (%s)", w.Code, err, w.Body, s.log.reason)
	}
	if w.Code != status || body[member] != code || s.log.reason != reason {
		t.Errorf("got %d %s %q, want %d %q %q", w.Code, w.Body, s.log.reason, status, code, reason)
	}
	if s.log.level != slog.LevelWarn || s.log.cause != slog.KindString {
		t.Errorf("logged at %v, the cause as %v", s.log.level, s.log.cause)
	}
	h := w.Header()
	if h.Get("Content-Type") != "application/json" || h.Get("Content-Language") != "en" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", h)
	}
	if strings.Contains(w.Body.String(), "hostile") {
		t.Errorf("the answer repeats what came: %s", w.Body)
	}
}

// failed fails unless the answer is that of our own trouble.
func (s *setup) failed(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	s.comesAgain(t, w, slog.LevelError)
}

// comesAgain fails unless the answer is 503, and logged at a level.
func (s *setup) comesAgain(t *testing.T, w *httptest.ResponseRecorder, level slog.Level) {
	t.Helper()
	if w.Code != 503 || w.Header().Get("Retry-After") != "10" || w.Header().Get("Cache-Control") != "no-store" || w.Body.Len() > 0 {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	if s.log.reason != "event_unavailable" || s.log.level != level {
		t.Errorf("logged %q at %v", s.log.reason, s.log.level)
	}
}

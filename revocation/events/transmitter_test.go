package events_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/internal/fetched"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// roundTrip is an HTTP client's way to a handler of the same process, which a bubble of synctest can wait for.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func transmitterConfig(answer func(token string, r *http.Request) *http.Response) events.TransmitterConfig {
	return events.TransmitterConfig{
		Endpoint: receiver, Issuer: poptest.Issuer, Audience: receiver, Authorization: "Bearer 01234567890123456789",
		Key: poptest.IssuerKey().Private, Algorithm: "ES256", KeyID: poptest.KeyID, Log: slog.New(slog.DiscardHandler),
		HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			response := answer(string(body), r)
			if response == nil {
				return nil, errors.New("no answer")
			}
			return response, nil
		})},
	}
}

func transmitter(t *testing.T, c events.TransmitterConfig) *events.Transmitter {
	t.Helper()
	m, err := events.NewTransmitter(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func status(code int, fields ...string) *http.Response {
	w := httptest.NewRecorder()
	for i := 0; i < len(fields); i += 2 {
		w.Header().Set(fields[i], fields[i+1])
	}
	w.WriteHeader(code)
	return w.Result()
}

// Our own receiver understands what we tell, and takes back what it names.
func TestTransmitterToOurReceiver(t *testing.T) {
	for name, test := range map[string]struct {
		what          events.Report
		session       string
		same, another string
	}{
		"a session":                   {events.ReportSession, "s-1", "session", ""},
		"the sessions of a user":      {events.ReportSession, "", "subject", "subject"},
		"a credential":                {events.ReportCredential, "s-1", "subject", "subject"},
		"a credential, without a sid": {events.ReportCredential, "", "subject", "subject"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSetup(t, func(s *setup) {
					var err error
					if s.store, err = revocation.NewMemory(revocation.Options{}); err != nil { // by the bubble's clock
						t.Fatal(err)
					}
					s.forSignals.Provider.Now, s.forSignals.Authorization = nil, "Bearer 01234567890123456789"
					s.forSignals.Store = s.store
				})
				pushed := 0
				m := transmitter(t, transmitterConfig(func(text string, r *http.Request) *http.Response {
					pushed++
					again := request(r.Header.Get("Content-Type"), text)
					again.Header.Set("Authorization", r.Header.Get("Authorization"))
					return serve(s.signals, again).Result()
				}))
				about := revocation.Token{Issuer: poptest.Issuer, Subject: "user-1", Session: test.session}
				if err := m.Tell(test.what, about, time.Now()); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				before := func(sid string) revocation.Token {
					k := token(0, of("user-1", sid))
					k.IssuedAt, k.Expiry = time.Now().Add(-time.Minute), time.Now().Add(14*time.Minute)
					return k
				}
				if got := s.by(t, before("s-1")); pushed != 1 || got != test.same {
					t.Errorf("%d deliveries; the session is revoked by %q, want %q (%s)", pushed, got, test.same, s.log.reason)
				}
				if got := s.by(t, before("s-2")); got != test.another {
					t.Errorf("another session is revoked by %q, want %q", got, test.another)
				}
			})
		})
	}
}

// What is tried again, when, and as the same token.
func TestTransmitterTriesAgain(t *testing.T) {
	for name, test := range map[string]struct {
		answers []*http.Response // nil: none; the last for ever
		want    []time.Duration  // after which it came
	}{
		"taken":       {[]*http.Response{status(202)}, []time.Duration{0}},
		"refused":     {[]*http.Response{status(400)}, []time.Duration{0}},
		"redirected":  {[]*http.Response{status(307, "Location", "https://other.example")}, []time.Duration{0}},
		"no answer":   {[]*http.Response{nil, nil, nil, status(202)}, []time.Duration{0, 1, 3, 7}},
		"its trouble": {[]*http.Response{status(503, "Retry-After", "30"), status(429), status(202)}, []time.Duration{0, 30, 32}},
		"for ever":    {[]*http.Response{status(500)}, []time.Duration{0, 1, 3, 7, 15, 31}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var came []time.Duration
				seen := map[string]bool{}
				c := transmitterConfig(func(text string, _ *http.Request) *http.Response {
					came, seen[text] = append(came, time.Since(began)/time.Second), true
					answer := test.answers[min(len(came), len(test.answers))-1]
					if answer != nil {
						answer.Body = http.NoBody
					}
					return answer
				})
				c.GiveUp = time.Minute
				m := transmitter(t, c)
				if err := m.Tell(events.ReportSession, revocation.Token{Issuer: "i", Subject: "s"}, began); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				synctest.Wait()
				if len(seen) != 1 || len(came) != len(test.want) {
					t.Fatalf("%d texts, came after %v, want %v", len(seen), came, test.want)
				}
				for i := range came {
					if came[i] != test.want[i] {
						t.Errorf("came after %v, want %v", came, test.want)
					}
				}
			})
		})
	}
}

// A provider that does not answer holds nobody up: the queue is bounded. What is lost at the end is told.
func TestTransmitterQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := transmitterConfig(func(string, *http.Request) *http.Response { return nil })
		c.Queue = 2
		var log bytes.Buffer
		c.Log = slog.New(slog.NewTextHandler(&log, nil))
		m, start := transmitter(t, c), time.Now()
		about := revocation.Token{Issuer: "i", Subject: "s"}
		var errs []error
		for range 4 {
			errs = append(errs, m.Tell(events.ReportSession, about, time.Now()))
			synctest.Wait() // the first is on its way
		}
		if errors.Join(errs[:3]...) != nil || !errors.Is(errs[3], events.ErrQueueFull) {
			t.Errorf("got %v", errs)
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("Tell waited %v", waited)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "reports were left when the transmitter was closed\" count=3") {
			t.Errorf("logged %s", log.String())
		}
	})
}

func TestTransmitterErrors(t *testing.T) {
	for want, change := range map[string]func(*events.TransmitterConfig){
		"Endpoint is":                 func(c *events.TransmitterConfig) { c.Endpoint = "http://login.example.com" },
		"Issuer or Audience is empty": func(c *events.TransmitterConfig) { c.Audience = "" },
		"Key is nil":                  func(c *events.TransmitterConfig) { c.Key = nil },
		`Algorithm is "none"`:         func(c *events.TransmitterConfig) { c.Algorithm = "none" },
		"Key does not sign":           func(c *events.TransmitterConfig) { c.Algorithm = "RS256" },
		"Queue is -1":                 func(c *events.TransmitterConfig) { c.Queue = -1 },
	} {
		c := transmitterConfig(nil)
		change(&c)
		if _, err := events.NewTransmitter(c); err == nil || !strings.HasPrefix(err.Error(), "events.TransmitterConfig: "+want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	m := transmitter(t, transmitterConfig(nil))
	if err := m.Tell(events.ReportSession, revocation.Token{Issuer: "i"}, time.Now()); err == nil {
		t.Error("a token of nobody was reported")
	}
	if err := m.Tell("x", revocation.Token{Issuer: "i", Subject: "s"}, time.Now()); err == nil {
		t.Error("an unknown report was made")
	}
}

const pyjwt = `
import json, sys, jwt
token, key, aud, iss = json.load(sys.stdin)
assert jwt.get_unverified_header(token)["typ"] == "secevent+jwt"
claims = jwt.decode(token, jwt.PyJWK(key).key, algorithms=["ES256"], audience=aud, issuer=iss, options={"require": ["iss", "aud", "iat", "jti"]})
json.dump(claims, sys.stdout)
`

// A library that others wrote, in another language, verifies what we send: PyJWT. It knows JWTs; what a security event
// token says beside that is compared here.
func TestTransmitterToPyJWT(t *testing.T) {
	if exec.Command("/usr/bin/python3", "-c", "import jwt, cryptography; jwt.PyJWK").Run() != nil {
		fetched.Missing(t, "python3-jwt is not installed")
	}
	sent := make(chan string, 1)
	m := transmitter(t, transmitterConfig(func(text string, _ *http.Request) *http.Response {
		sent <- text
		return status(202)
	}))
	at := time.Unix(1_767_323_045, 0)
	if err := m.Tell(events.ReportSession, revocation.Token{Issuer: "https://as.example", Subject: "user-1", Session: "s-1"}, at); err != nil {
		t.Fatal(err)
	}
	key := poptest.IssuerKey().JWK()
	key["alg"] = "ES256"
	input := text([]any{<-sent, key, receiver, poptest.Issuer})
	verify := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", pyjwt)
	verify.Stdin = strings.NewReader(input)
	out, err := verify.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, err.(*exec.ExitError).Stderr)
	}
	var claims struct {
		SubjectID map[string]any            `json:"sub_id"`
		Events    map[string]map[string]any `json:"events"`
		Subject   string                    `json:"sub"`
		Expiry    any                       `json:"exp"`
	}
	if err := json.Unmarshal(out, &claims); err != nil {
		t.Fatal(err)
	}
	const subject = `{"format":"complex","session":{"format":"opaque","id":"s-1"},"user":{"format":"iss_sub","iss":"https://as.example","sub":"user-1"}}`
	if text(claims.SubjectID) != subject || claims.Events[events.SessionRevoked]["event_timestamp"] != 1_767_323_045.0 ||
		len(claims.Events) != 1 || claims.Subject != "" || claims.Expiry != nil {
		t.Errorf("read %s", out)
	}
}

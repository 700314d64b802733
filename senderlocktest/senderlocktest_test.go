package senderlocktest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/senderlocktest"
)

// world is an API under test.
type world struct {
	*testing.T
	clock  *senderlocktest.Clock
	issuer *senderlocktest.Issuer
	client *senderlocktest.Client
	guard  *access.Guard
}

func newWorld(t *testing.T, changes ...func(*access.Config)) *world {
	clock := senderlocktest.NewClock()
	w := &world{T: t, clock: clock, issuer: senderlocktest.NewIssuer(clock), client: senderlocktest.NewClient(clock)}
	t.Cleanup(w.issuer.Close)
	config := senderlocktest.Config(w.issuer, clock)
	config.Certificates = mtls.FromTLS
	for _, change := range changes {
		change(&config)
	}
	var err error
	if w.guard, err = access.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.guard.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) check(client *senderlocktest.Client, token string) (*access.Grant, error) {
	return w.guard.Check(client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil), token))
}

// What a token is asked to say arrives at the handler.
func TestTokenSaysWhatItIsAsked(t *testing.T) {
	w := newWorld(t)
	grant, err := w.check(w.client, w.issuer.Token(senderlocktest.Token{
		Client: w.client, Subject: "alice", ClientID: "app", Scopes: []string{"a", "b"}, Session: "s-1",
		AuthTime: w.clock.Now().Add(-time.Minute), ACR: "mfa", Lifetime: time.Minute, Claims: map[string]any{"plan": "pro"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	var own struct {
		Plan string `json:"plan"`
	}
	if err := grant.Claims(&own); err != nil {
		t.Fatal(err)
	}
	got := []any{
		grant.Subject, grant.ClientID, grant.HasScopes("a", "b"), grant.Session, grant.ACR, own.Plan,
		grant.AuthTime.Equal(w.clock.Now().Add(-time.Minute)), grant.Expiry.Equal(w.clock.Now().Add(time.Minute)),
		grant.Binding, grant.Thumbprint,
	}
	want := []any{"alice", "app", true, "s-1", "mfa", "pro", true, true, access.BindingDPoP, w.client.Thumbprint()}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%d: got %v, want %v", i, got[i], want[i])
		}
	}
}

// What is to be refused can be made as well.
func TestRefusals(t *testing.T) {
	for name, attempt := range map[string]func(*world) error{
		"key_mismatch": func(w *world) error {
			_, err := w.check(senderlocktest.NewClient(w.clock), w.issuer.Token(senderlocktest.Token{Client: w.client}))
			return err
		},
		"token_key_unknown": func(w *world) error { // another issuer's, which says that it is ours
			forger := senderlocktest.NewIssuer(w.clock)
			defer forger.Close()
			_, err := w.check(w.client, forger.Token(senderlocktest.Token{
				Client: w.client, Claims: map[string]any{"iss": w.issuer.URL()},
			}))
			return err
		},
		"token_expired": func(w *world) error {
			token := w.issuer.Token(senderlocktest.Token{Client: w.client})
			w.clock.Advance(time.Hour)
			_, err := w.check(w.client, token)
			return err
		},
		"token_unbound": func(w *world) error {
			_, err := w.check(w.client, w.issuer.Token(senderlocktest.Token{}))
			return err
		},
		"token_audience_wrong": func(w *world) error {
			_, err := w.check(w.client, w.issuer.Token(senderlocktest.Token{Client: w.client, Audience: "https://other.example.com"}))
			return err
		},
		"token_claim_missing": func(w *world) error {
			_, err := w.check(w.client, w.issuer.Token(senderlocktest.Token{Client: w.client, Claims: map[string]any{"exp": nil}}))
			return err
		},
		"token_typ_wrong": func(w *world) error {
			_, err := w.check(w.client, w.issuer.Token(senderlocktest.Token{Client: w.client, Header: map[string]any{"typ": "JWT"}}))
			return err
		},
		"nonce_foreign": func(w *world) error {
			w = newWorld(w.T, func(c *access.Config) { c.RequireNonce = true })
			r := httptest.NewRequest("GET", senderlocktest.Origin, nil)
			_, err := w.guard.Check(w.client.SignWithNonce(r, w.issuer.Token(senderlocktest.Token{Client: w.client}), "another's"))
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := attempt(newWorld(t)); reason.Of(err) != name {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A token can be bound to a certificate, and to a key as well.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	own, other := senderlocktest.NewCertificate("client"), senderlocktest.NewCertificate("thief")
	token := w.issuer.Token(senderlocktest.Token{Client: w.client, Certificate: own.Leaf})
	r := func() *http.Request { return httptest.NewRequest("GET", senderlocktest.Origin, nil) }
	grant, err := w.guard.Check(senderlocktest.WithCertificate(w.client.Sign(r(), token), own))
	if err != nil || grant.Binding != access.BindingDPoP|access.BindingCertificate {
		t.Errorf("%v", err)
	}
	if _, err := w.guard.Check(senderlocktest.WithCertificate(w.client.Sign(r(), token), other)); reason.Of(err) != "certificate_mismatch" {
		t.Errorf("got %v", err)
	}
}

// A header is as it is asked for, as of issuers that send another.
func TestHeader(t *testing.T) {
	w := newWorld(t, func(c *access.Config) { c.Issuers[0].AcceptTypeJWT = true })
	for _, header := range []map[string]any{{"typ": "JWT"}, {"typ": nil}, {"x": "y"}} {
		if _, err := w.check(w.client, w.issuer.Token(senderlocktest.Token{Client: w.client, Header: header})); err != nil {
			t.Errorf("%v: %v", header, err)
		}
	}
}

// A key that is new is found; the old one stays good.
func TestRotateKey(t *testing.T) {
	w := newWorld(t)
	old := w.issuer.Token(senderlocktest.Token{Client: w.client})
	w.issuer.RotateKey()
	for _, token := range []string{old, w.issuer.Token(senderlocktest.Token{Client: w.client})} {
		if _, err := w.check(w.client, token); err != nil {
			t.Error(err)
		}
	}
}

// A client signs with the key that it is given, of every algorithm.
func TestClientWithKey(t *testing.T) {
	w := newWorld(t)
	for _, alg := range dpop.Algorithms() {
		key := senderlocktest.NewKey(alg)
		client := senderlocktest.NewClientWithKey(w.clock, key, alg)
		again := senderlocktest.NewClientWithKey(w.clock, key, alg)
		if client.Signer().Algorithm() != alg || client.Thumbprint() != again.Thumbprint() || client.Thumbprint() == w.client.Thumbprint() {
			t.Errorf("%s: a client with another key, or of %s", alg, client.Signer().Algorithm())
		}
		if _, err := w.check(client, w.issuer.Token(senderlocktest.Token{Client: client})); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// The issuer says where its keys are, under both names of its metadata (RFC 8414 §3, OpenID Connect Discovery §4).
func TestDiscovery(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
		resp, err := http.Get(w.issuer.URL() + "/.well-known/" + name)
		if err != nil {
			t.Fatal(err)
		}
		var metadata struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		err = json.NewDecoder(resp.Body).Decode(&metadata)
		resp.Body.Close()
		if err != nil || metadata.Issuer != w.issuer.URL() || metadata.Keys != w.issuer.URL()+"/jwks" {
			t.Errorf("%s: %+v, %v", name, metadata, err)
		}
	}
}

// A new clock shows the time of day in whole seconds, under which certificates are valid, and stays there.
func TestNewClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // its time begins with the year 2000
		time.Sleep(1500 * time.Millisecond)
		clock, want := senderlocktest.NewClock(), time.Date(2000, time.January, 1, 0, 0, 1, 0, time.UTC)
		time.Sleep(time.Hour)
		if now := clock.Now(); now != want {
			t.Errorf("it shows %v", now)
		}
		if c := senderlocktest.NewCertificate("client").Leaf; !c.NotBefore.Before(want) {
			t.Errorf("a certificate that is valid from %v", c.NotBefore)
		}
	})
	date := time.Date(2031, time.May, 4, 12, 0, 0, 0, time.UTC)
	if now := senderlocktest.NewClockAt(date).Now(); now != date {
		t.Errorf("at a date it shows %v", now)
	}
}

// The clock stands still until it is moved, and is that of tokens and proofs.
func TestClock(t *testing.T) {
	w := newWorld(t)
	token := w.issuer.Token(senderlocktest.Token{Client: w.client})
	r := w.client.Sign(httptest.NewRequest("GET", senderlocktest.Origin, nil), token)
	w.clock.Advance(2 * time.Minute)
	if _, err := w.guard.Check(r); reason.Of(err) != "iat_too_old" {
		t.Errorf("a proof of two minutes ago: %v", err)
	}
	w.clock.Advance(-2 * time.Minute)
	if _, err := w.guard.Check(r); err != nil {
		t.Error(err)
	}
}

// What cannot be made is the mistake of the test, which says so.
func TestPanics(t *testing.T) {
	for name, c := range map[string]struct {
		says string
		make func()
	}{
		"a proof for no address": {"not an absolute http or https URI", func() {
			senderlocktest.NewClient(senderlocktest.NewClock()).Sign(httptest.NewRequest("GET", "/accounts", nil), "token")
		}},
		"a key for HMAC":    {`no key for "HS256": give one of ES256, `, func() { senderlocktest.NewKey("HS256") }},
		"a key for nothing": {`no key for "": give one of ES256, `, func() { senderlocktest.NewKey("") }},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, c.says) {
					t.Errorf("panicked with %q", text)
				}
			}()
			c.make()
		})
	}
}

//go:build unix

package providers_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// What the Transmitter pushes is verified and understood by Keycloak's classes for shared signals.
func TestKeycloakReadsWhatWeTransmit(t *testing.T) {
	const audience = "https://receiver.example.com"
	port := free(t)
	key := poptest.IssuerKey()
	jwk := key.JWK()
	jwk["kid"], jwk["alg"], jwk["use"] = "ours", "ES256", "sig"
	encoded, err := json.Marshal(jwk)
	if err != nil {
		t.Fatal(err)
	}
	libraries := filepath.Join(find(t, "keycloak-*-built"), "lib", "lib")
	receiver := start(t, nil, "java", "-cp", filepath.Join(libraries, "main", "*")+":"+filepath.Join(libraries, "boot", "*"),
		"testdata/receiver/Receiver.java", port, string(encoded), poptest.Issuer, audience)
	receiver.line("listening")

	transmitter := func(key *poptest.Key) *events.Transmitter {
		m, err := events.NewTransmitter(events.TransmitterConfig{
			Endpoint: "http://127.0.0.1:" + port + "/events", Issuer: poptest.Issuer, Audience: audience,
			Key: key.Private, Algorithm: "ES256", KeyID: "ours", Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = m.Close() })
		return m
	}
	at := time.Unix(1_767_323_045, 0)
	user := revocation.Token{Issuer: "https://as.example", Subject: "user-1", Session: "s-1"}
	m := transmitter(key)
	for report, said := range map[events.Report]string{
		events.ReportSession:    "received https://schemas.openid.net/secevent/caep/event-type/session-revoked at 1767323045 of https://as.example user-1 s-1",
		events.ReportCredential: "received https://schemas.openid.net/secevent/risc/event-type/credential-compromise at 1767323045 of https://as.example user-1",
	} {
		if err := m.Tell(report, user, at); err != nil {
			t.Fatal(err)
		}
		receiver.line(said)
	}
	if err := transmitter(poptest.NewKey("ES256")).Tell(events.ReportSession, user, at); err != nil {
		t.Fatal(err)
	}
	receiver.line("refused: signature")
}

// transmits has a Poller ask Keycloak's transmitter (RFC 8936): the sessions that end there are denied here.
func (k *keycloak) transmits(t *testing.T) {
	inTime(t)
	k.post("/demo/clients", map[string]any{
		"clientId": "signals", "secret": "signals-secret", "serviceAccountsEnabled": true, "directAccessGrantsEnabled": true,
		"defaultClientScopes": []string{"basic", "ssf.read", "ssf.manage"},
		"attributes":          map[string]string{"ssf.enabled": "true", "ssf.streamAudience": k.audience, "ssf.defaultSubjects": "ALL"},
	})
	config := clientcredentials.Config{ClientID: "signals", ClientSecret: "signals-secret", TokenURL: k.tokens(t)}
	var stream struct {
		Delivery struct {
			Endpoint string `json:"endpoint_url"`
		}
	}
	k.send(config.Client(t.Context()), http.MethodPost, k.issuer+"/ssf/transmitter/streams", map[string]any{
		"delivery": map[string]string{"method": "urn:ietf:rfc:8936"}, "events_requested": []string{events.SessionRevoked},
	}, &stream)

	store, err := revocation.NewMemory(revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	receiver, err := events.NewSharedSignals(events.SharedSignalsConfig{
		Provider: events.Provider{URL: k.issuer, Log: quiet}, Audiences: []string{k.audience}, Store: store,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	source := config.TokenSource(t.Context())
	poller, err := events.NewPoller(events.PollerConfig{
		Receiver: receiver, Endpoint: stream.Delivery.Endpoint, Interval: time.Second,
		AccessToken: func(context.Context) (string, error) {
			token, err := source.Token()
			if err != nil {
				return "", err
			}
			return token.AccessToken, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = poller.Close() })

	denied := func(s login) bool {
		entry, err := store.Revoked(t.Context(), revocation.Token{
			Issuer: k.issuer, Subject: k.user("alice"), Session: s.Session, IssuedAt: s.at, Expiry: s.at.Add(5 * time.Minute),
		})
		if err != nil {
			t.Fatal(err)
		}
		return entry != nil
	}
	until := func(s login) {
		for deadline := time.Now().Add(patience); !denied(s); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the session %s ended at Keycloak, and is not denied", s.Session)
			}
		}
	}
	one, other := k.logInAlice(config), k.logInAlice(config)
	k.form(k.issuer+"/protocol/openid-connect/logout", url.Values{
		"client_id": {config.ClientID}, "client_secret": {config.ClientSecret}, "refresh_token": {one.Refresh},
	}, nil)
	until(one)
	if denied(other) {
		t.Error("the end of one session ended another")
	}
	k.post("/demo/users/"+k.user("alice")+"/logout", nil)
	until(other)
}

// login is a session of a user.
type login struct {
	Session string `json:"session_state"`
	Refresh string `json:"refresh_token"`
	at      time.Time
}

func (k *keycloak) logInAlice(client clientcredentials.Config) login {
	k.t.Helper()
	s := login{at: time.Now()}
	k.form(client.TokenURL, url.Values{
		"grant_type": {"password"}, "client_id": {client.ClientID}, "client_secret": {client.ClientSecret},
		"username": {"alice"}, "password": {"wonderland"}, "scope": {"openid"},
	}, &s)
	return s
}

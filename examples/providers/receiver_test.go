//go:build unix

package providers_test

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

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
	libraries := filepath.Join(find(t, "keycloak-*"), "lib", "lib")
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

package events_test

import (
	"log"
	"net/http"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// A server that hears from its identity provider who has logged out or was locked, on routes outside of what is
// protected, and refuses their tokens from the next request on.
func Example() {
	store, err := revocation.Open("/var/lib/api/revocations.db", revocation.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	provider := events.Provider{URL: "https://login.example.com"}
	logout, err := events.NewBackChannelLogout(events.BackChannelLogoutConfig{
		Provider: provider, ClientIDs: []string{"client-1"}, Store: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer logout.Close()
	signals, err := events.NewSharedSignals(events.SharedSignalsConfig{
		Provider: provider, Audiences: []string{"https://api.example.com/signals"}, Store: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer signals.Close()
	guard, err := access.New(access.Config{
		Origins:    []string{"https://api.example.com"},
		Issuers:    []access.Issuer{{URL: "https://login.example.com", Audience: "https://api.example.com"}},
		Revocation: store,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	mux := http.NewServeMux()
	mux.Handle("POST /backchannel-logout", logout)
	mux.Handle("POST /signals", signals)
	mux.Handle("/", guard.Handler(http.FileServer(http.Dir("accounts"))))
	log.Fatal(http.ListenAndServeTLS(":8443", "cert.pem", "key.pem", mux))
}

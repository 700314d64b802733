package codeflow_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/url"

	"golang.org/x/oauth2"
)

// PKCE by hand: the address has the hash of a secret that only whoever began the login can show.
func Example_pkce() {
	config := oauth2.Config{
		ClientID: "app", RedirectURL: "https://app.example.com/callback",
		Endpoint: oauth2.Endpoint{AuthURL: "https://login.example.com/authorize"},
	}
	verifier := oauth2.GenerateVerifier() // stays where only this browser can bring it back
	address := config.AuthCodeURL(rand.Text(), oauth2.S256ChallengeOption(verifier))

	sent, err := url.Parse(address)
	if err != nil {
		log.Fatal(err)
	}
	// When the code has come back: config.Exchange(ctx, code, oauth2.VerifierOption(verifier))

	fmt.Println(sent.Query().Get("code_challenge") == oauth2.S256ChallengeFromVerifier(verifier))
	// Output: true
}

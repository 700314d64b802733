package dpop_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/senderlock/senderlock/dpop"
)

// A proof for one request, and the server that accepts it once.
func ExampleSigner() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // package keyfile keeps one
	if err != nil {
		log.Fatal(err)
	}
	signer, err := dpop.NewSigner(key, "")
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := dpop.New(dpop.Config{
		Origins:               []string{"https://api.example.com"},
		InsecureForgetAtStart: true, // so that the example need not wait
	})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()

	const token = "the access token"
	proof, err := signer.Sign(dpop.ProofOptions{
		Method: "GET", URL: "https://api.example.com/accounts", AccessToken: token,
	})
	if err != nil {
		log.Fatal(err)
	}
	r := httptest.NewRequest("GET", "https://api.example.com/accounts", nil)
	r.Header.Set("DPoP", proof)
	accepted, err := verifier.Verify(r, token)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signer.Algorithm(), accepted.Thumbprint() == signer.Thumbprint())
	_, err = verifier.Verify(r, token)
	fmt.Println(errors.Is(err, dpop.ErrReplayed))
	// Output:
	// ES256 true
	// true
}

// A client whose requests prove its key by themselves. The server wants its nonce in each proof, so the first request is
// refused, and sent once more.
func ExampleTransport() {
	server := httptest.NewUnstartedServer(nil)
	origin := "http://" + server.Listener.Addr().String()
	verifier, err := dpop.New(dpop.Config{Origins: []string{origin}, RequireNonce: true})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
		_, err := verifier.Verify(r, token) // package access judges the token too
		fmt.Println(r.Method, r.URL, err == nil)
		if dpop.NeedsNonce(err) {
			w.Header().Set("DPoP-Nonce", verifier.Nonce())
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		}
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	server.Start()
	defer server.Close()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := dpop.NewSigner(key, "")
	if err != nil {
		log.Fatal(err)
	}
	transport, err := dpop.NewTransport(dpop.TransportConfig{
		Signer:  signer,
		Origins: []string{origin},
		Token:   func(context.Context) (string, error) { return "token-1", nil },
	})
	if err != nil {
		log.Fatal(err) // names the field and what to put there
	}
	client := &http.Client{Transport: transport}
	for range 2 {
		resp, err := client.Get(origin + "/accounts")
		if err != nil {
			log.Fatal(err)
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
	}
	// Output:
	// GET /accounts false
	// GET /accounts true
	// 200 OK
	// GET /accounts true
	// 200 OK
}

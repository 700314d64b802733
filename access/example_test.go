package access_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
)

// A whole server: two settings, and each route with what it demands.
func ExampleNew() {
	guard, err := access.New(access.Config{
		Origins: []string{"https://api.example.com"},
		Issuers: []access.Issuer{{URL: "https://login.example.com", Audience: "https://api.example.com"}},
	})
	if err != nil {
		log.Fatal(err) // names the field and what to put there
	}
	defer guard.Close()

	accounts := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "accounts of %s\n", access.GrantFrom(r.Context()).Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /accounts", guard.Handler(accounts, access.Requirement{Scopes: []string{"accounts:read"}}))
	mux.Handle("POST /transfer", guard.Handler(accounts, access.Requirement{
		Scopes: []string{"payments:write"}, MaxAuthAge: 5 * time.Minute,
	}))
	log.Fatal(http.ListenAndServeTLS(":8443", "cert.pem", "key.pem", mux))
}

// A route demands more than the group that it is in; the request is judged once. The API keeps its own tokens, in a
// table.
func ExampleGuard_Handler() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // of the client
	if err != nil {
		log.Fatal(err)
	}
	client, err := dpop.NewSigner(key, "")
	if err != nil {
		log.Fatal(err)
	}
	token, err := access.NewToken(map[string]any{
		"sub": "alice", "scope": "accounts:read", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 300,
		"cnf": map[string]any{"jkt": client.Thumbprint()},
	})
	if err != nil {
		log.Fatal(err)
	}
	guard, err := access.New(access.Config{
		Origins: []string{"https://api.example.com"},
		Tokens: access.ValidatorFunc(func(_ context.Context, text string) (*access.Token, error) {
			if text != "token-1" {
				return nil, access.ErrTokenInactive
			}
			return token, nil
		}),
		InsecureForgetAtStart: true, // so that the example need not wait
		Log:                   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	welcome := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "welcome, %s\n", access.GrantFrom(r.Context()).Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("GET /accounts", welcome)
	mux.Handle("GET /payments", guard.Handler(welcome, access.Requirement{Scopes: []string{"payments:read"}}))
	api := guard.Handler(mux)

	for _, path := range []string{"/accounts", "/payments"} {
		proof, err := client.Sign(dpop.ProofOptions{
			Method: "GET", URL: "https://api.example.com" + path, AccessToken: "token-1",
		})
		if err != nil {
			log.Fatal(err)
		}
		r := httptest.NewRequest("GET", "https://api.example.com"+path, nil)
		r.Header.Set("Authorization", "DPoP token-1")
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 welcome, alice
	// 403 {"message":"the access token lacks a required scope"}
}

// The decision in code that is no middleware. Each call judges anew, so a proof that is sent twice is found out.
func ExampleGuard_Check() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // of the client
	if err != nil {
		log.Fatal(err)
	}
	client, err := dpop.NewSigner(key, "")
	if err != nil {
		log.Fatal(err)
	}
	guard, err := access.New(access.Config{
		Origins: []string{"https://api.example.com"},
		Tokens: access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { // for the example, any is good
			return access.NewToken(map[string]any{
				"sub": "alice", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 300,
				"cnf": map[string]any{"jkt": client.Thumbprint()},
			})
		}),
		InsecureForgetAtStart: true, // so that the example need not wait
		Log:                   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		grant, err := guard.Check(r)
		if err != nil {
			guard.WriteError(w, r, err)
			return
		}
		grant.SetHeaders(w.Header())
		fmt.Fprintf(w, "accounts of %s\n", grant.Subject)
	})

	proof, err := client.Sign(dpop.ProofOptions{Method: "GET", URL: "https://api.example.com/accounts", AccessToken: "token-1"})
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		r := httptest.NewRequest("GET", "https://api.example.com/accounts", nil)
		r.Header.Set("Authorization", "DPoP token-1")
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 accounts of alice
	// 401 {"message":"the proof was already used"}
}

// A handler under test gets a grant without a Guard, a token and a proof.
func ExampleWithGrant() {
	accounts := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "accounts of %s\n", access.GrantFrom(r.Context()).Subject)
	}
	r := httptest.NewRequest("GET", "/accounts", nil)
	r = r.WithContext(access.WithGrant(r.Context(), &access.Grant{Token: access.Token{Subject: "alice"}}))
	w := httptest.NewRecorder()
	accounts(w, r)
	fmt.Print(w.Body)
	// Output:
	// accounts of alice
}

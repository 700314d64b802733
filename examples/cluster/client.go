package main

import (
	"context"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// client returns what is for all requests to the API. None leaves this machine.
func (s *stage) client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: keeper{&s.nonce}}
}

// keeper keeps the newest nonce.
type keeper struct{ nonce *string }

func (k keeper) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && response.Header.Get("DPoP-Nonce") != "" {
		*k.nonce = response.Header.Get("DPoP-Nonce")
	}
	return response, err
}

// walletSecret is the password of the client at the development authorization server.
const walletSecret = "not a secret"

// newToken asks for an access token that is bound to the client's key.
func (s *stage) newToken(ctx context.Context) string {
	token, err := story.Client{ID: "wallet", Secret: walletSecret, Issuer: s.issuer, Signer: s.key}.Token(ctx, "")
	s.Note(err)
	return token
}

func (s *stage) proof(method, path, token, nonce string) string {
	return s.proofOf(time.Now(), method, path, token, nonce)
}

func (s *stage) proofOf(issued time.Time, method, path, token, nonce string) string {
	proof, err := s.key.Sign(dpop.ProofOptions{Method: method, URL: s.api + path, AccessToken: token, Nonce: nonce, IssuedAt: issued})
	s.Note(err)
	return proof
}

package main

import (
	"context"
	"net/http"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// httpClient is for all requests to the API. None leaves this machine.
var httpClient = &http.Client{Timeout: 10 * time.Second}

// walletSecret is the password of the client at the development authorization server.
const walletSecret = "not a secret"

// newToken asks for an access token that is bound to the client's key.
func (s *stage) newToken(ctx context.Context) string {
	token, err := story.Client{ID: "wallet", Secret: walletSecret, Issuer: s.issuer, Signer: s.key}.Token(ctx, "")
	s.Note(err)
	return token
}

func (s *stage) proof(method, path, token, nonce string) string {
	proof, err := s.key.Sign(dpop.ProofOptions{Method: method, URL: s.api + path, AccessToken: token, Nonce: nonce})
	s.Note(err)
	return proof
}

package main

import (
	"context"
	"crypto"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/internal/story"
)

type apiMaker func(origin, issuer string, log *slog.Logger) (*echo.Echo, *access.Guard, error)

// httpClient is for all requests to the API. None leaves this machine.
var httpClient = &http.Client{Timeout: 10 * time.Second}

// walletSecret is the password of the owner's application at the development authorization server.
const walletSecret = "not a secret"

// The user who can log in with the native app.
const user, password = "alice", "wonderland"

// stage is where the story is played: the two servers.
type stage struct {
	story.Story
	story.Servers
	api, issuer string
	private     crypto.Signer // the owner's
	key         *dpop.Signer  // signs with it
}

// start starts the authorization server and the API on free ports of this machine.
func start(p program, verbose bool) (*stage, error) {
	s := &stage{Story: story.Story{Program: p.Program, Log: &story.Log{}, Verbose: verbose}}
	if err := s.start(p.newAPI); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) start(newAPI apiMaker) (err error) {
	if s.private, err = story.NewKey(); err != nil {
		return err
	}
	if s.key, err = dpop.NewSigner(s.private, ""); err != nil {
		return err
	}
	listener, address, err := s.Listen(0)
	if err != nil {
		return err
	}
	s.api = "http://" + address

	as, err := authserver.Start(authserver.Config{
		Audiences: []string{s.api},
		Users:     []authserver.User{{Name: user, Password: password}},
		Clients: []authserver.Client{
			{ID: "wallet", Secret: walletSecret, Scopes: []string{"accounts:read", "accounts:pay"}},
			{ID: "nightly", Secret: walletSecret, Scopes: []string{"accounts:read"}, TokenLifetime: 24 * time.Hour},
			{ID: "native", RedirectURIs: []string{"http://127.0.0.1/callback"}, Scopes: []string{"accounts:read", "accounts:pay"}},
			{ID: "legacy", Secret: walletSecret, Scopes: []string{"accounts:read"}, InsecureAllowBearer: true},
		},
	})
	if err != nil {
		return err
	}
	s.Defer(as.Close)
	s.issuer = as.Issuer()

	e, guard, err := newAPI(s.api, s.issuer, s.Log.Logger())
	if err != nil {
		return err
	}
	s.Defer(guard.Close)
	s.Serve(listener, e)
	return nil
}

// close ends what start began, the last first.
func (s *stage) close() { s.Close(s.Program) }

// client returns one of the registered clients. All but the legacy one hold the owner's key.
func (s *stage) client(id string) story.Client {
	c := story.Client{ID: id, Secret: walletSecret, Issuer: s.issuer, Signer: s.key}
	if id == "legacy" {
		c.Signer = nil
	}
	return c
}

// newKey, token and proof note their trouble, which fails the story.
func (s *stage) newKey() *dpop.Signer {
	key, err := story.NewSigner()
	s.Note(err)
	return key
}

func (s *stage) token(ctx context.Context, c story.Client, scope string) string {
	token, err := c.Token(ctx, scope)
	s.Note(err)
	return token
}

func (s *stage) proof(key *dpop.Signer, method, path, token string) string {
	proof, err := key.Sign(dpop.ProofOptions{Method: method, URL: s.api + path, AccessToken: token, Nonce: s.Nonce})
	s.Note(err)
	return proof
}

// withoutToken, asBearer and withProof give the credentials of a request.
func withoutToken() http.Header { return http.Header{} }

func asBearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func withProof(token, proof string) http.Header {
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
}

var (
	accepted = story.Accepted
	refused  = story.Refused
)

// play sends a request to the API.
func (s *stage) play(who, method, path string, credentials http.Header, want story.Answer) {
	s.Send(who, httpClient, method, s.api+path, credentials, want)
}

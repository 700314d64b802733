package main

import (
	"net/http"
	"net/url"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// stage is where the story is played: the servers, and Redis.
type stage struct {
	story.Story
	story.Servers
	began       time.Time // before any server ran
	api, issuer string
	redis       *redis
	proxy       *proxy
	regions     map[string]*url.URL // an instance in each
	nonce       string              // the newest
	key         *dpop.Signer
}

func start(p program) (*stage, error) {
	s := &stage{began: time.Now(), Story: story.Story{Program: p.Program, Log: &story.Log{}, Server: "Instance"}}
	if err := s.start(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) startIssuer() error {
	as, err := authserver.Start(authserver.Config{
		Audiences: []string{s.api},
		Clients:   []authserver.Client{{ID: "wallet", Secret: walletSecret, Scopes: []string{"accounts:read"}}},
	})
	if err != nil {
		return err
	}
	s.Defer(as.Close)
	s.issuer = as.Issuer()
	return nil
}

// close ends what start began, the last first.
func (s *stage) close() { s.Close(s.Program) }

var refused = story.Refused

func accepted() story.Answer { return story.Accepted(http.StatusOK) }

// play sends a request through the proxy.
func (s *stage) play(who, method, path, token, proof string, want story.Answer) {
	credentials := http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
	s.Send(who, s.client(), method, s.api+path, credentials, want)
}

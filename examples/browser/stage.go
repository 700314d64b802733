package main

import (
	"fmt"
	"net"

	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// The client and its user, as the authorization server knows them.
const (
	clientID = "browser-demo"
	scope    = "accounts:read"
	userName = "alice"
	password = "not a secret"
)

// ports are where the servers listen on this machine. Zero takes a free one.
type ports struct{ page, api, issuer uint }

// origins are the addresses of the three servers. To a browser each is a world of its own.
type origins struct{ page, api, issuer string }

// stage is the three servers.
type stage struct {
	program
	story.Servers
	at  origins
	api *api
}

func start(p program, ports ports) (*stage, error) {
	s := &stage{program: p}
	if err := s.start(ports); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// start takes the three ports before anything is served, since each server has to know the other two.
func (s *stage) start(ports ports) (err error) {
	pageListener, err := s.listen("page", ports.page, &s.at.page)
	if err != nil {
		return err
	}
	apiListener, err := s.listen("api", ports.api, &s.at.api)
	if err != nil {
		return err
	}
	issuerListener, err := s.listen("issuer", ports.issuer, &s.at.issuer)
	if err != nil {
		return err
	}

	issuer, err := s.newIssuer()
	if err != nil {
		return err
	}
	s.Defer(issuer.Close)
	decisions := &decisions{}
	if s.api, err = s.newAPI(s.at, decisions, s.Out); err != nil {
		return err
	}
	s.Defer(s.api.guard.Close)
	page, err := newPage(s.at, decisions)
	if err != nil {
		return err
	}

	s.Serve(issuerListener, issuer)
	s.Serve(apiListener, s.api)
	s.Serve(pageListener, page)
	return nil
}

// newIssuer makes the authorization server. The page is a public client: what runs in a browser can keep no secret.
func (s *stage) newIssuer() (*authserver.Server, error) {
	return authserver.New(authserver.Config{
		Issuer:    s.at.issuer,
		Audiences: []string{s.at.api},
		Clients: []authserver.Client{
			{ID: clientID, RedirectURIs: []string{s.at.page + "/"}, Scopes: []string{scope}},
		},
		Users:        []authserver.User{{Name: userName, Password: password}},
		RequireNonce: true,
		CORSOrigins:  []string{s.at.page},
	})
}

func (s *stage) listen(name string, port uint, origin *string) (net.Listener, error) {
	listener, address, err := s.Listen(port)
	if err != nil {
		return nil, fmt.Errorf("-%s %d: give a port that is free: %w", name, port, err)
	}
	*origin = "http://" + address
	return listener, nil
}

// close ends what start began, the last first.
func (s *stage) close() { s.Close(s.Program) }

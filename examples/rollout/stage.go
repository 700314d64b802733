package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/access/rollout"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/internal/story"
)

const secret = "not a secret"

// stage is where the story is played.
type stage struct {
	story.Story
	story.Servers
	steps       []step
	api, issuer string
	now         atomic.Pointer[http.Handler] // of the step
	clients     *rollout.Clients             // of the step
}

func start(p program, verbose bool) (s *stage, err error) {
	s = &stage{Story: story.Story{Program: p.Program, Log: &story.Log{}, Verbose: verbose}, steps: p.steps}
	defer func() {
		if err != nil {
			s.Close(p.Program)
		}
	}()
	listener, address, err := s.Listen(0)
	if err != nil {
		return s, err
	}
	s.api = "http://" + address
	as, err := authserver.Start(authserver.Config{
		Audiences: []string{s.api},
		Clients: []authserver.Client{
			{ID: "first", Secret: secret, InsecureAllowBearer: true}, {ID: "second", Secret: secret}, {ID: "third", Secret: secret},
		},
	})
	if err != nil {
		return s, err
	}
	s.Defer(as.Close)
	s.issuer = as.Issuer()
	s.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*s.now.Load()).ServeHTTP(w, r) }))
	return s, nil
}

// enter puts the settings of a step in force.
func (s *stage) enter(ctx context.Context, number int) {
	t := s.steps[number-1]
	s.Say(t.name)
	var err error
	s.clients, err = rollout.New(ctx, rollout.Config{})
	s.Note(err)
	config := access.Config{
		Origins: []string{s.api}, Issuers: []access.Issuer{{URL: s.issuer, Audience: s.api}}, Log: s.Log.Logger(),
		Observer: s.clients.Observe(access.Observer{}),
		// The server is made anew for each step, within the seconds in which it would ask all for a nonce. Yours leaves this out.
		InsecureForgetAtStart: true,
	}
	t.settings(&config)
	guard, err := access.New(config)
	if err != nil {
		s.Note(err)
		return
	}
	s.Defer(guard.Close)
	handler := t.handler(guard)
	s.now.Store(&handler)
}

// client is an application; with a key it proves itself.
type client struct {
	id    string
	key   *dpop.Signer // nil: it does not
	token string
	http  *http.Client
}

// client starts an application, which gets its token, bound to its key if it has one.
func (s *stage) client(ctx context.Context, id string, proves bool) *client {
	c := &client{id: id, http: &http.Client{Timeout: story.Patience}}
	var err error
	if proves {
		c.key, err = story.NewSigner()
		s.Note(err)
		c.http.Transport, err = dpop.NewTransport(dpop.TransportConfig{
			Signer: c.key, Origins: []string{s.api}, Token: func(context.Context) (string, error) { return c.token, nil },
		})
		s.Note(err)
	}
	c.token, err = story.Client{ID: id, Secret: secret, Issuer: s.issuer, Signer: c.key}.Token(ctx, "")
	s.Note(err)
	return c
}

// prime lets a client learn the nonce, which it would otherwise learn by coming twice.
func (s *stage) prime(ctx context.Context, c *client) {
	s.Note(c.http.Transport.(*dpop.Transport).Prime(ctx, s.api+"/accounts"))
}

// play sends a request of a client to the API.
func (s *stage) play(who string, c *client, want story.Answer) {
	credentials := http.Header{}
	if c.key == nil {
		credentials.Set("Authorization", "Bearer "+c.token)
	}
	s.Send(who, c.http, "GET", s.api+"/accounts", credentials, want)
}

// told compares what the operator reads in the summary of the step.
func (s *stage) told(want string) {
	var lines []string
	for _, c := range s.clients.List() {
		line := fmt.Sprintf("%s: %d of %d refused, %d challenged", c.Client, c.Refused, c.Requests, c.Challenged)
		for reason := range c.Reasons {
			line += ", " + reason
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	s.Saw("what the operator is told", strings.Join(lines, "; "), want)
}

package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/revocation/events"
)

type apiMaker func(origin, issuer string, log *slog.Logger, provider *events.Transmitter) (*api, error)

// password is that of every user.
const password = "not a secret"

var (
	accepted = story.Accepted
	refused  = story.Refused
)

// stage is where the story is played: the two servers.
type stage struct {
	story.Story
	story.Servers
	api            *api
	origin, issuer string
	provider       *provider
	patience       time.Duration
}

// start starts the authorization server and the API on free ports of this machine.
func start(p program, verbose bool) (*stage, error) {
	s := &stage{Story: story.Story{Program: p.Program, Log: &story.Log{}, Verbose: verbose}, patience: p.patience}
	if err := s.start(p.newAPI); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) start(newAPI apiMaker) error {
	listener, address, err := s.Listen(0)
	if err != nil {
		return err
	}
	s.origin = "http://" + address

	as, err := authserver.Start(authserver.Config{
		Audiences: []string{s.origin},
		Clients:   []authserver.Client{{ID: appID, RedirectURIs: []string{callback}}},
		Users: []authserver.User{
			{Name: "alice", Password: password},
			{Name: "bob", Password: password},
			{Name: "carol", Password: password, ACRs: []string{"pwd", "mfa"}},
		},
	})
	if err != nil {
		return err
	}
	s.Defer(as.Close)
	s.issuer = as.Issuer()

	if s.provider, err = s.startProvider(); err != nil {
		return err
	}
	if s.api, err = newAPI(s.origin, s.issuer, s.Log.Logger(), s.provider.transmitter); err != nil {
		return err
	}
	s.Defer(s.api.close)
	s.Serve(listener, s.api)
	return nil
}

// close ends what start began, the last first.
func (s *stage) close() { s.Close(s.Program) }

// login logs a user in on a new device, which then learns the API's nonce. It notes its trouble, which fails the story.
func (s *stage) login(ctx context.Context, user string) *device {
	d, err := newDevice(ctx, s.issuer, s.origin)
	if err == nil {
		err = errors.Join(d.logIn(ctx, user, password, ""), d.api.Transport.(*dpop.Transport).Prime(ctx, s.origin))
	}
	s.Note(err)
	return d
}

// thief is a device with a key of its own and the token of another.
func (s *stage) thief(ctx context.Context, victim *device) *device {
	d, err := newDevice(ctx, s.issuer, s.origin)
	if err == nil {
		d.token = victim.token
		err = d.api.Transport.(*dpop.Transport).Prime(ctx, s.origin)
	}
	s.Note(err)
	return d
}

// again logs a user in on a device that is known, where acr asks for a way.
func (s *stage) again(ctx context.Context, d *device, user, acr string) {
	s.Note(d.logIn(ctx, user, password, acr))
}

// play sends a request to the API from a device.
func (s *stage) play(ctx context.Context, who string, d *device, method, path string, want story.Answer) {
	if r := s.request(ctx, method, path); r != nil {
		s.Play(who, d.api, r, want)
	}
}

// follow begins a stream of events, and returns what comes behind its first line, when it has ended.
func (s *stage) follow(ctx context.Context, who string, d *device, want story.Answer) (end func() string) {
	ctx, stop := context.WithTimeout(ctx, s.patience)
	var stream io.ReadCloser
	if r := s.request(ctx, "GET", "/events"); r != nil {
		stream = s.Begin(who, d.api, r, want)
	}
	return func() string {
		defer stop()
		if stream == nil {
			return ""
		}
		defer stream.Close()
		rest, err := io.ReadAll(stream)
		s.Note(err)
		return strings.Join(strings.Fields(string(rest)), " ")
	}
}

func (s *stage) request(ctx context.Context, method, path string) *http.Request {
	r, err := http.NewRequestWithContext(ctx, method, s.origin+path, nil)
	s.Note(err)
	return r
}

// nextSecond waits for the next whole second.
func nextSecond() { time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) }

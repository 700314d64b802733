package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/authserver"
)

type apiMaker func(origin, issuer string, log *slog.Logger) (*echo.Echo, *echoauth.Auth, error)

// walletSecret is the password of the owner's application at the development authorization server.
const walletSecret = "not a secret"

// stage is where the story is played: the two servers, and what has been seen so far.
type stage struct {
	program
	api, issuer string
	key         *signer // the owner's
	log         *logbook
	verbose     bool
	nonce       string // the newest of the API
	answers     int
	accepted    int
	unexpected  []string
	closers     []func() error
}

// start starts the authorization server and the API on free ports of this machine.
func start(p program, verbose bool) (*stage, error) {
	s := &stage{program: p, log: &logbook{}, verbose: verbose}
	if err := s.start(); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) start() (err error) {
	if s.key, err = newSigner(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.closers = append(s.closers, listener.Close)
	s.api = "http://" + listener.Addr().String()

	as, err := authserver.Start(authserver.Config{
		Audiences: []string{s.api},
		Clients: []authserver.Client{
			{ID: "wallet", Secret: walletSecret, Scopes: []string{"accounts:read", "accounts:pay"}},
			{ID: "nightly", Secret: walletSecret, Scopes: []string{"accounts:read"}, TokenLifetime: 24 * time.Hour},
			{ID: "legacy", Secret: walletSecret, Scopes: []string{"accounts:read"}, InsecureAllowBearer: true},
		},
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, as.Close)
	s.issuer = as.Issuer()

	e, auth, err := s.newAPI(s.api, s.issuer, slog.New(slog.NewJSONHandler(s.log, nil)))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: e, ReadHeaderTimeout: 5 * time.Second}
	s.closers = append(s.closers, auth.Close, server.Close)
	go func() { _ = server.Serve(listener) }() // until close
	return nil
}

// close ends what start began, the last first.
func (s *stage) close() {
	for i := len(s.closers) - 1; i >= 0; i-- {
		if err := s.closers[i](); err != nil && !errors.Is(err, net.ErrClosed) {
			fmt.Fprintln(s.errOut, "quickstart:", err)
		}
	}
}

// client returns one of the registered clients. All but the legacy one hold the owner's key.
func (s *stage) client(id string) *client {
	c := &client{id: id, secret: walletSecret, issuer: s.issuer, key: s.key}
	if id == "legacy" {
		c.key = nil
	}
	return c
}

// newKey, token and proof note their trouble, which fails the story.
func (s *stage) newKey() *signer {
	key, err := newSigner()
	s.note(err)
	return key
}

func (s *stage) token(ctx context.Context, c *client, scope string) string {
	token, err := c.token(ctx, scope)
	s.note(err)
	return token
}

func (s *stage) proof(key *signer, method, path, token string) string {
	proof, err := key.sign(method, s.api+path, token, s.nonce)
	s.note(err)
	return proof
}

func (s *stage) note(err error) {
	if err != nil {
		s.unexpected = append(s.unexpected, err.Error())
	}
}

// withoutToken, asBearer and withProof give the credentials of a request.
func withoutToken() http.Header { return http.Header{} }

func asBearer(token string) http.Header {
	return http.Header{"Authorization": {"Bearer " + token}}
}

func withProof(token, proof string) http.Header {
	return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
}

// answer is what a request gets: a status, the code in the challenge, and the reason in the server's log.
type answer struct {
	status       int
	code, reason string
}

func accepted(status int) answer                     { return answer{status: status} }
func refused(status int, code, reason string) answer { return answer{status, code, reason} }

// String names the answer for the summary.
func (a answer) String() string {
	return strings.Join(strings.Fields(fmt.Sprint(a.status, " ", a.code, " ", a.reason)), " ")
}

// play sends a request, prints it with its answer, and notes when the answer is not the wanted one.
func (s *stage) play(who, method, path string, credentials http.Header, want answer) {
	r, err := http.NewRequest(method, s.api+path, nil)
	if err != nil {
		s.note(err)
		return
	}
	r.Header = credentials
	s.log.clear()
	response, err := httpClient.Do(r)
	if err != nil {
		s.note(fmt.Errorf("%s: %w", who, err))
		return
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	s.note(err)
	if nonce := response.Header.Get("DPoP-Nonce"); nonce != "" {
		s.nonce = nonce
	}
	told, code := challengeOf(response.Header)
	entry := s.log.read()
	got := answer{response.StatusCode, code, entry.Reason}
	s.answers++
	if got.status < 300 {
		s.accepted++
	}
	if got != want {
		s.unexpected = append(s.unexpected, fmt.Sprintf("%s: expected %s, got %s", who, want, got))
	}
	why := strings.TrimSpace(string(body))
	if entry.Reason != "" {
		why = entry.Reason + ": " + entry.cause(s.verbose)
	}
	s.print(line{who, method, path, told, why, got.status, got == want})
}

var (
	challengeForm = regexp.MustCompile(`^(\w+)(?: error="([^"]*)")?`)
	scopeForm     = regexp.MustCompile(`scope="[^"]*"`)
)

// challengeOf returns the challenge that speaks of the error, in short, and its code.
func challengeOf(h http.Header) (short, code string) {
	for _, field := range h.Values("WWW-Authenticate") {
		m := challengeForm.FindStringSubmatch(field)
		if m == nil || short != "" && m[2] == "" {
			continue
		}
		short, code = strings.TrimSpace(m[0]+" "+scopeForm.FindString(field)), m[2]
	}
	return short, code
}

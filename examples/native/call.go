package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/codeflow"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// fresh is for how much longer a token has to be good to be used.
const fresh = 30 * time.Second

// maxRedirects bounds the redirects that are followed within the API.
const maxRedirects = 10

// errRefused means that the API answered with an error; what it said has been printed.
var errRefused = errors.New("the API did not do it")

// request is what the command call sends.
type request struct {
	method, address string
	header          http.Header
	data, file      string // the body: a text, or the name of a file
}

// call is the command that sends a request to the API.
func (p program) call(ctx context.Context, args []string) error {
	flags, folder := p.flags("call [flags] URL")
	q := request{header: http.Header{}}
	flags.StringVar(&q.method, "X", "", "the `method`; GET, or POST if there is a body")
	flags.StringVar(&q.data, "d", "", "the body, as `text`")
	flags.StringVar(&q.file, "f", "", "the body, from a `file`; - is the standard input")
	flags.Func("H", "a `field` of the request's header, such as \"Content-Type: text/plain\"; may be repeated", q.addField)
	if err := story.Parse(flags, args, 1); err != nil {
		return err
	}
	if q.data != "" && q.file != "" {
		return errors.New("-d and -f both give a body: choose one")
	}
	q.address = flags.Arg(0)
	files, err := p.openStore(*folder)
	if err != nil {
		return err
	}
	s, err := files.load()
	if err != nil {
		return err
	}
	if u, err := url.Parse(q.address); err != nil || originOf(u) != s.API {
		return wrongAPI(s, q.address)
	}
	signer, err := files.loadSigner()
	if err != nil {
		return err
	}
	transport, err := newTransport(signer, s.API, func(ctx context.Context) (string, error) {
		return p.token(ctx, files, signer, s.API)
	})
	if err != nil {
		return err
	}
	return p.send(ctx, transport, q)
}

func (q *request) addField(field string) error {
	name, value, found := strings.Cut(field, ":")
	if !found {
		return errors.New("write it as Name: value")
	}
	q.header.Add(name, strings.TrimSpace(value))
	return nil
}

func newTransport(signer *dpop.Signer, api string, token func(context.Context) (string, error)) (*dpop.Transport, error) {
	return dpop.NewTransport(dpop.TransportConfig{
		Signer: signer, Origins: []string{api}, Token: token, Base: codeflow.Bounded(),
	})
}

// token returns an access token for an API that is good for a while, after refreshing it if it has to be.
func (p program) token(ctx context.Context, files *store, signer *dpop.Signer, api string) (string, error) {
	unlock, err := files.lock(ctx) // whoever waits here finds the tokens that the other run has got
	if err != nil {
		return "", err
	}
	defer unlock()
	s, err := files.load()
	if err != nil {
		return "", err
	}
	if s.API != api { // another login since
		return "", wrongAPI(s, api)
	}
	if s.Expiry.IsZero() || time.Until(s.Expiry) > fresh {
		return s.AccessToken, nil
	}
	p.say("The token's time is over; refreshing it.")
	client, err := codeflow.Discover(ctx, s.config(signer))
	if err != nil {
		return "", err
	}
	// Where the session cannot be saved now, the next one could not be either, and its refresh token would be lost.
	if err := files.save(s); err != nil {
		return "", fmt.Errorf("the token is not refreshed, since the session cannot be saved: %w", err)
	}
	// Not given up when the user does: the refresh token may be used up already, and the next one would be lost.
	token, err := client.Refresh(context.WithoutCancel(ctx), s.RefreshToken)
	if errors.Is(err, codeflow.ErrEnded) {
		return "", fmt.Errorf("%w (%w)", errLoggedOut, err)
	}
	if err != nil {
		return "", err
	}
	s.take(token)
	return s.AccessToken, files.save(s)
}

func wrongAPI(s *session, address string) error {
	return fmt.Errorf("the token is for %s: it is not sent to %q", s.API, address)
}

// send sends the request and prints the answer.
func (p program) send(ctx context.Context, transport *dpop.Transport, q request) error {
	r, closeBody, err := p.request(ctx, q)
	if err != nil {
		return err
	}
	defer closeBody()
	if r.Body != nil && r.GetBody == nil {
		// Such a body can be sent only once, so what the API wants in a proof has to be known before.
		if err := transport.Prime(ctx, q.address); err != nil {
			return err
		}
	}
	response, err := (&http.Client{Transport: transport, CheckRedirect: sameOrigin}).Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	code := dpop.ErrorCode(response)
	p.say("%s", response.Status)
	if _, err := io.Copy(p.out, response.Body); err != nil {
		return err
	}
	if to, err := response.Location(); err == nil && response.StatusCode < 400 && response.StatusCode >= 300 {
		return fmt.Errorf("%w: it leads to %s, and the request is for the API alone", errRefused, to)
	}
	if response.StatusCode < 400 {
		return nil
	}
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		p.say("WWW-Authenticate: %s", challenge)
	}
	if advice[code] != "" {
		return fmt.Errorf("%w: %s", errRefused, advice[code])
	}
	return errRefused
}

// sameOrigin follows redirects within the API: what is sent, such as a body, is for nobody else.
func sameOrigin(to *http.Request, via []*http.Request) error {
	if originOf(to.URL) != originOf(via[0].URL) || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

func (p program) request(ctx context.Context, q request) (r *http.Request, closeBody func(), err error) {
	var body io.Reader
	closeBody = func() {}
	switch {
	case q.data != "":
		body = strings.NewReader(q.data)
	case q.file == "-":
		body = p.in
	case q.file != "":
		file, err := os.Open(q.file)
		if err != nil {
			return nil, nil, err
		}
		body, closeBody = file, func() { _ = file.Close() }
	}
	if q.method == "" && body == nil {
		q.method = http.MethodGet
	} else if q.method == "" {
		q.method = http.MethodPost
	}
	if r, err = http.NewRequestWithContext(ctx, q.method, q.address, body); err != nil {
		closeBody()
		return nil, nil, err
	}
	r.Header = q.header
	return r, closeBody, nil
}

// advice says what the user can do about an error code (RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3).
var advice = map[string]string{
	"insufficient_scope":               "the token lacks a scope: log in with the -scope that the answer names",
	"insufficient_user_authentication": "the login is too old or too weak: log in with the -max-age or -acr that the answer names",
	"invalid_token":                    "the token is no longer accepted: log in again",
	"invalid_dpop_proof":               "the proof was refused: is the clock of this machine right?",
}

// originOf returns scheme, host and port, without a default port.
func originOf(u *url.URL) string {
	host, scheme := strings.ToLower(u.Host), strings.ToLower(u.Scheme)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
	return scheme + "://" + host
}

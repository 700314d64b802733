// Package session is for apps on the user's own machine: it logs the user in with the browser as RFC 8252 describes,
// and keeps the key and the tokens in files that nobody else can read. It is shared by examples/native and the
// command line; package codeflow is what it asks the authorization server with.
package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/codeflow"
)

// App is how a program speaks with its user.
type App struct {
	Say func(format string, args ...any) // a line
	// Open shows the user a page, and does not wait for it. Nil: the address is said, and nothing is opened.
	Open func(address string)
}

// Fresh is for how much longer a token has to be good to be used.
const Fresh = 30 * time.Second

// Token returns an access token for an API that is good for a while, after refreshing it if it has to be.
func (a App) Token(ctx context.Context, files *Store, signer *dpop.Signer, api string) (string, error) {
	unlock, err := files.lock(ctx) // whoever waits here finds the tokens that the other run has got
	if err != nil {
		return "", err
	}
	defer unlock()
	s, err := files.Load()
	if err != nil {
		return "", err
	}
	if s.API != api { // another login since
		return "", s.WrongAPI(api)
	}
	if s.Expiry.IsZero() || time.Until(s.Expiry) > Fresh {
		return s.AccessToken, nil
	}
	a.Say("The token's time is over; refreshing it.")
	client, err := codeflow.Discover(ctx, s.config(signer))
	if err != nil {
		return "", err
	}
	// Where the session cannot be saved now, the next one could not be either, and its refresh token would be lost.
	if err := files.Save(s); err != nil {
		return "", fmt.Errorf("the token is not refreshed, since the session cannot be saved: %w", err)
	}
	// Not given up when the user does: the refresh token may be used up already, and the next one would be lost.
	token, err := client.Refresh(context.WithoutCancel(ctx), s.RefreshToken)
	if errors.Is(err, codeflow.ErrEnded) {
		return "", fmt.Errorf("%w (%w)", ErrLoggedOut, err)
	}
	if err != nil {
		return "", err
	}
	s.take(token)
	return s.AccessToken, files.Save(s)
}

// WrongAPI says that an address is not that of the session's API.
func (s *Session) WrongAPI(address string) error {
	return fmt.Errorf("the token is for %s: it is not sent to %q", s.API, address)
}

// NewTransport sends an API its tokens and proofs.
func NewTransport(signer *dpop.Signer, api string, token func(context.Context) (string, error), base http.RoundTripper) (*dpop.Transport, error) {
	return dpop.NewTransport(dpop.TransportConfig{Signer: signer, Origins: []string{api}, Token: token, Base: base})
}

// maxRedirects bounds the redirects that are followed within the API.
const maxRedirects = 10

// SameOrigin follows redirects within the API, for [http.Client]: what is sent, such as a body, is for nobody else.
func SameOrigin(to *http.Request, via []*http.Request) error {
	if OriginOf(to.URL) != OriginOf(via[0].URL) || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	return nil
}

// OriginOf returns scheme, host and port, without a default port.
func OriginOf(u *url.URL) string {
	host, scheme := strings.ToLower(u.Host), strings.ToLower(u.Scheme)
	host = strings.TrimSuffix(host, map[string]string{"http": ":80", "https": ":443"}[scheme])
	return scheme + "://" + host
}

// Advice says what the user can do about an error code (RFC 6750 §3.1, RFC 9449 §7.1, RFC 9470 §3), or nothing.
func Advice(code string) string { return advice[code] }

var advice = map[string]string{
	"insufficient_scope":               "the token lacks the scope that the answer names: ask for it, or let the issuer grant it to this client",
	"insufficient_user_authentication": "the login is too old or too weak: log in with the max-age or acr that the answer names",
	"invalid_token":                    "the token is no longer accepted: log in again",
	"invalid_dpop_proof":               "the proof was refused: is the clock of this machine right?",
}

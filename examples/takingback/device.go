package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/examples/internal/story"
)

const (
	appID    = "app"
	callback = "http://127.0.0.1/callback" // where the browser would bring the code
)

// device is a client with a key of its own, to which its tokens are bound.
type device struct {
	key   *dpop.Signer
	login *codeflow.Client
	token string       // the newest
	api   *http.Client // sends the token to the API, with a proof in each request
}

func newDevice(ctx context.Context, issuer, api string) (*device, error) {
	key, err := story.NewSigner()
	if err != nil {
		return nil, err
	}
	d := &device{key: key}
	if d.login, err = codeflow.Discover(ctx, codeflow.Config{Issuer: issuer, ID: appID, Signer: key}); err != nil {
		return nil, err
	}
	forAPI, err := dpop.NewTransport(dpop.TransportConfig{
		Signer: key, Origins: []string{api}, Token: func(context.Context) (string, error) { return d.token, nil },
	})
	if err != nil {
		return nil, err
	}
	d.api = &http.Client{Transport: forAPI, Timeout: story.Patience}
	return d, nil
}

// logIn logs a user in and gets a token for it. An empty acr leaves it to the authorization server how.
func (d *device) logIn(ctx context.Context, user, password, acr string) error {
	begun, address := d.login.Begin(callback, codeflow.Demand{ACRs: strings.Fields(acr)})
	answer, err := fillIn(ctx, address, user, password)
	if err != nil {
		return err
	}
	token, err := d.login.Finish(ctx, begun, answer)
	if err != nil {
		return fmt.Errorf("no token for %s: %w", user, err)
	}
	d.token = token.AccessToken
	return nil
}

// fillIn fills in the login form, as a user would, and returns what the browser would bring back.
func fillIn(ctx context.Context, address, user, password string) (url.Values, error) {
	page, query, _ := strings.Cut(address, "?")
	form, err := url.ParseQuery(query)
	if err != nil {
		return nil, err
	}
	form.Set("username", user)
	form.Set("password", password)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, page, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	browser := http.Client{Timeout: story.Patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Do(r)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	to, err := response.Location()
	if err != nil {
		return nil, fmt.Errorf("%s cannot log in: %s: %w", user, response.Status, err)
	}
	return to.Query(), nil
}

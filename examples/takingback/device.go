package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/story"
)

const (
	appID    = "app"
	callback = "http://127.0.0.1/callback" // where the browser would bring the code

	// patience is longer than any answer should take.
	patience = 3 * time.Second
)

// device is a client with a key of its own, to which its tokens are bound.
type device struct {
	issuer string
	key    *dpop.Signer
	token  string       // the newest
	tokens *http.Client // proves the key to the authorization server
	api    *http.Client // sends the token to the API, with a proof in each request
}

func newDevice(issuer, api string) (*device, error) {
	key, err := story.NewSigner()
	if err != nil {
		return nil, err
	}
	d := &device{issuer: issuer, key: key}
	forTokens := &dpop.Transport{Signer: d.key, Origins: []string{issuer}}
	forAPI := &dpop.Transport{Signer: d.key, Origins: []string{api}, Token: func(context.Context) (string, error) { return d.token, nil }}
	d.tokens = &http.Client{Transport: forTokens, Timeout: patience}
	d.api = &http.Client{Transport: forAPI, Timeout: patience}
	return d, errors.Join(forTokens.Validate(), forAPI.Validate())
}

// login logs a user in, as a browser would, and gets a token for it (RFC 6749 §4.1, RFC 7636). An empty acr leaves it
// to the authorization server how.
func (d *device) login(ctx context.Context, user, password, acr string) error {
	verifier := rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	code, err := d.authorize(ctx, url.Values{
		"response_type": {"code"}, "client_id": {appID}, "redirect_uri": {callback}, "acr_values": {acr},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])},
		"username": {user}, "password": {password},
	})
	if err != nil {
		return err
	}
	r, err := post(ctx, d.issuer+"/token", url.Values{
		"grant_type": {"authorization_code"}, "client_id": {appID}, "redirect_uri": {callback},
		"code": {code}, "code_verifier": {verifier},
	})
	if err != nil {
		return err
	}
	response, err := d.tokens.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
		Error       string `json:"error"`
	}
	if err := json.NewDecoder(response.Body).Decode(&body); err != nil || body.AccessToken == "" {
		return fmt.Errorf("no token for %s: %s %s: %w", user, response.Status, body.Error, err)
	}
	d.token = body.AccessToken
	return nil
}

// authorize fills in the login form and returns the code that the browser would bring back.
func (d *device) authorize(ctx context.Context, form url.Values) (string, error) {
	r, err := post(ctx, d.issuer+"/authorize", form)
	if err != nil {
		return "", err
	}
	browser := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := browser.Do(r)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	to, err := response.Location()
	if err != nil || to.Query().Get("code") == "" {
		return "", fmt.Errorf("%s cannot log in: %s %v", form.Get("username"), response.Status, to)
	}
	return to.Query().Get("code"), nil
}

func post(ctx context.Context, to string, form url.Values) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err == nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r, err
}

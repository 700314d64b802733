package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// httpClient is for all requests of the program. None leaves this machine.
var httpClient = &http.Client{Timeout: 10 * time.Second}

// client is an application that asks the authorization server for tokens on its own behalf.
type client struct {
	id, secret string
	issuer     string
	key        *signer // nil: it sends no proofs, and its tokens are bound to nobody
}

// token asks for an access token, which the server binds to the client's key (RFC 9449 §5). An empty scope asks for
// all that the client may have.
func (c *client) token(ctx context.Context, scope string) (string, error) {
	body, nonce, err := c.ask(ctx, scope, "")
	if err == nil && body.Error == "use_dpop_nonce" { // once more, with the server's nonce (RFC 9449 §8)
		body, _, err = c.ask(ctx, scope, nonce)
	}
	if err != nil {
		return "", err
	}
	if body.Error != "" {
		return "", fmt.Errorf("no token for %s: %s: %s", c.id, body.Error, body.Description)
	}
	return body.AccessToken, nil
}

// tokenResponse is what a token endpoint answers.
type tokenResponse struct {
	AccessToken string `json:"access_token"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func (c *client) ask(ctx context.Context, scope, nonce string) (body tokenResponse, newNonce string, err error) {
	endpoint := c.issuer + "/token"
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form))
	if err != nil {
		return body, "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.id, c.secret)
	if c.key != nil {
		proof, err := c.key.sign(http.MethodPost, endpoint, "", nonce)
		if err != nil {
			return body, "", err
		}
		r.Header.Set("DPoP", proof)
	}
	answer, err := httpClient.Do(r)
	if err != nil {
		return body, "", err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		return body, "", fmt.Errorf("token endpoint: %s: %w", answer.Status, err)
	}
	return body, answer.Header.Get("DPoP-Nonce"), nil
}

package conformance

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/senderlock/senderlock/internal/mint"
)

// TokenSource gets an access token that is bound to a key, and says for how long it is good.
type TokenSource func(ctx context.Context, key ProofKey) (token string, lifetime time.Duration, err error)

// ProofKey is a key of the suite, to make the proof with that a token endpoint wants.
type ProofKey struct{ key *mint.Key }

// Proof makes a DPoP proof for a request without an access token (RFC 9449 §5). An empty nonce leaves it out.
func (k ProofKey) Proof(method, target, nonce string) string {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": target, "iat": time.Now().Unix()}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	header := map[string]any{"typ": "dpop+jwt", "alg": k.key.Alg, "jwk": k.key.JWK()}
	return mint.Compact(mint.Marshal(header), mint.Marshal(claims), k.key)
}

// Thumbprint returns the SHA-256 thumbprint of the key (RFC 7638), the value of cnf.jkt.
func (k ProofKey) Thumbprint() string { return k.key.Thumbprint() }

// ClientCredentials gets tokens from a real authorization server: grant type client_credentials, the client's
// secret by HTTP Basic, a DPoP proof, and the nonce if the server asks for one. The secret goes to the token endpoint
// alone: over https (RFC 6749 §3.2), and after no redirect. TokenEndpoint, ClientID and Secret are required.
type ClientCredentials struct {
	TokenEndpoint      string // an https URL
	ClientID, Secret   string
	Scope, Resource    string       // what the token is for (RFC 6749 §3.3, RFC 8707); empty is not sent
	Client             *http.Client // nil means [http.DefaultClient]
	AdditionalFormData url.Values   // further parameters, in place of those of the same name
}

// Token is a [TokenSource]. Its error says what the token endpoint answered, or why it was not asked.
func (c ClientCredentials) Token(ctx context.Context, key ProofKey) (string, time.Duration, error) {
	nonce := ""
	for try := 0; ; try++ {
		answer, status, header, err := c.request(ctx, key, nonce)
		switch {
		case err != nil:
			return "", 0, err
		case status/100 == 2 && strings.EqualFold(answer.Type, "DPoP") && answer.Token != "":
			return answer.Token, time.Duration(answer.ExpiresIn) * time.Second, nil
		case answer.Error == "use_dpop_nonce" && try == 0:
			nonce = header.Get("DPoP-Nonce")
		default:
			return "", 0, fmt.Errorf("the token endpoint answers %d, error %q, token_type %q", status,
				visible(answer.Error), visible(answer.Type))
		}
	}
}

type tokenAnswer struct {
	Token     string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Error     string `json:"error"`
}

func (c ClientCredentials) request(ctx context.Context, key ProofKey, nonce string) (a tokenAnswer, status int,
	h http.Header, err error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	for name, value := range map[string]string{"scope": c.Scope, "resource": c.Resource} {
		if value != "" {
			form.Set(name, value)
		}
	}
	for name, values := range c.AdditionalFormData {
		form[name] = values
	}
	if endpoint, err := url.Parse(c.TokenEndpoint); err != nil || endpoint.Scheme != "https" || endpoint.Host == "" {
		return a, 0, nil, errors.New("conformance.ClientCredentials: TokenEndpoint is no https URL, and the secret goes over " +
			"https alone")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.TokenEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return a, 0, nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", key.Proof(http.MethodPost, c.TokenEndpoint, nonce))
	r.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.Secret))
	client := *http.DefaultClient
	if c.Client != nil {
		client = *c.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Do(r)
	if err != nil {
		return a, 0, nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	_ = json.NewDecoder(io.LimitReader(answer.Body, maxBody)).Decode(&a) // what is no JSON has no token
	return a, answer.StatusCode, answer.Header, nil
}

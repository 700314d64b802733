// Package codeflow is the client of an authorization server for users who log in with a browser: the authorization
// code flow with PKCE (RFC 6749 §4.1, RFC 7636, RFC 9700 §2.1) whose tokens are bound to a key by DPoP (RFC 9449
// §5, §8 and §10), and client credentials with such tokens. It is shared by the examples that log in and the command
// line, and does on top of golang.org/x/oauth2 what such a client has to check itself: metadata, state, issuer and the
// binding.
package codeflow

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/dpop"
)

// The causes that a caller may want to tell apart.
var (
	// ErrState means that an answer belongs to no login that this browser began.
	ErrState = errors.New("the answer belongs to another login")
	// ErrUnbound means that the server issued a token that is not bound to our key. It is not used: sent as DPoP it
	// fails, and as Bearer anyone could use it.
	ErrUnbound = errors.New("the authorization server issued a token that is not bound to our key: does it support DPoP for this client?")
	// ErrEnded means that a refresh token is no longer accepted: the user has to log in again.
	ErrEnded = errors.New("the login is over")
	// ErrNoRevocation means that the server has no way to take tokens back.
	ErrNoRevocation = errors.New("the authorization server offers no revocation")
)

// patience is how long the authorization server may take for an answer.
const patience = 30 * time.Second

// Config describes a client as it is registered at its authorization server. Issuer, ID and Signer are required.
type Config struct {
	Issuer string
	ID     string
	Secret string   // empty: a public client
	Scopes []string // empty: what the server gives
	// Resource is the API that tokens are for (RFC 8707), where the server asks for it.
	Resource string
	Signer   *dpop.Signer
}

// Client asks one authorization server for tokens. It is safe for concurrent use.
type Client struct {
	config Config
	server *metadata
	oauth  oauth2.Config
	plain  *http.Client
	proved *http.Client // sends proofs
}

// Discover reads the server's metadata and makes a client for it.
func Discover(ctx context.Context, config Config) (*Client, error) {
	if config.ID == "" {
		return nil, errors.New("the client's name is empty: give the client_id that is registered at the authorization server")
	}
	base := Bounded()
	c := &Client{config: config, plain: &http.Client{Timeout: patience, CheckRedirect: noRedirect, Transport: base}}
	var err error
	if c.server, err = discover(ctx, c.plain, config.Issuer); err != nil {
		return nil, err
	}
	if algs := c.server.Algorithms; algs != nil && !slices.Contains(algs, config.Signer.Algorithm()) {
		return nil, fmt.Errorf("the authorization server takes no %s: use a key for one of %q", config.Signer.Algorithm(), algs)
	}
	token, err := url.Parse(c.server.Token)
	if err != nil {
		return nil, err
	}
	proofs, err := dpop.NewTransport(dpop.TransportConfig{
		Signer: config.Signer, Origins: []string{token.Scheme + "://" + token.Host}, Base: base,
	})
	if err != nil {
		return nil, err
	}
	c.proved = &http.Client{Timeout: patience, CheckRedirect: noRedirect, Transport: proofs}
	c.oauth = oauth2.Config{
		ClientID: config.ID, ClientSecret: config.Secret, Scopes: config.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: c.server.Authorization, TokenURL: c.server.Token, AuthStyle: c.authStyle()},
	}
	return c, nil
}

// maxHead bounds the head of an answer, in octets.
const maxHead = 64 << 10

// Bounded is [http.DefaultTransport] for servers that may be hostile: the head of an answer ends, and comes in time.
func Bounded() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxResponseHeaderBytes, t.ResponseHeaderTimeout = maxHead, time.Minute
	return t
}

// noRedirect keeps codes, secrets and tokens from going where the metadata does not say.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func (c *Client) authStyle() oauth2.AuthStyle {
	methods := c.server.AuthMethods
	if c.config.Secret == "" || methods != nil && !slices.Contains(methods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// Demand is what a login has to be like (RFC 9470 §4). A zero Demand asks for nothing.
type Demand struct {
	ACRs   []string
	MaxAge *time.Duration // no longer ago than this; nil does not ask
}

// Login is one login that has begun. Whoever began it keeps it where only the same browser can bring it back.
type Login struct {
	State    string `json:"state"`
	Verifier string `json:"verifier"`
	Redirect string `json:"redirect"`
}

// Begin starts a login and returns the address to send the browser to.
func (c *Client) Begin(redirectURI string, demand Demand) (login Login, address string) {
	login = Login{State: rand.Text(), Verifier: oauth2.GenerateVerifier(), Redirect: redirectURI}
	options := c.options(
		oauth2.S256ChallengeOption(login.Verifier),
		oauth2.SetAuthURLParam("dpop_jkt", c.config.Signer.Thumbprint()),
		oauth2.SetAuthURLParam("redirect_uri", redirectURI),
	)
	if len(demand.ACRs) > 0 {
		options = append(options, oauth2.SetAuthURLParam("acr_values", strings.Join(demand.ACRs, " ")))
	}
	if demand.MaxAge != nil {
		options = append(options, oauth2.SetAuthURLParam("max_age", strconv.Itoa(int(demand.MaxAge.Seconds()))))
	}
	return login, c.oauth.AuthCodeURL(login.State, options...)
}

// Finish takes the answer that the browser brought and exchanges its code for tokens. Before anything else the state
// has to be that of the login, or the error is [ErrState]; nothing else in such an answer means anything.
func (c *Client) Finish(ctx context.Context, login Login, answer url.Values) (*oauth2.Token, error) {
	if login.State == "" || len(answer["state"]) != 1 ||
		subtle.ConstantTimeCompare([]byte(answer.Get("state")), []byte(login.State)) != 1 {
		return nil, ErrState
	}
	// Against mix-up with another server (RFC 9207 §2.4).
	if iss := answer.Get("iss"); iss != c.server.Issuer && (c.server.NamesIssuer || iss != "") {
		return nil, fmt.Errorf("the answer is from the issuer %q, not from %q", iss, c.server.Issuer)
	}
	if code := answer.Get("error"); code != "" {
		return nil, fmt.Errorf("the authorization server refused the login: %s", words(code, answer.Get("error_description")))
	}
	if answer.Get("code") == "" {
		return nil, errors.New("the answer has no code")
	}
	options := c.options(oauth2.VerifierOption(login.Verifier), oauth2.SetAuthURLParam("redirect_uri", login.Redirect))
	return bound(c.oauth.Exchange(c.context(ctx), answer.Get("code"), options...))
}

// Refresh exchanges a refresh token for new tokens. The new refresh token may be another one. The error is an
// [ErrEnded] when the server no longer accepts it.
func (c *Client) Refresh(ctx context.Context, refreshToken string) (*oauth2.Token, error) {
	if refreshToken == "" {
		return nil, fmt.Errorf("%w: the authorization server gave no refresh token", ErrEnded)
	}
	if c.config.Resource == "" {
		return bound(c.oauth.TokenSource(c.context(ctx), &oauth2.Token{RefreshToken: refreshToken}).Token())
	}
	// That would not name the resource, and a server may then give a token for something else. The exchange of a code
	// takes any parameters; the empty code counts as absent (RFC 6749 §3.2).
	options := c.options(
		oauth2.SetAuthURLParam("grant_type", "refresh_token"), oauth2.SetAuthURLParam("refresh_token", refreshToken),
	)
	return bound(c.oauth.Exchange(c.context(ctx), "", options...))
}

// Credentials asks for a token on the client's own behalf, which only a client with a Secret may (RFC 6749 §4.4).
func (c *Client) Credentials(ctx context.Context) (*oauth2.Token, error) {
	options := c.options(oauth2.SetAuthURLParam("grant_type", "client_credentials"))
	if len(c.config.Scopes) > 0 {
		options = append(options, oauth2.SetAuthURLParam("scope", strings.Join(c.config.Scopes, " ")))
	}
	return bound(c.oauth.Exchange(c.context(ctx), "", options...)) // the empty code counts as absent
}

// Revoke takes a refresh token back, and with it what follows from it (RFC 7009).
func (c *Client) Revoke(ctx context.Context, refreshToken string) error {
	if c.server.Revocation == "" {
		return ErrNoRevocation
	}
	form := url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}
	basic := c.oauth.Endpoint.AuthStyle == oauth2.AuthStyleInHeader
	if !basic {
		form.Set("client_id", c.config.ID)
	}
	if !basic && c.config.Secret != "" {
		form.Set("client_secret", c.config.Secret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.server.Revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic {
		r.SetBasicAuth(url.QueryEscape(c.config.ID), url.QueryEscape(c.config.Secret))
	}
	response, err := c.plain.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the authorization server did not take the token back: %s %s", response.Status, words(dpop.ErrorCode(response), ""))
	}
	return nil
}

// options adds to the parameters of a request what each has that is about tokens (RFC 8707 §2).
func (c *Client) options(options ...oauth2.AuthCodeOption) []oauth2.AuthCodeOption {
	if c.config.Resource != "" {
		options = append(options, oauth2.SetAuthURLParam("resource", c.config.Resource))
	}
	return options
}

func (c *Client) context(ctx context.Context) context.Context {
	return context.WithValue(ctx, oauth2.HTTPClient, c.proved)
}

// bound passes on tokens that are bound to the key, and says in plain words why there are none.
func bound(token *oauth2.Token, err error) (*oauth2.Token, error) {
	if refusal, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		said := words(refusal.ErrorCode, refusal.ErrorDescription)
		if refusal.ErrorCode == "invalid_grant" {
			return nil, fmt.Errorf("%w: %s", ErrEnded, said)
		}
		return nil, fmt.Errorf("the authorization server gave no token: %s %s", refusal.Response.Status, said)
	}
	if err != nil {
		return nil, fmt.Errorf("the authorization server gave no token: %w", err)
	}
	if !strings.EqualFold(token.TokenType, "DPoP") {
		return nil, ErrUnbound
	}
	return token, nil
}

// words is what a server says of an error, fit for a terminal.
func words(code, description string) string {
	if description == "" {
		return fmt.Sprintf("%q", code)
	}
	return fmt.Sprintf("%q: %q", code, description)
}

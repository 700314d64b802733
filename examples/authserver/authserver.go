// Package authserver is a small authorization server for development, examples and tests. It is NOT FOR PRODUCTION:
// passwords stand in its settings as they are, everything is kept in memory, and a restart changes its key.
//
// What it does, it does as the RFCs say: discovery (RFC 8414), client credentials, authorization code with PKCE and
// rotating refresh tokens (RFC 6749, 7636, 9700), issuer in the authorization response (RFC 9207), and JWT access
// tokens (RFC 9068) that are bound to the client's key by DPoP (RFC 9449 §5, §6 and §10). A refresh token can be taken
// back (RFC 7009). Not in it: consent, registration, introspection, OpenID Connect beyond the place of its metadata.
package authserver

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// The lifetimes of what a zero [Config] issues.
const (
	DefaultTokenLifetime = 5 * time.Minute
	codeLifetime         = time.Minute
)

// Config holds the settings of a [Server]. Issuer (for [New]), Audiences and Clients are required.
type Config struct {
	// Issuer is the identifier of this server and the address of its endpoints, without a path
	// ("http://127.0.0.1:9000"). [Start] takes a free port of this machine when it is empty.
	Issuer string
	// Audiences are the resource servers that tokens can be for. A client names one by the parameter resource
	// (RFC 8707); the first is meant when it names none.
	Audiences []string
	// Clients are the known clients.
	Clients []Client
	// Users can log in at the authorization endpoint.
	Users []User
	// AutoApprove is the name of the user who counts as logged in without being asked. Empty shows a login form.
	AutoApprove string

	// TokenLifetime is the lifetime of access tokens. Zero means five minutes. A client can have its own.
	TokenLifetime time.Duration
	// RequireNonce demands a nonce in every proof (RFC 9449 §8). Without it one is demanded only in the first
	// seconds after a start.
	RequireNonce bool
	// CORSOrigins are the origins ("https://app.example.com") whose browser code may use the token endpoint, the
	// metadata and the keys.
	CORSOrigins []string

	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// Client is an application that asks for tokens. Only ID is required.
type Client struct {
	ID string
	// Secret makes the client confidential, and only such a client may use client credentials. Empty makes it a
	// public client, whose refresh tokens are bound to its DPoP key (RFC 9449 §5).
	Secret string
	// RedirectURIs are compared exactly, but for the port of http://127.0.0.1 and http://[::1] (RFC 8252 §7.3).
	RedirectURIs []string
	// Scopes are those that the client may ask for, and those that it gets when it asks for none.
	Scopes []string
	// TokenLifetime is the lifetime of its access tokens. Zero means that of the [Config].
	TokenLifetime time.Duration
	// InsecureAllowBearer gives the client tokens that are bound to nobody when it sends no proof.
	InsecureAllowBearer bool
}

// User can log in. Name and Password are required.
type User struct {
	Name     string // the claim sub
	Password string
	// ACRs are the authentication contexts that a login of this user reaches. A client asks for one by acr_values;
	// the first is meant when it does not ask. Empty: tokens carry no acr.
	ACRs []string
}

// Server is an [http.Handler]. It is safe for concurrent use. Make it with [New] or [Start], and close it.
type Server struct {
	config  Config
	clients map[string]*Client
	users   map[string]*User
	proofs  *dpop.Verifier
	signing *signingKey
	handler http.Handler
	serving *http.Server // nil unless started here

	mu      sync.Mutex
	codes   map[string]*code
	refresh map[string]*refreshToken
}

// New checks the settings and makes a server with a new key. Its error names the field and what to put there.
func New(config Config) (*Server, error) {
	s := &Server{
		config: config, clients: map[string]*Client{}, users: map[string]*User{},
		codes: map[string]*code{}, refresh: map[string]*refreshToken{},
	}
	if err := s.settle(); err != nil {
		return nil, fmt.Errorf("authserver.Config: %w", err)
	}
	return s, nil
}

// Start makes a server and lets it serve on its own: on the host and port of Issuer, or on a free port of 127.0.0.1
// when Issuer is empty. Close ends it.
func Start(config Config) (*Server, error) {
	address := "127.0.0.1:0"
	if u, err := url.Parse(config.Issuer); err == nil && config.Issuer != "" {
		address = u.Host
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("authserver: %w", err)
	}
	config.Issuer = cmp.Or(config.Issuer, "http://"+listener.Addr().String())
	s, err := New(config)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	s.serving = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = s.serving.Serve(listener) }() // until Close
	return s, nil
}

// Close ends the serving, if [Start] began it, and releases memory. It may be called more than once.
func (s *Server) Close() error {
	var err error
	if s.serving != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err = s.serving.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
			err = s.serving.Close()
		}
	}
	return errors.Join(err, s.proofs.Close())
}

// Issuer returns the issuer identifier, for the settings of resource servers and clients.
func (s *Server) Issuer() string { return s.config.Issuer }

// ServeHTTP serves the metadata, the keys and the endpoints.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) settle() error {
	c := &s.config
	if c.Now == nil {
		c.Now = time.Now
	}
	c.TokenLifetime = cmp.Or(c.TokenLifetime, DefaultTokenLifetime)
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || c.Issuer != u.Scheme+"://"+u.Host:
		return fmt.Errorf("Issuer is %q: give scheme and host, such as %q", c.Issuer, "http://127.0.0.1:9000")
	case len(c.Audiences) == 0 || slices.Contains(c.Audiences, ""):
		return fmt.Errorf("Audiences is %q: give the identifiers of the resource servers, such as %q", c.Audiences, "https://api.example.com")
	case c.TokenLifetime < time.Second:
		return fmt.Errorf("TokenLifetime is %v: give at least a second, or zero for %v", c.TokenLifetime, DefaultTokenLifetime)
	}
	if err := s.settleParties(); err != nil {
		return err
	}
	// The proofs of its endpoints are no API's.
	s.proofs, err = dpop.New(dpop.Config{
		Origins: []string{c.Issuer}, RequireNonce: c.RequireNonce, Namespace: "authserver", Now: c.Now,
	})
	if err != nil {
		return err
	}
	if s.signing, err = newKey(); err != nil {
		return err
	}
	s.handler, err = s.routes()
	return err
}

func (s *Server) settleParties() error {
	if len(s.config.Clients) == 0 {
		return errors.New(`Clients is empty: give at least one, such as {ID: "app", Secret: "…", Scopes: []string{"accounts:read"}}`)
	}
	for i, client := range s.config.Clients {
		switch {
		case client.ID == "" || s.clients[client.ID] != nil:
			return fmt.Errorf("Clients[%d].ID is %q: give each client a name of its own", i, client.ID)
		case client.TokenLifetime < 0:
			return fmt.Errorf("Clients[%d].TokenLifetime is %v: give a positive one, or zero for that of the Config", i, client.TokenLifetime)
		}
		for _, uri := range client.RedirectURIs {
			if u, err := url.Parse(uri); err != nil || !u.IsAbs() || u.Fragment != "" {
				return fmt.Errorf("Clients[%d].RedirectURIs has %q: give an absolute URI without a fragment", i, uri)
			}
		}
		client.TokenLifetime = cmp.Or(client.TokenLifetime, s.config.TokenLifetime)
		s.clients[client.ID] = &client
	}
	for i, user := range s.config.Users {
		if user.Name == "" || user.Password == "" || s.users[user.Name] != nil {
			return fmt.Errorf("Users[%d] is %q: give each user a name of its own and a password", i, user.Name)
		}
		s.users[user.Name] = &user
	}
	if name := s.config.AutoApprove; name != "" && s.users[name] == nil {
		return fmt.Errorf("AutoApprove is %q: give the name of one of the Users", name)
	}
	return nil
}

func (s *Server) routes() (http.Handler, error) {
	metadata, err := json.Marshal(s.metadata())
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	public := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, s.cors(h)) }
	public("/.well-known/oauth-authorization-server", document(metadata))
	public("/.well-known/openid-configuration", document(metadata))
	public("/jwks", document(s.signing.public))
	public("/token", s.token)
	public("/revoke", s.revoke)
	mux.HandleFunc("/authorize", s.authorize)
	return mux, nil
}

// metadata is what discovery tells (RFC 8414 §2, RFC 9449 §5.1, RFC 9207 §3).
func (s *Server) metadata() map[string]any {
	return map[string]any{
		"issuer":                                         s.config.Issuer,
		"authorization_endpoint":                         s.config.Issuer + "/authorize",
		"token_endpoint":                                 s.config.Issuer + "/token",
		"revocation_endpoint":                            s.config.Issuer + "/revoke",
		"jwks_uri":                                       s.config.Issuer + "/jwks",
		"response_types_supported":                       []string{"code"},
		"grant_types_supported":                          []string{"authorization_code", "client_credentials", "refresh_token"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post", "none"},
		"dpop_signing_alg_values_supported":              dpop.Algorithms(),
		"authorization_response_iss_parameter_supported": true,
	}
}

func document(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body) // the client may have gone
	}
}

// cors lets browser code of the listed origins use h, nonces included (RFC 9449 §8).
func (s *Server) cors(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); slices.Contains(s.config.CORSOrigins, origin) {
			w.Header().Set("Access-Control-Allow-Origin", origin)
			w.Header().Set("Access-Control-Expose-Headers", "DPoP-Nonce, WWW-Authenticate")
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
		}
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// loopbackURI takes the port out of a redirect URI that leads to the client's own machine.
var loopbackURI = regexp.MustCompile(`^(http://(?:127\.0\.0\.1|\[::1\]))(?::[0-9]{1,5})?((?:[/?].*)?)$`)

// mayRedirect reports whether a redirect URI is the client's (RFC 9700 §4.1.3, RFC 8252 §7.3).
func (c *Client) mayRedirect(uri string) bool {
	given := loopbackURI.FindStringSubmatch(uri)
	return slices.ContainsFunc(c.RedirectURIs, func(registered string) bool {
		own := loopbackURI.FindStringSubmatch(registered)
		return uri == registered || given != nil && own != nil && given[1] == own[1] && given[2] == own[2]
	})
}

// signingKey signs the access tokens; its kid is its thumbprint (RFC 7638).
type signingKey struct {
	private crypto.Signer
	kid     string
	public  []byte // the key set with it
}

func newKey() (*signingKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	described, err := dpop.NewSigner(private, "ES256")
	if err != nil {
		return nil, err
	}
	public := map[string]any{}
	if err := json.Unmarshal([]byte(described.PublicJWK()), &public); err != nil {
		return nil, err
	}
	public["kid"], public["alg"], public["use"] = described.Thumbprint(), "ES256", "sig"
	set, err := json.Marshal(map[string]any{"keys": []any{public}})
	return &signingKey{private, described.Thumbprint(), set}, err
}

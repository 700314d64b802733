package codeflow_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/codeflow"
)

func signer(t *testing.T) *dpop.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := dpop.NewSigner(key, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// stub is an authorization server that says and answers what a test wants.
type stub struct {
	*httptest.Server
	path     string         // of the metadata
	metadata map[string]any // changes; nil removes
	token    map[string]any
	status   int
	asked    *http.Request // the last request to the token or revocation endpoint
	hostile  func(http.ResponseWriter, *http.Request) (answered bool)
}

func newStub(t *testing.T) *stub {
	s := &stub{path: "/.well-known/oauth-authorization-server", status: http.StatusOK,
		token: map[string]any{"access_token": "at", "token_type": "DPoP", "expires_in": 60, "refresh_token": "rt"}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.hostile != nil && s.hostile(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	switch r.URL.Path {
	case s.path:
		m := map[string]any{
			"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token",
			"revocation_endpoint": s.URL + "/revoke",
		}
		maps.Copy(m, s.metadata)
		_ = json.NewEncoder(w).Encode(m)
	case "/token", "/revoke":
		_ = r.ParseForm()
		s.asked = r
		w.WriteHeader(s.status)
		_ = json.NewEncoder(w).Encode(s.token)
	default:
		http.NotFound(w, r)
	}
}

func (s *stub) discover(t *testing.T, config codeflow.Config) (*codeflow.Client, error) {
	if config.Issuer == "" {
		config.Issuer = s.URL
	}
	config.ID = "app"
	config.Signer = signer(t)
	return codeflow.Discover(t.Context(), config)
}

func (s *stub) client(t *testing.T, config codeflow.Config) *codeflow.Client {
	t.Helper()
	c, err := s.discover(t, config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The whole way, against a server that demands nonces: log in, refresh, take back.
func TestAgainstTheDevelopmentServer(t *testing.T) {
	as, err := authserver.Start(authserver.Config{
		Audiences: []string{"https://api.example.com", "https://other.example.com"}, AutoApprove: "alice", RequireNonce: true,
		Users:   []authserver.User{{Name: "alice", Password: "wonderland", ACRs: []string{"pwd", "mfa"}}},
		Clients: []authserver.Client{{ID: "web", Secret: "s", RedirectURIs: []string{"https://web.example.com/cb"}, Scopes: []string{"read", "write"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer as.Close()
	c, err := codeflow.Discover(t.Context(), codeflow.Config{
		Issuer: as.Issuer(), ID: "web", Secret: "s", Scopes: []string{"read"}, Resource: "https://other.example.com", Signer: signer(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	hour := time.Hour
	login, address := c.Begin("https://web.example.com/cb", codeflow.Demand{ACRs: []string{"mfa"}, MaxAge: &hour})
	if !strings.Contains(address, "max_age=3600") || strings.Contains(address, login.Verifier) {
		t.Errorf("the browser is sent to %s", address)
	}
	response, err := http.DefaultTransport.RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", address, nil))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	back, err := response.Location()
	if err != nil {
		t.Fatal(err)
	}
	first, err := c.Finish(t.Context(), login, back.Query())
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Refresh(t.Context(), first.RefreshToken)
	if err != nil || second.AccessToken == first.AccessToken || second.RefreshToken == first.RefreshToken {
		t.Fatalf("refreshed: %v", err)
	}
	if err := c.Revoke(t.Context(), second.RefreshToken); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context(), second.RefreshToken); !errors.Is(err, codeflow.ErrEnded) {
		t.Errorf("after it was taken back: %v", err)
	}
	if own, err := c.Credentials(t.Context()); err != nil || own.AccessToken == second.AccessToken || own.RefreshToken != "" {
		t.Errorf("on its own behalf: %v", err)
	}
}

// A token on the client's own behalf is asked for with scopes and resource, and has to be bound as any other.
func TestCredentials(t *testing.T) {
	s := newStub(t)
	c := s.client(t, codeflow.Config{Secret: "s", Scopes: []string{"a", "b"}, Resource: "https://api.example.com"})
	if token, err := c.Credentials(t.Context()); err != nil || token.AccessToken != "at" {
		t.Fatal(err)
	}
	want := url.Values{"grant_type": {"client_credentials"}, "scope": {"a b"}, "resource": {"https://api.example.com"}}
	for name := range want {
		if got := s.asked.PostForm.Get(name); got != want.Get(name) {
			t.Errorf("%s is %q, want %q", name, got, want.Get(name))
		}
	}
	if s.asked.PostForm.Get("code") != "" || s.asked.Header.Get("DPoP") == "" {
		t.Errorf("asked by %v with %v", s.asked.PostForm, s.asked.Header)
	}
	s.token["token_type"] = "Bearer"
	if _, err := c.Credentials(t.Context()); !errors.Is(err, codeflow.ErrUnbound) {
		t.Errorf("a token that is not bound: %v", err)
	}
	s.status, s.token = http.StatusUnauthorized, map[string]any{"error": "invalid_client"}
	if _, err := c.Credentials(t.Context()); err == nil || !strings.Contains(err.Error(), `"invalid_client"`) {
		t.Errorf("refused: %v", err)
	}
}

func TestDiscovery(t *testing.T) {
	for name, test := range map[string]struct {
		path     string
		issuer   string // after the server's address
		metadata map[string]any
		refused  string
	}{
		"OAuth":               {"/.well-known/oauth-authorization-server", "", nil, ""},
		"OAuth, tenant":       {"/.well-known/oauth-authorization-server/t1", "/t1", nil, ""},
		"OpenID":              {"/.well-known/openid-configuration", "", nil, ""},
		"OpenID, tenant":      {"/t1/.well-known/openid-configuration", "/t1", nil, ""},
		"nothing there":       {"/elsewhere", "", nil, "does not tell what it offers"},
		"another issuer":      {"/.well-known/oauth-authorization-server", "/t1", map[string]any{"issuer": "https://evil.example"}, "does not tell what it offers"},
		"another's":           {"/.well-known/oauth-authorization-server", "", map[string]any{"issuer": "https://evil.example"}, `that of the issuer "https://evil.example"`},
		"endpoint in clear":   {"/.well-known/oauth-authorization-server", "", map[string]any{"token_endpoint": "http://login.example.com/token"}, "token_endpoint: \"http://login.example.com/…\": use https"},
		"revocation in clear": {"/.well-known/oauth-authorization-server", "", map[string]any{"revocation_endpoint": "http://login.example.com/revoke"}, "revocation_endpoint: \"http://login.example.com/…\": use https"},
		"script":              {"/.well-known/oauth-authorization-server", "", map[string]any{"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint"},
		"no endpoint":         {"/.well-known/oauth-authorization-server", "", map[string]any{"token_endpoint": nil}, "token_endpoint: \"\" is not an address"},
		"no revocation":       {"/.well-known/oauth-authorization-server", "", map[string]any{"revocation_endpoint": nil}, ""},
		"plain PKCE":          {"/.well-known/oauth-authorization-server", "", map[string]any{"code_challenge_methods_supported": []string{"plain"}}, "PKCE with S256"},
		"other algorithms":    {"/.well-known/oauth-authorization-server", "", map[string]any{"dpop_signing_alg_values_supported": []string{"RS256"}}, `takes no ES256: use a key for one of ["RS256"]`},
		"our algorithm":       {"/.well-known/oauth-authorization-server", "", map[string]any{"dpop_signing_alg_values_supported": []string{"RS256", "ES256"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			s.path, s.metadata = test.path, test.metadata
			if test.issuer != "" && test.metadata == nil {
				s.metadata = map[string]any{"issuer": s.URL + test.issuer}
			}
			_, err := s.discover(t, codeflow.Config{Issuer: s.URL + test.issuer})
			if test.refused == "" && err != nil || test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)) {
				t.Errorf("got %v, want %q", err, test.refused)
			}
		})
	}
}

func TestAuthorizationRequest(t *testing.T) {
	s := newStub(t)
	key := signer(t)
	c, err := codeflow.Discover(t.Context(), codeflow.Config{
		Issuer: s.URL, ID: "app", Scopes: []string{"a", "b"}, Resource: "https://api.example.com", Signer: key,
	})
	if err != nil {
		t.Fatal(err)
	}
	login, address := c.Begin("http://127.0.0.1:1/cb", codeflow.Demand{ACRs: []string{"x", "y"}})
	u, err := url.Parse(address)
	if err != nil || !strings.HasPrefix(address, s.URL+"/authorize?") {
		t.Fatalf("%s, %v", address, err)
	}
	want := url.Values{
		"response_type": {"code"}, "client_id": {"app"}, "scope": {"a b"}, "redirect_uri": {"http://127.0.0.1:1/cb"},
		"state": {login.State}, "code_challenge": {oauth2.S256ChallengeFromVerifier(login.Verifier)},
		"code_challenge_method": {"S256"}, "dpop_jkt": {key.Thumbprint()}, "resource": {"https://api.example.com"},
		"acr_values": {"x y"},
	}
	if got := u.Query(); got.Encode() != want.Encode() {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if other, _ := c.Begin("http://127.0.0.1:1/cb", codeflow.Demand{}); other.State == login.State || other.Verifier == login.Verifier {
		t.Error("two logins share a secret")
	}
}

// An issuer in the answer counts, also where the metadata does not announce one (RFC 9207 §2.4).
func TestIssuerOfTheAnswer(t *testing.T) {
	for _, announced := range []bool{false, true} {
		for _, iss := range []string{"", "right", "https://evil.example"} {
			s := newStub(t)
			s.metadata = map[string]any{"authorization_response_iss_parameter_supported": announced}
			c := s.client(t, codeflow.Config{})
			login, _ := c.Begin("http://127.0.0.1/cb", codeflow.Demand{})
			answer := url.Values{"state": {login.State}, "code": {"c"}}
			if iss != "" {
				answer.Set("iss", strings.Replace(iss, "right", s.URL, 1))
			}
			_, err := c.Finish(t.Context(), login, answer)
			if accepted := iss == "right" || iss == "" && !announced; accepted != (err == nil) || accepted != (s.asked != nil) {
				t.Errorf("announced %t, iss %q: %v", announced, iss, err)
			}
		}
	}
}

func TestTokensHaveToBeBound(t *testing.T) {
	for _, kind := range []any{"Bearer", "bearer", "", nil, "DPoPish"} {
		s := newStub(t)
		s.token["token_type"] = kind
		c := s.client(t, codeflow.Config{})
		if _, err := c.Refresh(t.Context(), "rt"); !errors.Is(err, codeflow.ErrUnbound) {
			t.Errorf("token_type %v, refreshed: %v", kind, err)
		}
		login, _ := c.Begin("http://127.0.0.1/cb", codeflow.Demand{})
		if _, err := c.Finish(t.Context(), login, url.Values{"state": {login.State}, "code": {"c"}}); !errors.Is(err, codeflow.ErrUnbound) {
			t.Errorf("token_type %v, for a code: %v", kind, err)
		}
	}
	s := newStub(t)
	s.token["token_type"] = "dpop" // token types know no case (RFC 6749 §5.1)
	if _, err := s.client(t, codeflow.Config{}).Refresh(t.Context(), "rt"); err != nil {
		t.Error(err)
	}
}

// Each token request names the API: a server may else give a token for something else (RFC 8707 §2.2).
func TestResource(t *testing.T) {
	s := newStub(t)
	c := s.client(t, codeflow.Config{Resource: "https://api.example.com"})
	login, _ := c.Begin("http://127.0.0.1/cb", codeflow.Demand{})
	if _, err := c.Finish(t.Context(), login, url.Values{"state": {login.State}, "code": {"c"}}); err != nil {
		t.Fatal(err)
	}
	if got := s.asked.PostForm.Get("resource"); got != "https://api.example.com" {
		t.Errorf("for a code: %q", got)
	}
	if _, err := c.Refresh(t.Context(), "rt"); err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"grant_type": {"refresh_token"}, "refresh_token": {"rt"}, "client_id": {"app"}, "resource": {"https://api.example.com"},
	}
	got := s.asked.PostForm
	if got.Get("code") == "" { // as if it were not there (RFC 6749 §3.2)
		got.Del("code")
	}
	if got.Encode() != want.Encode() {
		t.Errorf("refreshed with %v, want %v", got, want)
	}
}

func TestRefreshErrors(t *testing.T) {
	s := newStub(t)
	c := s.client(t, codeflow.Config{})
	if _, err := c.Refresh(t.Context(), ""); !errors.Is(err, codeflow.ErrEnded) || s.asked != nil {
		t.Errorf("without a refresh token: %v", err)
	}
	delete(s.token, "refresh_token")
	if got, err := c.Refresh(t.Context(), "rt"); err != nil || got.RefreshToken != "rt" {
		t.Errorf("a refresh token that stays the same: %+v, %v", got, err)
	}
	s.status, s.token = http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "\x1b]0;title\x07"}
	if _, err := c.Refresh(t.Context(), "rt"); !errors.Is(err, codeflow.ErrEnded) || strings.ContainsAny(err.Error(), "\x1b\x07") {
		t.Errorf("taken back: %v", err)
	}
	s.status, s.token = http.StatusServiceUnavailable, map[string]any{}
	if _, err := c.Refresh(t.Context(), "rt"); err == nil || errors.Is(err, codeflow.ErrEnded) || !strings.Contains(err.Error(), "503") {
		t.Errorf("an outage is no end of the login: %v", err)
	}
	s.Close()
	if _, err := c.Refresh(t.Context(), "rt"); err == nil || errors.Is(err, codeflow.ErrEnded) {
		t.Errorf("nobody there: %v", err)
	}
}

// A client with a secret authenticates as the server wants; one without names itself.
func TestClientAuthentication(t *testing.T) {
	for name, test := range map[string]struct {
		secret  string
		methods []string
		basic   bool
	}{
		"public":           {"", nil, false},
		"server says none": {"s/ ", nil, true},
		"basic":            {"s/ ", []string{"client_secret_post", "client_secret_basic"}, true},
		"post":             {"s/ ", []string{"client_secret_post"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			if test.methods != nil {
				s.metadata = map[string]any{"token_endpoint_auth_methods_supported": test.methods}
			}
			c := s.client(t, codeflow.Config{Secret: test.secret})
			check := func(endpoint string) {
				user, password, basic := s.asked.BasicAuth()
				form := s.asked.PostForm
				if basic != test.basic || basic && (user != "app" || password != url.QueryEscape(test.secret) || form.Has("client_secret")) {
					t.Errorf("%s: basic %t, %q %q, %v", endpoint, basic, user, password, form)
				}
				if !basic && (form.Get("client_id") != "app" || form.Get("client_secret") != test.secret) {
					t.Errorf("%s: %v", endpoint, form)
				}
			}
			if _, err := c.Refresh(t.Context(), "rt"); err != nil {
				t.Fatal(err)
			}
			check("token")
			if err := c.Revoke(t.Context(), "rt"); err != nil || s.asked.PostForm.Get("token") != "rt" {
				t.Fatal(err)
			}
			check("revocation")
		})
	}
}

func TestRevocationErrors(t *testing.T) {
	s := newStub(t)
	s.metadata = map[string]any{"revocation_endpoint": nil}
	if err := s.client(t, codeflow.Config{}).Revoke(t.Context(), "rt"); !errors.Is(err, codeflow.ErrNoRevocation) {
		t.Errorf("got %v", err)
	}
	s = newStub(t)
	c := s.client(t, codeflow.Config{})
	s.status, s.token = http.StatusUnauthorized, map[string]any{"error": "invalid_client\n"}
	if err := c.Revoke(t.Context(), "rt"); err == nil || !strings.Contains(err.Error(), `401 Unauthorized "invalid_client\n"`) {
		t.Errorf("got %v", err)
	}
}

// Codes, secrets and tokens do not follow a redirect.
func TestNoRedirect(t *testing.T) {
	s := newStub(t)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("followed") }))
	defer other.Close()
	redirecting := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer redirecting.Close()
	s.metadata = map[string]any{"token_endpoint": redirecting.URL, "revocation_endpoint": redirecting.URL}
	c := s.client(t, codeflow.Config{})
	if _, err := c.Refresh(t.Context(), "rt"); err == nil {
		t.Error("a redirect passes for tokens")
	}
	if err := c.Revoke(t.Context(), "rt"); err == nil {
		t.Error("a redirect passes for a revocation")
	}
}

// endless is the JSON of a value that goes on for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// A server that never stops sending fails the login, and no more than that.
func TestEndlessAnswers(t *testing.T) {
	head := func(w http.ResponseWriter) {
		for i := range 100 {
			w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 1<<10))
		}
	}
	body := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader(`{"issuer":"`), endless{})) // until the client has enough
	}
	for name, test := range map[string]struct {
		path string
		send func(http.ResponseWriter)
		want string
	}{
		"head of the metadata": {"/.well-known/", head, "server response headers exceeded"},
		"body of the metadata": {"/.well-known/", body, "is not a metadata document"},
		"head of the tokens":   {"/token", head, "server response headers exceeded"},
		"body of the tokens":   {"/token", body, "gave no token"},
		"head of a revocation": {"/revoke", head, "server response headers exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub(t)
			s.hostile = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasPrefix(r.URL.Path, test.path) {
					return false
				}
				test.send(w)
				return true
			}
			c, err := s.discover(t, codeflow.Config{})
			switch test.path {
			case "/token":
				_, err = c.Refresh(t.Context(), "rt")
			case "/revoke":
				err = c.Revoke(t.Context(), "rt")
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

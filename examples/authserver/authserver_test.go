package authserver_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/internal/poptest"
)

const (
	issuer   = "http://127.0.0.1:9000"
	api      = "https://api.example.com"
	callback = "http://127.0.0.1/callback"
)

func config() authserver.Config {
	return authserver.Config{
		Issuer: issuer, Audiences: []string{api, "https://other.example.com"},
		Clients: []authserver.Client{
			{ID: "service", Secret: "s3cret/+ ", Scopes: []string{"read", "write"}},
			{ID: "nightly", Secret: "s", Scopes: []string{"read"}, TokenLifetime: 24 * time.Hour},
			{ID: "legacy", Secret: "s", Scopes: []string{"read"}, InsecureAllowBearer: true},
			{ID: "app", Scopes: []string{"read", "write"}, RedirectURIs: []string{callback, "https://app.example.com/cb"}},
			{ID: "other-app", Scopes: []string{"read"}, RedirectURIs: []string{callback}},
			{ID: "web", Secret: "s", Scopes: []string{"read"}, RedirectURIs: []string{"https://web.example.com/cb"}},
		},
		Users: []authserver.User{
			{Name: "alice", Password: "wonderland", ACRs: []string{"pwd", "mfa"}},
			{Name: "bob", Password: "builder"},
		},
		AutoApprove: "alice",
	}
}

// harness is a server under a fixed clock, past the seconds after its start in which it demands a nonce.
type harness struct {
	*testing.T
	server *authserver.Server
	clock  *poptest.Clock
	keys   []byte
}

func newHarness(t *testing.T, change func(*authserver.Config)) *harness {
	t.Helper()
	h := &harness{T: t, clock: poptest.NewClock()}
	c := config()
	c.Now = h.clock.Now
	if change != nil {
		change(&c)
	}
	var err error
	if h.server, err = authserver.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.server.Close(); err != nil {
			t.Error(err)
		}
	})
	h.clock.Advance(time.Minute)
	h.keys = h.get("/jwks").Body.Bytes()
	return h
}

func (h *harness) serve(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.server.ServeHTTP(w, r)
	return w
}

func (h *harness) get(path string) *httptest.ResponseRecorder {
	return h.serve(httptest.NewRequest("GET", issuer+path, nil))
}

// ask is a token request. Zero fields make it a good one of the service for itself.
type ask struct {
	form   url.Values
	basic  []string       // user and password
	proof  *poptest.Proof // nil: a good one
	raw    string         // the proof as it is
	bare   bool           // no proof
	method string
}

type body struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
	Error        string `json:"error"`
	Description  string `json:"error_description"`
}

func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v
}

func (h *harness) good(p poptest.Proof) string {
	if p.Method == "" {
		p.Method = "POST"
	}
	if p.URL == "" {
		p.URL = issuer + "/token"
	}
	if p.IssuedAt.IsZero() {
		p.IssuedAt = h.clock.Now()
	}
	return p.String()
}

func (h *harness) token(a ask) (body, *httptest.ResponseRecorder) {
	h.Helper()
	if a.form == nil {
		a.form = values("grant_type", "client_credentials", "client_id", "service", "client_secret", "s3cret/+ ")
	}
	if a.method == "" {
		a.method = "POST"
	}
	r := httptest.NewRequest(a.method, issuer+"/token", strings.NewReader(a.form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a.basic != nil {
		r.SetBasicAuth(a.basic[0], a.basic[1])
	}
	switch {
	case a.bare:
	case a.raw != "":
		r.Header.Set("DPoP", a.raw)
	case a.proof != nil:
		r.Header.Set("DPoP", h.good(*a.proof))
	default:
		r.Header.Set("DPoP", h.good(poptest.Proof{}))
	}
	w := h.serve(r)
	var b body
	if err := json.Unmarshal(w.Body.Bytes(), &b); err != nil {
		h.Fatalf("%d: %v", w.Code, err)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		h.Error("a token response may be stored (RFC 6749 §5.1)")
	}
	return b, w
}

// otherKey is a client's second key.
var otherKey = sync.OnceValue(func() *poptest.Key { return poptest.NewKey("ES256") })

// read is what a resource server makes of an access token.
func (h *harness) read(token string) *access.Token {
	h.Helper()
	guard, err := access.New(access.Config{
		Origins: []string{api}, Log: slog.New(slog.DiscardHandler), Now: h.clock.Now,
		Issuers:             []access.Issuer{{URL: issuer, Audience: api, Algorithms: []string{"ES256"}, JWKS: h.keys}},
		InsecureAllowBearer: true, InsecureForgetAtStart: true, MaxTokenLifetime: 25 * time.Hour,
	})
	if err != nil {
		h.Fatal(err)
	}
	defer guard.Close()
	for _, key := range []*poptest.Key{nil, poptest.ClientKey(), otherKey()} {
		r := httptest.NewRequest("GET", api, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		if key != nil {
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", poptest.Proof{Key: key, Token: token, URL: api, IssuedAt: h.clock.Now()}.String())
		}
		grant, refused := guard.Check(r)
		if refused == nil {
			return &grant.Token
		}
		err = refused
	}
	h.Fatalf("a resource server refuses the token: %v", err)
	return nil
}

func TestDiscovery(t *testing.T) {
	h := newHarness(t, nil)
	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		var metadata map[string]any
		if err := json.Unmarshal(h.get(path).Body.Bytes(), &metadata); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"issuer": issuer, "token_endpoint": issuer + "/token",
			"authorization_endpoint": issuer + "/authorize", "jwks_uri": issuer + "/jwks",
		} {
			if metadata[name] != want {
				t.Errorf("%s: %s is %v, want %s", path, name, metadata[name], want)
			}
		}
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(h.keys, &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("keys: %v, %s", err, h.keys)
	}
	if key := set.Keys[0]; key["alg"] != "ES256" || key["use"] != "sig" || key["kid"] == "" || key["d"] != "" {
		t.Errorf("the published key is %v", key)
	}
}

func TestClientCredentials(t *testing.T) {
	h := newHarness(t, nil)
	for name, test := range map[string]struct {
		ask      ask
		client   string
		scope    string
		lifetime time.Duration
	}{
		"all scopes, secret in the body": {ask{}, "service", "read write", 5 * time.Minute},
		"secret by Basic, form-encoded": {ask{
			form: values("grant_type", "client_credentials"), basic: []string{"service", url.QueryEscape("s3cret/+ ")},
		}, "service", "read write", 5 * time.Minute},
		"one scope, 24 hours": {ask{
			form: values("grant_type", "client_credentials", "client_id", "nightly", "client_secret", "s", "scope", "read", "resource", api),
		}, "nightly", "read", 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h := &harness{t, h.server, h.clock, h.keys}
			b, w := h.token(test.ask)
			if w.Code != 200 || b.TokenType != "DPoP" || b.Scope != test.scope || b.ExpiresIn != int(test.lifetime.Seconds()) || b.RefreshToken != "" {
				t.Fatalf("%d %+v", w.Code, b)
			}
			got := h.read(b.AccessToken)
			if got.ClientID != test.client || got.Subject != test.client || strings.Join(got.Scopes, " ") != test.scope ||
				got.Expiry.Sub(got.IssuedAt) != test.lifetime || got.ID == "" || got.Confirmation.JKT != poptest.ClientKey().Thumbprint() {
				t.Errorf("the token says %+v", got)
			}
			if !got.AuthTime.IsZero() || got.Session != "" {
				t.Error("a token without a user speaks of a login")
			}
		})
	}
}

func TestTokenEndpointRefuses(t *testing.T) {
	h := newHarness(t, nil)
	service := func(pairs ...string) ask {
		form := values("grant_type", "client_credentials", "client_id", "service", "client_secret", "s3cret/+ ")
		for name, v := range values(pairs...) {
			form[name] = v
		}
		return ask{form: form}
	}
	used := h.good(poptest.Proof{})
	if _, w := h.token(ask{raw: used}); w.Code != 200 {
		t.Fatal(w.Body)
	}
	for name, test := range map[string]struct {
		ask    ask
		status int
		code   string
	}{
		"wrong secret":     {service("client_secret", "guess"), 401, "invalid_client"},
		"unknown client":   {service("client_id", "nobody"), 401, "invalid_client"},
		"no secret":        {service("client_secret", ""), 401, "invalid_client"},
		"secret twice":     {ask{basic: []string{"service", "x"}}, 400, "invalid_request"},
		"wrong Basic":      {ask{form: values("grant_type", "client_credentials"), basic: []string{"service", "x"}}, 401, "invalid_client"},
		"parameter twice":  {service("grant_type", "client_credentials", "grant_type", "client_credentials"), 400, "invalid_request"},
		"GET":              {ask{method: "GET"}, 400, "invalid_request"},
		"other grant":      {service("grant_type", "password"), 400, "unsupported_grant_type"},
		"public client":    {ask{form: values("grant_type", "client_credentials", "client_id", "app")}, 400, "unauthorized_client"},
		"foreign scope":    {service("scope", "read admin"), 400, "invalid_scope"},
		"unknown resource": {service("resource", "https://evil.example"), 400, "invalid_target"},

		"no proof":       {ask{bare: true}, 400, "invalid_dpop_proof"},
		"replayed proof": {ask{raw: used}, 400, "invalid_dpop_proof"},
		"other URL":      {ask{proof: &poptest.Proof{URL: issuer + "/authorize"}}, 400, "invalid_dpop_proof"},
		"other method":   {ask{proof: &poptest.Proof{Method: "GET"}}, 400, "invalid_dpop_proof"},
		"old proof":      {ask{proof: &poptest.Proof{IssuedAt: poptest.Now.Add(-time.Hour)}}, 400, "invalid_dpop_proof"},
		"forged proof":   {ask{proof: &poptest.Proof{Signer: poptest.NewKey("ES256")}}, 400, "invalid_dpop_proof"},
		"foreign nonce":  {ask{proof: &poptest.Proof{Nonce: "not-ours", IssuedAt: poptest.Now.Add(-time.Hour)}}, 400, "use_dpop_nonce"},
		"bearer client":  {ask{form: values("grant_type", "client_credentials", "client_id", "legacy", "client_secret", "s"), raw: used}, 400, "invalid_dpop_proof"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &harness{t, h.server, h.clock, h.keys}
			b, w := h.token(test.ask)
			if w.Code != test.status || b.Error != test.code || b.AccessToken != "" {
				t.Errorf("%d %+v, want %d %s", w.Code, b, test.status, test.code)
			}
			if b.Description == "" {
				t.Error("the refusal does not say why")
			}
			if (w.Header().Get("WWW-Authenticate") != "") != (test.ask.basic != nil && test.status == 401) {
				t.Errorf("WWW-Authenticate: %q (RFC 6749 §5.2)", w.Header().Get("WWW-Authenticate"))
			}
			if (w.Header().Get("DPoP-Nonce") != "") != (test.code == "use_dpop_nonce") {
				t.Errorf("DPoP-Nonce: %q", w.Header().Get("DPoP-Nonce"))
			}
		})
	}
}

func TestBearerOnlyForClientsThatMay(t *testing.T) {
	h := newHarness(t, nil)
	form := values("grant_type", "client_credentials", "client_id", "legacy", "client_secret", "s")
	b, _ := h.token(ask{form: form, bare: true})
	if got := h.read(b.AccessToken); b.TokenType != "Bearer" || got.Confirmation.JKT != "" {
		t.Errorf("without a proof: %s, bound to %q", b.TokenType, got.Confirmation.JKT)
	}
	b, _ = h.token(ask{form: form})
	if got := h.read(b.AccessToken); b.TokenType != "DPoP" || got.Confirmation.JKT != poptest.ClientKey().Thumbprint() {
		t.Errorf("with a proof: %s, bound to %q", b.TokenType, got.Confirmation.JKT)
	}
}

func TestNonce(t *testing.T) {
	h := newHarness(t, func(c *authserver.Config) { c.RequireNonce = true })
	b, w := h.token(ask{})
	nonce := w.Header().Get("DPoP-Nonce")
	if w.Code != 400 || b.Error != "use_dpop_nonce" || nonce == "" {
		t.Fatalf("%d %+v, nonce %q", w.Code, b, nonce)
	}
	if b, w = h.token(ask{proof: &poptest.Proof{Nonce: nonce}}); w.Code != 200 || b.AccessToken == "" {
		t.Errorf("with the nonce: %d %+v", w.Code, b)
	}
	h.clock.Advance(time.Minute)
	if _, w = h.token(ask{proof: &poptest.Proof{Nonce: nonce}}); w.Code != 200 || w.Header().Get("DPoP-Nonce") == "" {
		t.Errorf("with the previous nonce: %d, a new one: %q", w.Code, w.Header().Get("DPoP-Nonce"))
	}
}

func TestCORS(t *testing.T) {
	h := newHarness(t, func(c *authserver.Config) { c.CORSOrigins = []string{"https://app.example.com"} })
	for _, path := range []string{"/token", "/jwks", "/.well-known/oauth-authorization-server"} {
		for origin, allowed := range map[string]bool{"https://app.example.com": true, "https://evil.example": false, "": false} {
			r := httptest.NewRequest("OPTIONS", issuer+path, nil)
			r.Header.Set("Origin", origin)
			w := h.serve(r)
			if got := w.Header().Get("Access-Control-Allow-Origin"); w.Code != 204 || (got == origin && got != "") != allowed {
				t.Errorf("%s from %q: %d, allowed %q", path, origin, w.Code, got)
			}
			if exposed := strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "DPoP-Nonce"); exposed != allowed {
				t.Errorf("%s from %q: nonce exposed: %t", path, origin, exposed)
			}
		}
	}
	r := httptest.NewRequest("GET", issuer+"/authorize", nil)
	r.Header.Set("Origin", "https://app.example.com")
	if got := h.serve(r).Header().Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("the authorization endpoint is for navigation alone, yet allows %q", got)
	}
}

func TestMint(t *testing.T) {
	h := newHarness(t, nil)
	login := poptest.Now.Add(-time.Hour)
	raw, err := h.server.Mint(authserver.Token{
		Subject: "alice", ClientID: "app", Scope: "read", Lifetime: time.Minute, JKT: poptest.ClientKey().Thumbprint(), Session: "s1",
		AuthTime: login, ACR: "mfa", Claims: map[string]any{"tenant": "t1", "sub": "carol"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := h.read(raw)
	var claims struct {
		Tenant string `json:"tenant"`
	}
	if err := got.Claims(&claims); err != nil || claims.Tenant != "t1" {
		t.Errorf("tenant %q, %v", claims.Tenant, err)
	}
	if got.Subject != "carol" || got.Session != "s1" || !got.AuthTime.Equal(login) || got.ACR != "mfa" ||
		got.Confirmation.JKT != poptest.ClientKey().Thumbprint() || got.Expiry.Sub(got.IssuedAt) != time.Minute {
		t.Errorf("the token says %+v", got)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*authserver.Config)
		field  string
	}{
		"no issuer":          {func(c *authserver.Config) { c.Issuer = "" }, "Issuer"},
		"issuer with a path": {func(c *authserver.Config) { c.Issuer += "/tenant" }, "Issuer"},
		"no audience":        {func(c *authserver.Config) { c.Audiences = nil }, "Audiences"},
		"negative lifetime":  {func(c *authserver.Config) { c.TokenLifetime = -1 }, "TokenLifetime"},
		"no clients":         {func(c *authserver.Config) { c.Clients = nil }, "Clients"},
		"client without ID":  {func(c *authserver.Config) { c.Clients[1].ID = "" }, "Clients[1].ID"},
		"client twice":       {func(c *authserver.Config) { c.Clients[1].ID = "service" }, "Clients[1].ID"},
		"client lifetime":    {func(c *authserver.Config) { c.Clients[0].TokenLifetime = -1 }, "Clients[0].TokenLifetime"},
		"relative redirect":  {func(c *authserver.Config) { c.Clients[3].RedirectURIs = []string{"/cb"} }, "Clients[3].RedirectURIs"},
		"no password":        {func(c *authserver.Config) { c.Users[1].Password = "" }, "Users[1]"},
		"unknown user":       {func(c *authserver.Config) { c.AutoApprove = "carol" }, "AutoApprove"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			test.change(&c)
			if _, err := authserver.New(c); err == nil || !strings.HasPrefix(err.Error(), "authserver.Config: "+test.field) {
				t.Errorf("got %v, want an error about %s", err, test.field)
			}
		})
	}
}

func TestStartServesOnAFreePort(t *testing.T) {
	c := config()
	c.Issuer = ""
	s, err := authserver.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(s.Issuer() + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(text), `"issuer":"`+s.Issuer()+`"`) {
		t.Errorf("%v, %s", err, text)
	}
	_ = answer.Body.Close()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if answer, err := http.Get(s.Issuer()); err == nil {
		_ = answer.Body.Close()
		t.Error("it still serves after Close")
	}
}

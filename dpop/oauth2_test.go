package dpop_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// authServer is a small authorization server: client credentials, authorization code with PKCE, and refresh. It
// demands a nonce and binds every token to the key of the proof.
type authServer struct {
	*httptest.Server
	t         *testing.T
	nonce     string
	tokenType string

	mu       sync.Mutex
	bound    map[string]string // thumbprint by access token, refresh token or code
	verifier map[string]string // code challenge by code
	refusals int
}

func newAuthServer(t *testing.T) *authServer {
	s := &authServer{
		t: t, nonce: "as-nonce", tokenType: "DPoP", bound: map[string]string{}, verifier: map[string]string{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /authorize", s.authorize)
	mux.HandleFunc("POST /token", s.token)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// authorize is the user who agrees at once.
func (s *authServer) authorize(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code := rand.Text()
	s.bound[code], s.verifier[code] = r.FormValue("dpop_jkt"), r.FormValue("code_challenge")
	back := url.Values{"code": {code}, "state": {r.FormValue("state")}}
	http.Redirect(w, r, r.FormValue("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (s *authServer) token(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := tryOpenProof(r.Header.Get("DPoP"))
	if err != nil || p.claims["htm"] != "POST" || p.claims["htu"] != s.URL+"/token" || p.claims["ath"] != nil {
		s.t.Errorf("token endpoint: proof %v (%v)", p.claims, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if p.claims["nonce"] != s.nonce {
		s.refusals++
		w.Header().Set("DPoP-Nonce", s.nonce)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"use_dpop_nonce"}`))
		return
	}
	if !s.granted(r, p.thumbprint) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_grant"}`))
		return
	}
	access, refresh := rand.Text(), rand.Text()
	s.bound[access], s.bound[refresh] = p.thumbprint, p.thumbprint
	_ = json.NewEncoder(w).Encode(map[string]any{
		"access_token": access, "refresh_token": refresh, "token_type": s.tokenType, "expires_in": 1,
	})
}

func (s *authServer) granted(r *http.Request, thumbprint string) bool {
	switch r.FormValue("grant_type") {
	case "client_credentials":
		user, password, _ := r.BasicAuth()
		return user == "service" && password == "secret"
	case "refresh_token":
		return s.bound[r.FormValue("refresh_token")] == thumbprint
	case "authorization_code":
		code := r.FormValue("code")
		sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		return s.bound[code] == thumbprint && s.verifier[code] == base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return false
}

// ServeAPI is a resource server that demands a nonce of its own.
func (s *authServer) ServeAPI(w http.ResponseWriter, r *http.Request) {
	p, err := tryOpenProof(r.Header.Get("DPoP"))
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "DPoP ")
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil || !found || s.bound[token] != p.thumbprint || p.claims["ath"] != poptest.ATH(token):
		w.WriteHeader(http.StatusUnauthorized)
	case p.claims["nonce"] != "rs-nonce":
		s.refusals++
		w.Header().Set("WWW-Authenticate", `Bearer, `+useNonce)
		w.Header().Set("DPoP-Nonce", "rs-nonce")
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// transports returns the two halves of the recipe: for the authorization server, as the context that
// golang.org/x/oauth2 takes its client from, and for the API, as settings that lack the token.
func (s *authServer) transports(t *testing.T, api *httptest.Server) (context.Context, dpop.TransportConfig) {
	signer := newTestSigner(t, poptest.ClientKey())
	login := transport(t, dpop.TransportConfig{Signer: signer, Origins: []string{s.URL}})
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, &http.Client{Transport: login})
	return ctx, dpop.TransportConfig{Signer: signer, Origins: []string{api.URL}}
}

// call expects the API to be reached, several times, with one refusal for the nonce of each server in all.
func (s *authServer) call(t *testing.T, tr *dpop.Transport, api *httptest.Server) {
	t.Helper()
	client := &http.Client{Transport: tr}
	for range 3 {
		resp, err := client.Get(api.URL)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != http.StatusOK {
			t.Fatalf("status %d", resp.StatusCode)
		}
	}
	if s.refusals != 2 {
		t.Errorf("%d refusals for a nonce, want one of each server", s.refusals)
	}
}

func TestOAuth2ClientCredentials(t *testing.T) {
	s := newAuthServer(t)
	api := httptest.NewServer(http.HandlerFunc(s.ServeAPI))
	defer api.Close()
	ctx, forAPI := s.transports(t, api)
	config := clientcredentials.Config{ClientID: "service", ClientSecret: "secret", TokenURL: s.URL + "/token"}
	forAPI.Token = boundToken(config.TokenSource(ctx))
	s.call(t, transport(t, forAPI), api)
}

// Tokens of one second are expired at once for golang.org/x/oauth2, so every call refreshes.
func TestOAuth2AuthorizationCodeAndRefresh(t *testing.T) {
	s := newAuthServer(t)
	api := httptest.NewServer(http.HandlerFunc(s.ServeAPI))
	defer api.Close()
	ctx, forAPI := s.transports(t, api)
	config := oauth2.Config{
		ClientID: "app", RedirectURL: "http://127.0.0.1/callback",
		Endpoint: oauth2.Endpoint{
			AuthURL: s.URL + "/authorize", TokenURL: s.URL + "/token", AuthStyle: oauth2.AuthStyleInParams,
		},
	}
	verifier := oauth2.GenerateVerifier()
	code := authorizationCode(t, config.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier),
		oauth2.SetAuthURLParam("dpop_jkt", forAPI.Signer.Thumbprint())))
	if _, err := config.Exchange(ctx, code, oauth2.VerifierOption("wrong")); err == nil {
		t.Error("exchanged without the verifier")
	}
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	forAPI.Token = boundToken(config.TokenSource(ctx, token))
	s.call(t, transport(t, forAPI), api)
	if refreshed, err := config.TokenSource(ctx, token).Token(); err != nil || refreshed.AccessToken == token.AccessToken {
		t.Errorf("not refreshed: %v", err)
	}
}

// The refusal of a grant reaches golang.org/x/oauth2 with its body.
func TestOAuth2Errors(t *testing.T) {
	s := newAuthServer(t)
	ctx, _ := s.transports(t, s.Server)
	config := clientcredentials.Config{ClientID: "service", ClientSecret: "wrong", TokenURL: s.URL + "/token",
		AuthStyle: oauth2.AuthStyleInHeader}
	var refused *oauth2.RetrieveError
	if _, err := config.Token(ctx); !errors.As(err, &refused) || refused.ErrorCode != "invalid_grant" {
		t.Errorf("got %v", err)
	}
}

// A token that is not bound is not sent at all.
func TestOAuth2BearerToken(t *testing.T) {
	s := newAuthServer(t)
	for _, s.tokenType = range []string{"Bearer", ""} {
		api := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("sent") }))
		defer api.Close()
		ctx, forAPI := s.transports(t, api)
		config := clientcredentials.Config{ClientID: "service", ClientSecret: "secret", TokenURL: s.URL + "/token"}
		forAPI.Token = boundToken(config.TokenSource(ctx))
		_, err := transport(t, forAPI).RoundTrip(newRequest(t, "GET", api.URL, nil))
		if err == nil || !strings.Contains(err.Error(), "not bound") {
			t.Errorf("token_type %q: %v", cmp.Or(s.tokenType, "none"), err)
		}
	}
}

// authorizationCode follows the user's browser up to the redirect back to the client.
func authorizationCode(t *testing.T, authorizeURL string) string {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(newRequest(t, "GET", authorizeURL, nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	back, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	return back.Query().Get("code")
}

package authserver

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/reason"
)

// maxForm is the largest accepted form, in octets.
const maxForm = 64 << 10

// oauthError is the body of a refusal (RFC 6749 §5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description,omitempty"`
	status      int    // zero means 400
}

func refused(code, description string) *oauthError {
	return &oauthError{Code: code, Description: description}
}

// response is the body of a success (RFC 6749 §5.1, RFC 9449 §5).
type response struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	Scope        string `json:"scope,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
}

// A refreshToken is used once; the next one replaces it (RFC 9700 §4.14.2).
type refreshToken struct {
	session *session
	used    bool
}

// token is the token endpoint (RFC 6749 §3.2, RFC 9449 §5).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	body, refusal := s.issue(w, r)
	if refusal == nil {
		_ = json.NewEncoder(w).Encode(body) // the client may have gone
		return
	}
	if refusal.status == http.StatusUnauthorized && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="token endpoint"`)
	}
	w.WriteHeader(cmp.Or(refusal.status, http.StatusBadRequest))
	_ = json.NewEncoder(w).Encode(refusal) // the client may have gone
}

// issue judges a token request: its form, the client, the proof, the grant, in this order.
func (s *Server) issue(w http.ResponseWriter, r *http.Request) (*response, *oauthError) {
	client, refusal := s.asking(w, r)
	if refusal != nil {
		return nil, refusal
	}
	jkt, refusal := s.proof(w, r, client)
	if refusal != nil {
		return nil, refusal
	}
	form := r.PostForm
	switch form.Get("grant_type") {
	case "client_credentials":
		return s.clientCredentials(client, form, jkt)
	case "authorization_code":
		return s.redeem(client, form, jkt)
	case "refresh_token":
		return s.refreshed(client, form, jkt)
	}
	return nil, refused("unsupported_grant_type", "grant_type must be authorization_code, client_credentials or refresh_token")
}

// asking reads the form of a request to the token or revocation endpoint and returns the client that sent it.
func (s *Server) asking(w http.ResponseWriter, r *http.Request) (*Client, *oauthError) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		return nil, refused("invalid_request", "send a form by POST")
	}
	if repeated(r.PostForm) != "" {
		return nil, refused("invalid_request", "a parameter is there more than once")
	}
	return s.client(r)
}

// client finds the client and checks its secret, if it has one (RFC 6749 §2.3.1).
func (s *Server) client(r *http.Request) (*Client, *oauthError) {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		user, password, ok := r.BasicAuth()
		basicID, err1 := url.QueryUnescape(user)
		basicSecret, err2 := url.QueryUnescape(password)
		if !ok || errors.Join(err1, err2) != nil || secret != "" || id != "" && id != basicID {
			return nil, refused("invalid_request", "authenticate the client in one way")
		}
		id, secret = basicID, basicSecret
	}
	if client := s.clients[id]; client != nil && equal(client.Secret, secret) {
		return client, nil
	}
	return nil, &oauthError{"invalid_client", "the client is unknown or its secret is wrong", http.StatusUnauthorized}
}

// proof returns the thumbprint of the key that the client has proved to hold. It is empty only for a client that
// may have tokens that are bound to nobody, and that sent no proof.
func (s *Server) proof(w http.ResponseWriter, r *http.Request, client *Client) (jkt string, _ *oauthError) {
	if client.InsecureAllowBearer && r.Header["Dpop"] == nil {
		return "", nil
	}
	proof, err := s.proofs.Verify(r, "")
	if err == nil {
		if nonce := s.proofs.NextNonce(proof); nonce != "" {
			w.Header().Set("DPoP-Nonce", nonce)
		}
		return proof.Thumbprint(), nil
	}
	cause, ok := errors.AsType[*reason.Error](err)
	switch {
	case dpop.NeedsNonce(err):
		w.Header().Set("DPoP-Nonce", s.proofs.Nonce())
		return "", refused("use_dpop_nonce", cause.Text)
	case !ok || errors.Is(err, dpop.ErrStore):
		return "", &oauthError{"server_error", "the proof could not be checked; try again", http.StatusServiceUnavailable}
	}
	return "", refused("invalid_dpop_proof", cause.Text)
}

// clientCredentials serves a client on its own behalf (RFC 6749 §4.4).
func (s *Server) clientCredentials(client *Client, form url.Values, jkt string) (*response, *oauthError) {
	if client.Secret == "" {
		return nil, refused("unauthorized_client", "a public client has no credentials to present")
	}
	scopes, refusal := client.grantable(form.Get("scope"))
	if refusal != nil {
		return nil, refusal
	}
	audience, refusal := s.audience(form.Get("resource"))
	if refusal != nil {
		return nil, refusal
	}
	return s.respond(&session{client: client, user: client.ID, scopes: scopes, audience: audience}, scopes, jkt)
}

// redeem exchanges a code for tokens, once. A second attempt ends what the first one got (RFC 6749 §4.1.2).
func (s *Server) redeem(client *Client, form url.Values, jkt string) (*response, *oauthError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.codes[form.Get("code")]
	switch {
	case c == nil || c.session.client != client || s.config.Now().After(c.expires):
		return nil, refused("invalid_grant", "the code is unknown or its time is over")
	case c.used:
		c.session.ended = true
		return nil, refused("invalid_grant", "the code was already used")
	case form.Get("redirect_uri") != c.redirectURI:
		return nil, refused("invalid_grant", "redirect_uri is not that of the authorization request")
	case !verifies(form.Get("code_verifier"), c.challenge):
		return nil, refused("invalid_grant", "code_verifier does not fit code_challenge")
	case c.jkt != "" && c.jkt != jkt:
		return nil, refused("invalid_grant", "the proof is not made with the key of dpop_jkt")
	}
	c.used = true
	c.session.jkt = jkt
	return s.respondWithRefresh(c.session, c.session.scopes, jkt)
}

// verifies is the comparison of RFC 7636 §4.6.
func verifies(verifier, challenge string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return len(verifier) >= 43 && len(verifier) <= 128 && equal(base64.RawURLEncoding.EncodeToString(sum[:]), challenge)
}

// refreshed exchanges a refresh token for new tokens, once. A second attempt ends the session, because one of the
// two who tried is a thief (RFC 9700 §4.14.2).
func (s *Server) refreshed(client *Client, form url.Values, jkt string) (*response, *oauthError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.refresh[form.Get("refresh_token")]
	switch {
	case t == nil || t.session.client != client || t.session.ended:
		return nil, refused("invalid_grant", "the refresh token is unknown or has been taken back")
	case client.Secret == "" && t.session.jkt != jkt:
		// Before the token is used up, so that a thief without the key cannot end the session.
		return nil, refused("invalid_grant", "the proof is not made with the key that the refresh token is bound to")
	case t.used:
		t.session.ended = true
		return nil, refused("invalid_grant", "the refresh token was already used")
	}
	scopes := t.session.scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		if !within(asked, scopes) {
			return nil, refused("invalid_scope", "a scope was not granted before")
		}
		scopes = asked
	}
	t.used = true
	return s.respondWithRefresh(t.session, scopes, jkt)
}

// respondWithRefresh adds a refresh token. The caller holds the lock.
func (s *Server) respondWithRefresh(l *session, scopes []string, jkt string) (*response, *oauthError) {
	body, refusal := s.respond(l, scopes, jkt)
	if refusal == nil {
		body.RefreshToken = rand.Text()
		s.refresh[body.RefreshToken] = &refreshToken{session: l}
	}
	return body, refusal
}

func (s *Server) respond(l *session, scopes []string, jkt string) (*response, *oauthError) {
	scope := strings.Join(scopes, " ")
	token, err := s.Mint(Token{
		Subject: l.user, ClientID: l.client.ID, Scope: scope, Audience: l.audience, Lifetime: l.client.TokenLifetime,
		JKT: jkt, Session: l.id, AuthTime: l.authTime, ACR: l.acr,
	})
	if err != nil {
		return nil, &oauthError{"server_error", "the token could not be signed", http.StatusInternalServerError}
	}
	body := &response{
		AccessToken: token, TokenType: "DPoP", ExpiresIn: int(l.client.TokenLifetime / time.Second), Scope: scope,
	}
	if jkt == "" {
		body.TokenType = "Bearer"
	}
	return body, nil
}

// grantable returns the scopes that the client gets for what it asks.
func (c *Client) grantable(scope string) ([]string, *oauthError) {
	asked := strings.Fields(scope)
	if len(asked) == 0 {
		return c.Scopes, nil
	}
	if !within(asked, c.Scopes) {
		return nil, refused("invalid_scope", "the client may not have a scope that it asks for")
	}
	return asked, nil
}

// audience returns the resource server that a token is for (RFC 8707 §2).
func (s *Server) audience(resource string) (string, *oauthError) {
	audience := cmp.Or(resource, s.config.Audiences[0])
	if !slices.Contains(s.config.Audiences, audience) {
		return "", refused("invalid_target", "the resource is not known here")
	}
	return audience, nil
}

func within(asked, allowed []string) bool {
	return !slices.ContainsFunc(asked, func(scope string) bool { return !slices.Contains(allowed, scope) })
}

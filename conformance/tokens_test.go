package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/internal/poptest"
)

// tokenEndpoint is a real authorization server's as the suite sees it: it wants a client, a proof and a nonce.
func tokenEndpoint(t *testing.T, audience func() string) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		refuse := func(code string) {
			w.Header().Set("DPoP-Nonce", "as-nonce")
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
		}
		if id, secret, _ := r.BasicAuth(); id != "suite" || secret != "s3cret" ||
			r.PostFormValue("grant_type") != "client_credentials" {
			refuse("invalid_client")
			return
		}
		parts := strings.Split(r.Header.Get("DPoP"), ".")
		var header struct{ JWK map[string]string }
		var claims struct{ Nonce, HTM, HTU string }
		for i, into := range []any{&header, &claims} {
			raw, err := base64.RawURLEncoding.DecodeString(parts[i])
			if err != nil || json.Unmarshal(raw, into) != nil {
				refuse("invalid_dpop_proof")
				return
			}
		}
		if claims.Nonce != "as-nonce" || claims.HTM != "POST" || !strings.HasSuffix(claims.HTU, "/token") {
			refuse("use_dpop_nonce")
			return
		}
		if n, _ := header.JWK["n"]; len(n) == 171 { // 1024 bits
			refuse("invalid_request")
			return
		}
		token := poptest.Token{Audience: audience(), JKT: poptest.Thumbprint(header.JWK), IssuedAt: time.Now()}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token.String(), "token_type": "DPoP",
			"expires_in": 300})
	}))
	t.Cleanup(s.Close)
	return s
}

// With the tokens of a real authorization server everything is asked that does not need wrong tokens.
func TestRealTokens(t *testing.T) {
	var s *subject
	as := tokenEndpoint(t, func() string { return s.config.Origins[0] })
	s, o := onTheWire(t, func(c *access.Config) {
		c.Issuers = []access.Issuer{{
			URL: poptest.Issuer, Audience: c.Origins[0],
			JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}),
		}}
		c.Log = slog.New(slog.DiscardHandler)
	})
	client := conformance.ClientCredentials{TokenEndpoint: as.URL + "/token", ClientID: "suite", Secret: "s3cret",
		Client: as.Client()}
	o.Issuer, o.Tokens, o.Profile = nil, client.Token, conformance.Base
	report, err := conformance.RunURL(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if report.Failed() || report.Count[conformance.Pass] < 500 {
		t.Errorf("%s passed, %v\n%s", report.Score(), report.Count, failures(report))
	}
	for _, result := range report.Results {
		if result.ID == "key-rsa-1024" && (result.Outcome != conformance.Skip || !strings.Contains(result.Why,
			`the authorization server gives no token for it: conformance: no tokens: the token endpoint answers 400, error "invalid_request"`)) {
			t.Errorf("what the authorization server refuses: %s, %s", result.Outcome, result.Why)
		}
	}
	client.Secret = "wrong"
	o.Tokens = client.Token
	if _, err := conformance.RunURL(t.Context(), o); err == nil || !strings.Contains(err.Error(),
		`error "invalid_client"`) {
		t.Errorf("a wrong secret: %v", err)
	}
}

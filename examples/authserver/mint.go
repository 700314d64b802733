package authserver

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"time"

	"github.com/senderlock/senderlock/internal/jwx"
)

// Token is what an access token says (RFC 9068 §2.2). Zero fields are left out of it, but for those that say
// otherwise.
type Token struct {
	Subject  string
	ClientID string
	Scope    string        // separated by spaces
	Audience string        // empty means the first of [Config.Audiences]
	Lifetime time.Duration // zero means [Config.TokenLifetime]
	JKT      string        // thumbprint of the DPoP key that it is bound to
	Session  string        // sid
	AuthTime time.Time     // when the user logged in
	ACR      string        // how the user logged in
	// Claims are added to the others and replace them.
	Claims map[string]any
}

// Mint signs an access token without being asked by a client, for tests and for stories about tokens that no
// client would get.
func (s *Server) Mint(t Token) (string, error) {
	now := s.config.Now()
	if t.Audience == "" {
		t.Audience = s.config.Audiences[0]
	}
	if t.Lifetime == 0 {
		t.Lifetime = s.config.TokenLifetime
	}
	claims := map[string]any{
		"iss": s.config.Issuer, "aud": t.Audience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(t.Lifetime).Unix(),
	}
	for name, value := range map[string]string{
		"sub": t.Subject, "client_id": t.ClientID, "scope": t.Scope, "sid": t.Session, "acr": t.ACR,
	} {
		if value != "" {
			claims[name] = value
		}
	}
	if t.JKT != "" {
		claims["cnf"] = map[string]string{"jkt": t.JKT}
	}
	if !t.AuthTime.IsZero() {
		claims["auth_time"] = t.AuthTime.Unix()
	}
	maps.Copy(claims, t.Claims)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return jwx.Sign(payload, "ES256", s.signing.private, map[string]string{"typ": "at+jwt", "kid": s.signing.kid})
}

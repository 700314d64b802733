package main

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/jwx"
	"github.com/senderlock/senderlock/mtls"
)

// issuerURL names the stand-in for an authorization server. Nothing is fetched from there.
const issuerURL = "https://login.example.com"

// issuer signs access tokens with a key of its own (RFC 9068).
type issuer struct {
	private crypto.Signer
	public  string // as a JWK
}

func newIssuer() (*issuer, error) {
	key, err := story.NewKey()
	if err != nil {
		return nil, err
	}
	described, err := dpop.NewSigner(key, "ES256")
	if err != nil {
		return nil, err
	}
	return &issuer{key, described.PublicJWK()}, nil
}

// trusted is what a resource server is told of this issuer. Its keys never change, so none are fetched.
func (s *issuer) trusted(audience string) access.Issuer {
	return access.Issuer{URL: issuerURL, Audience: audience, JWKS: []byte(`{"keys":[` + s.public + `]}`)}
}

// token makes an access token that is bound to a certificate (RFC 8705 §3.1), to the key of a signer of proofs (RFC 9449 §6.1),
// to both, or to nobody.
func (s *issuer) token(audience, scope string, certificate *tls.Certificate, key *dpop.Signer) (string, error) {
	now := time.Now()
	cnf := map[string]string{}
	if certificate != nil {
		cnf["x5t#S256"] = (&mtls.Certificate{DER: certificate.Leaf.Raw}).Thumbprint()
	}
	if key != nil {
		cnf["jkt"] = key.Thumbprint()
	}
	claims := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "alice", "client_id": "wallet", "scope": scope, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(access.DefaultMaxTokenLifetime).Unix(),
	}
	if len(cnf) > 0 {
		claims["cnf"] = cnf
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return jwx.Sign(payload, "ES256", s.private, map[string]string{"typ": "at+jwt"})
}

package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/mtls"
)

// issuerURL names the stand-in for an authorization server. Nothing is fetched from there.
const issuerURL = "https://login.example.com"

// issuer signs access tokens with a key of its own (RFC 9068).
type issuer struct {
	private, public jwk.Key
	header          jws.Headers
}

func newIssuer() (*issuer, error) {
	key, err := story.NewKey()
	if err != nil {
		return nil, err
	}
	private, err := jwk.FromRaw(key)
	if err != nil {
		return nil, err
	}
	public, err := private.PublicKey()
	if err != nil {
		return nil, err
	}
	s := &issuer{private, public, jws.NewHeaders()}
	return s, s.header.Set(jws.TypeKey, "at+jwt")
}

// trusted is what a resource server is told of this issuer. Its keys never change, so none are fetched.
func (s *issuer) trusted(audience string) (access.Issuer, error) {
	set := jwk.NewSet()
	if err := set.AddKey(s.public); err != nil {
		return access.Issuer{}, err
	}
	keys, err := json.Marshal(set)
	return access.Issuer{URL: issuerURL, Audience: audience, JWKS: keys}, err
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
	signed, err := jws.Sign(payload, jws.WithKey(jwa.ES256, s.private, jws.WithProtectedHeaders(s.header)))
	return string(signed), err
}

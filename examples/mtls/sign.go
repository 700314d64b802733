package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/mtls"
)

// issuerURL names the stand-in for an authorization server. Nothing is fetched from there.
const issuerURL = "https://login.example.com"

// signer signs JSON with a key of its own: access tokens as an issuer, or proofs as a client.
type signer struct {
	private, public jwk.Key
	header          jws.Headers
}

// newIssuer makes a signer of access tokens (RFC 9068).
func newIssuer() (*signer, error) {
	s, err := newSigner()
	if err != nil {
		return nil, err
	}
	return s, s.header.Set(jws.TypeKey, "at+jwt")
}

// newProver makes a signer of proofs (RFC 9449 §4.2).
func newProver() (*signer, error) {
	s, err := newSigner()
	if err != nil {
		return nil, err
	}
	return s, errors.Join(s.header.Set(jws.TypeKey, "dpop+jwt"), s.header.Set(jws.JWKKey, s.public))
}

func newSigner() (*signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	private, err := jwk.FromRaw(key)
	if err != nil {
		return nil, err
	}
	public, err := private.PublicKey()
	return &signer{private, public, jws.NewHeaders()}, err
}

func (s *signer) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := jws.Sign(payload, jws.WithKey(jwa.ES256, s.private, jws.WithProtectedHeaders(s.header)))
	return string(signed), err
}

// trusted is what a resource server is told of this issuer. Its keys never change, so none are fetched.
func (s *signer) trusted(audience string) (access.Issuer, error) {
	set := jwk.NewSet()
	if err := set.AddKey(s.public); err != nil {
		return access.Issuer{}, err
	}
	keys, err := json.Marshal(set)
	return access.Issuer{URL: issuerURL, Audience: audience, JWKS: keys}, err
}

// token makes an access token that is bound to a certificate (RFC 8705 §3.1), to the key of a prover (RFC 9449 §6.1),
// to both, or to nobody.
func (s *signer) token(audience, scope string, certificate *tls.Certificate, key *signer) (string, error) {
	now := time.Now()
	cnf := map[string]string{}
	if certificate != nil {
		cnf["x5t#S256"] = mtls.Thumbprint(certificate.Leaf)
	}
	if key != nil {
		thumbprint, err := key.public.Thumbprint(crypto.SHA256)
		if err != nil {
			return "", err
		}
		cnf["jkt"] = base64.RawURLEncoding.EncodeToString(thumbprint)
	}
	claims := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "alice", "client_id": "wallet", "scope": scope, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(access.DefaultMaxTokenLifetime).Unix(),
	}
	if len(cnf) > 0 {
		claims["cnf"] = cnf
	}
	return s.sign(claims)
}

// proof makes a proof for one request. The nonce may be empty.
func (s *signer) proof(method, url, token, nonce string) (string, error) {
	sum := sha256.Sum256([]byte(token))
	claims := map[string]any{
		"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix(),
		"ath": base64.RawURLEncoding.EncodeToString(sum[:]),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return s.sign(claims)
}

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"
)

// signer makes the proofs of one key (RFC 9449 §4.2).
type signer struct {
	private jwk.Key
	header  jws.Headers
}

func newSigner() (*signer, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := jwk.FromRaw(private)
	if err != nil {
		return nil, err
	}
	return signerOf(key)
}

func signerOf(private jwk.Key) (*signer, error) {
	public, err := private.PublicKey()
	if err != nil {
		return nil, err
	}
	header := jws.NewHeaders()
	return &signer{private, header}, errors.Join(header.Set(jws.TypeKey, "dpop+jwt"), header.Set(jws.JWKKey, public))
}

// sign makes a proof for one request. The token and the nonce may be empty.
func (s *signer) sign(method, url, token, nonce string) (string, error) {
	claims := map[string]any{"jti": rand.Text(), "htm": method, "htu": url, "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	proof, err := jws.Sign(payload, jws.WithKey(jwa.ES256, s.private, jws.WithProtectedHeaders(s.header)))
	return string(proof), err
}

// save writes the private key where only its owner can read it.
func (s *signer) save(file string) error {
	text, err := json.Marshal(s.private)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

func loadSigner(file string) (*signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	key, err := jwk.ParseKey(text)
	if err != nil {
		return nil, err
	}
	return signerOf(key)
}

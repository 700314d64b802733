package recipe

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/internal/mint"
)

// jwk is a private key of keys.json; every member is base64url.
type jwk struct {
	KeyID string `json:"kid"`
	Alg   string `json:"alg"`
	Type  string `json:"kty"`
	Curve string `json:"crv"`
	D     string `json:"d"`
	N     string `json:"n"`
	E     string `json:"e"`
	P     string `json:"p"`
	Q     string `json:"q"`
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

// Load turns keys.json into keys and certificates by name.
func Load(k cases.Keys) (map[string]*mint.Key, map[string]tls.Certificate, error) {
	keys := map[string]*mint.Key{}
	for _, raw := range k.Keys {
		var j jwk
		if err := json.Unmarshal(raw, &j); err != nil {
			return nil, nil, err
		}
		key, err := j.key()
		if err != nil {
			return nil, nil, fmt.Errorf("key %s: %w", j.KeyID, err)
		}
		keys[j.KeyID] = key
	}
	certificates := map[string]tls.Certificate{}
	for _, c := range k.Certificates {
		leaf, err := x509.ParseCertificate(c.Certificate)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %s: %w", c.Name, err)
		}
		private, err := x509.ParsePKCS8PrivateKey(c.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("certificate %s: %w", c.Name, err)
		}
		certificates[c.Name] = tls.Certificate{Certificate: [][]byte{c.Certificate}, PrivateKey: private, Leaf: leaf}
	}
	return keys, certificates, nil
}

func (j *jwk) key() (*mint.Key, error) {
	k := &mint.Key{Alg: j.Alg}
	switch j.Type {
	case "EC":
		d, err := base64.RawURLEncoding.DecodeString(j.D)
		if err != nil {
			return nil, err
		}
		k.Private, err = ecdsa.ParseRawPrivateKey(curves[j.Curve], d)
		return k, err
	case "OKP":
		d, err := base64.RawURLEncoding.DecodeString(j.D)
		k.Private = ed25519.NewKeyFromSeed(d)
		return k, err
	}
	private := &rsa.PrivateKey{D: number(j.D), Primes: []*big.Int{number(j.P), number(j.Q)}}
	private.N, private.E = number(j.N), int(number(j.E).Int64())
	private.Precompute()
	k.Private = private
	return k, nil
}

func number(s string) *big.Int {
	b, _ := base64.RawURLEncoding.DecodeString(s)
	return new(big.Int).SetBytes(b)
}

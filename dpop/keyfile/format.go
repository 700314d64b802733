package keyfile

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/senderlock/senderlock/internal/jwx"
)

const (
	pemType = "PRIVATE KEY"
	rsaBits = 3072 // as strong as P-256 (NIST SP 800-57 part 1, table 2)
)

var makeRSA = rsa.GenerateKey // tests search for none

func generate(alg string) (crypto.Signer, error) {
	switch alg {
	case "", "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		return ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "PS256", "PS384", "PS512", "RS256", "RS384", "RS512":
		return makeRSA(rand.Reader, rsaBits)
	case "EdDSA", "Ed25519":
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return nil, fmt.Errorf("no key can be made for the algorithm %q: use ES256", alg)
}

func encode(key crypto.Signer, format Format) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("a %T cannot be stored: %w", key, err)
	}
	switch format {
	case PEM:
		return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
	case JWK:
		raw, err := jwx.MarshalKey(key)
		if err != nil {
			return nil, fmt.Errorf("a %T cannot be stored: %w", key, err)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("format %d does not exist: use keyfile.PEM or keyfile.JWK", format)
}

func decode(raw []byte) (crypto.Signer, error) {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		return decodeJWK(raw)
	}
	block, rest := pem.Decode(raw)
	switch {
	case block == nil:
		return nil, ErrFormat
	case block.Type != pemType:
		return nil, fmt.Errorf("%w: it holds a %s: convert it with openssl pkcs8 -topk8 -nocrypt", ErrFormat, block.Type)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("%w: something follows the key", ErrFormat)
	}
	return decodePKCS8(block.Bytes)
}

func decodePKCS8(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%w: a %T cannot sign", ErrFormat, key)
	}
	return signer, nil
}

func decodeJWK(raw []byte) (crypto.Signer, error) {
	stored, err := jwx.UnmarshalKey(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(stored)
	if err != nil {
		return nil, fmt.Errorf("%w: it holds a %T", ErrFormat, stored)
	}
	// A JWK names its public key beside the private one, which nobody has compared. PKCS#8 is parsed with the
	// public key derived anew.
	key, err := decodePKCS8(der)
	if err != nil {
		return nil, err
	}
	named := stored.(crypto.Signer).Public()
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(named) {
		return nil, fmt.Errorf("%w: its public key does not belong to the private key", ErrFormat)
	}
	return key, nil
}

// Package mobile makes DPoP proofs in iOS and Android apps with keys that never leave the hardware (RFC 9449 §4.2):
// the app's platform signs a digest, this package builds the proof. Its API has only types that gobind accepts;
// README.md shows its use from Swift and Kotlin. Go programs use package dpop itself.
//
// Sending requests, and keeping the newest nonce of each server, is left to the platform's own HTTP client.
package mobile

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"

	"github.com/senderlock/senderlock/dpop"
)

// Key is a private EC key in the Secure Enclave, the Android Keystore or the like; the platform implements it. Its
// methods must be safe to call from any thread.
type Key interface {
	// PublicKey returns the public key: an uncompressed point, as SecKeyCopyExternalRepresentation does, or an
	// X.509 SubjectPublicKeyInfo, as java.security.PublicKey.getEncoded does. It is called once.
	PublicKey() ([]byte, error)
	// SignDigest signs a digest that is not hashed again: SHA-256 for P-256, SHA-384 for P-384, SHA-512 for P-521.
	// It returns an ECDSA signature in ASN.1, or R and S one after the other. It may ask the user first.
	SignDigest(digest []byte) ([]byte, error)
}

// Signer makes the proofs of one key. It is safe for concurrent use.
type Signer struct{ signer *dpop.Signer }

// NewSigner returns a Signer for a key on P-256, which the hardware of both platforms has, or on P-384 or P-521.
func NewSigner(key Key) (*Signer, error) {
	if key == nil {
		return nil, errors.New("mobile.NewSigner: key is missing")
	}
	encoded, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("mobile.NewSigner: public key: %w", err)
	}
	public, err := parsePublicKey(encoded)
	if err != nil {
		return nil, fmt.Errorf("mobile.NewSigner: public key: %w", err)
	}
	signer, err := dpop.NewSigner(&platformKey{key, public}, "")
	if err != nil {
		return nil, err
	}
	return &Signer{signer}, nil
}

// Proof makes a proof for one request, for its DPoP field; a request that is sent again needs a new one. The method
// is as it is sent, the URL absolute; its query may be there or not. accessToken is the token that is sent along as
// "Authorization: DPoP …", empty for a request to the token endpoint. nonce is the newest that the server supplied
// in a DPoP-Nonce field of any response, empty if it supplied none.
func (s *Signer) Proof(method, url, accessToken, nonce string) (string, error) {
	return s.signer.Sign(dpop.ProofOptions{Method: method, URL: url, AccessToken: accessToken, Nonce: nonce})
}

// Thumbprint returns the SHA-256 thumbprint of the public key (RFC 7638), for the dpop_jkt parameter of an
// authorization request.
func (s *Signer) Thumbprint() string { return s.signer.Thumbprint() }

// PublicJWK returns the public key as JSON (RFC 7517), for registration.
func (s *Signer) PublicJWK() string { return s.signer.PublicJWK() }

// NeedsNonce reports whether a response asks for the nonce in its DPoP-Nonce field, so that the request should be
// sent again, once, with a new proof (RFC 9449 §8 and §9). wwwAuthenticate is the value of that field, several
// joined with commas. body is the text of the response if it is JSON, as of a token endpoint, else empty.
func NeedsNonce(status int, wwwAuthenticate, body string) bool {
	if status != http.StatusUnauthorized && status != http.StatusBadRequest {
		return false
	}
	return dpop.ErrorCode(&http.Response{
		StatusCode: status,
		Header:     http.Header{"Www-Authenticate": {wwwAuthenticate}, "Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader(body)),
	}) == "use_dpop_nonce"
}

func parsePublicKey(b []byte) (*ecdsa.PublicKey, error) {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if len(b) == 1+2*coordinate(curve) {
			return ecdsa.ParseUncompressedPublicKey(curve, b)
		}
	}
	parsed, err := x509.ParsePKIXPublicKey(b)
	if err != nil {
		return nil, errors.New("neither an uncompressed point nor an X.509 SubjectPublicKeyInfo")
	}
	public, ok := parsed.(*ecdsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a %T: use an EC key on P-256", parsed)
	}
	return public, nil
}

func coordinate(curve elliptic.Curve) int { return (curve.Params().BitSize + 7) / 8 }

// platformKey is the platform's key as a [crypto.Signer].
type platformKey struct {
	key    Key
	public *ecdsa.PublicKey
}

func (k *platformKey) Public() crypto.PublicKey { return k.public }

// Sign returns the platform's signature in ASN.1. It is verified, for that tells the two forms apart for certain,
// and finds the mistake that is easiest to make, a platform that hashes the digest again, where it is made.
func (k *platformKey) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	signature, err := k.key.SignDigest(digest)
	if err != nil {
		return nil, err
	}
	if ecdsa.VerifyASN1(k.public, digest, signature) {
		return signature, nil
	}
	joined, err := fromCoordinates(signature, coordinate(k.public.Curve))
	if err == nil && ecdsa.VerifyASN1(k.public, digest, joined) {
		return joined, nil
	}
	return nil, errors.New("SignDigest did not return a signature of the digest by the key: it must not hash again " +
		"(iOS: ecdsaSignatureDigestX962SHA256; Android: NONEwithECDSA)")
}

func fromCoordinates(b []byte, size int) ([]byte, error) {
	if len(b) != 2*size {
		return nil, errors.New("not R and S of the curve")
	}
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(b[:size]), new(big.Int).SetBytes(b[size:])})
}

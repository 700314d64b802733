package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // SHA-384 and SHA-512, for crypto.SignMessage
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/senderlock/senderlock/internal/challenge"
	"github.com/senderlock/senderlock/internal/jose"
)

// maxSigningRSABits bounds the RSA keys of a [Signer]. Servers accept less unless they are told otherwise.
const maxSigningRSABits = 16384

// Signer makes the DPoP proofs of one client key (RFC 9449 §4.2). It is immutable, and safe for concurrent use
// if its key is.
type Signer struct {
	key        crypto.Signer
	alg        string
	opts       crypto.SignerOpts
	header     string // the encoded header segment and a dot
	jwk        string
	thumbprint string
	coordinate int // length of R and of S in an ECDSA signature; zero for other keys
}

// NewSigner returns a Signer for a private key: one of the standard library's or any other, in a PKCS#11 token,
// a TPM or a platform's keystore, that signs as [crypto.Signer] demands. An empty alg takes the key's own: ES256,
// ES384 or ES512 by curve, PS256 for RSA, and for Ed25519 the name EdDSA, which older servers know as well;
// newer ones know the name Ed25519 too (RFC 9864). The key is not used yet.
//
// The error is an [ErrKey] for a key that servers refuse, such as RSA of less than 2048 bits, and an [ErrKeyAlg]
// for an algorithm that is unknown or does not fit the key.
func NewSigner(key crypto.Signer, alg string) (*Signer, error) {
	if unset(key) {
		return nil, fmt.Errorf("dpop.NewSigner: key is nil or the zero value of its type: give a private key: %w", ErrKey)
	}
	s, err := newSigner(key, alg)
	if err != nil {
		return nil, fmt.Errorf("dpop.NewSigner: %w", err)
	}
	return s, nil
}

func newSigner(key crypto.Signer, alg string) (*Signer, error) {
	jwk, natural, err := describe(key.Public())
	if err != nil {
		return nil, err
	}
	if alg == "" {
		alg = natural
	}
	checked, err := jose.ParseKey([]byte(jwk), maxSigningRSABits)
	if err != nil {
		return nil, err
	}
	if err := checked.Fits(alg); err != nil {
		return nil, err
	}
	s := &Signer{key: key, alg: alg, opts: signerOpts[alg], jwk: jwk, thumbprint: checked.Thumbprint()}
	if public, ok := key.Public().(*ecdsa.PublicKey); ok {
		s.coordinate = (public.Params().BitSize + 7) / 8
	}
	s.header = encode([]byte(`{"typ":"dpop+jwt","alg":"`+alg+`","jwk":`+jwk+`}`)) + "."
	return s, nil
}

// unset reports whether key is nothing, or a key of the standard library that is: its Public then panics, or returns
// nothing to describe.
func unset(key crypto.Signer) bool {
	switch k := key.(type) {
	case nil:
		return true
	case *ecdsa.PrivateKey:
		return k == nil || k.Curve == nil
	case *rsa.PrivateKey:
		return k == nil || k.N == nil
	case ed25519.PrivateKey:
		return len(k) != ed25519.PrivateKeySize
	}
	return false
}

// signerOpts says how a key is asked for a signature (RFC 7518 §3.3 to §3.5, RFC 8037 §3.1).
var signerOpts = map[string]crypto.SignerOpts{
	"ES256":   crypto.SHA256,
	"ES384":   crypto.SHA384,
	"ES512":   crypto.SHA512,
	"PS256":   &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256},
	"PS384":   &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA384},
	"PS512":   &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA512},
	"RS256":   crypto.SHA256,
	"RS384":   crypto.SHA384,
	"RS512":   crypto.SHA512,
	"EdDSA":   crypto.Hash(0), // the message itself is signed
	"Ed25519": crypto.Hash(0),
}

// describe returns a public key as a JWK with its required members alone, in the order in which they are hashed
// for the thumbprint (RFC 7638 §3.2), and the algorithm that a key of its kind is used with.
func describe(public crypto.PublicKey) (jwk, alg string, err error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		alg = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Params().Name]
		if alg == "" {
			return "", "", ErrKey.With("P-256, P-384 or P-521", k.Params().Name)
		}
		point, err := k.Bytes()
		if err != nil {
			return "", "", ErrKey.Because(err)
		}
		x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
		jwk = `{"crv":"` + k.Params().Name + `","kty":"EC","x":"` + encode(x) + `","y":"` + encode(y) + `"}`
		return jwk, alg, nil
	case *rsa.PublicKey:
		e := big.NewInt(int64(k.E)).Bytes()
		return `{"e":"` + encode(e) + `","kty":"RSA","n":"` + encode(k.N.Bytes()) + `"}`, "PS256", nil
	case ed25519.PublicKey:
		return `{"crv":"Ed25519","kty":"OKP","x":"` + encode(k) + `"}`, "EdDSA", nil
	}
	return "", "", ErrKey.With("an ECDSA, RSA or Ed25519 key", fmt.Sprintf("%T", public))
}

// Algorithm returns the JWS algorithm of the proofs.
func (s *Signer) Algorithm() string { return s.alg }

// Thumbprint returns the SHA-256 thumbprint of the public key (RFC 7638): the value of the dpop_jkt parameter of
// an authorization request (RFC 9449 §10), and of cnf.jkt in tokens that are bound to the key.
func (s *Signer) Thumbprint() string { return s.thumbprint }

// PublicJWK returns the public key as JSON, with its required members alone (RFC 7517), for registration.
func (s *Signer) PublicJWK() string { return s.jwk }

// ProofOptions describes one request, for [Signer.Sign].
type ProofOptions struct {
	// Method is the HTTP method, in the case in which it is sent. Required.
	Method string
	// URL is the absolute URI of the request. Required. Its query and fragment are left out of the proof, and the
	// rest is brought to normal form (RFC 3986 §6.2.2 and §6.2.3).
	URL string
	// AccessToken is the token that is sent along. Empty for a request without one, as to a token endpoint.
	AccessToken string
	// Nonce is the newest nonce that the server supplied in a DPoP-Nonce field. Empty if it supplied none.
	Nonce string
	// IssuedAt is the time of the proof; it is cut to whole seconds. Zero means now.
	IssuedAt time.Time
}

// proofClaims is the payload of a proof (RFC 9449 §4.2).
type proofClaims struct {
	ID        string `json:"jti"`
	Method    string `json:"htm"`
	Target    string `json:"htu"`
	IssuedAt  int64  `json:"iat"`
	TokenHash string `json:"ath,omitempty"`
	Nonce     string `json:"nonce,omitempty"`
}

// Sign makes a proof for one request, for its DPoP field. Each call makes another; a request that is sent again
// needs a new one. The error names the option that cannot be used, or is the key's own.
func (s *Signer) Sign(o ProofOptions) (string, error) {
	claims, err := o.claims()
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("dpop: proof: %w", err)
	}
	input := s.header + encode(payload)
	signature, err := s.sign([]byte(input))
	if err != nil {
		return "", fmt.Errorf("dpop: signature: %w", err)
	}
	return input + "." + encode(signature), nil
}

func (o *ProofOptions) claims() (*proofClaims, error) {
	if !challenge.IsToken(o.Method) {
		return nil, errors.New("dpop.ProofOptions.Method: not an HTTP method: give one such as GET")
	}
	target, err := parseURI(o.URL)
	if err != nil {
		return nil, fmt.Errorf("dpop.ProofOptions.URL: %w: give one such as https://api.example.com/accounts", err)
	}
	if o.Nonce != "" && !validNonce(o.Nonce) {
		return nil, errors.New("dpop.ProofOptions.Nonce: not a nonce: give the value of a DPoP-Nonce field")
	}
	c := &proofClaims{
		// 128 bits or more, so that no two proofs share one (RFC 9449 §4.2).
		ID: rand.Text(), Method: o.Method, Target: target.String(), IssuedAt: o.IssuedAt.Unix(), Nonce: o.Nonce,
	}
	if o.IssuedAt.IsZero() {
		c.IssuedAt = time.Now().Unix()
	}
	if o.AccessToken != "" {
		sum := sha256.Sum256([]byte(o.AccessToken))
		c.TokenHash = encode(sum[:])
	}
	return c, nil
}

func (s *Signer) sign(input []byte) ([]byte, error) {
	signature, err := crypto.SignMessage(s.key, rand.Reader, input, s.opts)
	if err != nil || s.coordinate == 0 {
		return signature, err
	}
	return jose.FixedLength(signature, s.coordinate)
}

// validNonce reports whether s has the syntax of a nonce, 1*NQCHAR (RFC 9449 §8.1).
func validNonce(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool {
		return c <= ' ' || c == '"' || c == '\\' || c > '~'
	}) < 0
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

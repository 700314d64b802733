// Package mint makes what proofs and tokens are made of, right or wrong: keys with their JWK and thumbprint, and
// signed texts that nobody checks first. Tests and the conformance suite share it; it imports the standard library
// alone. Verification is in package jose.
package mint

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"
)

// Key is a signing key and the algorithm it signs with. Both fields may be
// changed: the kind of Private decides how a signature is made, the digits of
// Alg which hash it uses, so an ES256 key renamed to RS512 still signs.
type Key struct {
	// Alg is one of ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384,
	// PS512, EdDSA and Ed25519 for a key that is made here. For attacks it
	// may be set to "none" (empty signature) or HS256, HS384, HS512 (HMAC
	// keyed with the public key's PEM).
	Alg string
	// Private is an *ecdsa.PrivateKey, *rsa.PrivateKey or ed25519.PrivateKey.
	Private crypto.Signer
	// Salt is where the salts of PSS come from. Nil means random ones.
	Salt io.Reader
}

// New returns a fresh random key; RSA keys have 2048 bits and take a while.
func New(alg string) *Key {
	k := &Key{Alg: alg}
	var err error
	switch Family(alg) {
	case "ES":
		k.Private, err = ecdsa.GenerateKey(CurveOf(alg), rand.Reader)
	case "Ed":
		_, k.Private, err = ed25519.GenerateKey(rand.Reader)
	default:
		k.Private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		panic("mint: " + err.Error())
	}
	return k
}

// JWK returns the public key as a JSON Web Key with its required members
// only. The map is the caller's to change.
func (k *Key) JWK() map[string]any {
	m := map[string]any{}
	for name, v := range k.members() {
		m[name] = v
	}
	return m
}

// Thumbprint returns the SHA-256 thumbprint of the public key, RFC 7638.
func (k *Key) Thumbprint() string { return Thumbprint(k.members()) }

// Thumbprint returns the RFC 7638 thumbprint of a public JWK. Members that
// do not count are left out.
func Thumbprint(jwk map[string]string) string {
	names := required[jwk["kty"]]
	if names == nil {
		panic("mint: no thumbprint for key type " + strconv.Quote(jwk["kty"]))
	}
	var members []string
	for _, name := range names {
		members = append(members, Marshal(name)+":"+Marshal(jwk[name]))
	}
	sum := sha256.Sum256([]byte("{" + strings.Join(members, ",") + "}"))
	return Base64(sum[:])
}

// required are the members of a thumbprint by key type, in the order of RFC 7638 §3.3.
var required = map[string][]string{
	"EC": {"crv", "kty", "x", "y"}, "RSA": {"e", "kty", "n"}, "OKP": {"crv", "kty", "x"}, "oct": {"k", "kty"},
}

// Sign returns the JWS signature of a signing input: r||s of the curve's
// length for EC keys (deterministic, RFC 6979), PKCS #1 v1.5 or PSS with a
// salt of the hash's length for RSA keys, 64 octets for Ed25519.
func (k *Key) Sign(signingInput string) []byte {
	h := hashOf(k.Alg)
	switch Family(k.Alg) {
	case "no":
		return nil
	case "HS":
		mac := hmac.New(h.New, k.PublicPEM())
		mac.Write([]byte(signingInput))
		return mac.Sum(nil)
	}
	var sig []byte
	var err error
	fips140.WithoutEnforcement(func() { sig, err = k.sign(h, []byte(signingInput)) }) // attackers keep no such rules
	if err != nil {
		panic("mint: " + err.Error())
	}
	return sig
}

// PublicPEM returns the public key as a PEM block of type PUBLIC KEY.
func (k *Key) PublicPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		panic("mint: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func (k *Key) sign(h crypto.Hash, input []byte) ([]byte, error) {
	if _, ok := k.Private.(ed25519.PrivateKey); ok {
		return k.Private.Sign(nil, input, crypto.Hash(0))
	}
	hash := h.New()
	hash.Write(input)
	digest := hash.Sum(nil)
	switch key := k.Private.(type) {
	case *ecdsa.PrivateKey:
		der, err := key.Sign(nil, digest, h)
		if err != nil {
			return nil, err
		}
		return fixedLength(der, (key.Curve.Params().BitSize+7)/8)
	case *rsa.PrivateKey:
		if Family(k.Alg) == "PS" {
			salt := k.Salt
			if salt == nil {
				salt = rand.Reader
			}
			return rsa.SignPSS(salt, key, h, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, key, h, digest)
	}
	return nil, fmt.Errorf("cannot sign with a %T", k.Private)
}

// fixedLength turns an ASN.1 signature into the form of RFC 7518 §3.4.
func fixedLength(der []byte, size int) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, err
	}
	out := make([]byte, 2*size)
	sig.R.FillBytes(out[:size])
	sig.S.FillBytes(out[size:])
	return out, nil
}

func (k *Key) members() map[string]string {
	switch pub := k.Private.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			panic("mint: " + err.Error())
		}
		size := len(point) / 2
		return map[string]string{
			"kty": "EC", "crv": pub.Curve.Params().Name,
			"x": Base64(point[1 : 1+size]), "y": Base64(point[1+size:]),
		}
	case *rsa.PublicKey:
		return map[string]string{
			"kty": "RSA", "n": Base64(pub.N.Bytes()), "e": Base64(big.NewInt(int64(pub.E)).Bytes()),
		}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": Base64(pub)}
	default:
		panic(fmt.Sprintf("mint: no JWK for a %T", pub))
	}
}

// Derive draws scalars from the seed until one is below the group order.
func Derive(curve elliptic.Curve, seed string) *ecdsa.PrivateKey {
	size := (curve.Params().BitSize + 7) / 8
	for try := 0; ; try++ {
		scalar := sha3.SumSHAKE256(fmt.Appendf(nil, "%s\x00%d", seed, try), size)
		if curve == elliptic.P521() {
			scalar[0] &= 1
		}
		if k, err := ecdsa.ParseRawPrivateKey(curve, scalar); err == nil {
			return k
		}
	}
}

// Family is the first two letters of an algorithm's name.
func Family(alg string) string {
	f := alg[:min(2, len(alg))]
	switch f {
	case "ES", "RS", "PS", "HS", "Ed", "no":
		return f
	}
	panic("mint: unknown algorithm " + strconv.Quote(alg))
}

// CurveOf is the curve of an ES algorithm.
func CurveOf(alg string) elliptic.Curve {
	switch alg {
	case "ES256":
		return elliptic.P256()
	case "ES384":
		return elliptic.P384()
	case "ES512":
		return elliptic.P521()
	}
	panic("mint: no curve for algorithm " + strconv.Quote(alg))
}

func hashOf(alg string) crypto.Hash {
	switch {
	case strings.HasSuffix(alg, "384"):
		return crypto.SHA384
	case strings.HasSuffix(alg, "512"):
		return crypto.SHA512
	}
	return crypto.SHA256
}

// ATH returns the ath claim for an access token, RFC 9449 §4.2.
func ATH(token string) string {
	sum := sha256.Sum256([]byte(token))
	return Base64(sum[:])
}

// Compact signs JSON texts as they are and returns the compact serialisation.
// Neither text is checked.
func Compact(headerJSON, payloadJSON string, k *Key) string {
	input := Base64([]byte(headerJSON)) + "." + Base64([]byte(payloadJSON))
	return input + "." + Base64(k.Sign(input))
}

// Base64 is base64url without padding, RFC 7515 §2.
func Base64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// Marshal writes JSON with members in alphabetical order and leaves <, > and & alone.
func Marshal(v any) string {
	switch v := v.(type) { // what most members are, without reflection
	case string:
		if !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			return `"` + v + `"`
		}
	case int64:
		return strconv.FormatInt(v, 10)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("mint: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

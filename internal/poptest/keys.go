package poptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"
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
}

// rsaPoolSize is how many NewKey calls in a row get different RSA keys.
const rsaPoolSize = 4

var (
	rsaPool  [rsaPoolSize]func() *rsa.PrivateKey
	rsaMu    sync.Mutex
	rsaTurn  int
	keyedMu  sync.Mutex
	keyed    = map[[2]string]*Key{}
	sizedMu  sync.Mutex
	rsaSized = map[int]*rsa.PrivateKey{}
)

func init() {
	for i := range rsaPool {
		rsaPool[i] = sync.OnceValue(func() *rsa.PrivateKey { return generateRSA(2048) })
	}
}

// NewKey returns a fresh random key. RSA keys have 2048 bits and, because
// they are slow to make, come in turn from a pool of four per process: the
// fifth RSA key equals the first. A test that needs more different ones uses
// Keyed, whose RSA keys are never shared with the pool.
func NewKey(alg string) *Key {
	switch family(alg) {
	case "ES":
		k, err := ecdsa.GenerateKey(curveOf(alg), rand.Reader)
		if err != nil {
			panic("poptest: " + err.Error())
		}
		return &Key{Alg: alg, Private: k}
	case "Ed":
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			panic("poptest: " + err.Error())
		}
		return &Key{Alg: alg, Private: k}
	}
	rsaMu.Lock()
	next := rsaPool[rsaTurn%rsaPoolSize]
	rsaTurn++
	rsaMu.Unlock()
	return &Key{Alg: alg, Private: next()}
}

// Keyed returns the key that belongs to an algorithm and a seed. Within a
// process the same arguments give an equal key; EC and Ed25519 keys are
// derived from the seed and stay the same across processes too. The caller
// may change the returned Key without affecting others.
func Keyed(alg, seed string) *Key {
	keyedMu.Lock()
	defer keyedMu.Unlock()
	id := [2]string{alg, seed}
	k, ok := keyed[id]
	if !ok {
		k = &Key{Alg: alg, Private: derive(alg, seed)}
		keyed[id] = k
	}
	c := *k
	return &c
}

// ClientKey returns the ES256 key that a zero Proof is signed with.
func ClientKey() *Key { return Keyed("ES256", "client") }

// IssuerKey returns the ES256 key that a zero Token is signed with.
func IssuerKey() *Key { return Keyed("ES256", "issuer") }

// RSA returns an RSA key of a given size, one per size and process. Sizes
// below 1024 bits need GODEBUG=rsa1024min=0.
func RSA(alg string, bits int) *Key {
	sizedMu.Lock()
	defer sizedMu.Unlock()
	k, ok := rsaSized[bits]
	if !ok {
		k = generateRSA(bits)
		rsaSized[bits] = k
	}
	return &Key{Alg: alg, Private: k}
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
	required := map[string][]string{
		"EC": {"crv", "kty", "x", "y"}, "RSA": {"e", "kty", "n"}, "OKP": {"crv", "kty", "x"},
	}[jwk["kty"]]
	if required == nil {
		panic("poptest: no thumbprint for key type " + strconv.Quote(jwk["kty"]))
	}
	counted := map[string]string{}
	for _, name := range required {
		counted[name] = jwk[name]
	}
	sum := sha256.Sum256([]byte(marshal(counted)))
	return b64(sum[:])
}

// Sign returns the JWS signature of a signing input: r||s of the curve's
// length for EC keys (deterministic, RFC 6979), PKCS #1 v1.5 or PSS with a
// salt of the hash's length for RSA keys, 64 octets for Ed25519.
func (k *Key) Sign(signingInput string) []byte {
	h := hashOf(k.Alg)
	switch family(k.Alg) {
	case "no":
		return nil
	case "HS":
		mac := hmac.New(h.New, k.PublicPEM())
		mac.Write([]byte(signingInput))
		return mac.Sum(nil)
	}
	sig, err := k.sign(h, []byte(signingInput))
	if err != nil {
		panic("poptest: " + err.Error())
	}
	return sig
}

// PublicPEM returns the public key as a PEM block of type PUBLIC KEY.
func (k *Key) PublicPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.Private.Public())
	if err != nil {
		panic("poptest: " + err.Error())
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
		if family(k.Alg) == "PS" {
			return rsa.SignPSS(rand.Reader, key, h, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
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
			panic("poptest: " + err.Error())
		}
		size := len(point) / 2
		return map[string]string{
			"kty": "EC", "crv": pub.Curve.Params().Name,
			"x": b64(point[1 : 1+size]), "y": b64(point[1+size:]),
		}
	case *rsa.PublicKey:
		return map[string]string{
			"kty": "RSA", "n": b64(pub.N.Bytes()), "e": b64(big.NewInt(int64(pub.E)).Bytes()),
		}
	case ed25519.PublicKey:
		return map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(pub)}
	default:
		panic(fmt.Sprintf("poptest: no JWK for a %T", pub))
	}
}

func derive(alg, seed string) crypto.Signer {
	switch family(alg) {
	case "ES":
		return deriveEC(curveOf(alg), alg+"\x00"+seed)
	case "Ed":
		return ed25519.NewKeyFromSeed(sha3.SumSHAKE256([]byte(alg+"\x00"+seed), ed25519.SeedSize))
	}
	return generateRSA(2048)
}

// deriveEC draws scalars from the seed until one is below the group order.
func deriveEC(curve elliptic.Curve, seed string) *ecdsa.PrivateKey {
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

func generateRSA(bits int) *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic("poptest: " + err.Error())
	}
	return k
}

// family is the first two letters of an algorithm's name.
func family(alg string) string {
	f := alg[:min(2, len(alg))]
	switch f {
	case "ES", "RS", "PS", "HS", "Ed", "no":
		return f
	}
	panic("poptest: unknown algorithm " + strconv.Quote(alg))
}

func curveOf(alg string) elliptic.Curve {
	switch alg {
	case "ES256":
		return elliptic.P256()
	case "ES384":
		return elliptic.P384()
	case "ES512":
		return elliptic.P521()
	}
	panic("poptest: no curve for algorithm " + strconv.Quote(alg))
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

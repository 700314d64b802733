package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/senderlock/senderlock/internal/precomputed"
)

// algorithm ties a name to the only keys it may be used with (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).
type algorithm struct {
	family, curve string
	hash          crypto.Hash // zero: the message itself is signed
	pss           bool        // of the two schemes of RSA, the one with a salt
}

var algorithms = map[string]algorithm{
	"ES256":   {family: "EC", curve: "P-256", hash: crypto.SHA256},
	"ES384":   {family: "EC", curve: "P-384", hash: crypto.SHA384},
	"ES512":   {family: "EC", curve: "P-521", hash: crypto.SHA512},
	"PS256":   {family: "RSA", hash: crypto.SHA256, pss: true},
	"PS384":   {family: "RSA", hash: crypto.SHA384, pss: true},
	"PS512":   {family: "RSA", hash: crypto.SHA512, pss: true},
	"RS256":   {family: "RSA", hash: crypto.SHA256},
	"RS384":   {family: "RSA", hash: crypto.SHA384},
	"RS512":   {family: "RSA", hash: crypto.SHA512},
	"EdDSA":   {family: "OKP", curve: "Ed25519"},
	"Ed25519": {family: "OKP", curve: "Ed25519"},
}

// Algorithms returns the asymmetric algorithms that exist here, in the order in which they are offered.
func Algorithms() []string {
	return []string{
		"ES256", "ES384", "ES512", "PS256", "PS384", "PS512",
		"RS256", "RS384", "RS512", "EdDSA", "Ed25519",
	}
}

// Fits returns [ErrKeyAlg] unless alg may be used with the key: its family, its curve, and the key's own alg
// member when it has one (RFC 8725 §3.1).
func (k *Key) Fits(alg string) error {
	a, known := algorithms[alg]
	if !known || a.family != k.family || a.curve != k.curve {
		return ErrKeyAlg.With("an algorithm for "+k.family+" "+k.curve, alg)
	}
	if k.alg != "" && k.alg != alg && (k.family != "OKP" || algorithms[k.alg].family != "OKP") {
		return ErrKeyAlg.With(k.alg, alg)
	}
	return nil
}

// Verify checks the signature of c under the key. It returns [ErrKeyAlg], [ErrMalformed] or [ErrSignature].
func (k *Key) Verify(alg string, c Compact) error { return k.VerifyBy(nil, alg, c) }

// VerifyBy is [Key.Verify] by tables, for those P-256 keys that have one; nil has none. The error can then also be
// [precomputed.ErrDisagreement], which says nothing about the signature.
func (k *Key) VerifyBy(tables *precomputed.Keys, alg string, c Compact) error {
	if err := k.Fits(alg); err != nil {
		return err
	}
	signature, err := Decode(c.Signature)
	if err != nil {
		return err
	}
	if len(signature) != k.sigLen {
		return ErrSignature.With(strconv.Itoa(k.sigLen)+" octets", strconv.Itoa(len(signature)))
	}
	a := algorithms[alg]
	if k.known != nil {
		return a.precomputed(tables, k.known, c.Input, signature)
	}
	switch public := k.public.(type) {
	case *ecdsa.PublicKey:
		if precomputed.Standard(public, a.digest(c.Input), signature) {
			return nil
		}
	case *rsa.PublicKey:
		return a.rsa(public, c.Input, signature)
	case ed25519.PublicKey:
		if ed25519.Verify(public, []byte(c.Input), signature) {
			return nil
		}
	}
	return ErrSignature
}

// precomputed verifies under a key that may have a table.
func (a algorithm) precomputed(tables *precomputed.Keys, key *precomputed.Key, input string, signature []byte) error {
	ok, err := tables.Verify(key, a.digest(input), signature)
	if err == nil && !ok {
		err = ErrSignature
	}
	return err
}

// rsa checks PKCS #1 v1.5 or PSS, the latter with a salt of the length that RFC 7518 §3.5 demands and no other.
func (a algorithm) rsa(public *rsa.PublicKey, input string, signature []byte) error {
	if !a.pss {
		if err := rsa.VerifyPKCS1v15(public, a.hash, a.digest(input), signature); err != nil {
			return ErrSignature.Because(err)
		}
		return nil
	}
	salted := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
	if err := rsa.VerifyPSS(public, a.hash, a.digest(input), signature, &salted); err != nil {
		return ErrSignature.With(fmt.Sprintf("PSS with a salt of %d octets", a.hash.Size()), "another signature").Because(err)
	}
	return nil
}

func (a algorithm) digest(input string) []byte {
	switch a.hash {
	case crypto.SHA384:
		sum := sha512.Sum384([]byte(input))
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512([]byte(input))
		return sum[:]
	}
	sum := SHA256(input)
	return sum[:]
}

// SHA256 hashes a text, without a copy of it on the heap unless it is long.
func SHA256(s string) [sha256.Size]byte {
	return sha256.Sum256(append(make([]byte, 0, 1024), s...))
}

// Hash returns the base64url SHA-256 hash of a text, as a proof holds that of an access token (RFC 9449 §4.2).
func Hash(s string) string {
	sum := SHA256(s)
	var encoded [43]byte
	base64.RawURLEncoding.Encode(encoded[:], sum[:])
	return string(encoded[:])
}

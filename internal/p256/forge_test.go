package p256_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"
	"slices"
	"testing"

	"filippo.io/nistec"

	"github.com/senderlock/senderlock/internal/p256"
)

var (
	params = elliptic.P256().Params()
	n, p   = params.N, params.P
)

// A signed is a digest with its signature and the key it is to be verified under.
type signed struct {
	key               *nistec.P256Point
	digest, signature []byte
}

// withScalars returns a signature by a key for whose verification u₁ and u₂ are the given ones: R = u₁·G + u₂·Q comes
// first, r from it, and s and the digest from that. It is false where there is none, since R is infinite or r is 0.
func withScalars(q *nistec.P256Point, u1, u2 *big.Int) (signed, bool) {
	return withProduct(q, times(q, u2), u1, u2)
}

// withProduct is withScalars for a known u₂·Q.
func withProduct(q, product *nistec.P256Point, u1, u2 *big.Int) (signed, bool) {
	r, ok := xModN(sum(times(nil, u1), product))
	if !ok {
		return signed{}, false
	}
	s := mul(r, inverse(u2))
	return signed{q, octets(mul(u1, s)), raw(r, s)}, true
}

// withPoint returns a key and the signature by it that leads to R with this s and digest.
func withPoint(point *nistec.P256Point, s *big.Int, digest []byte) (signed, bool) {
	r, ok := xModN(point)
	if !ok {
		return signed{}, false
	}
	e := new(big.Int).SetBytes(digest[:min(len(digest), 32)])
	u1, u2 := mul(e, inverse(s)), mul(r, inverse(s))
	q := times(sum(point, times(nil, negative(u1))), inverse(u2))
	return signed{q, digest, raw(r, s)}, q.IsInfinity() == 0
}

// judge asks a table and crypto/ecdsa, which must agree, and returns what they say.
func judge(t *testing.T, s signed) bool {
	t.Helper()
	key := public(t, s.key)
	table, err := p256.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return agree(t, table, key, s.digest, s.signature)
}

func agree(t *testing.T, table *p256.Table, key *ecdsa.PublicKey, digest, signature []byte) bool {
	t.Helper()
	got, want := table.Verify(digest, signature), standard(key, digest, signature)
	if got != want {
		encoded, _ := key.Bytes()
		t.Errorf("Verify = %t and crypto/ecdsa says %t\nkey %x\ndigest %x\nsignature %x",
			got, want, encoded, digest, signature)
	}
	return got
}

func standard(key *ecdsa.PublicKey, digest, signature []byte) bool {
	if len(signature) != 64 {
		return false
	}
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(key, digest, r, s)
}

func public(t testing.TB, q *nistec.P256Point) *ecdsa.PublicKey {
	t.Helper()
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), q.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// times returns k·Q, or k·G for a nil Q.
func times(q *nistec.P256Point, k *big.Int) *nistec.P256Point {
	point, err := nistec.NewP256Point(), error(nil)
	if q == nil {
		_, err = point.ScalarBaseMult(octets(k))
	} else {
		_, err = point.ScalarMult(q, octets(k))
	}
	if err != nil {
		panic(err)
	}
	return point
}

func sum(a, b *nistec.P256Point) *nistec.P256Point { return nistec.NewP256Point().Add(a, b) }

// lift returns a point with this x-coordinate, if there is one.
func lift(x *big.Int) (*nistec.P256Point, bool) {
	point, err := nistec.NewP256Point().SetBytes(append([]byte{2}, octets(x)...))
	return point, err == nil
}

// liftFrom returns the first point whose x-coordinate is x or more.
func liftFrom(x *big.Int) (*nistec.P256Point, *big.Int) {
	for {
		if point, ok := lift(x); ok {
			return point, x
		}
		x = plus(x, 1)
	}
}

func xModN(point *nistec.P256Point) (*big.Int, bool) {
	x, err := point.BytesX()
	r := new(big.Int).SetBytes(x)
	r.Mod(r, n)
	return r, err == nil && r.Sign() != 0
}

func plus(a *big.Int, b int64) *big.Int { return new(big.Int).Add(a, big.NewInt(b)) }
func mul(a, b *big.Int) *big.Int        { return new(big.Int).Mod(new(big.Int).Mul(a, b), n) }
func inverse(a *big.Int) *big.Int       { return new(big.Int).ModInverse(a, n) }
func negative(a *big.Int) *big.Int      { return new(big.Int).Mod(new(big.Int).Neg(a), n) }
func octets(a *big.Int) []byte          { return a.FillBytes(make([]byte, 32)) }
func raw(r, s *big.Int) []byte          { return slices.Concat(octets(r), octets(s)) }
func number(s string) *big.Int {
	a, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic(s)
	}
	return a
}

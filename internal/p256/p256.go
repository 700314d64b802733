// Package p256 verifies ECDSA signatures over P-256 under a key that is met again and again. A [Table] of multiples of
// the key takes the place of the multiplication that every verification otherwise begins from nothing, so that a
// signature costs less than half of what crypto/ecdsa needs. Which keys deserve a table is for package precomputed.
//
// # What is computed
//
// FIPS 186-5 §6.4.2, as crypto/ecdsa computes it, for a key Q, the leftmost 256 bits e of a digest, and a signature
// (r, s):
//
//	r and s in [1, n−1], or refuse
//	u₁ = e·s⁻¹ mod n, u₂ = r·s⁻¹ mod n
//	R = u₁·G + u₂·Q, refuse if R is the point at infinity
//	accept if the x-coordinate of R, an integer below p, is r modulo n
//
// The group is that of filippo.io/nistec, the published copy of what crypto/ecdsa runs on: it multiplies G, adds,
// doubles, negates and encodes points, and no coordinate is touched here. Scalars are those of filippo.io/bigmod, again
// such a copy. Two pieces are this package's own: the comb that multiplies Q, and the search for s⁻¹, whose result is
// checked before it is used.
//
// # The comb
//
// Lim and Lee (More Flexible Exponentiation with Precomputation, CRYPTO '94) write the bits of a scalar in rows and
// read columns: with the sum of each possible column at hand, one addition serves a whole column. Here there are
// 8 rows, the teeth, of 32 bits, and two tables, the blocks, that share the doublings: 32 additions and 16 doublings
// in place of 52 additions and 256 doublings. The digits are −1 and 1 (Hedabou, Pinel and Bénéteau, ISPEC 2005;
// Hamburg, Fast and compact elliptic-curve cryptography, ePrint 2012/309), so that columns come in pairs of opposite
// sign and a block has 2⁷ entries instead of 2⁸. Every odd k below 2²⁵⁶ has exactly one such form,
//
//	k = Σ dᵢ·2ⁱ, i < 256, where dᵢ is 1 if bit i+1 of k is set or i is 255, and −1 otherwise,
//
// because the sum is 2²⁵⁵·2 − (2²⁵⁶ − 1) + (k − 1). An even u₂ is made odd by taking −u₁ and −u₂ modulo n, which is odd:
// R becomes −R and has the same x-coordinate, as (r, s) and (r, n−s) always are signatures of the same message.
//
// # Special cases
//
// There are none to avoid. nistec's Add is complete: it answers P+P, P+(−P) and the point at infinity on either side
// as the group law does, whether by complete formulas (Renes, Costello and Batina, ePrint 2015/1060) or, in assembly,
// by computing sum and double and choosing. So a sum that is still infinite, a sum that meets an equal entry (for one
// odd u₂ it does), u₁ = 0 and u₁·G = ±u₂·Q need no branch. P-256 has cofactor 1, so a point on the curve that is not
// infinite has order n, and [New] lets in no other.
//
// The x-coordinate is below p < 2n, so that one conditional subtraction reduces it; an R whose x-coordinate is n or more
// (about one in 2¹²⁸) is accepted for r = x − n, and only for it.
//
// # Time
//
// The running time depends on the scalars: on s in the search for s⁻¹, on u₂ in which entries are read. That gives
// nothing away, because key, digest and signature are known to whoever sent them. Nothing secret may ever be passed in;
// this package neither signs nor derives keys.
//
// # How it is known to be right
//
// By the vectors of Project Wycheproof; by tests that write out the edges (r, s and digests around 0 and n, keys at
// small multiples of G, sums that are infinite or double, R with an x-coordinate of n and more), where a signature for
// any u₁ and u₂ is made by choosing R first; by every flip of one bit; by a fuzz target; each time against
// crypto/ecdsa. And while it runs: package precomputed has refusals, and acceptances at random, repeated by
// crypto/ecdsa.
package p256

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"

	"filippo.io/bigmod"
	"filippo.io/nistec"
)

// n is the order of the group (SP 800-186 §3.2.1.3).
var n = func() *bigmod.Modulus {
	m, err := bigmod.NewModulus(order.bytes())
	if err != nil {
		panic(err) // a constant that is odd and more than 1
	}
	return m
}()

func zero() *bigmod.Nat { return bigmod.NewNat().ExpandFor(n) }

// New computes the table of a key, in the time of two or three verifications by crypto/ecdsa. It returns an error for a key
// of another curve and for one that is not a point on P-256.
func New(key *ecdsa.PublicKey) (*Table, error) {
	if key.Curve != elliptic.P256() {
		return nil, errors.New("p256: the key is of another curve")
	}
	encoded, err := key.Bytes()
	if err != nil {
		return nil, fmt.Errorf("p256: %w", err)
	}
	q, err := nistec.NewP256Point().SetBytes(encoded)
	if err != nil {
		return nil, fmt.Errorf("p256: %w", err)
	}
	return newTable(q), nil
}

// OnCurve reports whether octets are a point on P-256, uncompressed (SEC 1 §2.3.3), and so never the one at infinity. It
// costs a quarter of what crypto/ecdsa takes to read a key.
func OnCurve(uncompressed []byte) bool {
	if len(uncompressed) != 65 {
		return false
	}
	_, err := nistec.NewP256Point().SetBytes(uncompressed)
	return err == nil
}

// Verify reports whether a signature, r and s of 32 octets each (RFC 7518 §3.4), is one of the digest under the key of
// the table. As with crypto/ecdsa, a digest of more than 32 octets counts by its first 32, and a shorter one is taken
// as it is. The zero Table verifies nothing. Verify is safe for concurrent use.
func (t *Table) Verify(digest, signature []byte) bool {
	if len(signature) != 64 || t.empty() {
		return false
	}
	// SetBytes refuses n and more.
	r, err := bigmod.NewNat().SetBytes(signature[:32], n)
	if err != nil || r.IsZero() == 1 {
		return false
	}
	s, err := bigmod.NewNat().SetBytes(signature[32:], n)
	if err != nil || s.IsZero() == 1 {
		return false
	}
	e, err := bigmod.NewNat().SetOverflowingBytes(digest[:min(len(digest), 32)], n)
	if err != nil {
		return false
	}
	w, err := bigmod.NewNat().SetBytes(inverse(signature[32:]), n)
	if err != nil || s.Mul(w, n).IsOne() == 0 {
		return false // not reached as long as inverse is right; its result counts only if s·w = 1
	}
	u1, u2 := e.Mul(w, n), w.Mul(r, n)
	if u2.IsOdd() == 0 {
		u1, u2 = zero().Sub(u1, n), zero().Sub(u2, n)
	}
	sum, err := nistec.NewP256Point().ScalarBaseMult(u1.Bytes(n))
	if err != nil {
		return false
	}
	x, err := sum.Add(sum, t.times(u2.Bytes(n))).BytesX()
	if err != nil {
		return false // the point at infinity
	}
	v, err := bigmod.NewNat().SetOverflowingBytes(x, n)
	return err == nil && v.Equal(r) == 1
}

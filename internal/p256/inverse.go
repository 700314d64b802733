package p256

import (
	"encoding/binary"
	"math/bits"
)

// scalar is a number of 256 bits, least significant word first. A struct of four words, unlike an array, stays in
// registers.
type scalar struct{ w0, w1, w2, w3 uint64 }

// order is n, the order of the group, and negated is −n⁻¹ modulo 2⁶⁴ (SP 800-186 §3.2.1.3).
var order = scalar{0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}

const negated = 0xccd1c8aaee00bc4f

// inverse returns s⁻¹ modulo n for 0 < s < n, both as 32 octets, by the binary Euclidean algorithm (Hankerson, Menezes
// and Vanstone, Guide to Elliptic Curve Cryptography, algorithm 2.22), which does not end for 0. bigmod's own takes five
// times as long, 0.2 of a verification; so this one finds the inverse, and the caller checks it with bigmod.
func inverse(s []byte) []byte {
	a, b := fromBytes(s), order
	u, v := scalar{w0: 1}, scalar{}
	// Always a ≡ u·s and b ≡ v·s modulo n; b is odd, and no number but 1 divides both a and b.
	for a != (scalar{w0: 1}) {
		switch twos := bits.TrailingZeros64(a.w0); {
		case twos > 0:
			a, u = a.shift(twos), u.halve(twos)
		case a.less(b):
			a, b, u, v = b, a, v, u
		default:
			a, _ = a.minus(b)
			u = u.minusModN(v)
		}
	}
	return u.bytes()
}

// shift returns a·2⁻ᵏ without its fraction, for 0 < k ≤ 64.
func (a scalar) shift(k int) scalar {
	return scalar{
		a.w0>>k | a.w1<<(64-k),
		a.w1>>k | a.w2<<(64-k),
		a.w2>>k | a.w3<<(64-k),
		a.w3 >> k,
	}
}

// halve returns a·2⁻ᵏ modulo n for a < n and 0 < k ≤ 64: the multiple of n that makes the last k bits 0 is added, as
// in Montgomery's reduction, and they are shifted out.
func (a scalar) halve(k int) scalar {
	m := a.w0 * negated & (1<<k - 1)
	h0, l0 := bits.Mul64(m, order.w0)
	h1, l1 := bits.Mul64(m, order.w1)
	h2, l2 := bits.Mul64(m, order.w2)
	h3, l3 := bits.Mul64(m, order.w3)

	l1, c := bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c

	l0, c = bits.Add64(l0, a.w0, 0)
	l1, c = bits.Add64(l1, a.w1, c)
	l2, c = bits.Add64(l2, a.w2, c)
	l3, c = bits.Add64(l3, a.w3, c)
	h3 += c

	low := scalar{l0, l1, l2, l3}.shift(k)
	low.w3 |= h3 << (64 - k)
	return low
}

func (a scalar) minus(b scalar) (d scalar, borrow uint64) {
	d.w0, borrow = bits.Sub64(a.w0, b.w0, 0)
	d.w1, borrow = bits.Sub64(a.w1, b.w1, borrow)
	d.w2, borrow = bits.Sub64(a.w2, b.w2, borrow)
	d.w3, borrow = bits.Sub64(a.w3, b.w3, borrow)
	return d, borrow
}

func (a scalar) minusModN(b scalar) scalar {
	d, borrow := a.minus(b)
	if borrow == 0 {
		return d
	}
	d, _ = d.minus(scalar{-order.w0, ^order.w1, ^order.w2, ^order.w3}) // minus −n modulo 2²⁵⁶
	return d
}

func (a scalar) less(b scalar) bool {
	_, borrow := a.minus(b)
	return borrow == 1
}

func fromBytes(b []byte) scalar {
	return scalar{
		binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[16:]),
		binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b),
	}
}

func (a scalar) bytes() []byte {
	b := make([]byte, 0, 32)
	for _, w := range [...]uint64{a.w3, a.w2, a.w1, a.w0} {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return b
}

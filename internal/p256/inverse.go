package p256

import (
	"encoding/binary"
	"math/bits"
)

// scalar is a number of 256 bits, least significant word first. A struct of four words, unlike an array or a struct of
// five, stays in registers.
type scalar struct{ w0, w1, w2, w3 uint64 }

// order is n, the order of the group, and negated is −n⁻¹ modulo 2⁶⁴ (SP 800-186 §3.2.1.3).
var order = scalar{0xf3b9cac2fc632551, 0xbce6faada7179e84, 0xffffffffffffffff, 0xffffffff00000000}

const negated = 0xccd1c8aaee00bc4f

// A round of inverse takes window bits off its numbers, together at least, and they have 511 before they are 0 and 1.
const (
	window = 30
	rounds = (511 + window - 1) / window
)

// inverse returns s⁻¹ modulo n for 0 < s < n, both as 32 octets, by the binary Euclidean algorithm in the form of Pornin
// (Optimized Binary GCD for Modular Inversion, ePrint 2020/972, algorithm 2): a round decides 30 steps by the ends of
// the two numbers, and then does them all at once. bigmod's own takes ten times as long, 0.2 of a verification; so this
// one finds the inverse, and the caller checks it with bigmod.
func inverse(s []byte) []byte {
	a, b := fromBytes(s), order
	u, v := scalar{w0: 1}, scalar{}
	// Always a ≡ u·s and b ≡ v·s modulo n; b is odd, and no number but 1 divides both a and b.
	for range rounds {
		if a == (scalar{}) {
			break
		}
		f, g := steps(a, b)
		x, y := f.of(a, b), g.of(a, b)
		u, v = f.of(u, v).reduce(), g.of(u, v).reduce()
		// The bits between the ends can make a difference negative that was taken for positive.
		if x.high < 0 {
			x, u = x.opposite(), scalar{}.minusModN(u)
		}
		if y.high < 0 {
			y, v = y.opposite(), scalar{}.minusModN(v)
		}
		a, b = x.shift(), y.shift()
	}
	return v.bytes()
}

// factors are p and q of a sum p·a + q·b. |p| + |q| is at most 2³⁰.
type factors struct{ p, q int64 }

// steps does so many steps of the binary Euclidean algorithm with the ends of a and b that a is halved 30 times. What
// becomes of a and b is f and g of them, divided by 2³⁰. No step branches on what it compared, for the processor would
// guess wrong every other time.
func steps(a, b scalar) (f, g factors) {
	x, y := a.ends(b)
	u, v := uint64(1), uint64(1)<<32 // f and g as p + q·2³²
	for left := window; ; {
		twos := bits.TrailingZeros64(x|1<<left) & 63
		x, v = x>>twos, v<<twos
		if left -= twos; left == 0 {
			return unpack(u), unpack(v)
		}
		// x, y = |x − y|, min(x, y), and u, v with them
		d, less := bits.Sub64(x, y, 0)
		e := u - v
		y, v = y+d&-less, v+e&-less
		x, u = (d^-less)+less, (e^-less)+less
	}
}

func unpack(u uint64) factors {
	p := int64(int32(u))
	return factors{p, int64(u-uint64(p)) >> 32}
}

// ends returns the highest 34 and the lowest 30 bits of a and of b, counted from the highest bit of the greater one; all
// of them if they have no more than 64.
func (a scalar) ends(b scalar) (x, y uint64) {
	size := 64
	switch {
	case a.w3|b.w3 != 0:
		size = 192 + bits.Len64(a.w3|b.w3)
	case a.w2|b.w2 != 0:
		size = 128 + bits.Len64(a.w2|b.w2)
	case a.w1|b.w1 != 0:
		size = 64 + bits.Len64(a.w1|b.w1)
	}
	const low = 1<<window - 1
	high := size - (64 - window)
	return a.from(high)<<window | a.w0&low, b.from(high)<<window | b.w0&low
}

// from returns the bits of a from bit i on, of which there are at most 34.
func (a scalar) from(i int) uint64 {
	k := i % 64
	switch i / 64 {
	case 0:
		return a.w0>>k | a.w1<<(64-k)
	case 1:
		return a.w1>>k | a.w2<<(64-k)
	case 2:
		return a.w2>>k | a.w3<<(64-k)
	}
	return a.w3 >> k
}

// wide is low + high·2²⁵⁶.
type wide struct {
	low  scalar
	high int64
}

// of returns p·a + q·b.
func (f factors) of(a, b scalar) wide {
	x, y := a.times(f.p), b.times(f.q)
	low, c := x.low.plus(y.low)
	return wide{low, x.high + y.high + int64(c)}
}

// times returns k·a.
func (a scalar) times(k int64) wide {
	h0, l0 := bits.Mul64(a.w0, uint64(k))
	h1, l1 := bits.Mul64(a.w1, uint64(k))
	h2, l2 := bits.Mul64(a.w2, uint64(k))
	h3, l3 := bits.Mul64(a.w3, uint64(k))
	l1, c := bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c
	// As a number without sign a negative k is 2⁶⁴ too great.
	sign := uint64(k >> 63)
	l1, c = bits.Sub64(l1, a.w0&sign, 0)
	l2, c = bits.Sub64(l2, a.w1&sign, c)
	l3, c = bits.Sub64(l3, a.w2&sign, c)
	h3 -= a.w3&sign + c
	return wide{scalar{l0, l1, l2, l3}, int64(h3)}
}

func (a wide) opposite() wide {
	low, borrow := scalar{}.minus(a.low)
	return wide{low, -a.high - int64(borrow)}
}

// shift returns a·2⁻³⁰ without its fraction, modulo 2²⁵⁶.
func (a wide) shift() scalar {
	d := a.low.shift(window)
	d.w3 |= uint64(a.high) << (64 - window)
	return d
}

// reduce returns a·2⁻³⁰ modulo n for |a| ≤ 2³⁰·(n−1): the multiple of n that makes the last 30 bits 0 is added, as in
// Montgomery's reduction, and they are shifted out. What is left is above −n and below 2n.
func (a wide) reduce() scalar {
	m := order.times(int64(a.low.w0 * negated & (1<<window - 1)))
	low, c := a.low.plus(m.low)
	a = wide{low, a.high + m.high + int64(c)}
	d := a.shift()
	switch high := a.high >> window; {
	case high < 0:
		d, _ = d.plus(order)
	case high > 0, !d.less(order):
		d, _ = d.minus(order)
	}
	return d
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

func (a scalar) plus(b scalar) (d scalar, carry uint64) {
	d.w0, carry = bits.Add64(a.w0, b.w0, 0)
	d.w1, carry = bits.Add64(a.w1, b.w1, carry)
	d.w2, carry = bits.Add64(a.w2, b.w2, carry)
	d.w3, carry = bits.Add64(a.w3, b.w3, carry)
	return d, carry
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
	if borrow == 1 {
		d, _ = d.plus(order)
	}
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

package p256_test

import (
	"bytes"
	"crypto/ecdsa"
	"math/big"
	"testing"

	"filippo.io/nistec"

	"github.com/senderlock/senderlock/internal/p256"
)

// twists are what happens to a good signature before it is judged; by true the twists after which it is still good.
var twists = []struct {
	good  bool
	apply func(e, r, s *big.Int) (e2, r2, s2 *big.Int)
}{
	{true, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, r, s }},
	{true, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, r, negative(s) }},
	{true, func(e, r, s *big.Int) (_, _, _ *big.Int) { return fitting(e, n), r, s }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, fitting(r, n), s }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, r, fitting(s, n) }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return negative(e), r, s }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, negative(r), s }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, s, r }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, r, inverse(s) }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, zero, s }},
	{false, func(e, r, s *big.Int) (_, _, _ *big.Int) { return e, r, n }},
}

// fitting returns a + b if that has 256 bits, and a otherwise.
func fitting(a, b *big.Int) *big.Int {
	if c := new(big.Int).Add(a, b); c.BitLen() <= 256 {
		return c
	}
	return a
}

// FuzzVerify makes a good signature for a private key d, u₁ and u₂, twists it, turns some bits of digest and
// signature, lengthens the digest, and holds the verdict against crypto/ecdsa. Without twist and turned bits the
// signature must be accepted.
func FuzzVerify(f *testing.F) {
	for i, d := range keys {
		for j, u2 := range scalars {
			u1 := scalars[(7*i+3*j)%len(scalars)]
			if j%5 == 0 {
				u1 = mul(u2, d)
			}
			var bits []byte
			if j%3 == 0 {
				bits = append(make([]byte, (11*j+i)%96), 1<<(j%8))
			}
			f.Add(d.Bytes(), u1.Bytes(), u2.Bytes(), uint8(i+j), bits, bits[:min(j%4, len(bits))])
		}
		f.Add(d.Bytes(), []byte{}, []byte{1}, uint8(i), []byte{}, []byte{})
		f.Add(d.Bytes(), negative(mul(d, two)).Bytes(), []byte{2}, uint8(i), []byte{}, []byte{}) // R is infinite
	}
	var last verifying // a key comes many times in a row
	f.Fuzz(func(t *testing.T, private, first, second []byte, twist uint8, bits, tail []byte) {
		d, u1, u2 := scalarOf(private), scalarOf(first), scalarOf(second)
		if d.Sign() == 0 || u2.Sign() == 0 {
			return
		}
		if last.private == nil || last.private.Cmp(d) != 0 {
			last = verifyingBy(t, d)
		}
		q := last.point
		made, good := withScalars(q, u1, u2)
		if !good {
			made = signed{q, octets(negative(mul(u2, d))), raw(u2, u2)} // R is infinite here as well
		}
		change := twists[int(twist)%len(twists)]
		e, r, s := change.apply(new(big.Int).SetBytes(made.digest),
			new(big.Int).SetBytes(made.signature[:32]), new(big.Int).SetBytes(made.signature[32:]))
		all := append(octets(e), raw(r, s)...)
		for i := range min(len(all), len(bits)) {
			all[i] ^= bits[i]
		}
		digest, signature := append(bytes.Clone(all[:32]), tail...), all[32:]

		accepted := agree(t, last.table, last.key, digest, signature)
		if good && change.good && len(bytes.Trim(bits, "\x00")) == 0 && !accepted {
			t.Errorf("a good signature was refused: d %x, u1 %x, u2 %x", d, u1, u2)
		}
	})
}

// verifying is what verification under the key of a private one needs.
type verifying struct {
	private *big.Int
	point   *nistec.P256Point
	key     *ecdsa.PublicKey
	table   *p256.Table
}

func verifyingBy(t *testing.T, private *big.Int) verifying {
	t.Helper()
	point := times(nil, private)
	key := public(t, point)
	table, err := p256.New(key)
	if err != nil {
		t.Fatal(err)
	}
	return verifying{private, point, key, table}
}

func scalarOf(b []byte) *big.Int {
	return new(big.Int).Mod(new(big.Int).SetBytes(b[:min(len(b), 40)]), n)
}

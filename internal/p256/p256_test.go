package p256_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"filippo.io/nistec"

	"github.com/senderlock/senderlock/internal/p256"
)

var (
	zero, one, two = big.NewInt(0), big.NewInt(1), big.NewInt(2)
	most           = plus(new(big.Int).Lsh(one, 256), -1)
	half           = new(big.Int).Rsh(n, 1)
)

func power(k uint) *big.Int { return new(big.Int).Lsh(one, k) }

// meeting is the one odd u₂ for which the comb adds an entry to itself: it is 2·entry + n for an entry of the second
// block, in the last column. Before that the sum so far is too small to be congruent to an entry.
var meeting = number("fffdffff00020000fffdfffffffdffffbce4faada7159e84f3bbcac2fc612551")

// keys are private keys whose public keys are near G, −G and the points that the table begins with.
var keys = slices.Concat(
	[]*big.Int{one, two, big.NewInt(3), plus(n, -1), plus(n, -2), plus(n, -3), half, plus(half, 1)},
	[]*big.Int{power(16), power(32), power(224), power(240), negative(power(16)), inverse(power(240))},
	[]*big.Int{number("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")}, // RFC 6979 §A.2.5
)

// scalars are u₁ and u₂ at the edges of their range and at those of the comb.
var scalars = func() []*big.Int {
	list := []*big.Int{one, two, big.NewInt(3), half, plus(half, 1), plus(half, 2), meeting}
	for _, k := range []uint{1, 15, 16, 17, 31, 32, 33, 63, 64, 128, 224, 240, 255} {
		list = append(list, power(k), plus(power(k), 1), plus(power(k), -1))
	}
	for _, k := range slices.Clone(list) {
		list = append(list, negative(k))
	}
	return list
}()

// Every u₂ at an edge, for every key at an edge, with u₁ = 0, another edge, and that for which u₁·G = u₂·Q.
func TestSignaturesWithScalarsAtTheEdges(t *testing.T) {
	for _, d := range keys {
		q := times(nil, d)
		key := public(t, q)
		table, err := p256.New(key)
		if err != nil {
			t.Fatal(err)
		}
		for i, u2 := range scalars {
			product := times(q, u2)
			for _, u1 := range []*big.Int{zero, scalars[(i*7+3)%len(scalars)], mul(u2, d)} {
				s, ok := withProduct(q, product, u1, u2)
				if !ok {
					continue // R is infinite, see TestInfinityIsRefused
				}
				if !agree(t, table, key, s.digest, s.signature) {
					t.Errorf("key %x, u1 %x, u2 %x: refused", d, u1, u2)
				}
			}
		}
	}
}

// e = −r·d makes R infinite, whatever s is.
func TestInfinityIsRefused(t *testing.T) {
	for _, d := range keys {
		for _, r := range []*big.Int{one, two, half, plus(n, -1)} {
			for _, s := range []*big.Int{one, two, half, plus(n, -1)} {
				if judge(t, signed{times(nil, d), octets(negative(mul(r, d))), raw(r, s)}) {
					t.Errorf("key %x, r %x, s %x: accepted", d, r, s)
				}
			}
		}
	}
}

// points are those R at which the comparison of its x-coordinate with r has an edge.
func points() map[string]*nistec.P256Point {
	list := map[string]*nistec.P256Point{"G": times(nil, one), "-G": times(nil, plus(n, -1)), "2G": times(nil, two)}
	for name, x := range map[string]*big.Int{
		"x from 1": one, "x from n": n, "x from n+1": plus(n, 1), "x below n": plus(n, -8), "x below p": plus(p, -8),
		"x from p-n": new(big.Int).Sub(p, n), "x below p-n": plus(new(big.Int).Sub(p, n), -8),
	} {
		list[name], _ = liftFrom(x)
	}
	return list
}

// Every s and every digest at an edge, under the key that makes the signature good. Digests that say the same have one key.
func TestSignaturesWithValuesAtTheEdges(t *testing.T) {
	digests := [][][]byte{{nil, {}, {0}}, {{1}}, {bytes.Repeat([]byte{255}, 20)}, {bytes.Repeat([]byte{255}, 31)}}
	for _, e := range []*big.Int{zero, one, plus(n, -1), n, plus(n, 1), most} {
		digests = append(digests, [][]byte{octets(e), append(octets(e), 1), append(octets(e), octets(most)...)})
	}
	for name, point := range points() {
		for _, s := range []*big.Int{one, two, half, plus(half, 1), plus(n, -2), plus(n, -1)} {
			for _, same := range digests {
				forged, ok := withPoint(point, s, same[0])
				if !ok {
					continue // the key would be infinite
				}
				key := public(t, forged.key)
				table, err := p256.New(key)
				if err != nil {
					t.Fatal(err)
				}
				for _, digest := range same {
					if !agree(t, table, key, digest, forged.signature) {
						t.Errorf("%s, s %x, digest %x: refused", name, s, digest)
					}
				}
			}
		}
	}
}

// r stands for x and for x − n, but for nothing that is congruent only after the sum r + n has wrapped around p.
func TestRIsXModN(t *testing.T) {
	beyond, x := liftFrom(n)
	small, y := liftFrom(one)
	wrapped := plus(new(big.Int).Sub(p, n), y.Int64())
	for name, test := range map[string]struct {
		point *nistec.P256Point
		r     *big.Int
		want  bool
	}{
		"x of n or more, less n":   {beyond, new(big.Int).Sub(x, n), true},
		"x of n or more, as it is": {beyond, x, false},
		"a small x":                {small, y, true},
		"a small x and n":          {small, new(big.Int).Add(y, n), false},
		"r + n - p is x":           {small, wrapped, false},
		"the next":                 {small, plus(y, 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			// Made for this r and R; s = r makes u₂ = 1, so that Q = R − u₁·G.
			e := big.NewInt(5)
			q := sum(test.point, times(nil, negative(mul(e, inverse(test.r)))))
			if got := judge(t, signed{q, octets(e), raw(test.r, new(big.Int).Mod(test.r, n))}); got != test.want {
				t.Errorf("Verify = %t, want %t", got, test.want)
			}
		})
	}
}

// FIPS 186-5 §6.4.2: r and s are in [1, n−1], and of 32 octets each.
func TestRangesOfRAndS(t *testing.T) {
	good, _ := withScalars(times(nil, keys[len(keys)-1]), big.NewInt(7), big.NewInt(11))
	r, s := good.signature[:32], good.signature[32:]
	if !judge(t, good) {
		t.Fatal("refused as it is")
	}
	for _, edge := range []*big.Int{zero, one, plus(n, -1), n, plus(n, 1), p, most} {
		for name, signature := range map[string][]byte{
			"r":    slices.Concat(octets(edge), s),
			"s":    slices.Concat(r, octets(edge)),
			"both": slices.Concat(octets(edge), octets(edge)),
		} {
			if judge(t, signed{good.key, good.digest, signature}) {
				t.Errorf("accepted with %x as %s", edge, name)
			}
		}
	}
	for name, signature := range map[string][]byte{
		"no signature": {}, "r alone": r, "an octet short": good.signature[:63], "a 0 behind": append(slices.Clone(good.signature), 0),
		"a 0 before":     append([]byte{0}, good.signature...),
		"a 0 between":    slices.Concat(r, []byte{0}, s),
		"33 octets each": slices.Concat([]byte{0}, r, []byte{0}, s),
	} {
		if judge(t, signed{good.key, good.digest, signature}) {
			t.Errorf("accepted: %s", name)
		}
	}
	if !judge(t, signed{good.key, good.digest, raw(new(big.Int).SetBytes(r), negative(new(big.Int).SetBytes(s)))}) {
		t.Error("n − s refused, which crypto/ecdsa accepts")
	}
}

// With r = 0 the key takes no part, and an R with an x-coordinate of 0 is found by whoever chooses the key.
func TestZeroRIsRefusedWhateverTheKey(t *testing.T) {
	point, ok := lift(zero)
	if !ok {
		t.Fatal("no point with an x-coordinate of 0")
	}
	for _, q := range []*nistec.P256Point{point, sum(point, times(nil, plus(n, -7))), sum(point, times(nil, big.NewInt(7)))} {
		for _, e := range []*big.Int{zero, big.NewInt(7), plus(n, -7)} {
			if judge(t, signed{q, octets(e), raw(zero, one)}) {
				t.Errorf("accepted: key %x, digest %x", q.Bytes(), e)
			}
		}
	}
}

// s + n and r + n are other encodings of a good signature, where they fit 32 octets at all.
func TestOverflowingRAndS(t *testing.T) {
	point, r := liftFrom(one)
	forged, ok := withPoint(point, two, octets(big.NewInt(99)))
	if !ok || !judge(t, forged) {
		t.Fatal("refused as it is")
	}
	for name, signature := range map[string][]byte{
		"r + n": raw(new(big.Int).Add(r, n), two),
		"s + n": raw(r, plus(n, 2)),
	} {
		if judge(t, signed{forged.key, forged.digest, signature}) {
			t.Errorf("accepted: %s", name)
		}
	}
}

// What crypto/ecdsa signs is accepted; one bit anywhere turned is refused, or judged as crypto/ecdsa judges it.
func TestEveryBitCounts(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("message"))
	r, s, err := ecdsa.Sign(rand.Reader, private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	digest, signature := sum[:], raw(r, s)
	table, err := p256.New(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if !agree(t, table, &private.PublicKey, digest, signature) {
		t.Fatal("refused as it is")
	}
	for name, part := range map[string][]byte{"digest": digest, "signature": signature} {
		for bit := range 8 * len(part) {
			part[bit/8] ^= 1 << (bit % 8)
			if agree(t, table, &private.PublicKey, digest, signature) {
				t.Errorf("bit %d of the %s: accepted", bit, name)
			}
			part[bit/8] ^= 1 << (bit % 8)
		}
	}
	// The compressed point: about half of its neighbours are on the curve.
	encoded, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	point, err := nistec.NewP256Point().SetBytes(encoded)
	if err != nil {
		t.Fatal(err)
	}
	others, key := 0, point.BytesCompressed()
	for bit := range 8 * len(key) {
		key[bit/8] ^= 1 << (bit % 8)
		if q, err := nistec.NewP256Point().SetBytes(key); err == nil {
			others++
			if judge(t, signed{q, digest, signature}) {
				t.Errorf("bit %d of the key: accepted", bit)
			}
		}
		key[bit/8] ^= 1 << (bit % 8)
	}
	if others < 50 {
		t.Errorf("only %d other keys", others)
	}
}

func TestNewRefuses(t *testing.T) {
	good := times(nil, two).Bytes()
	x, y := new(big.Int).SetBytes(good[1:33]), new(big.Int).SetBytes(good[33:])
	for name, test := range map[string]struct {
		curve elliptic.Curve
		x, y  *big.Int
		says  string
	}{
		"another curve":        {elliptic.P384(), x, y, "of another curve"},
		"no curve":             {nil, x, y, "of another curve"},
		"off the curve":        {elliptic.P256(), x, plus(y, 1), "not on curve"},
		"the origin":           {elliptic.P256(), zero, zero, "not on curve"},
		"a coordinate above p": {elliptic.P256(), plus(p, 5), y, "lement encoding"},
		"a negative one":       {elliptic.P256(), x, new(big.Int).Neg(y), "negative"},
		"a long one":           {elliptic.P256(), power(256), y, "overflow"},
	} {
		t.Run(name, func(t *testing.T) {
			//lint:ignore SA1019 There is no other way to a key that is wrong.
			key := ecdsa.PublicKey{Curve: test.curve, X: test.x, Y: test.y}
			if _, err := p256.New(&key); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("New = %v, want an error with %q", err, test.says)
			}
		})
	}
}

func TestOnCurve(t *testing.T) {
	good := times(nil, two).Bytes()
	changed := func(i int, b byte) []byte { other := slices.Clone(good); other[i] = b; return other }
	for name, test := range map[string]struct {
		octets []byte
		want   bool
	}{
		"2G": {good, true}, "-G": {times(nil, plus(n, -1)).Bytes(), true},
		"nothing": {nil, false}, "infinity": {[]byte{0}, false}, "compressed": {times(nil, two).BytesCompressed(), false},
		"an octet short": {good[:64], false}, "a 0 behind": {append(slices.Clone(good), 0), false},
		"another y": {changed(64, good[64]^1), false}, "another x": {changed(1, good[1]^1), false},
		"the origin": {append([]byte{4}, make([]byte, 64)...), false},
		"hybrid":     {changed(0, 6+good[64]&1), false},
		"x above p":  {slices.Concat([]byte{4}, octets(most), good[33:]), false},
	} {
		if got := p256.OnCurve(test.octets); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

// Under the zero Table a signature made without any key would verify: R = u₁·G.
func TestZeroTableVerifiesNothing(t *testing.T) {
	r, _ := xModN(times(nil, big.NewInt(5)))
	s := big.NewInt(9)
	if new(p256.Table).Verify(octets(mul(big.NewInt(5), s)), raw(r, s)) {
		t.Error("accepted")
	}
}

func TestSize(t *testing.T) {
	if got := unsafe.Sizeof(p256.Table{}); got != p256.Size {
		t.Errorf("a table has %d octets, Size is %d", got, p256.Size)
	}
}

func TestInverse(t *testing.T) {
	for _, s := range scalars {
		if got, want := p256.Inverse(octets(s)), octets(inverse(s)); !bytes.Equal(got, want) {
			t.Errorf("inverse of %x = %x, want %x", s, got, want)
		}
	}
	for range 2000 {
		s, err := rand.Int(rand.Reader, plus(n, -1))
		if err != nil {
			t.Fatal(err)
		}
		s = plus(s, 1)
		if got, want := p256.Inverse(octets(s)), octets(inverse(s)); !bytes.Equal(got, want) {
			t.Fatalf("inverse of %x = %x, want %x", s, got, want)
		}
	}
}

func ExampleTable_Verify() {
	private, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	digest := sha256.Sum256([]byte("message"))
	r, s, _ := ecdsa.Sign(rand.Reader, private, digest[:])

	table, err := p256.New(&private.PublicKey)
	if err != nil {
		panic(err)
	}
	fmt.Println(table.Verify(digest[:], raw(r, s)))
	// Output: true
}

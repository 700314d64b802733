package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// with returns the JWK of a key as JSON, with some members replaced, added or, when nil, removed. A
// json.RawMessage is taken as it stands.
func with(t testing.TB, k *poptest.Key, changes map[string]any) []byte {
	t.Helper()
	m := k.JWK()
	for name, v := range changes {
		if m[name] = v; v == nil {
			delete(m, name)
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func mustKey(t testing.TB, k *poptest.Key) *jose.Key {
	t.Helper()
	key, err := jose.ParseKey(with(t, k, nil), 0)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func compact(t testing.TB, s string) jose.Compact {
	t.Helper()
	c, err := jose.Split(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keyFor is poptest.Keyed, with one RSA key for all RSA algorithms: they are slow to make.
func keyFor(alg, seed string) *poptest.Key {
	kind := alg
	if alg[0] == 'P' || alg[0] == 'R' {
		kind = "RS256"
	}
	k := poptest.Keyed(kind, seed)
	k.Alg = alg
	return k
}

func octets(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decoded(t testing.TB, s any) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s.(string))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRFCVectors(t *testing.T) {
	v := poptest.Vectors()
	parse := func(jwk any) *jose.Key {
		raw, err := json.Marshal(jwk)
		if err != nil {
			t.Fatal(err)
		}
		key, err := jose.ParseKey(raw, 0)
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	// RS-030, RS-082
	for name, c := range map[string]struct{ got, want string }{
		"RFC 7638 §3.1": {parse(v.RFC7638.Section31.JWK).Thumbprint(), v.RFC7638.Section31.Thumbprint},
		"RFC 8037 A.3":  {parse(v.RFC8037.AppendixA3.JWK).Thumbprint(), v.RFC8037.AppendixA3.Thumbprint},
		"RFC 9449 §6.1": {parse(v.RFC9449.PublicJWK).Thumbprint(), v.RFC9449.JKT},
	} {
		if c.got != c.want || c.want == "" {
			t.Errorf("%s: thumbprint %q, want %q", name, c.got, c.want)
		}
	}
	if err := parse(v.RFC7515.AppendixA3.JWK).Verify("ES256", compact(t, v.RFC7515.AppendixA3.JWS)); err != nil {
		t.Errorf("RFC 7515 A.3: %v", err)
	}
	if len(v.RFC9449.Proofs) == 0 {
		t.Fatal("RFC 9449: no proofs")
	}
	for _, p := range v.RFC9449.Proofs {
		c := compact(t, p.Proof)
		h, err := jose.ParseHeader(c.Header)
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		key, err := jose.ParseKey(h.JWK, 0)
		if err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		if err := key.Verify(h.Algorithm, c); err != nil || key.Thumbprint() != v.RFC9449.JKT {
			t.Errorf("%s: %v, thumbprint %s", p.Name, err, key.Thumbprint())
		}
	}
}

// How some serialisers write the members that a key does not have.
var (
	null = json.RawMessage("null")
	none = []string{}
)

func TestParseKey(t *testing.T) {
	ec, ed, rsaKey := poptest.ClientKey(), poptest.Keyed("EdDSA", "a"), poptest.Keyed("RS256", "a")
	for _, c := range []struct {
		name    string
		key     *poptest.Key
		changes map[string]any
		cause   *reason.Error
	}{
		{"RS-031 metadata", ec, map[string]any{"kid": "k", "use": "sig", "alg": "ES256", "ext": true, "x5c": []int{1}}, nil},
		{"RS-140 key_ops verify", ec, map[string]any{"key_ops": []string{"verify"}}, nil},
		{"RS-140 key_ops sign and verify", ec, map[string]any{"key_ops": []string{"sign", "verify"}}, nil},
		{"RS-139 member in another case", ec, map[string]any{"D": "AA", "Use": "enc"}, nil},

		{"use, key_ops and alg null", ec, map[string]any{"use": null, "key_ops": null, "alg": null}, nil},
		{"use, key_ops, alg and x5c empty arrays", ec, map[string]any{"use": none, "key_ops": none, "alg": none, "x5c": none}, nil},
		{"key_ops an empty array with a space", ec, map[string]any{"key_ops": json.RawMessage("[ ]")}, nil},
		{"y of an RSA key null", rsaKey, map[string]any{"crv": null, "x": null, "y": none}, nil},

		{"RS-140 use enc", ec, map[string]any{"use": "enc"}, jose.ErrKey},
		{"RS-140 use in another case", ec, map[string]any{"use": "SIG"}, jose.ErrKey},
		{"RS-140 use empty", ec, map[string]any{"use": ""}, jose.ErrKey},
		{"RS-140 use array", ec, map[string]any{"use": []string{"sig"}}, jose.ErrKey},
		{"RS-140 key_ops encrypt", ec, map[string]any{"key_ops": []string{"encrypt"}}, jose.ErrKey},
		{"RS-140 key_ops sign", ec, map[string]any{"key_ops": []string{"sign"}}, jose.ErrKey},
		{"RS-140 key_ops in another case", ec, map[string]any{"key_ops": []string{"Verify"}}, jose.ErrKey},
		{"RS-140 key_ops with an empty name", ec, map[string]any{"key_ops": []string{""}}, jose.ErrKey},
		{"RS-140 key_ops object", ec, map[string]any{"key_ops": map[string]any{}}, jose.ErrJSON},
		{"RS-140 key_ops array in array", ec, map[string]any{"key_ops": json.RawMessage("[[]]")}, jose.ErrJSON},
		{"RS-140 key_ops string", ec, map[string]any{"key_ops": "verify"}, jose.ErrJSON},
		{"RS-140 key_ops numbers", ec, map[string]any{"key_ops": []any{"verify", 1}}, jose.ErrJSON},
		{"RS-140 good use, bad key_ops", ec, map[string]any{"use": "sig", "key_ops": []string{"deriveKey"}}, jose.ErrKey},

		{"kty missing", ec, map[string]any{"kty": nil}, jose.ErrKey},
		{"kty in another case", ec, map[string]any{"kty": "ec"}, jose.ErrKey},
		{"kty null", ec, map[string]any{"kty": null}, jose.ErrKey},
		{"kty empty array", ec, map[string]any{"kty": none}, jose.ErrKey},
		{"kty number", ec, map[string]any{"kty": 1}, jose.ErrJSON},
		{"kty AKP", ec, map[string]any{"kty": "AKP"}, jose.ErrKey},
		{"kty oct", ec, map[string]any{"kty": "oct"}, jose.ErrKey},
		{"kty of another family", ec, map[string]any{"kty": "RSA"}, jose.ErrKey},
		{"kty OKP with an EC curve", ec, map[string]any{"kty": "OKP"}, jose.ErrKey},
		{"crv missing", ec, map[string]any{"crv": nil}, jose.ErrKey},
		{"crv in another case", ec, map[string]any{"crv": "p-256"}, jose.ErrKey},
		{"crv secp256k1", ec, map[string]any{"crv": "secp256k1"}, jose.ErrKey},
		{"crv P-224", ec, map[string]any{"crv": "P-224"}, jose.ErrKey},
		{"RS-142 crv of another length", ec, map[string]any{"crv": "P-384"}, jose.ErrKey},
		{"x missing", ec, map[string]any{"x": nil}, jose.ErrKey},
		{"y missing", ec, map[string]any{"y": nil}, jose.ErrKey},
		{"y null", ec, map[string]any{"y": null}, jose.ErrKey},
		{"y empty array", ec, map[string]any{"y": none}, jose.ErrKey},
		{"alg array", ec, map[string]any{"alg": []string{"ES256"}}, jose.ErrJSON},
		{"y array", ec, map[string]any{"y": []int{1}}, jose.ErrJSON},
		{"RS-144 X25519", ed, map[string]any{"crv": "X25519"}, jose.ErrKey},
		{"RS-144 Ed448", ed, map[string]any{"crv": "Ed448"}, jose.ErrKey},
		{"RS-144 crv in another case", ed, map[string]any{"crv": "ed25519"}, jose.ErrKey},
		{"RS-144 x missing", ed, map[string]any{"x": nil}, jose.ErrKey},
		{"n missing", rsaKey, map[string]any{"n": nil}, jose.ErrKey},
		{"e missing", rsaKey, map[string]any{"e": nil}, jose.ErrKey},
		{"e number", rsaKey, map[string]any{"e": 65537}, jose.ErrJSON},
	} {
		t.Run(c.name, func(t *testing.T) {
			key, err := jose.ParseKey(with(t, c.key, c.changes), 0)
			wantCause(t, err, c.cause)
			if (err == nil) != (key != nil) {
				t.Errorf("got %v, %v", key, err)
			}
			if key != nil && key.Thumbprint() != c.key.Thumbprint() { // RS-031
				t.Errorf("thumbprint %s, want %s", key.Thumbprint(), c.key.Thumbprint())
			}
		})
	}
	for _, raw := range []string{"", "null", "[]", `"x"`, `{"kty":"EC","kty":"EC"}`} {
		_, err := jose.ParseKey([]byte(raw), 0)
		wantCause(t, err, jose.ErrJSON)
	}
}

// RS-013: each private member alone, in each family, whatever its value. Null and an empty array are none (RFC 7517
// has no member of either).
func TestParseKeyPrivate(t *testing.T) {
	for _, k := range []*poptest.Key{poptest.ClientKey(), poptest.Keyed("EdDSA", "a"), poptest.Keyed("RS256", "a")} {
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			for value, cause := range map[string]*reason.Error{
				`"AQAB"`: jose.ErrPrivate, `""`: jose.ErrPrivate, `1`: jose.ErrPrivate, `0`: jose.ErrPrivate, `false`: jose.ErrPrivate,
				`{}`: jose.ErrPrivate, `[null]`: jose.ErrPrivate, `[[]]`: jose.ErrPrivate, `[{"r":"AQAB"}]`: jose.ErrPrivate,
				`null`: nil, `[]`: nil, `[ ]`: nil,
			} {
				_, err := jose.ParseKey(with(t, k, map[string]any{name: json.RawMessage(value)}), 0)
				if wantCause(t, err, cause); t.Failed() {
					t.Fatalf("%s: %s", name, value)
				}
			}
		}
	}
	_, err := jose.ParseKey([]byte(`{"kty":"oct","k":"AQAB"}`), 0)
	wantCause(t, err, jose.ErrPrivate)
	secret := octets([]byte("a private exponent"))
	if _, err = jose.ParseKey(with(t, poptest.ClientKey(), map[string]any{"d": secret}), 0); strings.Contains(err.Error(), secret) {
		t.Error("RS-181: the private member is in the error")
	}
}

// leadingZero finds a key whose x coordinate begins with a zero octet.
func leadingZero(t *testing.T, alg string) *poptest.Key {
	t.Helper()
	for i := range 4096 {
		if k := poptest.Keyed(alg, fmt.Sprint("zero", i)); decoded(t, k.JWK()["x"])[0] == 0 {
			return k
		}
	}
	t.Fatal("no such key")
	return nil
}

func TestParseKeyEC(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384"} {
		t.Run(alg, func(t *testing.T) {
			k := leadingZero(t, alg)
			mustKey(t, k) // RS-032: the full length is right
			x, y := decoded(t, k.JWK()["x"]), decoded(t, k.JWK()["y"])
			size := len(x)
			curve := map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384()}[alg]
			prime := curve.Params().P
			plusP := new(big.Int).Add(new(big.Int).SetBytes(x), prime)
			moved := slices.Clone(y)
			moved[size-1] ^= 1
			stray := []byte(octets(x)) // P-256: the last character carries two bits that must be zero
			stray[len(stray)-1]++
			for _, c := range []struct {
				name  string
				x, y  string
				cause *reason.Error
			}{
				{"RS-032 stripped zero", octets(x[1:]), octets(y), jose.ErrKey},
				{"RS-032 extra zero", octets(append([]byte{0}, x...)), octets(y), jose.ErrKey},
				{"RS-127 off the curve", octets(x), octets(moved), jose.ErrKey},
				{"RS-127 coordinates swapped", octets(y), octets(x), jose.ErrKey},
				{"RS-127 both zero", octets(make([]byte, size)), octets(make([]byte, size)), jose.ErrKey},
				{"RS-127 x is the prime", octets(prime.Bytes()), octets(y), jose.ErrKey},
				{"RS-127 all ones", octets(slices.Repeat([]byte{255}, size)), octets(y), jose.ErrKey},
				{"RS-127 both empty", "", "", jose.ErrKey},
				{"RS-127 8 kB", strings.Repeat("A", 8192), octets(y), jose.ErrKey},
				{"RS-138 padding", octets(x) + "=", octets(y), jose.ErrKey},
				{"RS-138 line break in place of a letter", "\n" + octets(x)[1:], octets(y), jose.ErrMalformed},
				{"RS-138 standard alphabet", "+" + octets(x)[1:], octets(y), jose.ErrMalformed},
			} {
				_, err := jose.ParseKey(with(t, k, map[string]any{"x": c.x, "y": c.y}), 0)
				if wantCause(t, err, c.cause); t.Failed() {
					t.Fatal(c.name)
				}
			}
			if b := plusP.Bytes(); len(b) == size {
				_, err := jose.ParseKey(with(t, k, map[string]any{"x": octets(b)}), 0)
				wantCause(t, err, jose.ErrKey) // RS-127: x + p, the same point in another spelling
			}
			if alg == "ES256" {
				_, err := jose.ParseKey(with(t, k, map[string]any{"x": string(stray)}), 0)
				wantCause(t, err, jose.ErrMalformed) // RS-138: one key, one spelling, one thumbprint
			}
		})
	}
}

func TestParseKeyEd25519(t *testing.T) {
	k := poptest.Keyed("EdDSA", "a")
	x := decoded(t, k.JWK()["x"])
	fromHex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	offCurve := make([]byte, 32)
	offCurve[0] = 2 // y = 2 is on no point
	for name, x := range map[string][]byte{
		"RS-144 31 octets": x[:31],
		"RS-144 33 octets": append(slices.Clone(x), 0),
		"RS-127 no point":  offCurve,
		// All points of small order, RFC 7748 §7 and RFC 8032 §5.1.3; the last six are not canonical.
		"RS-127 order 1":                   fromHex("0100000000000000000000000000000000000000000000000000000000000000"),
		"RS-127 order 2":                   fromHex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"RS-127 order 4":                   fromHex("0000000000000000000000000000000000000000000000000000000000000000"),
		"RS-127 order 4, other sign":       fromHex("0000000000000000000000000000000000000000000000000000000000000080"),
		"RS-127 order 8, a":                fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
		"RS-127 order 8, b":                fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
		"RS-127 order 8, c":                fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
		"RS-127 order 8, d":                fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
		"RS-143 minus zero, order 1":       fromHex("0100000000000000000000000000000000000000000000000000000000000080"),
		"RS-143 minus zero, order 2":       fromHex("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
		"RS-143 y = p":                     fromHex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"RS-143 y = p, other sign":         fromHex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"),
		"RS-143 y = p + 1":                 fromHex("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
		"RS-143 y = p + 3, of large order": fromHex("f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
	} {
		if _, err := jose.ParseKey(with(t, k, map[string]any{"x": octets(x)}), 0); err == nil || reason.Of(err) != jose.ErrKey.Name {
			t.Errorf("%s: got %v; want %s", name, err, jose.ErrKey.Name)
		}
	}
	// The same number in its canonical spelling is a key: it was the spelling that was refused.
	canonical := make([]byte, 32)
	canonical[0] = 3
	if _, err := jose.ParseKey(with(t, k, map[string]any{"x": octets(canonical)}), 0); err != nil {
		t.Errorf("y = 3: %v", err)
	}
}

func TestParseKeyRSA(t *testing.T) {
	k := poptest.Keyed("RS256", "a")
	modulus := new(big.Int).SetBytes(decoded(t, k.JWK()["n"]))
	ofBits := func(bits int) string { // odd, with the highest bit set; nobody can tell whether it has two factors
		n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
		return octets(n.SetBit(n, 0, 1).Bytes())
	}
	for _, c := range []struct {
		name, n, e string
		maxBits    int
		cause      *reason.Error
	}{
		{"2048 bits", ofBits(2048), "AQAB", 0, nil},
		{"2049 bits", ofBits(2049), "AQAB", 0, nil},
		{"3072 bits", ofBits(3072), "AQAB", 0, nil},
		{"4096 bits", ofBits(4096), "AQAB", 0, nil},
		{"8192 bits where allowed", ofBits(8192), "AQAB", 8192, nil},
		{"exponent 3", octets(modulus.Bytes()), octets([]byte{3}), 0, nil},
		{"exponent 2^31-1", octets(modulus.Bytes()), octets([]byte{0x7f, 255, 255, 255}), 0, nil},

		{"RS-141 1024 bits", ofBits(1024), "AQAB", 0, jose.ErrKey},
		{"RS-141 2047 bits", ofBits(2047), "AQAB", 0, jose.ErrKey},
		{"RS-141 one octet", octets([]byte{255}), "AQAB", 0, jose.ErrKey},
		{"RS-141 zero", octets([]byte{0}), "AQAB", 0, jose.ErrKey},
		{"RS-141 empty", "", "AQAB", 0, jose.ErrKey},
		{"RS-141 2047 bits and a zero octet", octets(append([]byte{0}, decoded(t, ofBits(2047))...)), "AQAB", 0, jose.ErrKey},
		{"4097 bits", ofBits(4097), "AQAB", 0, jose.ErrKey},
		{"8192 bits", ofBits(8192), "AQAB", 0, jose.ErrKey},
		{"3073 bits where 3072 are allowed", ofBits(3073), "AQAB", 3072, jose.ErrKey},
		{"3070 bits where 3069 are allowed", ofBits(3070), "AQAB", 3069, jose.ErrKey},
		{"256 kbit, not even base64: never decoded", strings.Repeat("=", 32<<10), "AQAB", 0, jose.ErrKey},
		{"256 kbit", ofBits(256 << 10), "AQAB", 0, jose.ErrKey},
		{"RS-143 leading zero", octets(append([]byte{0}, modulus.Bytes()...)), "AQAB", 0, jose.ErrKey},
		{"even modulus", octets(new(big.Int).Add(modulus, big.NewInt(1)).Bytes()), "AQAB", 0, jose.ErrKey},
		{"RS-138 modulus with padding", octets(modulus.Bytes()) + "==", "AQAB", 0, jose.ErrMalformed},
		{"RS-080 exponent 1", octets(modulus.Bytes()), octets([]byte{1}), 0, jose.ErrKey},
		{"exponent 0", octets(modulus.Bytes()), octets([]byte{0}), 0, jose.ErrKey},
		{"exponent empty", octets(modulus.Bytes()), "", 0, jose.ErrKey},
		{"exponent 2", octets(modulus.Bytes()), octets([]byte{2}), 0, jose.ErrKey},
		{"exponent 65536", octets(modulus.Bytes()), octets([]byte{1, 0, 0}), 0, jose.ErrKey},
		{"RS-143 exponent with a leading zero", octets(modulus.Bytes()), octets([]byte{0, 1, 0, 1}), 0, jose.ErrKey},
		{"exponent 2^31+1, more than crypto/rsa takes", octets(modulus.Bytes()), octets([]byte{0x80, 0, 0, 1}), 0, jose.ErrKey},
		{"exponent 2^32-1", octets(modulus.Bytes()), octets([]byte{255, 255, 255, 255}), 0, jose.ErrKey},
		{"exponent 2^32+1", octets(modulus.Bytes()), octets([]byte{1, 0, 0, 0, 1}), 0, jose.ErrKey},
		{"exponent 2^64+3", octets(modulus.Bytes()), octets([]byte{1, 0, 0, 0, 0, 0, 0, 0, 3}), 0, jose.ErrKey},
		{"exponent of 8 kB, not even base64: never decoded", octets(modulus.Bytes()), strings.Repeat("=", 8192), 0, jose.ErrKey},
		{"exponent of 8 kB", octets(modulus.Bytes()), strings.Repeat("_", 8192), 0, jose.ErrKey},
		{"RS-138 exponent with stray bits", octets(modulus.Bytes()), "AR", 0, jose.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := jose.ParseKey(with(t, k, map[string]any{"n": c.n, "e": c.e}), c.maxBits)
			wantCause(t, err, c.cause)
		})
	}
}

// RFC 7518 §6.3.1 has numbers without leading zeros and padding. Of an issuer they are taken, and are the key that
// they stand for; in a proof one key has one spelling and one thumbprint.
func TestParseIssuerKey(t *testing.T) {
	k := poptest.Keyed("RS256", "a")
	n, e := decoded(t, k.JWK()["n"]), []byte{1, 0, 1}
	padded := base64.URLEncoding.EncodeToString
	signed := compact(t, poptest.Compact(`{"alg":"RS256"}`, `{}`, k))
	for _, c := range []struct {
		name, n, e string
		strict     *reason.Error // in a proof
		issuer     *reason.Error
	}{
		{"as it should be", octets(n), octets(e), nil, nil},
		{"a leading zero in n", octets(append([]byte{0}, n...)), octets(e), jose.ErrKey, nil},
		{"many leading zeros in n", octets(append(make([]byte, 300), n...)), octets(e), jose.ErrKey, nil},
		{"leading zeros in e", octets(n), octets(append([]byte{0, 0, 0, 0, 0}, e...)), jose.ErrKey, nil},
		{"padding in n", padded(n), octets(e), jose.ErrMalformed, nil},
		{"padding in e", octets(n), padded([]byte{0, 1, 0, 1}), jose.ErrKey, nil},
		{"both in both", padded(append([]byte{0}, n...)), padded([]byte{0, 1, 0, 1}), jose.ErrKey, nil},

		{"padding where none belongs", octets(n), "AQAB====", jose.ErrKey, jose.ErrMalformed},
		{"too much padding", octets(n), "AQAB=", jose.ErrMalformed, jose.ErrMalformed},
		{"padding in front", octets(n), "=AQAB", jose.ErrMalformed, jose.ErrMalformed},
		{"stray bits", octets(n), "AAEAAR==", jose.ErrKey, jose.ErrMalformed},
		{"standard alphabet", "+" + octets(n)[1:], octets(e), jose.ErrMalformed, jose.ErrMalformed},
		{"a line break", octets(n) + "\n", octets(e), jose.ErrMalformed, jose.ErrMalformed},
		{"a short modulus, made long", octets(append(make([]byte, 200), n[:128]...)), octets(e), jose.ErrKey, jose.ErrKey},
		{"nothing but zeros", octets(make([]byte, 256)), octets(e), jose.ErrKey, jose.ErrKey},
		{"exponent of nothing but zeros", octets(n), "AAAA", jose.ErrKey, jose.ErrKey},
		{"exponent 1", octets(n), octets([]byte{0, 0, 1}), jose.ErrKey, jose.ErrKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := with(t, k, map[string]any{"n": c.n, "e": c.e})
			_, err := jose.ParseKey(raw, 0)
			wantCause(t, err, c.strict)
			key, err := jose.ParseIssuerKey(raw, 0)
			wantCause(t, err, c.issuer)
			if key == nil {
				return
			}
			if key.Thumbprint() != k.Thumbprint() {
				t.Errorf("thumbprint %s, want %s", key.Thumbprint(), k.Thumbprint())
			}
			wantCause(t, key.Verify("RS256", signed), nil)
		})
	}
	// Only RSA has numbers that may be spelled so.
	ec := poptest.ClientKey()
	x := append([]byte{0}, decoded(t, ec.JWK()["x"])...)
	_, err := jose.ParseIssuerKey(with(t, ec, map[string]any{"x": octets(x)}), 0)
	wantCause(t, err, jose.ErrKey)
	_, err = jose.ParseIssuerKey(with(t, ec, map[string]any{"d": "AQAB"}), 0)
	wantCause(t, err, jose.ErrPrivate)
	_, err = jose.ParseIssuerKey(with(t, ec, map[string]any{"use": "enc"}), 0)
	wantCause(t, err, jose.ErrKey)
	_, err = jose.ParseIssuerKey([]byte(`[]`), 0)
	wantCause(t, err, jose.ErrJSON)
}

// CVE-2017-15361: primes of the form k·M + (65537^a mod M), with M the product of the first primes, 126 of them for
// keys of 2048 bits and 225 for 4096.
func TestParseKeyROCA(t *testing.T) {
	product := func(count int) *big.Int {
		m := big.NewInt(1)
		for p := int64(2); count > 0; p++ {
			if prime := big.NewInt(p); prime.ProbablyPrime(0) {
				m.Mul(m, prime)
				count--
			}
		}
		return m
	}
	factor := func(m *big.Int, bits uint, a int64) *big.Int { // a prime is not needed: only its form is looked at
		power := new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), m)
		k := new(big.Int).Div(new(big.Int).Lsh(big.NewInt(3), bits-2), m)
		return k.Add(k.Mul(k, m), power)
	}
	for bits, count := range map[uint]int{2048: 126, 4096: 225} {
		m := product(count)
		for _, a := range []int64{0, 1, 4711, 1 << 40} {
			n := new(big.Int).Mul(factor(m, bits/2, a), factor(m, bits/2, 3*a+1))
			if n.BitLen() != int(bits) {
				t.Fatalf("%d bits", n.BitLen())
			}
			raw := with(t, poptest.Keyed("RS256", "a"), map[string]any{"n": octets(n.Bytes())})
			for _, parse := range []func([]byte, int) (*jose.Key, error){jose.ParseKey, jose.ParseIssuerKey} {
				_, err := parse(raw, 0)
				wantCause(t, err, jose.ErrKey)
				if err == nil || !strings.Contains(err.Error(), "CVE-2017-15361") {
					t.Errorf("%d bits: %v", bits, err)
				}
			}
			// One step further it is a number like any other.
			raw = with(t, poptest.Keyed("RS256", "a"), map[string]any{"n": octets(n.Add(n, big.NewInt(2)).Bytes())})
			_, err := jose.ParseKey(raw, 0)
			wantCause(t, err, nil)
		}
	}
}

func TestVerify(t *testing.T) {
	for _, alg := range jose.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			k := keyFor(alg, "a")
			key := mustKey(t, k)
			signed := poptest.Compact(`{"alg":"`+alg+`"}`, `{}`, k)
			if err := key.Verify(alg, compact(t, signed)); err != nil {
				t.Fatal(err)
			}
			// RS-012
			good := compact(t, signed)
			signature := decoded(t, good.Signature)
			for i := range signature {
				bad := slices.Clone(signature)
				bad[i] ^= 1
				c := good
				c.Signature = octets(bad)
				if i%16 == 0 || i == len(signature)-1 {
					wantCause(t, key.Verify(alg, c), jose.ErrSignature)
				}
			}
			wantCause(t, key.Verify(alg, compact(t, poptest.Tampered(signed))), jose.ErrSignature)
			wantCause(t, mustKey(t, keyFor(alg, "b")).Verify(alg, good), jose.ErrSignature)
			wantCause(t, key.Verify(alg, compact(t, "e30"+good.Input[3:]+"."+good.Signature)), jose.ErrSignature)
			for name, other := range map[string][]byte{
				"empty": nil, "short": signature[1:], "cut": signature[:len(signature)-1],
				"long": append(slices.Clone(signature), 0), "zero in front": append([]byte{0}, signature...),
				"zeros": make([]byte, len(signature)), "ones": slices.Repeat([]byte{255}, len(signature)),
				"8 kB": make([]byte, 8192),
			} {
				c := good
				c.Signature = octets(other)
				err := key.Verify(alg, c)
				if wantCause(t, err, jose.ErrSignature); t.Failed() {
					t.Fatal(name)
				}
				// The length is judged here, before the library sees it.
				if e, _ := errors.AsType[*reason.Error](err); len(other) != len(signature) && e.Expected == "" {
					t.Errorf("%s: %v", name, err)
				}
			}
			c := good
			c.Signature += "="
			wantCause(t, key.Verify(alg, c), jose.ErrMalformed)
		})
	}
}

// RS-124, RS-142: every algorithm with every kind of key.
func TestFits(t *testing.T) {
	keys := map[string][]string{
		"ES256": {"ES256"}, "ES384": {"ES384"}, "ES512": {"ES512"}, "EdDSA": {"EdDSA", "Ed25519"},
		"RS256": {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"},
	}
	names := append(jose.Algorithms(), "none", "None", "NONE", "", "HS256", "HS384", "HS512", "dir", "RS1", "ES256K",
		"Ed448", "es256", "ES256 ", "RSA-OAEP", "ML-DSA-44")
	fitting := 0
	for kind, fits := range keys {
		k := poptest.Keyed(kind, "a")
		key := mustKey(t, k)
		for _, alg := range names {
			want := jose.ErrKeyAlg
			if slices.Contains(fits, alg) {
				want = nil
				fitting++
			}
			wantCause(t, key.Fits(alg), want)
			if want != nil { // whatever the signature
				other := *k
				wantCause(t, key.Verify(alg, compact(t, poptest.Compact(`{"alg":"`+alg+`"}`, `{}`, &other))), want)
			}
		}
	}
	if fitting != len(jose.Algorithms()) {
		t.Errorf("%d pairs fit, want %d: one for each algorithm", fitting, len(jose.Algorithms()))
	}
	// RS-010: HMAC keyed with the public key.
	hs := poptest.Keyed("RS256", "a")
	hs.Alg = "HS256"
	wantCause(t, mustKey(t, hs).Verify("HS256", compact(t, poptest.Compact(`{"alg":"HS256"}`, `{}`, hs))), jose.ErrKeyAlg)
}

// RS-124: one key, one algorithm, when the key says so.
func TestFitsKeyAlg(t *testing.T) {
	for _, c := range []struct {
		kind string
		alg  any
		use  string
		want *reason.Error
	}{
		{"RS256", "RS256", "RS256", nil},
		{"RS256", "RS256", "PS256", jose.ErrKeyAlg},
		{"RS256", "PS256", "PS512", jose.ErrKeyAlg},
		{"RS256", "RSA-OAEP", "RS256", jose.ErrKeyAlg},
		{"ES256", "ES256", "ES256", nil},
		{"ES256", "ES384", "ES256", jose.ErrKeyAlg},
		{"ES256", "ES384", "ES384", jose.ErrKeyAlg},
		{"ES256", "es256", "ES256", jose.ErrKeyAlg},
		{"ES256", "ECDH-ES", "ES256", jose.ErrKeyAlg},
		{"ES256", strings.Repeat("x", 8192), "ES256", jose.ErrKeyAlg},
		{"ES256", json.RawMessage("null"), "ES256", nil},
		{"EdDSA", "EdDSA", "EdDSA", nil},
		{"EdDSA", "EdDSA", "Ed25519", nil},
		{"EdDSA", "Ed25519", "EdDSA", nil},
		{"EdDSA", "ES256", "EdDSA", jose.ErrKeyAlg},
		{"EdDSA", "Ed448", "EdDSA", jose.ErrKeyAlg},
	} {
		key, err := jose.ParseKey(with(t, poptest.Keyed(c.kind, "a"), map[string]any{"alg": c.alg}), 0)
		if err != nil {
			t.Fatal(err)
		}
		err = key.Fits(c.use)
		wantCause(t, err, c.want)
		if err != nil && len(err.Error()) > 800 {
			t.Errorf("the client's alg makes an error of %d octets", len(err.Error()))
		}
	}
	_, err := jose.ParseKey(with(t, poptest.ClientKey(), map[string]any{"alg": 1}), 0)
	wantCause(t, err, jose.ErrJSON)
}

// RS-142: r and s have the curve's length, and lie between 1 and n-1.
func TestVerifyECDSA(t *testing.T) {
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		k := poptest.Keyed(alg, "a")
		key := mustKey(t, k)
		good := compact(t, poptest.Compact(`{"alg":"`+alg+`"}`, `{}`, k))
		raw := decoded(t, good.Signature)
		size := len(raw) / 2
		r, s, n := new(big.Int).SetBytes(raw[:size]), new(big.Int).SetBytes(raw[size:]), curve.Params().N
		zero, sum := new(big.Int), sha256.Sum256([]byte(good.Input))
		der, err := ecdsa.SignASN1(rand.Reader, k.Private.(*ecdsa.PrivateKey), sum[:])
		if err != nil {
			t.Fatal(err)
		}
		fixed := func(r, s *big.Int) []byte {
			if r.BitLen() > 8*size || s.BitLen() > 8*size {
				return nil // does not fit: the length is wrong already
			}
			return slices.Concat(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size)))
		}
		for name, signature := range map[string][]byte{
			"DER": der, "r = 0": fixed(zero, s), "s = 0": fixed(r, zero), "r = n": fixed(n, s), "s = n": fixed(r, n),
			"r + n": fixed(new(big.Int).Add(r, n), s), "s + n": fixed(r, new(big.Int).Add(s, n)), "swapped": fixed(s, r),
			"stripped zeros": slices.Concat(r.Bytes(), s.Bytes()[:size-1]), "twice the size": make([]byte, 4*size),
			"length of ES256": make([]byte, 62),
		} {
			c := good
			c.Signature = octets(signature)
			if wantCause(t, key.Verify(alg, c), jose.ErrSignature); t.Failed() {
				t.Fatal(alg, name)
			}
		}
	}
}

// R and S are as long as the order also where they begin with zeros (RFC 7518 §3.4).
func TestVerifyECDSAShort(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512"} {
		k := poptest.Keyed(alg, "a")
		key := mustKey(t, k)
		short := map[string]bool{}
		for i := 0; len(short) < 2 && i < 1<<14; i++ {
			c := compact(t, poptest.Compact(`{"alg":"`+alg+`"}`, fmt.Sprint(i), k))
			raw := decoded(t, c.Signature)
			for name, first := range map[string]byte{"r": raw[0], "s": raw[len(raw)/2]} {
				if first == 0 && !short[name] {
					short[name] = true
					wantCause(t, key.Verify(alg, c), nil)
				}
			}
		}
		if len(short) < 2 {
			t.Errorf("%s: no R and S that begin with zeros", alg)
		}
	}
}

// RSA: the padding of the other scheme, the other hash, and a signature above the modulus.
func TestVerifyRSA(t *testing.T) {
	k := poptest.Keyed("RS256", "a")
	key := mustKey(t, k)
	sign := func(alg string) jose.Compact {
		as := *k
		as.Alg = alg
		return compact(t, poptest.Compact(`{}`, `{}`, &as))
	}
	algs := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	for _, signed := range algs {
		for _, claimed := range algs {
			want := jose.ErrSignature
			if signed == claimed {
				want = nil
			}
			wantCause(t, key.Verify(claimed, sign(signed)), want)
		}
	}
	good := sign("RS256")
	n := k.Private.Public().(*rsa.PublicKey).N
	s := new(big.Int).SetBytes(decoded(t, good.Signature))
	if above := s.Add(s, n); above.BitLen() <= n.BitLen() {
		c := good
		c.Signature = octets(above.Bytes())
		wantCause(t, key.Verify("RS256", c), jose.ErrSignature)
	}
}

// RFC 7518 §3.5: the salt is as long as the hash. Other lengths are what older signers make by default.
func TestVerifyPSSSalt(t *testing.T) {
	for alg, hash := range map[string]crypto.Hash{"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512} {
		k := keyFor(alg, "a")
		private := k.Private.(*rsa.PrivateKey)
		key, input := mustKey(t, k), b64(`{"alg":"`+alg+`"}`)+".e30"
		digest := hash.New()
		digest.Write([]byte(input))
		sum, size := digest.Sum(nil), hash.Size()
		greatest := private.Size() - size - 2 // RFC 8017 §9.1.1
		for _, c := range []struct {
			salt  int
			cause *reason.Error
		}{
			{size, nil}, {0, jose.ErrSignature}, {1, jose.ErrSignature}, {20, jose.ErrSignature},
			{size - 1, jose.ErrSignature}, {size + 1, jose.ErrSignature}, {greatest, jose.ErrSignature},
		} {
			signature := pssWithSalt(private, hash, sum, c.salt)
			// It is the salt that is refused: the signature itself is one.
			if err := rsa.VerifyPSS(&private.PublicKey, hash, sum, signature, nil); err != nil {
				t.Fatal(err)
			}
			err := key.Verify(alg, compact(t, input+"."+octets(signature)))
			wantCause(t, err, c.cause)
			if e, ok := errors.AsType[*reason.Error](err); ok && e.Expected != fmt.Sprintf("PSS with a salt of %d octets", size) {
				t.Errorf("%s with a salt of %d octets: %v", alg, c.salt, err)
			}
		}
	}
}

// pssWithSalt signs a digest with a salt of so many octets (RFC 8017 §8.1.1). Crypto/rsa has no length of zero.
func pssWithSalt(k *rsa.PrivateKey, hash crypto.Hash, digest []byte, length int) []byte {
	salt := slices.Repeat([]byte{0x5a}, length)
	h := hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	sum := h.Sum(nil)
	bits := k.N.BitLen() - 1
	size := (bits + 7) / 8
	block := make([]byte, size-len(sum)-1)
	block[len(block)-len(salt)-1] = 1
	copy(block[len(block)-len(salt):], salt)
	var mask []byte
	for i := byte(0); len(mask) < len(block); i++ {
		h.Reset()
		h.Write(sum)
		h.Write([]byte{0, 0, 0, i})
		mask = h.Sum(mask)
	}
	for i := range block {
		block[i] ^= mask[i]
	}
	block[0] &= 0xff >> (8*size - bits)
	encoded := slices.Concat(block, sum, []byte{0xbc})
	return new(big.Int).Exp(new(big.Int).SetBytes(encoded), k.D, k.N).FillBytes(make([]byte, k.Size()))
}

// Two names, one algorithm (RFC 9864 §2.2).
func TestVerifyEdDSA(t *testing.T) {
	k := poptest.Keyed("EdDSA", "a")
	c := compact(t, poptest.Compact(`{"alg":"EdDSA"}`, `{}`, k))
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		wantCause(t, mustKey(t, k).Verify(alg, c), nil)
	}
	// S + L is the same scalar in another spelling (RFC 8032 §5.1.7).
	raw := decoded(t, c.Signature)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(raw[32:])
	slices.Reverse(s)
	big := new(big.Int).SetBytes(s)
	other := big.Add(big, order).FillBytes(make([]byte, 32))
	slices.Reverse(other)
	c.Signature = octets(slices.Concat(raw[:32], other))
	wantCause(t, mustKey(t, k).Verify("EdDSA", c), jose.ErrSignature)
	if !ed25519.Verify(k.Private.Public().(ed25519.PublicKey), []byte(c.Input), raw) {
		t.Error("the signature that was altered was not good in the first place")
	}
}

func FuzzParseKey(f *testing.F) {
	v := poptest.Vectors()
	seeds := []map[string]string{v.RFC9449.PublicJWK, v.RFC7638.Section31.JWK, v.RFC8037.AppendixA3.JWK, v.RFC7515.AppendixA3.JWK}
	for _, seed := range seeds {
		if len(seed) == 0 {
			f.Fatal("no seeds: the RFC vectors are gone")
		}
		raw, err := json.Marshal(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		private := maps.Clone(seed)
		private["d"] = "AQAB"
		if raw, err = json.Marshal(private); err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	signed := compact(f, v.RFC7515.AppendixA3.JWS)
	f.Fuzz(func(t *testing.T, raw []byte) {
		key, err := jose.ParseKey(raw, 0)
		if err != nil {
			if reason.Of(err) == "" || key != nil {
				t.Errorf("got %v, %v", key, err)
			}
			return
		}
		var members map[string]any
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatalf("%q is not JSON: %v", raw, err)
		}
		required := map[string]string{}
		for _, name := range []string{"kty", "crv", "x", "y", "n", "e"} {
			if s, ok := members[name].(string); ok {
				required[name] = s
			}
		}
		if want := poptest.Thumbprint(required); key.Thumbprint() != want {
			t.Errorf("%q: thumbprint %s, want %s", raw, key.Thumbprint(), want)
		}
		for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if v, ok := members[name]; ok && v != nil && fmt.Sprint(v) != "[]" {
				t.Errorf("%q: private member %s", raw, name)
			}
		}
		for _, alg := range jose.Algorithms() {
			if err := key.Verify(alg, signed); err == nil && key.Thumbprint() != poptest.Thumbprint(v.RFC7515.AppendixA3.JWK) {
				t.Errorf("%q verifies what another key signed", raw)
			}
		}
	})
}

// What shows early is a modulus that no key may have. Everything else is left to ParseKey, which says the same of it, or
// accepts it.
func TestModulusFits(t *testing.T) {
	modulus := func(bits int) string { return b64(strings.Repeat("\xff", bits/8)) }
	rsa := func(n string) string { return `{"kty":"RSA","e":"AQAB","n":"` + n + `"}` }
	long := strings.Repeat("A", 4000)
	for name, test := range map[string]struct {
		header string
		early  bool // refused by ModulusFits
		late   bool // refused by ParseKey
	}{
		"16 kbit":                  {`{"alg":"RS256","jwk":` + rsa(modulus(16384)) + `}`, true, true},
		"an octet too long":        {`{"alg":"RS256","jwk":` + rsa(modulus(4104)) + `,"kid":"` + long + `"}`, true, true},
		"the longest":              {`{"alg":"RS256","jwk":` + rsa(modulus(4096)) + `,"kid":"` + long + `"}`, false, false},
		"short, and a long member": {`{"alg":"RS256","jwk":` + rsa(modulus(2048)) + `,"x":{"n":"` + long + `"}}`, false, false},
		"a long member, and short": {`{"alg":"RS256","x":{"kty":"RSA","n":"` + long + `"},"jwk":` + rsa(modulus(2048)) + `}`, false, false},
		"another n within the key": {`{"alg":"RS256","jwk":{"kty":"RSA","x":{"n":"` + long + `"},"e":"AQAB","n":"` + modulus(2048) + `"}}`, false, false},
		"spelled in a string":      {`{"alg":"RS256","kid":"\"jwk\":{\"kty\":\"RSA\",\"n\":\"` + long + `","jwk":` + rsa(modulus(2048)) + `}`, false, false},
		"a space in between":       {`{"alg":"RS256","jwk": ` + rsa(modulus(16384)) + `}`, false, true},
		"16 kbit, far behind":      {`{"alg":"RS256","kid":"` + long + `","jwk":` + rsa(modulus(16384)) + `}`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			header := b64(test.header)
			if err := jose.ModulusFits(header, jose.DefaultRSABits); errors.Is(err, jose.ErrKey) != test.early {
				t.Errorf("ModulusFits = %v", err)
			}
			h, err := jose.ParseHeader(header)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := jose.ParseKey(h.JWK, 0); errors.Is(err, jose.ErrKey) != test.late {
				t.Errorf("ParseKey = %v", err)
			}
		})
	}
	if err := jose.ModulusFits(b64(`{"alg":"RS256","jwk":`+rsa(modulus(8192))+`}`), 16384); err != nil {
		t.Errorf("ModulusFits = %v where 16384 bits are accepted", err)
	}
}

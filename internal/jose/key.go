package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"filippo.io/edwards25519"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/precomputed"
)

// The bounds of RSA moduli, in bits (RFC 7518 §3.3).
const (
	MinRSABits     = 2048
	DefaultRSABits = 4096
)

// Key is a public key whose shape has been checked. It is immutable and safe for concurrent use.
type Key struct {
	public     crypto.PublicKey // nil for P-256
	family     string           // "EC", "RSA", "OKP"
	curve      string
	alg        string // the key's own alg member; empty permits every algorithm of the family
	sigLen     int
	thumbprint string
	known      *precomputed.Key // for P-256; nil for all others
}

// Thumbprint returns the base64url SHA-256 thumbprint (RFC 7638), the value of cnf.jkt.
func (k *Key) Thumbprint() string { return k.thumbprint }

// Algorithm returns the key's own alg member; empty permits every algorithm of its family.
func (k *Key) Algorithm() string { return k.alg }

// Precomputed returns the key as one that may get a table of multiples. Nil is a key that may not: any but one of P-256.
func (k *Key) Precomputed() *precomputed.Key { return k.known }

// jwk lists every member that takes part in the decision; all others are ignored (RFC 7517 §4).
type jwk struct {
	Type   Member         // kty
	Curve  Member         // crv
	X      Member         // x
	Y      Member         // y
	N      Member         // n
	E      Member         // e
	Alg    Member         // alg
	Use    jsontext.Value // use
	KeyOps jsontext.Value // key_ops

	Private secret // d, p, q, dp, dq, qi, oth, k
}

// UnmarshalJSONFrom reads an object.
func (j *jwk) UnmarshalJSONFrom(d *jsontext.Decoder) error { return ReadMembers(d, j.member) }

func (j *jwk) member(name []byte) json.UnmarshalerFrom {
	switch string(name) {
	case "kty":
		return &j.Type
	case "crv":
		return &j.Curve
	case "x":
		return &j.X
	case "y":
		return &j.Y
	case "n":
		return &j.N
	case "e":
		return &j.E
	case "alg":
		return &j.Alg
	case "use":
		return (*Raw)(&j.Use)
	case "key_ops":
		return (*Raw)(&j.KeyOps)
	case "d", "p", "q", "dp", "dq", "qi", "oth", "k":
		return &j.Private
	}
	return nil
}

// Member is a member of a JWK that is a string. Some serialisers write members that they do not have, as null or
// an empty array; both say nothing and read as an empty string.
type Member string

// UnmarshalJSONFrom reads a string, or what says nothing.
func (m *Member) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	if d.PeekKind() != jsontext.KindBeginArray {
		value, err := stringOrNull(d)
		*m = Member(value)
		return err
	}
	v, err := d.ReadValue()
	if err == nil && !saysNothing(v) {
		err = ErrJSON.With("a string", "an array")
	}
	return err
}

// secret is whether there is a member with a value, of those that public keys do not have.
type secret bool

// UnmarshalJSONFrom reads any value of one of them.
func (s *secret) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	*s = *s || secret(!saysNothing(v))
	return err
}

// saysNothing reports whether v is absent, null or an empty array.
func saysNothing(v jsontext.Value) bool {
	switch v.Kind() {
	case jsontext.KindBeginArray:
		return len(bytes.TrimSpace(v[1:len(v)-1])) == 0
	case jsontext.KindNull:
		return true
	}
	return len(v) == 0
}

// ParseKey reads a public JWK and checks its shape; nothing in it can make this dear, whatever its size
// within the caller's cap. maxRSABits of zero means [DefaultRSABits]. It returns [ErrJSON], [ErrPrivate] or
// [ErrKey] (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
func ParseKey(raw []byte, maxRSABits int) (*Key, error) {
	j, err := readJWK(raw)
	if err != nil {
		return nil, err
	}
	return j.key(maxRSABits)
}

// ParseIssuerKey is [ParseKey] for the key of an issuer that is trusted: the numbers of an RSA key may have leading
// zeros and padding, as some issuers write them. In a proof they stay refused, where each spelling of one key
// would have a thumbprint of its own.
func ParseIssuerKey(raw []byte, maxRSABits int) (*Key, error) {
	j, err := readJWK(raw)
	if err != nil {
		return nil, err
	}
	for _, number := range []*Member{&j.N, &j.E} {
		if *number, err = canonical(*number); err != nil {
			return nil, err
		}
	}
	return j.key(maxRSABits)
}

// canonical spells a number as RFC 7518 §2 has it (Base64urlUInt), but for zero.
func canonical(number Member) (Member, error) {
	digits := string(number)
	if len(digits)%4 == 0 { // padding fills up to it
		digits = strings.TrimSuffix(strings.TrimSuffix(digits, "="), "=")
	}
	octets, err := Decode(digits)
	return Member(base64.RawURLEncoding.EncodeToString(bytes.TrimLeft(octets, "\x00"))), err
}

func readJWK(raw []byte) (*jwk, error) {
	var j jwk
	if err := Object(raw, &j); err != nil {
		return nil, err
	}
	if j.Private {
		return nil, ErrPrivate
	}
	return &j, j.permitsVerifying()
}

func (j *jwk) key(maxRSABits int) (*Key, error) {
	switch j.Type {
	case "EC":
		return j.ec()
	case "OKP":
		return j.okp()
	case "RSA":
		return j.rsa(maxRSABits)
	}
	return nil, ErrKey.With("kty EC, OKP or RSA", string(j.Type))
}

func (j *jwk) permitsVerifying() error {
	if !saysNothing(j.Use) && string(j.Use) != `"sig"` {
		return ErrKey.With("use sig", string(j.Use))
	}
	if saysNothing(j.KeyOps) {
		return nil
	}
	var ops []string
	if err := json.Unmarshal(j.KeyOps, &ops); err != nil {
		return ErrJSON.Because(err)
	}
	if !slices.Contains(ops, "verify") {
		return ErrKey.With("key_ops with verify", string(j.KeyOps))
	}
	return nil
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

func (j *jwk) ec() (*Key, error) {
	curve, ok := curves[string(j.Curve)]
	if !ok {
		return nil, ErrKey.With("crv P-256, P-384 or P-521", string(j.Curve))
	}
	size := (curve.Params().BitSize + 7) / 8
	point := make([]byte, 1+2*size)
	point[0] = 4 // uncompressed
	if err := exactly("x", j.X, point[1:1+size]); err != nil {
		return nil, err
	}
	if err := exactly("y", j.Y, point[1+size:]); err != nil {
		return nil, err
	}
	k := &Key{
		family: "EC", curve: string(j.Curve), alg: string(j.Alg), sigLen: 2 * size,
		thumbprint: Hash(string(`{"crv":"` + j.Curve + `","kty":"EC","x":"` + j.X + `","y":"` + j.Y + `"}`)),
	}
	var err error
	if curve == elliptic.P256() {
		k.known, err = precomputed.ParseKey(point)
	} else {
		k.public, err = ecdsa.ParseUncompressedPublicKey(curve, point)
	}
	if err != nil {
		return nil, ErrKey.With("a point on "+string(j.Curve), "another point")
	}
	return k, nil
}

// smallOrder are the points under which one signature verifies for many messages: the multiples of a point of order
// eight (RFC 7748 §7), in canonical form.
var smallOrder = func() map[[ed25519.PublicKeySize]byte]bool {
	const eighth = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"
	octets, _ := hex.DecodeString(eighth)
	step, err := new(edwards25519.Point).SetBytes(octets)
	if err != nil {
		panic(err) // a constant
	}
	points := map[[ed25519.PublicKeySize]byte]bool{}
	for sum := edwards25519.NewIdentityPoint(); len(points) < 8; sum.Add(sum, step) {
		points[[ed25519.PublicKeySize]byte(sum.Bytes())] = true
	}
	return points
}()

func (j *jwk) okp() (*Key, error) {
	if j.Curve != "Ed25519" {
		return nil, ErrKey.With("crv Ed25519", string(j.Curve))
	}
	x := make([]byte, ed25519.PublicKeySize)
	if err := exactly("x", j.X, x); err != nil {
		return nil, err
	}
	if smallOrder[[ed25519.PublicKeySize]byte(x)] {
		return nil, ErrKey.With("a point of large order", string(j.X))
	}
	point, err := new(edwards25519.Point).SetBytes(x)
	if err != nil || !bytes.Equal(point.Bytes(), x) {
		return nil, ErrKey.With("a canonical point on Ed25519", string(j.X))
	}
	return &Key{
		public: ed25519.PublicKey(x), family: "OKP", curve: string(j.Curve), alg: string(j.Alg), sigLen: ed25519.SignatureSize,
		thumbprint: Hash(string(`{"crv":"Ed25519","kty":"OKP","x":"` + j.X + `"}`)),
	}, nil
}

// ModulusFits returns [ErrKey] if the modulus of an RSA key in a header part shows to be longer than maxBits already
// where it begins, so that a hostile header costs no more than one of usual size. It sees the usual spelling alone:
// nil leaves the judgement to [ParseKey].
func ModulusFits(part string, maxBits int) error {
	const before = 252 // octets of a header in front of the modulus; more are not searched
	digits := base64.RawURLEncoding.EncodedLen((maxBits + 7) / 8)
	prefix := base64.RawURLEncoding.EncodedLen(before+digits+1) / 4 * 4
	if len(part) <= prefix {
		return nil
	}
	var buffer [1024]byte // enough for 4096 bits
	raw := buffer[:]
	if n := base64.RawURLEncoding.DecodedLen(prefix); n > len(raw) {
		raw = make([]byte, n)
	}
	n, err := strictBase64.Decode(raw, []byte(part[:prefix]))
	if err != nil || n != base64.RawURLEncoding.DecodedLen(prefix) { // fewer, where a line break was skipped
		return nil
	}
	raw = raw[:n]
	_, jwk, _ := bytes.Cut(raw, []byte(`"jwk":{`))
	members, modulus, found := bytes.Cut(jwk, []byte(`"n":"`)) // in a string the quotes would be escaped
	switch {
	case !found || bytes.ContainsAny(members, "{}") || !bytes.Contains(members, []byte(`"kty":"RSA"`)):
		return nil
	case len(modulus) <= digits || bytes.IndexByte(modulus[:digits+1], '"') >= 0:
		return nil
	}
	return tooLong(maxBits)
}

func tooLong(maxBits int) error {
	return ErrKey.With("at most "+strconv.Itoa(maxBits)+" bits", "a longer modulus")
}

// exponents are those that crypto/rsa can verify with; a larger one would fail as a wrong signature.
const exponents = "an odd exponent of at least 3 and less than 2^31, without leading zeros"

func (j *jwk) rsa(maxBits int) (*Key, error) {
	if maxBits == 0 {
		maxBits = DefaultRSABits
	}
	if base64.RawURLEncoding.DecodedLen(len(j.N)) > (maxBits+7)/8 {
		return nil, tooLong(maxBits)
	}
	if base64.RawURLEncoding.DecodedLen(len(j.E)) > 4 {
		return nil, ErrKey.With(exponents, string(j.E))
	}
	n, err := Decode(string(j.N))
	if err != nil {
		return nil, err
	}
	e, err := Decode(string(j.E))
	if err != nil {
		return nil, err
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < MinRSABits || bits > maxBits {
		return nil, ErrKey.With(fmt.Sprintf("%d to %d bits", MinRSABits, maxBits), strconv.Itoa(bits))
	}
	if n[0] == 0 || modulus.Bit(0) == 0 {
		return nil, ErrKey.With("an odd modulus without leading zeros", "another modulus")
	}
	if len(e) == 0 || e[0] == 0 || exponent.Bit(0) == 0 || exponent.BitLen() < 2 || exponent.BitLen() > 31 {
		return nil, ErrKey.With(exponents, string(j.E))
	}
	if roca(modulus) {
		return nil, ErrKey.With("a modulus whose factors cannot be told from its form", "one of CVE-2017-15361")
	}
	return &Key{
		public: &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, family: "RSA", alg: string(j.Alg), sigLen: len(n),
		thumbprint: Hash(string(`{"e":"` + j.E + `","kty":"RSA","n":"` + j.N + `"}`)),
	}, nil
}

// exactly decodes a member that fills octets.
func exactly(name string, value Member, octets []byte) error {
	if len(value) != base64.RawURLEncoding.EncodedLen(len(octets)) {
		return ErrKey.With(name+" of "+strconv.Itoa(len(octets))+" octets", string(value))
	}
	// Line breaks, which the standard decoder skips, leave too few.
	n, err := strictBase64.Decode(octets, []byte(value))
	if err == nil && n != len(octets) {
		err = base64.CorruptInputError(n)
	}
	if err != nil {
		return ErrMalformed.Because(err)
	}
	return nil
}

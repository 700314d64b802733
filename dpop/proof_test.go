package dpop_test

import (
	"bufio"
	"cmp"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode"
	"unicode/utf16"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

const accessToken = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"

type members = map[string]any

var null = json.RawMessage("null")

// mint signs a proof for accessToken; a case states only what differs.
func mint(p poptest.Proof) string {
	p.Token = cmp.Or(p.Token, accessToken)
	return p.String()
}

// header and claims mint a proof with some members changed, added or, by a nil value, removed.
func header(m members) string { return mint(poptest.Proof{Header: m}) }
func claims(m members) string { return mint(poptest.Proof{Claims: m}) }

// jwk mints a proof by a key of the algorithm's kind, with some members of its jwk changed.
func jwk(alg string, changes members) string {
	k := poptest.Keyed(alg, "proof")
	public := k.JWK()
	for name, value := range changes {
		if public[name] = value; value == nil {
			delete(public, name)
		}
	}
	return mint(poptest.Proof{Key: k, Header: members{"jwk": public}})
}

// text returns the JSON of a good header or payload with one replacement made in it.
func text(part int, replace ...string) string {
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(mint(poptest.Proof{JTI: "text"}), ".")[part])
	if err != nil {
		panic(err)
	}
	changed := strings.NewReplacer(replace...).Replace(string(raw))
	if len(replace) > 0 && changed == string(raw) {
		panic("nothing to replace: " + replace[0])
	}
	return changed
}

func rawHeader(s string) string  { return mint(poptest.Proof{RawHeader: s}) }
func rawPayload(s string) string { return mint(poptest.Proof{RawPayload: s}) }

// respell applies a change to one of the three parts of a good proof and signs nothing anew.
func respell(part int, change func(string) string) string {
	parts := strings.Split(mint(poptest.Proof{}), ".")
	parts[part] = change(parts[part])
	return strings.Join(parts, ".")
}

func pad(s string) string      { return s + "=" }
func newline(s string) string  { return s[:8] + "\r\n" + s[8:] }
func space(s string) string    { return s + " " }
func standard(s string) string { return s[:4] + "+/" + s[6:] }

// strayBits sets a bit that the last character holds beyond the last octet.
func strayBits(s string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	if len(s)%4 == 0 {
		panic("no spare bits")
	}
	last := strings.IndexByte(alphabet, s[len(s)-1])
	return s[:len(s)-1] + string(alphabet[last|1])
}

// spare mints proofs until the given part has spare bits at its end.
func spare(part int) string {
	for jti := "spare"; ; jti += "!" {
		parts := strings.Split(mint(poptest.Proof{JTI: jti, Header: members{"kid": jti}}), ".")
		if len(parts[part])%4 != 0 {
			parts[part] = strayBits(parts[part])
			return strings.Join(parts, ".")
		}
	}
}

func with(k *poptest.Key, alg string) *poptest.Key { return &poptest.Key{Alg: alg, Private: k.Private} }

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func utf16Text(s string) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s)) {
		b = append(b, byte(unit>>8), byte(unit))
	}
	return string(b)
}

// derSigned mints a proof whose ECDSA signature is in ASN.1 form.
func derSigned() string {
	compact := mint(poptest.Proof{})
	end := strings.LastIndexByte(compact, '.')
	raw, _ := base64.RawURLEncoding.DecodeString(compact[end+1:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
	if err != nil {
		panic(err)
	}
	return compact[:end+1] + b64(der)
}

// offCurve returns the x of a good key and another y.
func offCurve() members {
	y := make([]byte, 32)
	y[31] = 1
	return members{"y": b64(y)}
}

type refusal struct {
	name  string
	proof string
	want  *reason.Error
}

// refusals are proofs for a GET of poptest.URL with accessToken, each with one thing wrong (RS-024: which check
// comes first cannot be seen).
func refusals() []refusal {
	var (
		client  = poptest.ClientKey()
		other   = poptest.Keyed("ES256", "other")
		p384    = poptest.Keyed("ES384", "proof")
		rsaKey  = poptest.Keyed("RS256", "proof")
		weakRSA = poptest.RSA("RS256", 1024)
		zero32  = b64(make([]byte, 32))
		modulus = rsaKey.JWK()["n"].(string)
		hugeRSA = b64(slices.Repeat([]byte{0xff}, 2048))
		field   = b64(elliptic.P256().Params().P.Bytes())
		good    = mint(poptest.Proof{JTI: "good"})
		parts   = strings.Split(good, ".")
		sum512  = sha512.Sum512([]byte(accessToken))
		sum256  = sha256.Sum256([]byte(accessToken))
	)
	nBytes, _ := base64.RawURLEncoding.DecodeString(modulus)
	return []refusal{
		{"RS-004 empty field", "", dpop.ErrMalformed},
		{"RS-004 one part", parts[0], dpop.ErrMalformed},
		{"RS-004 two parts", parts[0] + "." + parts[1], dpop.ErrMalformed},
		{"RS-004 four parts", good + ".AAAA", dpop.ErrMalformed},
		{"RS-004 trailing dot", good + ".", dpop.ErrMalformed},
		{"RS-004 five parts", good + ".AAAA.AAAA", dpop.ErrMalformed},
		{"RS-004 dots alone", "..", dpop.ErrMalformed},
		{"RS-004 JSON serialisation", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, dpop.ErrMalformed},
		{"RS-003 RS-004 two in one field", good + "," + good, dpop.ErrMalformed},
		{"RS-004 RS-126 nested", rawPayload(good), dpop.ErrJSON},
		{"RS-004 RS-126 nested as a string", rawPayload(`"` + good + `"`), dpop.ErrJSON},
		{"RS-126 detached payload", parts[0] + ".." + parts[2], dpop.ErrMalformed},
		{"RS-010 RS-126 no signature", parts[0] + "." + parts[1] + ".", dpop.ErrMalformed},
		{"RS-126 partial signature", parts[0] + "." + parts[1] + "." + parts[2][:84], dpop.ErrSignature},
		{"RS-182 one octet too large", large(dpop.DefaultMaxSize + 1), dpop.ErrTooLarge},
		{"RS-077 RS-182 jti of 128 kB", claims(members{"jti": strings.Repeat("j", 128<<10)}), dpop.ErrTooLarge},

		{"RS-005 no typ", header(members{"typ": nil}), dpop.ErrType},
		{"RS-005 no alg", header(members{"alg": nil}), dpop.ErrHeader},
		{"RS-005 no jwk", header(members{"jwk": nil}), dpop.ErrHeader},
		{"RS-005 jwk null", header(members{"jwk": null}), dpop.ErrJSON},
		{"RS-005 jwk a string", header(members{"jwk": "key"}), dpop.ErrJSON},
		{"RS-005 jwk an array", header(members{"jwk": []any{client.JWK()}}), dpop.ErrJSON},
		{"RS-005 jwk empty", header(members{"jwk": members{}}), dpop.ErrKey},
		{"RS-005 alg a number", header(members{"alg": 256}), dpop.ErrJSON},
		{"RS-005 alg null", header(members{"alg": null}), dpop.ErrHeader},
		{"RS-005 header an array", rawHeader(`[]`), dpop.ErrJSON},
		{"RS-005 header null", rawHeader(`null`), dpop.ErrJSON},
		{"RS-005 header cut short", rawHeader(`{"typ":"dpop+jwt"`), dpop.ErrJSON},
		{"RS-005 header with a tail", rawHeader(text(0) + `{}`), dpop.ErrJSON},

		{"RS-006 no jti", claims(members{"jti": nil}), dpop.ErrClaim},
		{"RS-006 no htm", claims(members{"htm": nil}), dpop.ErrClaim},
		{"RS-006 no htu", claims(members{"htu": nil}), dpop.ErrClaim},
		{"RS-006 no iat", claims(members{"iat": nil}), dpop.ErrClaim},
		{"RS-006 jti empty", claims(members{"jti": ""}), dpop.ErrClaim},
		{"RS-006 no claims", rawPayload(`{}`), dpop.ErrClaim},
		{"RS-007 jti a number", claims(members{"jti": 1}), dpop.ErrJSON},
		{"RS-007 jti null", claims(members{"jti": null}), dpop.ErrJSON},
		{"RS-007 jti an array", claims(members{"jti": []string{"a"}}), dpop.ErrJSON},
		{"RS-007 jti an object", claims(members{"jti": members{}}), dpop.ErrJSON},
		{"RS-007 htm an array", claims(members{"htm": []string{"GET"}}), dpop.ErrJSON},
		{"RS-007 htm null", claims(members{"htm": null}), dpop.ErrJSON},
		{"RS-007 htu an object", claims(members{"htu": members{"u": poptest.URL}}), dpop.ErrJSON},
		{"RS-007 htu null", claims(members{"htu": null}), dpop.ErrJSON},
		{"RS-007 iat a string", claims(members{"iat": fmt.Sprint(poptest.Now.Unix())}), dpop.ErrJSON},
		{"RS-007 iat null", claims(members{"iat": null}), dpop.ErrJSON},
		{"RS-007 iat true", claims(members{"iat": true}), dpop.ErrJSON},
		{"RS-007 iat an array", claims(members{"iat": []int64{poptest.Now.Unix()}}), dpop.ErrJSON},
		{"RS-007 iat an object", claims(members{"iat": members{}}), dpop.ErrJSON},
		{"RS-007 iat not JSON", rawPayload(text(1, fmt.Sprint(poptest.Now.Unix()), "NaN")), dpop.ErrJSON},
		{"RS-007 ath a number", claims(members{"ath": 1}), dpop.ErrJSON},
		{"RS-007 ath null", claims(members{"ath": null}), dpop.ErrJSON},
		{"RS-007 nonce a number", claims(members{"nonce": 1}), dpop.ErrJSON},
		{"RS-007 nonce null", claims(members{"nonce": null}), dpop.ErrJSON},
		{"RS-007 payload an array", rawPayload(`[]`), dpop.ErrJSON},
		{"RS-007 payload cut short", rawPayload(strings.TrimSuffix(text(1), "}")), dpop.ErrJSON},
		{"RS-007 payload with a tail", rawPayload(text(1) + "x"), dpop.ErrJSON},

		{"RS-008 RS-134 typ JWT", header(members{"typ": "JWT"}), dpop.ErrType},
		{"RS-008 RS-135 typ at+jwt", header(members{"typ": "at+jwt"}), dpop.ErrType},
		{"RS-008 typ an array", header(members{"typ": []string{"dpop+jwt"}}), dpop.ErrJSON},
		{"RS-008 typ a number", header(members{"typ": 1}), dpop.ErrJSON},
		{"RS-008 typ null", header(members{"typ": null}), dpop.ErrType},
		{"RS-079 RS-135 access token as proof", poptest.Token{}.String(), dpop.ErrType},
		{"RS-079 RS-135 ID token as proof", poptest.Token{Header: members{"typ": "JWT"}}.String(), dpop.ErrType},

		{"RS-009 HS256 under the public key", mint(poptest.Proof{Key: with(client, "HS256")}), dpop.ErrAlgorithm},
		{"RS-009 HS384", mint(poptest.Proof{Key: with(client, "HS384")}), dpop.ErrAlgorithm},
		{"RS-009 HS512", mint(poptest.Proof{Key: with(client, "HS512")}), dpop.ErrAlgorithm},
		{"RS-009 dir", header(members{"alg": "dir"}), dpop.ErrAlgorithm},
		{"RS-009 unknown name", header(members{"alg": "XY256"}), dpop.ErrAlgorithm},
		{"RS-009 lower case", header(members{"alg": "es256"}), dpop.ErrAlgorithm},
		{"RS-009 ES256K", header(members{"alg": "ES256K"}), dpop.ErrAlgorithm},
		{"RS-080 RS1", header(members{"alg": "RS1"}), dpop.ErrAlgorithm},
		{"RS-010 none with a signature", header(members{"alg": "none"}), dpop.ErrAlgorithm},
		{"RS-010 None with a signature", header(members{"alg": "None"}), dpop.ErrAlgorithm},
		{"RS-010 NONE with a signature", header(members{"alg": "NONE"}), dpop.ErrAlgorithm},
		{"RS-010 nOnE with a signature", header(members{"alg": "nOnE"}), dpop.ErrAlgorithm},
		{"RS-010 none without a signature", mint(poptest.Proof{Key: with(client, "none")}), dpop.ErrMalformed},

		{"RS-012 signature changed", poptest.Tampered(good), dpop.ErrSignature},
		{"RS-012 signed by another key", mint(poptest.Proof{Signer: other}), dpop.ErrSignature},
		{"RS-012 signature of another proof", parts[0] + "." + parts[1] + "." + strings.Split(mint(poptest.Proof{}), ".")[2], dpop.ErrSignature},
		{"RS-012 signature all zero", parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)), dpop.ErrSignature},
		{"RS-012 signed PS256, says RS256", mint(poptest.Proof{Key: rsaKey, Signer: with(rsaKey, "PS256")}), dpop.ErrSignature},
		{"RS-012 PS256 with a salt of 20 octets", poptest.Salted(mint(poptest.Proof{Key: with(rsaKey, "PS256")}), with(rsaKey, "PS256"), 20), dpop.ErrSignature},
		{"RS-012 EdDSA signature changed", poptest.Tampered(mint(poptest.Proof{Key: poptest.Keyed("EdDSA", "proof")})), dpop.ErrSignature},
		{"RS-142 signature in ASN.1 form", derSigned(), dpop.ErrSignature},
		{"RS-133 kid, jku and x5u do not replace jwk", header(members{"jwk": nil, "kid": "k1", "jku": "https://evil.example/jwks", "x5u": "https://evil.example/c"}), dpop.ErrHeader},

		{"RS-013 EC d", jwk("ES256", members{"d": zero32}), dpop.ErrPrivateKey},
		{"RS-013 EC d empty", jwk("ES256", members{"d": ""}), dpop.ErrPrivateKey},
		{"RS-013 OKP d", jwk("EdDSA", members{"d": zero32}), dpop.ErrPrivateKey},
		{"RS-013 RSA d", jwk("RS256", members{"d": "AQAB"}), dpop.ErrPrivateKey},
		{"RS-013 RSA p and q only", jwk("RS256", members{"p": "AQAB", "q": "AQAB"}), dpop.ErrPrivateKey},
		{"RS-013 RSA dp", jwk("RS256", members{"dp": "AQAB"}), dpop.ErrPrivateKey},
		{"RS-013 RSA oth", jwk("RS256", members{"oth": []any{members{}}}), dpop.ErrPrivateKey},
		{"RS-009 RS-013 a symmetric key", header(members{"jwk": members{"kty": "oct", "k": "AQAB"}}), dpop.ErrPrivateKey},

		{"RS-127 point not on its curve", jwk("ES256", offCurve()), dpop.ErrKey},
		{"RS-127 point zero", jwk("ES256", members{"x": zero32, "y": zero32}), dpop.ErrKey},
		{"RS-127 coordinate is the field's prime", jwk("ES256", members{"x": field}), dpop.ErrKey},
		{"RS-127 no y", jwk("ES256", members{"y": nil}), dpop.ErrKey},
		{"RS-127 RS-143 coordinate too short", jwk("ES256", members{"x": b64(make([]byte, 31))}), dpop.ErrKey},
		{"RS-127 RS-143 coordinate too long", jwk("ES256", members{"x": b64(make([]byte, 33))}), dpop.ErrKey},
		{"RS-138 coordinate padded", jwk("ES256", members{"x": client.JWK()["x"].(string) + "="}), dpop.ErrKey},
		{"RS-142 ES256 with a P-384 key", mint(poptest.Proof{Key: with(p384, "ES256")}), dpop.ErrKeyAlg},
		{"RS-142 ES384 with a P-256 key", mint(poptest.Proof{Key: with(client, "ES384")}), dpop.ErrKeyAlg},
		{"RS-142 RS256 with an EC key", mint(poptest.Proof{Key: with(client, "RS256")}), dpop.ErrKeyAlg},
		{"RS-142 unknown curve", jwk("ES256", members{"crv": "P-192"}), dpop.ErrKey},
		{"RS-144 EdDSA with Ed448", jwk("EdDSA", members{"crv": "Ed448"}), dpop.ErrKey},
		{"RS-144 Ed25519 key too short", jwk("EdDSA", members{"x": b64(make([]byte, 31))}), dpop.ErrKey},
		{"RS-127 RS-144 Ed25519 of small order", jwk("EdDSA", members{"x": zero32}), dpop.ErrKey},
		{"RS-144 Ed448 by name", header(members{"alg": "Ed448"}), dpop.ErrAlgorithm},
		{"RS-080 RS-128 RS-141 RSA of 1024 bits", mint(poptest.Proof{Key: weakRSA}), dpop.ErrKey},
		{"RS-080 RSA exponent 1", jwk("RS256", members{"e": "AQ"}), dpop.ErrKey},
		{"RS-080 RSA exponent even", jwk("RS256", members{"e": "Ag"}), dpop.ErrKey},
		{"RS-128 RSA exponent of 33 bits", jwk("RS256", members{"e": "AQAAAAE"}), dpop.ErrKey},
		{"RS-128 RSA modulus of 16384 bits", jwk("RS256", members{"n": hugeRSA}), dpop.ErrKey},
		{"RS-143 RSA modulus with a leading zero", jwk("RS256", members{"n": b64(append([]byte{0}, nBytes...))}), dpop.ErrKey},
		{"RS-143 RSA exponent with a leading zero", jwk("RS256", members{"e": b64([]byte{0, 1, 0, 1})}), dpop.ErrKey},
		{"RS-143 RSA without n", jwk("RS256", members{"n": nil}), dpop.ErrKey},
		{"RS-140 use enc", jwk("ES256", members{"use": "enc"}), dpop.ErrKey},
		{"RS-140 use a number", jwk("ES256", members{"use": 1}), dpop.ErrKey},
		{"RS-140 key_ops encrypt", jwk("ES256", members{"key_ops": []string{"encrypt"}}), dpop.ErrKey},
		{"RS-140 key_ops a string", jwk("ES256", members{"key_ops": "verify"}), dpop.ErrJSON},
		{"RS-124 key says another alg", jwk("RS256", members{"alg": "PS256"}), dpop.ErrKeyAlg},

		{"RS-143 RSA modulus padded", jwk("RS256", members{"n": b64(nBytes) + "=="}), dpop.ErrMalformed},
		{"RS-130 header in UTF-16", rawHeader(utf16Text(text(0))), dpop.ErrJSON},
		{"RS-130 payload in UTF-16", rawPayload(utf16Text(text(1))), dpop.ErrJSON},
		{"RS-130 header with a byte order mark", rawHeader("\ufeff" + text(0)), dpop.ErrJSON},
		{"RS-130 payload with a byte order mark", rawPayload("\ufeff" + text(1)), dpop.ErrJSON},
		{"RS-130 invalid octet in jti", rawPayload(text(1, `"text"`, "\"a\xffb\"")), dpop.ErrJSON},
		{"RS-130 half a surrogate pair", rawPayload(text(1, `"text"`, `"\ud800"`)), dpop.ErrJSON},
		{"RS-130 raw control character", rawPayload(text(1, `"text"`, "\"a\nb\"")), dpop.ErrJSON},

		{"RS-136 crit", header(members{"crit": []string{"exp"}, "exp": 1}), dpop.ErrCritical},
		{"RS-136 crit empty", header(members{"crit": []string{}}), dpop.ErrCritical},
		{"RS-136 crit null", header(members{"crit": null}), dpop.ErrCritical},
		{"RS-136 crit a string", header(members{"crit": "exp"}), dpop.ErrCritical},
		{"RS-145 b64 false", header(members{"b64": false}), dpop.ErrHeader},
		{"RS-136 RS-145 b64 false with crit", header(members{"b64": false, "crit": []string{"b64"}}), dpop.ErrCritical},

		{"RS-137 typ twice, last wrong", rawHeader(text(0, `"typ":`, `"typ":"dpop+jwt","typ":"JWT","x":`)), dpop.ErrJSON},
		{"RS-137 typ twice, first wrong", rawHeader(text(0, `"typ":`, `"typ":"JWT","typ":`)), dpop.ErrJSON},
		{"RS-137 jwk twice", rawHeader(text(0, `"jwk":`, `"jwk":{},"jwk":`)), dpop.ErrJSON},
		{"RS-137 kty twice", rawHeader(text(0, `"kty":`, `"kty":"RSA","kty":`)), dpop.ErrJSON},
		{"RS-137 htm twice, equal", rawPayload(text(1, `"htm":`, `"htm":"GET","htm":`)), dpop.ErrJSON},
		{"RS-137 jti twice, one escaped", rawPayload(text(1, `"jti":`, `"\u006ati":"a","jti":`)), dpop.ErrJSON},
		{"RS-137 unknown member twice", rawPayload(text(1, `"htm":`, `"x":1,"x":1,"htm":`)), dpop.ErrJSON},
		{"RS-139 TYP", rawHeader(text(0, `"typ"`, `"TYP"`)), dpop.ErrType},
		{"RS-139 Alg", rawHeader(text(0, `"alg"`, `"Alg"`)), dpop.ErrHeader},
		{"RS-139 JWK", rawHeader(text(0, `"jwk"`, `"JWK"`)), dpop.ErrHeader},
		{"RS-139 Kty", rawHeader(text(0, `"kty"`, `"Kty"`)), dpop.ErrKey},
		{"RS-139 JTI", rawPayload(text(1, `"jti"`, `"JTI"`)), dpop.ErrClaim},
		{"RS-139 HTM", rawPayload(text(1, `"htm"`, `"HTM"`)), dpop.ErrClaim},
		{"RS-139 Iat", rawPayload(text(1, `"iat"`, `"Iat"`)), dpop.ErrClaim},
		{"RS-139 Ath", rawPayload(text(1, `"ath"`, `"Ath"`)), dpop.ErrNoTokenHash},

		{"RS-138 header padded", respell(0, pad), dpop.ErrMalformed},
		{"RS-138 payload padded", respell(1, pad), dpop.ErrMalformed},
		{"RS-138 signature padded", respell(2, pad), dpop.ErrMalformed},
		{"RS-138 line break in the header", respell(0, newline), dpop.ErrMalformed},
		{"RS-138 line break in the payload", respell(1, newline), dpop.ErrMalformed},
		{"RS-138 line break in the signature", respell(2, newline), dpop.ErrMalformed},
		{"RS-138 space after the header", respell(0, space), dpop.ErrMalformed},
		{"RS-138 space after the payload", respell(1, space), dpop.ErrMalformed},
		{"RS-138 space after the signature", respell(2, space), dpop.ErrMalformed},
		{"RS-138 standard alphabet in the header", respell(0, standard), dpop.ErrMalformed},
		{"RS-138 standard alphabet in the payload", respell(1, standard), dpop.ErrMalformed},
		{"RS-138 standard alphabet in the signature", respell(2, standard), dpop.ErrMalformed},
		{"RS-138 stray bits after the header", spare(0), dpop.ErrMalformed},
		{"RS-138 stray bits after the payload", spare(1), dpop.ErrMalformed},
		{"RS-138 stray bits after the signature", spare(2), dpop.ErrMalformed},

		{"RS-014 htm POST on GET", claims(members{"htm": "POST"}), dpop.ErrMethod},
		{"RS-014 htm get on GET", claims(members{"htm": "get"}), dpop.ErrMethod},
		{"RS-014 htm with a space", claims(members{"htm": "GET "}), dpop.ErrMethod},
		{"RS-015 other path", claims(members{"htu": poptest.Audience + "/transfer"}), dpop.ErrTarget},
		{"RS-015 other host", claims(members{"htu": "https://evil.example/accounts"}), dpop.ErrTarget},
		{"RS-015 other port", claims(members{"htu": poptest.Audience + ":8443/accounts"}), dpop.ErrTarget},
		{"RS-015 other scheme", claims(members{"htu": "http://api.example.com/accounts"}), dpop.ErrTarget},
		{"RS-015 path alone", claims(members{"htu": "/accounts"}), dpop.ErrTarget},

		{"RS-022 no ath", claims(members{"ath": nil}), dpop.ErrNoTokenHash},
		{"RS-022 ath empty", claims(members{"ath": ""}), dpop.ErrTokenHash},
		{"RS-022 ath of another token", claims(members{"ath": poptest.ATH("another")}), dpop.ErrTokenHash},
		{"RS-022 ath padded", claims(members{"ath": poptest.ATH(accessToken) + "="}), dpop.ErrTokenHash},
		{"RS-022 ath in hex", claims(members{"ath": hex.EncodeToString(sum256[:])}), dpop.ErrTokenHash},
		{"RS-022 ath with stray bits", claims(members{"ath": strayBits(poptest.ATH(accessToken))}), dpop.ErrTokenHash},
		{"RS-022 RS-083 ath by SHA-512", claims(members{"ath": b64(sum512[:])}), dpop.ErrTokenHash},

		{"RS-021 RS-070 iat an hour old", claims(members{"iat": poptest.Now.Unix() - 3600}), dpop.ErrStale},
		{"RS-021 RS-070 iat an hour ahead", claims(members{"iat": poptest.Now.Unix() + 3600}), dpop.ErrFuture},
		{"RS-007 exp null", claims(members{"exp": null}), dpop.ErrJSON},
		{"RS-007 exp a string", claims(members{"exp": "4102444800"}), dpop.ErrJSON},
		{"RS-007 nbf null", claims(members{"nbf": null}), dpop.ErrJSON},
		{"RS-007 nbf a string", claims(members{"nbf": "0"}), dpop.ErrJSON},
		{"RS-007 nbf an array", claims(members{"nbf": []int{0}}), dpop.ErrJSON},
		{"exp an hour ago", claims(members{"exp": poptest.Now.Unix() - 3600}), dpop.ErrExpired},
		{"nbf in an hour", claims(members{"nbf": poptest.Now.Unix() + 3600}), dpop.ErrNotYet},
		{"RS-057 RS-066 a nonce that is not ours", claims(members{"nonce": b64(make([]byte, 8)) + "x", "iat": poptest.Now.Unix() - 3600}), dpop.ErrNonceForeign},
	}
}

// large mints a proof of exactly so many octets.
func large(size int) string {
	for kid := "k"; len(kid) < 5; kid += "k" {
		p := poptest.Proof{JTI: "x", Header: members{"kid": kid}}
		for filler := (size-len(mint(p)))*3/4 + 8; filler > 0; filler-- {
			p.JTI = strings.Repeat("x", filler)
			if s := mint(p); len(s) == size {
				return s
			} else if len(s) < size {
				break
			}
		}
	}
	panic("no proof of that size")
}

func TestRefusals(t *testing.T) {
	v, _ := newServer(t, nil)
	for _, c := range refusals() {
		t.Run(c.name, func(t *testing.T) {
			refuses(t, v, requestWith(c.proof), c.want)
		})
	}
}

// RS-002: letter case matters everywhere inside the proof.
func TestEveryLetterCounts(t *testing.T) {
	v, _ := newServer(t, nil)
	proof := mint(poptest.Proof{JTI: "Case"})
	seen := map[string]int{}
	for i, c := range proof {
		flipped := unicode.ToUpper(c)
		if flipped == c {
			flipped = unicode.ToLower(c)
		}
		if flipped == c {
			continue
		}
		_, err := v.Verify(requestWith(proof[:i]+string(flipped)+proof[i+1:]), accessToken)
		if _, ok := errors.AsType[*reason.Error](err); !ok {
			t.Fatalf("letter %d in the other case: %v", i, err)
		}
		seen[reason.Of(err)]++
	}
	if seen["signature_invalid"] == 0 {
		t.Errorf("no case got as far as the signature: %v", seen)
	}
	accepts(t, v, requestWith(proof))
}

func TestAccepted(t *testing.T) {
	type acceptance struct {
		name  string
		proof string
	}
	cases := []acceptance{
		{"RS-025 unknown header members", header(members{"kid": "k9", "foo": members{"a": 1}, "zip": "none"})},
		{"RS-129 zip is not acted on", header(members{"zip": "DEF"})},
		{"RS-145 b64 true", header(members{"b64": true})},
		{"RS-139 other spellings beside the right ones", rawPayload(text(1, `"htm":`, `"HTM":"POST","Jti":7,"htm":`))},
		{"RS-025 unknown claims", claims(members{"iss": "client", "sub": 1, "aud": []string{"x"}, "foo": nil})},
		{"exp to come and nbf past", claims(members{"exp": int64(4102444800), "nbf": 0})},
		{"nothing said in members of jwk", jwk("ES256", members{"d": null, "k": null, "oth": []any{}, "use": null, "alg": null, "key_ops": []any{}, "x5c": []any{}, "kid": null})},
		{"nothing said in members of an RSA jwk", jwk("RS256", members{"d": []any{}, "p": null, "oth": []any{}, "crv": null, "key_ops": null})},
		{"RS-025 kid, use, alg and key_ops in jwk", jwk("ES256", members{"kid": "k", "use": "sig", "alg": "ES256", "key_ops": []string{"verify"}, "ext": true})},
		{"RS-144 jwk says EdDSA, header Ed25519", mint(poptest.Proof{Key: poptest.Keyed("Ed25519", "proof"), Header: members{"jwk": func() members {
			k := poptest.Keyed("Ed25519", "proof").JWK()
			k["alg"] = "EdDSA"
			return k
		}()}})},
		{"RS-026 jti of one character", claims(members{"jti": "1"})},
		{"RS-026 jti in Unicode", claims(members{"jti": "квитанция-🔑-\u202e"})},
		{"RS-026 jti with quotes", claims(members{"jti": `"quoted" \ 'text' <&>`})},
		{"RS-026 jti with control characters", claims(members{"jti": "a\x00b\x01\r\n\t\x7f"})},
		{"RS-026 jti of 43 characters", claims(members{"jti": poptest.ATH("jti")})},
		{"RS-026 jti a UUID", claims(members{"jti": "8f14e45f-ceea-467f-a830-8f9d2d1b5c3a"})},
		{"RS-026 jti of four thousand characters", claims(members{"jti": strings.Repeat("long", 1000)})},
		{"RS-182 as large as allowed", large(dpop.DefaultMaxSize)},
		{"RS-027 iat with a fraction", claims(members{"iat": json.Number(fmt.Sprint(poptest.Now.Unix(), ".5"))})},
		{"RS-027 iat with an exponent", claims(members{"iat": json.Number(fmt.Sprint(poptest.Now.Unix()/5, "e0"))})},
		{"RS-016 query and fragment in htu", claims(members{"htu": poptest.URL + "?a=b&c#d"})},
		{"RS-016 fragment in htu", claims(members{"htu": poptest.URL + "#?a"})},
	}
	exponent := fmt.Sprintf("%d.%09de9", poptest.Now.Unix()/1e9, poptest.Now.Unix()%1e9)
	cases[slices.IndexFunc(cases, func(c acceptance) bool { return c.name == "RS-027 iat with an exponent" })].proof =
		claims(members{"iat": json.Number(exponent)})
	for _, alg := range dpop.Algorithms() { // RS-011
		cases = append(cases, acceptance{"RS-011 " + alg, mint(poptest.Proof{Key: poptest.Keyed(alg, "proof")})})
	}
	v, _ := newServer(t, nil)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			accepts(t, v, requestWith(c.proof))
			accepts(t, v, request("GET", poptest.URL+"?page=2&htu=x", again(c.proof)))
		})
	}
}

// again returns a fresh copy of a proof for a second request: the same header and claims with another jti.
func again(proof string) string {
	parts := strings.Split(proof, ".")
	rawHeader, _ := base64.RawURLEncoding.DecodeString(parts[0])
	rawClaims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var h struct {
		Alg string         `json:"alg"`
		JWK map[string]any `json:"jwk"`
	}
	var c map[string]json.RawMessage
	if json.Unmarshal(rawHeader, &h) != nil || json.Unmarshal(rawClaims, &c) != nil {
		panic("not a good proof")
	}
	c["jti"] = json.RawMessage(`"` + poptest.ATH(proof) + `"`)
	if len(proof) > 7000 {
		c["jti"] = json.RawMessage(`"again"`)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	for _, key := range []*poptest.Key{poptest.ClientKey(), poptest.Keyed(h.Alg, "proof")} {
		if key.JWK()["x"] == h.JWK["x"] && key.JWK()["n"] == h.JWK["n"] {
			return poptest.Compact(string(rawHeader), string(payload), with(key, h.Alg))
		}
	}
	panic("by an unknown key")
}

// RS-011: a narrower list refuses the rest and accepts its own.
func TestAlgorithmList(t *testing.T) {
	v, _ := newServer(t, func(s *dpop.Config) { s.Algorithms = dpop.FAPI2Algorithms })
	for _, alg := range dpop.Algorithms() {
		r := requestWith(mint(poptest.Proof{Key: poptest.Keyed(alg, "proof")}))
		if slices.Contains(dpop.FAPI2Algorithms, alg) {
			if p := accepts(t, v, r); p.Algorithm() != alg {
				t.Errorf("Algorithm() = %q, want %q", p.Algorithm(), alg)
			}
		} else {
			refuses(t, v, r, dpop.ErrAlgorithm)
		}
	}
}

// RS-012, RS-133: what a header points to is never fetched.
func TestNothingIsFetched(t *testing.T) {
	var hits atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hits.Add(1) }))
	defer trap.Close()
	v, _ := newServer(t, nil)
	pointers := members{"jku": trap.URL + "/jwks", "x5u": trap.URL + "/cert", "kid": "../../../dev/null", "x5c": []string{"AAAA"}}
	accepts(t, v, requestWith(header(pointers)))
	pointers["jwk"] = nil
	refuses(t, v, requestWith(header(pointers)), dpop.ErrHeader)
	if hits.Load() != 0 {
		t.Errorf("%d requests to the address in the header", hits.Load())
	}
}

func TestFields(t *testing.T) {
	good := func() string { return mint(poptest.Proof{}) }
	twice := good()
	for _, c := range []struct {
		name   string
		fields []string
		want   *reason.Error
	}{
		{"RS-001 none", nil, dpop.ErrMissing},
		{"RS-003 RS-175 two different", []string{good(), good()}, dpop.ErrMultiple},
		{"RS-003 RS-175 two equal", []string{twice, twice}, dpop.ErrMultiple},
		{"RS-003 RS-175 one empty", []string{good(), ""}, dpop.ErrMultiple},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := newServer(t, nil)
			refuses(t, v, requestWith(c.fields...), c.want)
		})
	}
}

// RS-077, RS-182: the cap is a setting, and counts before anything is decoded.
func TestMaxSize(t *testing.T) {
	v, _ := newServer(t, func(s *dpop.Config) { s.MaxSize = 1 << 20 })
	accepts(t, v, requestWith(claims(members{"jti": strings.Repeat("j", 128<<10)})))
	refuses(t, v, requestWith(strings.Repeat("!", 1<<20+1)), dpop.ErrTooLarge)
}

func TestMaxRSABits(t *testing.T) {
	v, _ := newServer(t, func(s *dpop.Config) { s.MaxRSABits = 2048 })
	accepts(t, v, requestWith(mint(poptest.Proof{Key: poptest.Keyed("RS256", "proof")})))
	k := poptest.Keyed("RS256", "proof").JWK()
	n, _ := base64.RawURLEncoding.DecodeString(k["n"].(string))
	k["n"] = b64(append([]byte{1}, n...))
	refuses(t, v, requestWith(mint(poptest.Proof{Key: poptest.Keyed("RS256", "proof"), Header: members{"jwk": k}})), dpop.ErrKey)
}

// wire is a real server that answers 204, or 401 with the reason in its body.
func wire(t *testing.T, http2 bool) *httptest.Server {
	v, _ := newServer(t, nil)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := v.Verify(r, accessToken); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, reason.Of(err))
			return
		}
		w.Header().Set("Proto", r.Proto)
		w.WriteHeader(http.StatusNoContent)
	}))
	if s.EnableHTTP2 = http2; http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

// RS-001, RS-003: over HTTP/1.1 the name of the field is matched without regard to case.
func TestFieldNameHTTP1(t *testing.T) {
	s := wire(t, false)
	proof := func() string { return mint(poptest.Proof{URL: s.URL + "/accounts"}) }
	for _, c := range []struct {
		name   string
		fields []string
		status int
		body   string
	}{
		{"lower case", []string{"dpop: " + proof()}, 204, ""},
		{"upper case", []string{"DPOP: " + proof()}, 204, ""},
		{"as registered", []string{"DPoP: " + proof()}, 204, ""},
		{"white space around the value", []string{"DPoP: \t " + proof() + " \t"}, 204, ""},
		{"two names that differ in case", []string{"dpop: " + proof(), "DPoP: " + proof()}, 401, "proof_multiple"},
		{"another name", []string{"D-PoP: " + proof()}, 401, "proof_missing"},
		{"underscore", []string{"DPoP_: " + proof()}, 401, "proof_missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /accounts?q HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n", s.Listener.Addr(), strings.Join(c.fields, "\r\n"))
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(answer.Body)
			if answer.StatusCode != c.status || string(body) != c.body {
				t.Errorf("got %d %q, want %d %q", answer.StatusCode, body, c.status, c.body)
			}
		})
	}
}

// RS-001: over HTTP/2 the name is always in lower case.
func TestFieldNameHTTP2(t *testing.T) {
	s := wire(t, true)
	for _, c := range []struct {
		name   string
		fields int
		status int
	}{{"one field", 1, 204}, {"RS-003 two fields", 2, 401}} {
		t.Run(c.name, func(t *testing.T) {
			r, err := http.NewRequest("GET", s.URL+"/accounts", nil)
			if err != nil {
				t.Fatal(err)
			}
			for range c.fields {
				r.Header.Add("DPoP", mint(poptest.Proof{URL: s.URL + "/accounts"}))
			}
			answer, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			if answer.StatusCode != c.status {
				t.Errorf("got %d, want %d", answer.StatusCode, c.status)
			}
			if c.status == 204 && answer.Header.Get("Proto") != "HTTP/2.0" {
				t.Errorf("served over %s", answer.Header.Get("Proto"))
			}
		})
	}
}

// RS-082: the proofs, the hash and the thumbprint that RFC 9449 prints.
func TestRFC9449Vectors(t *testing.T) {
	vectors := poptest.Vectors().RFC9449
	if len(vectors.Proofs) != 3 {
		t.Fatalf("%d proofs, want 3", len(vectors.Proofs))
	}
	for _, vector := range vectors.Proofs {
		t.Run(vector.Name, func(t *testing.T) {
			v, clock := newServer(t, nil)
			clock.Set(unix(vector.Claims.IAT))
			token := ""
			if vector.Claims.ATH != "" {
				token = vectors.OpaqueAccessToken
			}
			p, err := v.Verify(request(vector.Request.Method, vector.Request.URI, vector.Proof), token)
			if err != nil {
				t.Fatal(err)
			}
			if p.Thumbprint() != vectors.JKT {
				t.Errorf("thumbprint %s, want %s", p.Thumbprint(), vectors.JKT)
			}
			if !p.IssuedAt().Equal(unix(vector.Claims.IAT)) || p.HasNonce() || p.Algorithm() != "ES256" {
				t.Errorf("iat %v, nonce %v, alg %s", p.IssuedAt(), p.HasNonce(), p.Algorithm())
			}
			if vector.Claims.ATH != "" {
				if vector.Claims.ATH != vectors.ATH {
					t.Errorf("ath %s, want %s", vector.Claims.ATH, vectors.ATH)
				}
				_, err := v.Read(request(vector.Request.Method, vector.Request.URI, vector.Proof), token+"x")
				isReason(t, err, dpop.ErrTokenHash)
			}
		})
	}
}

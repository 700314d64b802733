package jose_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/poptest"
)

// claims are a proof's, as a verifier reads them.
type claims struct {
	JTI   string         `json:"jti"`
	HTM   string         `json:"htm"`
	HTU   string         `json:"htu"`
	IAT   jsontext.Value `json:"iat"`
	ATH   string         `json:"ath"`
	Nonce string         `json:"nonce"`
}

// compared runs op as a benchmark and reports its time as a multiple of one bare verification.
func compared(b *testing.B, op func() error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := op(); err != nil {
			b.Fatal(err)
		}
	}
	poptest.ReportRatio(b)
}

func BenchmarkProof(b *testing.B) {
	k := poptest.ClientKey()
	header := fmt.Sprintf(`{"typ":"dpop+jwt","alg":"ES256","jwk":%s}`, with(b, k, nil))
	payload := fmt.Sprintf(`{"jti":"%s","htm":"GET","htu":"https://api.example.com/accounts/4711","iat":1767225600,"ath":"%s"}`,
		strings.Repeat("j", 22), poptest.ATH("token"))
	c := compact(b, poptest.Compact(header, payload, k))
	key := mustKey(b, k)
	signed, jwk := c.Input+"."+c.Signature, with(b, k, nil)
	raw, err := jose.Decode(c.Payload)
	if err != nil {
		b.Fatal(err)
	}
	for _, part := range []struct {
		name string
		op   func() error
	}{
		{"Split", func() error { _, err := jose.Split(signed); return err }},
		{"Decode", func() error { _, err := jose.Decode(c.Payload); return err }},
		{"Object", func() error { return jose.Object(raw, &claims{}) }},
		{"NumericDate", func() error { _, err := jose.NumericDate("iat", jsontext.Value("1767225600")); return err }},
		{"ParseHeader", func() error { _, err := jose.ParseHeader(c.Header); return err }},
		{"ParseKey", func() error { _, err := jose.ParseKey(jwk, 0); return err }},
		{"Verify", func() error { return key.Verify("ES256", c) }},
	} {
		b.Run(part.name, func(b *testing.B) { compared(b, part.op) })
	}
}

// hostileHeaders are as large as a request field may be here, and made to cost as much as they can.
func hostileHeaders(tb testing.TB) map[string]string {
	tb.Helper()
	const size = 6000 // 8 kB once encoded
	header := func(jwk string) string { return `{"typ":"dpop+jwt","alg":"ES256","jwk":` + jwk + `}` }
	repeated := func(format string) string { // "%d" becomes a counter
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			fmt.Fprintf(&b, format, i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	long := strings.Repeat("_", size)
	headers := map[string]string{
		"RSA modulus":       header(`{"kty":"RSA","e":"AQAB","n":"` + long + `"}`),
		"RSA exponent":      header(`{"kty":"RSA","n":"` + long[:683] + `","e":"` + long[:size-700] + `"}`),
		"EC coordinate":     header(`{"kty":"EC","crv":"P-256","x":"` + long + `","y":"AA"}`),
		"nested arrays":     `{"alg":"ES256","x":` + strings.Repeat("[", size/2) + strings.Repeat("]", size/2) + `,"crit":[]}`,
		"open arrays":       `{"alg":"ES256","x":` + strings.Repeat("[", size),
		"nested objects":    `{"alg":"ES256","x":` + strings.Repeat(`{"":`, size/5) + "0" + strings.Repeat("}", size/5) + `,"crit":0}`,
		"members":           `{"alg":"ES256",` + repeated(`"%d":0,`) + `,"crit":0}`,
		"members doubled":   `{"alg":"ES256",` + repeated(`"%d":0,`) + `,"0":0}`,
		"members of jwk":    header(`{` + repeated(`"%d":0,`) + `}`),
		"escapes":           `{"alg":"ES256","x":"` + repeated(`\u%04d`) + `","crit":0}`,
		"long name":         `{"alg":"ES256","` + long[:size/2] + `":0,"` + long[:size/2] + `":0}`,
		"digits":            `{"alg":"ES256","x":` + strings.Repeat("9", size) + `,"crit":0}`,
		"key_ops":           header(`{"kty":"EC","key_ops":[` + repeated(`"%d",`) + `]}`),
		"key_ops, nested":   header(`{"kty":"EC","key_ops":` + strings.Repeat("[", size/2) + strings.Repeat("]", size/2) + `}`),
		"not base64":        "",
		"Ed25519, no point": header(`{"kty":"OKP","crv":"Ed25519","x":"AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`),
	}
	encoded := map[string]string{}
	for name, h := range headers {
		encoded[name] = b64(h)
	}
	encoded["not base64"] = strings.Repeat("A", 8191) + "="
	return encoded
}

// refuse parses a header as far as it goes, and reports whether it was refused.
func refuse(header string) bool {
	h, err := jose.ParseHeader(header)
	if err == nil {
		_, err = jose.ParseKey(h.JWK, 0)
	}
	return err != nil
}

func TestHostileHeadersAreRefused(t *testing.T) {
	for name, header := range hostileHeaders(t) {
		if !refuse(header) {
			t.Errorf("%s: accepted", name)
		}
	}
}

func BenchmarkHostileHeader(b *testing.B) {
	for name, header := range hostileHeaders(b) {
		b.Run(name, func(b *testing.B) {
			compared(b, func() error {
				if !refuse(header) {
					return fmt.Errorf("%s: accepted", name)
				}
				return nil
			})
		})
	}
}

// The largest key and number that are let through, too, must not cost much before the signature is looked at.
func BenchmarkLargest(b *testing.B) {
	n := b64("\xff" + strings.Repeat("\xff", 511))
	jwk, err := json.Marshal(map[string]string{"kty": "RSA", "e": "AQAB", "n": n})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("RSA 4096 bits", func(b *testing.B) {
		compared(b, func() error { _, err := jose.ParseKey(jwk, 0); return err })
	})
	digits := jsontext.Value("1767225600." + strings.Repeat("9", 53))
	b.Run("NumericDate of 64 digits", func(b *testing.B) {
		compared(b, func() error { _, err := jose.NumericDate("iat", digits); return err })
	})
}

// Every algorithm in multiples of one ES256 check by crypto/ecdsa alone.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range jose.Algorithms() {
		k := keyFor(alg, "a")
		c := compact(b, poptest.Compact(`{"alg":"`+alg+`"}`, strings.Repeat("x", 300), k))
		key := mustKey(b, k)
		b.Run(alg, func(b *testing.B) { compared(b, func() error { return key.Verify(alg, c) }) })
	}
}

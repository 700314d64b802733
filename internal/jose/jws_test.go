package jose_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func wantCause(t *testing.T, err error, want *reason.Error) {
	t.Helper()
	if want == nil && err != nil {
		t.Errorf("refused: %v", err)
	}
	if want != nil && (!errors.Is(err, want) || reason.Of(err) != want.Name) {
		t.Errorf("got %v; want %s", err, want.Name)
	}
}

func TestSplit(t *testing.T) {
	c, err := jose.Split("h.p.s")
	if want := (jose.Compact{Header: "h", Payload: "p", Signature: "s", Input: "h.p"}); err != nil || c != want {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, s := range []string{ // RS-004, RS-126
		"", ".", "..", "...", "h", "h.p", "h.p.", "h..s", ".p.s", "h.p.s.", ".h.p.s", "h.p.s.t", "h.k.i.c.t",
		`{"payload":"p","protected":"h","signature":"s"}`,
	} {
		c, err := jose.Split(s)
		wantCause(t, err, jose.ErrMalformed)
		if c != (jose.Compact{}) {
			t.Errorf("%q: refused, yet split into %+v", s, c)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, part, want string
		cause            *reason.Error
	}{
		{"empty", "", "", nil},
		{"one octet", "AA", "\x00", nil},
		{"both letters of the alphabet", "-_-_", "\xfb\xff\xbf", nil},
		{"RS-138 padding", "AA==", "", jose.ErrMalformed},
		{"RS-138 standard alphabet", "+/+/", "", jose.ErrMalformed},
		{"RS-138 line feed", "AA\nAA", "", jose.ErrMalformed},
		{"RS-138 carriage return", "AAAA\r", "", jose.ErrMalformed},
		{"RS-138 line feed at the end", "AAAA\n", "", jose.ErrMalformed},
		{"RS-138 space", "AA AA", "", jose.ErrMalformed},
		{"RS-138 tab", "AAAA\t", "", jose.ErrMalformed},
		{"RS-138 NUL", "AAAA\x00", "", jose.ErrMalformed},
		{"RS-138 not ASCII", "AAAÄ", "", jose.ErrMalformed},
		{"RS-138 stray bits, one octet", "AB", "", jose.ErrMalformed},
		{"RS-138 stray bits, two octets", "AAB", "", jose.ErrMalformed},
		{"RS-138 impossible length", "AAAAA", "", jose.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := jose.Decode(c.part)
			wantCause(t, err, c.cause)
			if string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestErrorsHoldNoToken: what is no JWS may be an opaque access token, and errors go to logs (RS-181).
func TestErrorsHoldNoToken(t *testing.T) {
	const secret = "Kz~8mXK1EalYznwH-LC"
	_, err := jose.Split(secret)
	_, err2 := jose.Split(secret + "." + secret)
	_, err3 := jose.Decode(secret)
	_, err4 := jose.Decode(secret[3:] + "\n")
	for _, err := range []error{err, err2, err3, err4} {
		if err == nil || strings.Contains(err.Error(), secret[4:10]) {
			t.Errorf("the error is %v", err)
		}
	}
}

func TestObject(t *testing.T) {
	type target struct {
		Typ string         `json:"typ"`
		N   int64          `json:"n"`
		Raw jsontext.Value `json:"raw"`
	}
	utf16 := "\xff\xfe{\x00}\x00"
	for _, c := range []struct {
		name, raw, typ string
		cause          *reason.Error
	}{
		{"empty object", `{}`, "", nil},
		{"white space around", " \r\n\t{\"typ\" : \"a\" } \n", "a", nil},
		{"RS-025 unknown members", `{"x":[{"y":null}],"typ":"a"}`, "a", nil},
		{"escaped name", `{"\u0074yp":"a"}`, "a", nil},
		{"surrogate pair", `{"typ":"\ud83d\ude00"}`, "😀", nil},
		{"RS-139 names keep their case", `{"TYP":"b","Typ":"c"}`, "", nil},
		{"same name at different depth", `{"typ":"a","x":{"typ":"b"}}`, "a", nil},
		{"null is an absent string", `{"typ":null}`, "", nil},

		{"empty", ``, "", jose.ErrJSON},
		{"array", `[{}]`, "", jose.ErrJSON},
		{"string", `"{}"`, "", jose.ErrJSON},
		{"null", `null`, "", jose.ErrJSON},
		{"number", `1`, "", jose.ErrJSON},
		{"RS-130 BOM", "\ufeff{}", "", jose.ErrJSON},
		{"RS-130 UTF-16", utf16, "", jose.ErrJSON},
		{"RS-130 UTF-16 without BOM", utf16[2:], "", jose.ErrJSON},
		{"RS-130 invalid UTF-8 in a value", "{\"typ\":\"\xff\"}", "", jose.ErrJSON},
		{"RS-130 invalid UTF-8 in an unknown name", "{\"\xc0\xae\":1}", "", jose.ErrJSON},
		{"RS-130 invalid UTF-8 deep inside", "{\"x\":[[\"\xed\xa0\x80\"]]}", "", jose.ErrJSON},
		{"RS-130 lone surrogate", `{"typ":"\ud800"}`, "", jose.ErrJSON},
		{"RS-130 lone low surrogate", `{"x":"\udc00"}`, "", jose.ErrJSON},
		{"RS-130 surrogates in the wrong order", `{"x":"\ude00\ud83d"}`, "", jose.ErrJSON},
		{"RS-137 name twice", `{"typ":"a","typ":"a"}`, "", jose.ErrJSON},
		{"RS-137 name twice, once escaped", `{"typ":"a","\u0074yp":"b"}`, "", jose.ErrJSON},
		{"RS-137 unknown name twice", `{"x":1,"x":1}`, "", jose.ErrJSON},
		{"RS-137 name twice, deep inside", `{"raw":{"a":[{"b":1,"b":2}]}}`, "", jose.ErrJSON},
		{"RS-137 empty name twice", `{"":1,"":1}`, "", jose.ErrJSON},
		{"octets behind", `{}x`, "", jose.ErrJSON},
		{"NUL behind", "{}\x00", "", jose.ErrJSON},
		{"second object", `{}{}`, "", jose.ErrJSON},
		{"form feed around", "\f{}", "", jose.ErrJSON},
		{"comment", `{/**/}`, "", jose.ErrJSON},
		{"trailing comma", `{"typ":"a",}`, "", jose.ErrJSON},
		{"single quotes", `{'typ':'a'}`, "", jose.ErrJSON},
		{"raw control character", "{\"typ\":\"\n\"}", "", jose.ErrJSON},
		{"not closed", `{"typ":"a"`, "", jose.ErrJSON},
		{"NaN", `{"n":NaN}`, "", jose.ErrJSON},
		{"leading zero", `{"x":01}`, "", jose.ErrJSON},
		{"too deep", `{"x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, "", jose.ErrJSON},
		{"RS-007 number for a string", `{"typ":1}`, "", jose.ErrJSON},
		{"RS-007 array for a string", `{"typ":["a"]}`, "", jose.ErrJSON},
		{"RS-007 object for a string", `{"typ":{}}`, "", jose.ErrJSON},
		{"RS-007 boolean for a string", `{"typ":true}`, "", jose.ErrJSON},
		{"RS-007 string for a number", `{"n":"1"}`, "", jose.ErrJSON},
		{"RS-007 overflow", `{"n":1e999}`, "", jose.ErrJSON},
	} {
		t.Run(c.name, func(t *testing.T) {
			var v target
			wantCause(t, jose.Object([]byte(c.raw), &v), c.cause)
			if c.cause == nil && v.Typ != c.typ {
				t.Errorf("typ is %q, want %q", v.Typ, c.typ)
			}
			wantCause(t, jose.DecodeObject(b64(c.raw), &target{}), c.cause)
		})
	}
	wantCause(t, jose.DecodeObject("e30=", &target{}), jose.ErrMalformed)
}

func TestParseHeader(t *testing.T) {
	for _, c := range []struct {
		name, header string
		cause        *reason.Error
	}{
		{"RFC 9449 §4.2", `{"typ":"dpop+jwt","alg":"ES256","jwk":{"kty":"EC"}}`, nil},
		{"RS-025 unknown members", `{"alg":"ES256","jku":"https://evil.example","x5u":"x","zip":"DEF"}`, nil},
		{"b64 true", `{"alg":"ES256","b64":true}`, nil},

		{"RS-005 no alg", `{"typ":"dpop+jwt"}`, jose.ErrHeader},
		{"RS-005 alg empty", `{"alg":""}`, jose.ErrHeader},
		{"RS-005 alg null", `{"alg":null}`, jose.ErrHeader},
		{"RS-139 ALG", `{"ALG":"ES256"}`, jose.ErrHeader},
		{"RS-137 alg twice", `{"alg":"none","alg":"ES256"}`, jose.ErrJSON},
		{"RS-137 alg twice, once escaped", `{"alg":"ES256","\u0061lg":"none"}`, jose.ErrJSON},
		{"RS-009 alg number", `{"alg":256}`, jose.ErrJSON},
		{"RS-009 alg array", `{"alg":["ES256"]}`, jose.ErrJSON},
		{"RS-008 typ array", `{"alg":"ES256","typ":["dpop+jwt"]}`, jose.ErrJSON},
		{"RS-008 typ number", `{"alg":"ES256","typ":1}`, jose.ErrJSON},
		{"RS-008 typ null", `{"alg":"ES256","typ":null}`, jose.ErrType},
		{"RS-008 typ empty", `{"alg":"ES256","typ":""}`, jose.ErrType},
		{"RS-008 typ empty array", `{"alg":"ES256","typ":[]}`, jose.ErrJSON},
		{"alg empty array", `{"alg":[]}`, jose.ErrJSON},
		{"kid number", `{"alg":"ES256","kid":1}`, jose.ErrJSON},
		{"kid null", `{"alg":"ES256","kid":null}`, jose.ErrHeader},
		{"kid empty", `{"alg":"ES256","kid":""}`, jose.ErrHeader},
		{"kid empty array", `{"alg":"ES256","kid":[]}`, jose.ErrJSON},
		{"RS-136 crit unknown", `{"alg":"ES256","crit":["x"],"x":1}`, jose.ErrCritical},
		{"RS-136 crit empty", `{"alg":"ES256","crit":[]}`, jose.ErrCritical},
		{"RS-136 crit null", `{"alg":"ES256","crit":null}`, jose.ErrCritical},
		{"RS-136 crit string", `{"alg":"ES256","crit":"x"}`, jose.ErrCritical},
		{"RS-136 crit names a known member", `{"alg":"ES256","crit":["alg"]}`, jose.ErrCritical},
		{"RS-145 b64 false, critical", `{"alg":"ES256","crit":["b64"],"b64":false}`, jose.ErrCritical},
		{"RS-145 b64 false", `{"alg":"ES256","b64":false}`, jose.ErrHeader},
		{"RS-145 b64 null", `{"alg":"ES256","b64":null}`, jose.ErrHeader},
		{"RS-145 b64 empty", `{"alg":"ES256","b64":""}`, jose.ErrHeader},
		{"RS-145 b64 empty array", `{"alg":"ES256","b64":[]}`, jose.ErrHeader},
		{"RS-145 b64 string", `{"alg":"ES256","b64":"true"}`, jose.ErrHeader},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := jose.ParseHeader(b64(c.header))
			wantCause(t, err, c.cause)
			if (err == nil) != (h.Algorithm == "ES256") {
				t.Errorf("got %+v, %v", h, err)
			}
		})
	}
	h, err := jose.ParseHeader(b64(`{"typ":"t","alg":"a","kid":"k","jwk": {"x":1}}`))
	if err != nil || h.Type != "t" || h.Algorithm != "a" || h.KeyID != "k" || string(h.JWK) != `{"x":1}` {
		t.Errorf("got %+v, %v", h, err)
	}
}

// RS-182: what costs more to read than a signature to verify is not read.
func TestDecodeSmall(t *testing.T) {
	var v struct {
		A string `json:"a"`
	}
	for _, c := range []struct {
		name, raw string
		cause     *reason.Error
	}{
		{"100 members", `{"a":"x"` + members(99) + `}`, nil},
		{"101 members and the object", `{"a":"x"` + members(100) + `}`, jose.ErrJSON},
		{"100 with a comma in a string", `{"a":"x","b":","` + members(98) + `}`, nil},
		{"101 with a comma in a string", `{"a":"x","b":","` + members(99) + `}`, jose.ErrJSON},
		{"nested arrays", `{"a":"x","b":` + strings.Repeat("[", 101) + strings.Repeat("]", 101) + `}`, jose.ErrJSON},
		{"nested objects", `{"a":"x","b":` + strings.Repeat(`{"":`, 101) + "0" + strings.Repeat("}", 101) + `}`, jose.ErrJSON},
		{"not an object", `[]`, jose.ErrJSON},
		{"commas and brackets in a string", `{"a":"x","b":"` + strings.Repeat(",[{", 500) + `"}`, nil},
		{"behind an escaped quotation mark", `{"a":"x","b":"\"` + strings.Repeat(",", 101) + `"}`, nil},
		{"behind an escaped backslash", `{"a":"x","b":"\\"` + members(100) + `}`, jose.ErrJSON},
		{"in a name", `{"a":"x","` + strings.Repeat(",", 101) + `":0}`, nil},
		{"members beside a string of commas", `{"a":"x","b":"` + strings.Repeat(",", 101) + `"` + members(100) + `}`, jose.ErrJSON},
	} {
		v.A = ""
		wantCause(t, jose.DecodeSmall(b64(c.raw), &v), c.cause)
		if (v.A == "x") != (c.cause == nil) {
			t.Errorf("%s: a is %q", c.name, v.A)
		}
	}
	wantCause(t, jose.DecodeSmall("e30=", &v), jose.ErrMalformed)
	wantCause(t, jose.DecodeObject(b64(`{"a":"x"`+members(5000)+`}`), &v), nil) // a token may have many roles
}

func members(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"m%d":0`, i)
	}
	return b.String()
}

func TestNumericDate(t *testing.T) {
	year9999 := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, c := range []struct {
		name, v string
		want    time.Time
		cause   *reason.Error
	}{
		{"integer", "1562262616", time.Unix(1562262616, 0), nil},
		{"RS-027 fraction", "1700000000.5", time.Unix(1700000000, 5e8), nil},
		{"RS-027 exponent", "1.7e9", time.Unix(1700000000, 0), nil},
		{"RS-027 upper-case exponent with sign", "17E+8", time.Unix(1700000000, 0), nil},
		{"zero", "0", time.Unix(0, 0), nil},
		{"minus zero", "-0", time.Unix(0, 0), nil},
		{"before 1970", "-1.5", time.Unix(-2, 5e8), nil},
		{"underflow", "1e-999", time.Unix(0, 0), nil},
		{"last second", "253402300799", year9999, nil},
		{"one more", "253402300800", year9999, nil},
		{"overflow of int64", "9223372036854775808", year9999, nil},
		{"overflow of float64", "1e999", year9999, nil},
		{"negative overflow", "-1e999", time.Unix(-253402300799, 0), nil},
		{"64 characters", "1700000000." + strings.Repeat("0", 53), time.Unix(1700000000, 0), nil},
		{"65 characters", "1700000000." + strings.Repeat("0", 54), time.Time{}, jose.ErrJSON},
		{"RS-007 string", `"1562262616"`, time.Time{}, jose.ErrJSON},
		{"RS-007 null", "null", time.Time{}, jose.ErrJSON},
		{"RS-007 boolean", "true", time.Time{}, jose.ErrJSON},
		{"RS-007 array", "[1562262616]", time.Time{}, jose.ErrJSON},
		{"RS-007 object", "{}", time.Time{}, jose.ErrJSON},
		{"absent", "", time.Time{}, jose.ErrJSON},
		{"not JSON", "1x", time.Time{}, jose.ErrJSON},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := jose.NumericDate("iat", jsontext.Value(c.v))
			wantCause(t, err, c.cause)
			if !got.Equal(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestUnquote(t *testing.T) {
	for in, want := range map[string]string{
		`""`: "", `"a b"`: "a b", `"\u0061\n\"\\"`: "a\n\"\\", `"é\ud83d\ude00"`: "é😀",
	} {
		if got, err := jose.Unquote(jsontext.Value(in)); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", "null", "1", "true", `["a"]`, `{"a":"b"}`} {
		if got, err := jose.Unquote(jsontext.Value(in)); got != "" || !errors.Is(err, jose.ErrJSON) {
			t.Errorf("%s: %q, %v, want ErrJSON", in, got, err)
		}
	}
}

func TestWhen(t *testing.T) {
	east := time.FixedZone("", 2*60*60+90)
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(-1, 1e6), time.Unix(1767225600, 999999999), time.Unix(1767225600, 70e6).In(east),
		time.Unix(253402300799, 5e6), time.Unix(253402300800, 0),
	} {
		if got, want := jose.When(at), at.UTC().Format("2006-01-02T15:04:05.000Z"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestDescribeDate(t *testing.T) {
	for number, want := range map[string]string{
		"1767225600":          "2026-01-01T00:00:00.000Z",
		"1.7672256005e9":      "2026-01-01T00:00:00.500Z",
		"-1":                  "1969-12-31T23:59:59.000Z",
		"1767225600000":       "1767225600000, which are milliseconds: seconds are wanted",
		"1.767225600123e12":   "1.767225600123e12, which are milliseconds: seconds are wanted",
		"1767225600000000":    "1767225600000000, which are microseconds: seconds are wanted",
		"1767225600000000000": "1767225600000000000, which are nanoseconds: seconds are wanted",
		"253402300800":        "253402300800",
		"1e999":               "1e999",
	} {
		at, err := jose.NumericDate("exp", jsontext.Value(number))
		wantCause(t, err, nil)
		if got := jose.DescribeDate(jsontext.Value(number), at); got != want {
			t.Errorf("%s: got %q, want %q", number, got, want)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	vectors := poptest.Vectors()
	proofs := vectors.RFC9449.Proofs
	if len(proofs) == 0 || vectors.RFC7515.AppendixA3.JWS == "" {
		f.Fatal("no seeds: the RFC vectors are gone")
	}
	for _, v := range proofs {
		f.Add(v.Proof)
	}
	f.Add(vectors.RFC7515.AppendixA3.JWS)
	f.Add(vectors.RFC9449.JWTAccessToken.Value)
	for _, header := range []string{`{"alg":"a","crit":null}`, `{"alg":"a","\u0061lg":"b"}`, `{"alg":"a","b64":false}`, "\ufeff{}"} {
		f.Add(b64(header) + ".p.s")
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := jose.Split(s)
		if err != nil {
			wantCause(t, err, jose.ErrMalformed)
			return
		}
		if c.Header+"."+c.Payload+"."+c.Signature != s || c.Header+"."+c.Payload != c.Input {
			t.Errorf("%q is split into %+v", s, c)
		}
		h, err := jose.ParseHeader(c.Header)
		if err != nil {
			if reason.Of(err) == "" || h.Algorithm != "" {
				t.Errorf("got %+v, %v", h, err)
			}
			return
		}
		raw, err := base64.RawURLEncoding.DecodeString(c.Header)
		if err != nil || b64(string(raw)) != c.Header {
			t.Errorf("%q is not canonical: %v", c.Header, err)
		}
		// The standard decoder agrees, once names in another case are out of its way.
		var members map[string]any
		if err := json.Unmarshal(raw, &members); err != nil || members["alg"] != h.Algorithm || h.Algorithm == "" {
			t.Errorf("%q: got %+v, encoding/json sees %v, %v", raw, h, members, err)
		}
		if _, ok := members["crit"]; ok {
			t.Errorf("%q: crit was accepted", raw)
		}
	})
}

func FuzzNumericDate(f *testing.F) {
	proofs := poptest.Vectors().RFC9449.Proofs
	if len(proofs) == 0 {
		f.Fatal("no seeds: the RFC vectors are gone")
	}
	for _, v := range proofs {
		f.Add(jsontext.Int(v.Claims.IAT).String())
	}
	for _, s := range []string{"1e999", "-1e999", "-0", "1.7e9", "1700000000.5", `"1"`, "null", "0x1p4", "1_0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var v struct {
			IAT jsontext.Value `json:"iat"`
		}
		if jose.Object([]byte(`{"iat":`+s+`}`), &v) != nil {
			_, _ = jose.NumericDate("iat", jsontext.Value(s)) // must not panic
			return
		}
		got, err := jose.NumericDate("iat", v.IAT)
		var f float64
		if json.Unmarshal(v.IAT, &f) != nil || len(v.IAT) > 64 || v.IAT.Kind() != jsontext.KindNumber {
			if err == nil && (v.IAT.Kind() != jsontext.KindNumber || len(v.IAT) > 64) {
				t.Errorf("%s is a date: %v", s, got)
			}
			return
		}
		f = max(-253402300799, min(f, 253402300799))
		if seconds := float64(got.Unix()) + float64(got.Nanosecond())/1e9; err != nil || math.Abs(seconds-f) > 1e-4 {
			t.Errorf("%s: got %v, %v", s, got, err)
		}
		if got.Year() < -6100 || got.Year() > 9999 {
			t.Errorf("%s: %v is too far away", s, got)
		}
	})
}

func TestStrings(t *testing.T) {
	for raw, want := range map[string][]string{
		`"a b"`: {"a b"}, `["a","b"]`: {"a", "b"}, `[]`: {}, `null`: nil, `1`: nil, `{}`: nil, `["a",1]`: nil, `["a",["b"]]`: nil,
	} {
		var v struct {
			Audience jose.Strings `json:"aud"`
		}
		err := jose.Object([]byte(`{"aud":`+raw+`}`), &v)
		if ok := want != nil || raw == "null"; ok != (err == nil) || ok && !slices.Equal(v.Audience, want) {
			t.Errorf("%s: got %q, %v", raw, v.Audience, err)
		}
	}
}

package challenge_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/challenge"
	"github.com/senderlock/senderlock/internal/poptest"
)

type params = map[string]string

func c(scheme string, p params) challenge.Challenge {
	return challenge.Challenge{Scheme: scheme, Params: p}
}

func t68(scheme, token string) challenge.Challenge {
	return challenge.Challenge{Scheme: scheme, Token68: token}
}

func TestParse(t *testing.T) {
	nonce := c("DPoP", params{"error": "use_dpop_nonce"})
	for _, test := range []struct {
		name   string
		fields []string
		want   []challenge.Challenge
		bad    bool
	}{
		{"nothing", nil, nil, false},
		{"an empty field", []string{""}, nil, false},
		{"only separators", []string{" , ,\t,"}, nil, false},
		{"a scheme alone", []string{"DPoP"}, []challenge.Challenge{c("DPoP", nil)}, false},
		{"a scheme and spaces", []string{"DPoP  "}, []challenge.Challenge{c("DPoP", nil)}, false},
		{"one parameter", []string{`DPoP error="use_dpop_nonce"`}, []challenge.Challenge{nonce}, false},
		{"an unquoted value", []string{`DPoP error=use_dpop_nonce`}, []challenge.Challenge{nonce}, false},
		{"a name in capitals", []string{`DPoP ERROR=use_dpop_nonce`}, []challenge.Challenge{nonce}, false},
		{"spaces around the equals sign", []string{"DPoP error \t= use_dpop_nonce"}, []challenge.Challenge{nonce}, false},
		{"two parameters", []string{`DPoP error="e", algs="ES256 PS256"`},
			[]challenge.Challenge{c("DPoP", params{"error": "e", "algs": "ES256 PS256"})}, false},
		{"empty elements among parameters", []string{`DPoP ,, a=1, ,b=2,`},
			[]challenge.Challenge{c("DPoP", params{"a": "1", "b": "2"})}, false},
		{"last of several", []string{`Basic realm="x", Bearer, DPoP error="use_dpop_nonce"`},
			[]challenge.Challenge{c("Basic", params{"realm": "x"}), c("Bearer", nil), nonce}, false},
		{"between others", []string{`Negotiate YQ==, DPoP error=use_dpop_nonce, Bearer realm=r`},
			[]challenge.Challenge{t68("Negotiate", "YQ=="), nonce, c("Bearer", params{"realm": "r"})}, false},
		{"in the second field", []string{`Bearer error="x"`, `DPoP error=use_dpop_nonce`},
			[]challenge.Challenge{c("Bearer", params{"error": "x"}), nonce}, false},
		{"scheme alone before a parameterised one", []string{`Bearer , DPoP error=use_dpop_nonce`},
			[]challenge.Challenge{c("Bearer", nil), nonce}, false},
		{"no space after the comma", []string{`Bearer realm=a,DPoP error=use_dpop_nonce`},
			[]challenge.Challenge{c("Bearer", params{"realm": "a"}), nonce}, false},
		{"a challenge inside a quoted string", []string{`Bearer realm="x, DPoP error=use_dpop_nonce"`},
			[]challenge.Challenge{c("Bearer", params{"realm": "x, DPoP error=use_dpop_nonce"})}, false},
		{"escapes in a quoted string", []string{`A b="q\"w\\e\r"`},
			[]challenge.Challenge{c("A", params{"b": `q"w\er`})}, false},
		{"an empty quoted string", []string{`A b=""`}, []challenge.Challenge{c("A", params{"b": ""})}, false},
		{"octets beyond ASCII in a quoted string", []string{"A b=\"\xc3\xa9\""},
			[]challenge.Challenge{c("A", params{"b": "é"})}, false},
		{"a token68 without padding", []string{`Negotiate a.b-c_d~e+f/1`},
			[]challenge.Challenge{t68("Negotiate", "a.b-c_d~e+f/1")}, false},
		{"a token68 that looks like a name", []string{`A b=`}, []challenge.Challenge{t68("A", "b=")}, false},
		{"no scheme", []string{`error=x`}, nil, true},
		{"no scheme before a quoted string", []string{`"DPoP"`}, nil, true},
		{"an open quoted string", []string{`DPoP error="use_dpop_nonce`}, nil, true},
		{"an escape at the end", []string{`DPoP error="x\`}, nil, true},
		{"a control character in a quoted string", []string{"DPoP error=\"a\x00b\""}, nil, true},
		{"an escaped line break", []string{"DPoP error=\"a\\\nb\""}, nil, true},
		{"no value", []string{`DPoP a=1, error=`}, nil, true},
		{"a parameter twice", []string{`DPoP error=a, Error=b`}, nil, true},
		{"no comma between challenges", []string{`Bearer DPoP error=use_dpop_nonce`}, nil, true},
		{"no comma between parameters", []string{`DPoP error="a" algs="b"`}, nil, true},
		{"a scheme that runs into a quote", []string{`DPoP"x"`}, nil, true},
		{"a parameter after a token68", []string{`A YQ==, b=c`}, []challenge.Challenge{t68("A", "YQ==")}, true},
		{"malformed behind a good one", []string{`DPoP error=use_dpop_nonce, B c="`}, []challenge.Challenge{nonce}, true},
		{"malformed in another field", []string{`B c="`, `DPoP error=use_dpop_nonce`}, []challenge.Challenge{nonce}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := challenge.Parse(test.fields)
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if (err != nil) != test.bad || err != nil && !errors.Is(err, challenge.ErrSyntax) {
				t.Errorf("error %v, want one: %v", err, test.bad)
			}
		})
	}
}

// The challenges of RFC 9449 §7.1, §7.2 and §9.
func TestParseExamples(t *testing.T) {
	for _, example := range poptest.Vectors().RFC9449.ChallengeExamples {
		got, err := challenge.Parse([]string{example.WWWAuthenticate})
		i := slices.IndexFunc(got, func(c challenge.Challenge) bool { return c.Is("dpop") })
		if err != nil || i < 0 {
			t.Errorf("%s: no DPoP challenge in %q (%v)", example.WWWAuthenticate, got, err)
			continue
		}
		if wantsNonce := example.DPoPNonce != ""; wantsNonce != (got[i].Params["error"] == "use_dpop_nonce") {
			t.Errorf("%s: read %q", example.WWWAuthenticate, got[i])
		}
	}
}

func TestSyntaxOfWords(t *testing.T) {
	for s, want := range map[string][2]bool{ // token, token68
		"GET": {true, true}, "M-SEARCH": {true, true}, "": {false, false}, "a b": {false, false},
		"a=": {false, true}, "=": {false, false}, "a=b": {false, false}, "a/b": {false, true}, "a|b": {true, false},
		"a\r\nb": {false, false}, "é": {false, false},
	} {
		if got := [2]bool{challenge.IsToken(s), challenge.IsToken68(s)}; got != want {
			t.Errorf("%q: got %v, want %v", s, got, want)
		}
	}
}

// Whatever can be read reads the same after it is written again, and nothing takes more than it is given.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`DPoP error="use_dpop_nonce", algs="ES256", Bearer`, `Negotiate YQ==`, `A b=, C d`, `A b="\"\\", , C`,
		`A =b`, `,`, `A b=c d=e`, "A\tb = c", `A b="`,
	} {
		f.Add(seed, `DPoP error=use_dpop_nonce`)
	}
	for _, example := range poptest.Vectors().RFC9449.ChallengeExamples {
		f.Add(example.WWWAuthenticate, "")
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		read, err := challenge.Parse([]string{first, second})
		if err != nil && !errors.Is(err, challenge.ErrSyntax) {
			t.Fatalf("error of another kind: %v", err)
		}
		var written []string
		for _, c := range read {
			if !challenge.IsToken(c.Scheme) {
				t.Fatalf("scheme %q", c.Scheme)
			}
			written = append(written, write(c))
		}
		again, err := challenge.Parse([]string{strings.Join(written, ", ")})
		if err != nil || !reflect.DeepEqual(again, read) {
			t.Fatalf("%q and %q: got %q, then %q (%v)", first, second, read, again, err)
		}
	})
}

func write(c challenge.Challenge) string {
	if c.Token68 != "" {
		return c.Scheme + " " + c.Token68
	}
	var p []string
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		escaped := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(c.Params[name])
		p = append(p, fmt.Sprintf(`%s="%s"`, name, escaped))
	}
	return strings.TrimSpace(c.Scheme + " " + strings.Join(p, ","))
}

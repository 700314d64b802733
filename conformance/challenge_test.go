package conformance

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParseChallenges(t *testing.T) {
	dpop := func(params ...parameter) challenge { return challenge{"DPoP", params} }
	for name, test := range map[string]struct {
		fields []string
		want   []challenge
		bad    bool
	}{
		"none":           {nil, nil, false},
		"a scheme alone": {[]string{"DPoP"}, []challenge{{scheme: "DPoP"}}, false},
		"parameters": {[]string{`DPoP error="x", algs="ES256 PS256"`}, []challenge{dpop(parameter{"error",
			"x"}, parameter{"algs", "ES256 PS256"})}, false},
		"a token as value":    {[]string{`DPoP a=b`}, []challenge{dpop(parameter{"a", "b"})}, false},
		"spaces around equal": {[]string{`DPoP a = "b"`}, []challenge{dpop(parameter{"a", "b"})}, false},
		"two in one field": {[]string{`Bearer realm="r", DPoP a="b"`}, []challenge{{"Bearer",
			[]parameter{{"realm", "r"}}}, dpop(parameter{"a", "b"})}, false},
		"two fields": {[]string{`Bearer`, `DPoP a="b"`}, []challenge{{scheme: "Bearer"},
			dpop(parameter{"a", "b"})}, false},
		"commas in quotes": {[]string{`DPoP a="b, Basic c=d"`}, []challenge{dpop(parameter{"a",
			"b, Basic c=d"})}, false},
		"escapes":              {[]string{`DPoP a="b\"c\\d"`}, []challenge{dpop(parameter{"a", `b"c\d`})}, false},
		"empty elements":       {[]string{`, ,DPoP a="b",,`}, []challenge{dpop(parameter{"a", "b"})}, false},
		"no end of a quote":    {[]string{`DPoP a="b`}, nil, true},
		"an escape at the end": {[]string{`DPoP a="b\`}, nil, true},
		"no comma":             {[]string{`DPoP a="b" c="d"`}, nil, true},
		"no scheme":            {[]string{`a="b"`}, nil, true},
		"no value":             {[]string{`DPoP a=`}, nil, true},
		"text behind a quote":  {[]string{`DPoP a="b"c`}, nil, true},
		"an odd character":     {[]string{`DPoP (a)`}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseChallenges(test.fields)
			if (err != nil) != test.bad || !test.bad && !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// What parses is written and parsed again to the same.
func FuzzParseChallenges(f *testing.F) {
	for _, s := range []string{`DPoP error="x", algs="ES256"`, `Bearer, DPoP a=b`, `DPoP a="\"`, `,`, `a="b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		list, err := parseChallenges([]string{field})
		if err != nil {
			return
		}
		var fields []string
		for _, c := range list {
			var params []string
			for _, p := range c.params {
				params = append(params, fmt.Sprintf(`%s="%s"`, p.name, strings.NewReplacer(`"`, `\"`, `\`,
					`\\`).Replace(p.value)))
			}
			fields = append(fields, c.scheme+" "+strings.Join(params, ", "))
		}
		again, err := parseChallenges(fields)
		if err != nil || !reflect.DeepEqual(again, list) {
			t.Errorf("%q is %q, written %q, and read again %q, %v", field, list, fields, again, err)
		}
	})
}

// What is shown of a request gives nothing away that could be used.
func TestCut(t *testing.T) {
	jws := "eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2lnbmF0dXJlc2lnbmF0dXJl"
	for name, test := range map[string]struct {
		text    string
		secrets []string
		want    string
	}{
		"a signature of nobody we know": {"DPoP " + jws, nil, "DPoP eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2lnbm…"},
		"two":                           {jws + " " + jws, nil, strings.Repeat("eyJhbGciOiJFUzI1NiJ9.eyJhIjoxfQ.c2lnbm… ", 2)},
		"one of ours in another form": {`{"signature":"c2lnbmF0dXJlc2lnbmF0dXJl"}`, []string{"c2lnbmF0dXJlc2lnbmF0dXJl"},
			`{"signature":"c2lnbm…"}`},
		"an opaque token":        {"?access_token=opaque-secret", []string{"opaque-secret"}, "?access_token=opaque…"},
		"a short text is none":   {"DPoP ab", []string{"ab"}, "DPoP ab"},
		"a long line":            {strings.Repeat("x", 2000), nil, strings.Repeat("x", 375) + "… (2000 octets)"},
		"other octets":           {"\xff", nil, "\ufffd"},
		"what a terminal obeys":  {"a\x1b[2Jb\x07\x9b", nil, `a\x1b[2Jb\x07` + "\ufffd"},
		"what turns letters":     {"a\u202eb\u009b", nil, `a\u{202e}b\x9b`},
		"lines stay, and others": {"a\r\nb\nc\rd", nil, "a\nb\nc" + `\x0d` + "d"},
	} {
		if got := cut(test.text, test.secrets); strings.TrimSpace(got) != strings.TrimSpace(test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

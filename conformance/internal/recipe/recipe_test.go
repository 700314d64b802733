package recipe_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
	"github.com/senderlock/senderlock/internal/mint"
)

func world(t testing.TB) *recipe.World {
	t.Helper()
	keys, certificates, err := recipe.Load(cases.Fixed())
	if err != nil {
		t.Fatal(err)
	}
	issuer := recipe.Issuer{URL: "https://login.example.com", Key: keys["issuer"], KeyID: "k1"}
	n := 0
	return &recipe.World{
		Keys: keys, Certificates: certificates, Origin: "https://api.example.com",
		Audience: "https://api.example.com",
		Issuers:  map[string]recipe.Issuer{"": issuer, "down": issuer, "rogue": issuer, "rotating": issuer, "rotated": issuer},
		Now:      func() time.Time { return time.Unix(1767323045, 0) },
		Random:   func() string { n++; return "random" + strings.Repeat("x", n%3) },
		Opaque:   func(string) string { return "opaque" },
	}
}

// Every recipe of the vectors can be built, so no placeholder, edit or key in them is misspelled.
func TestEveryCaseBuilds(t *testing.T) {
	w := world(t)
	for _, c := range cases.All() {
		state := &recipe.State{JTI: "j", Nonce: "n"}
		for n, s := range c.Steps {
			sent, err := w.Build(state, &s, "/resource")
			if err != nil || sent.Method == "" || sent.Host == "" {
				t.Errorf("%s step %d: %v", c.ID, n+1, err)
			}
		}
	}
}

// The path of a request is the resource's and what the recipe adds, with one slash between them.
func TestPaths(t *testing.T) {
	for _, test := range []struct{ resource, adds, want string }{
		{"", "", "/"}, {"/", "", "/"}, {"/a", "", "/a"}, {"/a/", "", "/a/"},
		{"", "/b", "/b"}, {"/", "/b", "/b"}, {"/a", "/b", "/a/b"}, {"/a/", "/b", "/a/b"}, {"/a", "//b", "/a//b"},
	} {
		sent, err := world(t).Build(&recipe.State{}, &cases.Step{Send: cases.Request{Path: test.adds}}, test.resource)
		if err != nil || sent.Target != test.want {
			t.Errorf("%q with %q below it: %q, %v, want %q", test.resource, test.adds, sent.Target, err, test.want)
		}
	}
}

func part(t *testing.T, compact string, i int) map[string]any {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(compact, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestZeroRecipeIsGood(t *testing.T) {
	w := world(t)
	sent, err := w.Build(&recipe.State{}, &cases.Step{Send: cases.Request{Query: "a=b"}}, "/resource")
	if err != nil {
		t.Fatal(err)
	}
	claims, header := part(t, sent.Proofs[0], 1), part(t, sent.Proofs[0], 0)
	if claims["htm"] != "GET" || claims["htu"] != "https://api.example.com/resource" ||
		claims["ath"] != mint.ATH(sent.Token) ||
		claims["iat"] != float64(1767323045) || header["typ"] != "dpop+jwt" || header["alg"] != "ES256" {
		t.Errorf("header %v, claims %v", header, claims)
	}
	cnf, _ := part(t, sent.Token, 1)["cnf"].(map[string]any)
	if cnf["jkt"] != w.Keys["client"].Thumbprint() || sent.Thumbprint != cnf["jkt"] {
		t.Errorf("cnf %v", cnf)
	}
	if sent.Target != "/resource?a=b" || sent.Host != "api.example.com" || len(sent.Headers) != 2 {
		t.Errorf("%+v", sent)
	}
}

func TestMembers(t *testing.T) {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	sent, err := world(t).Build(&recipe.State{JTI: "of-the-case"}, &cases.Step{Send: cases.Request{Proof: &cases.Proof{
		Claims: cases.Members{
			"ath": raw("null"), "iat": raw(`{"$raw":"${now-60}.5"}`), "jti": raw(`"${jti}"`),
			"x": raw(`{"$raw":"null"}`), "y": raw(`{"a":"${host|upper}"}`),
		},
	}}}, "/resource")
	if err != nil {
		t.Fatal(err)
	}
	claims := part(t, sent.Proofs[0], 1)
	x, hasX := claims["x"]
	_, hasATH := claims["ath"]
	if hasATH || claims["iat"] != 1767322985.5 || claims["jti"] != "of-the-case" || !hasX || x != nil {
		t.Errorf("claims %v", claims)
	}
	if y, _ := claims["y"].(map[string]any); y["a"] != "API.EXAMPLE.COM" {
		t.Errorf("y %v", y)
	}
}

func TestMistakesAreTold(t *testing.T) {
	for name, r := range map[string]cases.Request{
		"placeholder": {Authorization: []string{"${nothing}"}}, "change": {Host: "${host|nothing}"},
		"edit":           {Proof: &cases.Proof{Edit: []string{"nothing"}}},
		"edit of a part": {Proof: &cases.Proof{Edit: []string{"header:nothing"}}},
		"key":            {Proof: &cases.Proof{Key: "nobody"}},
		"bound key":      {Token: &cases.Token{Bind: "nobody"}},
		"certificate":    {Token: &cases.Token{Certificate: "nothing"}}, "time": {Host: "${nowhere}"},
	} {
		if _, err := world(t).Build(&recipe.State{}, &cases.Step{Send: r}, "/resource"); err == nil {
			t.Errorf("a wrong %s is not told", name)
		}
	}
}

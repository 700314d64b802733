package conformance

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/conformance/internal/recipe"
)

// shownWorld is a world without servers.
func shownWorld(t *testing.T) *runner {
	t.Helper()
	keys, certificates, err := recipe.Load(cases.Fixed())
	if err != nil {
		t.Fatal(err)
	}
	issuer := recipe.Issuer{URL: "https://login.example.com", Key: keys["issuer"], KeyID: "k1"}
	n := 0
	o := &Options{URL: "https://api.example.com/resource", Tokens: ClientCredentials{}.Token}
	endpoints := map[string]string{}
	for _, name := range endpointNames {
		endpoints[name] = "/" + name
	}
	o.Endpoints = endpoints
	all, err := o.resolve()
	if err != nil {
		t.Fatal(err)
	}
	return &runner{options: o, endpoints: all, world: &recipe.World{
		Keys: keys, Certificates: certificates, Origin: "https://api.example.com", Audience: "https://api.example.com",
		Issuers: map[string]recipe.Issuer{"": issuer, "down": issuer, "rogue": issuer, "rotating": issuer, "rotated": issuer},
		Now:     func() time.Time { return time.Unix(1767323045, 0) },
		Random: func() string {
			n++
			return strings.Map(func(r rune) rune { return r - '0' + 'A' }, fmt.Sprintf("%026d", n))
		},
		Opaque: func(string) string { n++; return fmt.Sprintf("opaque-%020d", n) },
	}}
}

// shownSteps are the exchanges of a case as they would be shown.
func shownSteps(t *testing.T, r *runner, c *cases.Case) (list []Exchange, sent []*recipe.Sent) {
	t.Helper()
	state := &recipe.State{JTI: "of-the-case"}
	for n := range c.Steps {
		step := &c.Steps[n]
		s, err := r.build(state, step, r.endpoints[step.Send.Endpoint])
		if err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		good := r.goodOf(state, step, s.Time)
		if good == nil {
			t.Fatalf("%s: there is no good request", c.ID)
		}
		answer := &response{proto: "HTTP/1.1", status: 200, body: s.Token + strings.Join(s.Proofs, " ")} // an echo
		list, sent = append(list, show(step, s, good, answer)), append(sent, s)
	}
	return list, sent
}

// Nothing that is shown holds a signature or an opaque token, however the case has written it, nor what the server has
// made of it.
func TestNoSecretIsShown(t *testing.T) {
	r := shownWorld(t)
	secrets := 0
	for _, c := range cases.All() {
		list, sent := shownSteps(t, r, &c)
		for i, e := range list {
			text := e.Request + e.Response
			for _, row := range e.Rows {
				text += "\n" + row.Name + " " + row.Good + " " + row.Sent
			}
			for _, secret := range sent[i].Secrets {
				if len(secret) > 10 {
					secrets++
					if strings.Contains(text, secret) {
						t.Errorf("%s step %d shows %s", c.ID, i+1, secret)
					}
				}
			}
			if strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), hidden) {
				t.Errorf("%s step %d shows a character that nobody sees", c.ID, i+1)
			}
		}
	}
	if secrets < 2000 {
		t.Errorf("only %d secrets were looked for", secrets)
	}
}

// What a case has changed is marked beside the good request, and nothing else.
func TestBeside(t *testing.T) {
	r := shownWorld(t)
	for id, want := range map[string][]string{
		"good":                            nil,
		"htu-path":                        {"proof claims htu"},
		"htm-POST-on-GET":                 {"proof claims htm"},
		"ath-missing":                     {"proof claims ath"},
		"typ-jwt":                         {"proof header typ"},
		"key-use-enc":                     {"proof header jwk.use"},
		"signature-flip":                  {"proof form signature"},
		"token-expired":                   {"token claims exp", "token claims iat"},
		"token-typ-jwt":                   {"token header typ"},
		"token-signature-flip":            {"token form signature"},
		"cnf-jkt-hex":                     {"token claims cnf"},
		"binding-other-key":               {"proof header jwk.x", "proof header jwk.y"},
		"proof-missing":                   {"field DPoP", "proof header alg", "proof claims htu"},
		"auth-bearer":                     {"field Authorization", "field DPoP", "proof claims htm"},
		"replay-same":                     {"proof claims jti"},
		"mtls-other":                      {"request client certificate"},
		"forwarded-path-X-Forwarded-Path": {"field X-Forwarded-Path", "proof claims htu"},
		"host-other":                      {"request Host", "proof claims htu"},
		"known-thief":                     {"proof header jwk.x", "proof header jwk.y"},
	} {
		i := slices.IndexFunc(cases.All(), func(c cases.Case) bool { return c.ID == id })
		if i < 0 {
			t.Errorf("there is no case %s", id)
			continue
		}
		c := cases.All()[i]
		list, _ := shownSteps(t, r, &c)
		var got []string
		for _, row := range list[len(list)-1].Rows {
			if row.Changed {
				got = append(got, row.Part+" "+row.Name)
			}
		}
		for _, name := range want {
			if !slices.Contains(got, name) {
				t.Errorf("%s: %s is not marked, but %q", id, name, got)
			}
		}
		if len(want) < 3 && len(got) != len(want) {
			t.Errorf("%s: marked %q, want %q", id, got, want)
		}
	}
}

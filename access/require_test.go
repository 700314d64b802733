package access_test

import (
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

func TestAllow(t *testing.T) {
	login := poptest.Now.Unix() - 300
	token := bound(claim("scope", "read write"), claim("auth_time", login), claim("acr", "silver"))
	ahead := func(seconds int64) string { return bound(claim("auth_time", poptest.Now.Unix()+seconds)) }
	bare := bound()
	const stepUp = "insufficient_user_authentication"
	for name, test := range map[string]struct {
		token  string
		q      access.Requirement
		want   refusal
		params string // of the challenge, after the description
	}{
		"nothing":                            {token, access.Requirement{}, refusal{}, ""},
		"its scopes":                         {token, access.Requirement{Scopes: []string{"write", "read"}}, refusal{}, ""},
		"RS-110 RS-165 a scope more":         {token, access.Requirement{Scopes: []string{"read", "admin"}}, refusal{403, "insufficient_scope", "scope_missing"}, `scope="read admin"`},
		"RS-122 part of a scope":             {token, access.Requirement{Scopes: []string{"rea"}}, refusal{403, "insufficient_scope", "scope_missing"}, `scope="rea"`},
		"a login young enough":               {token, access.Requirement{MaxAuthAge: 5 * time.Minute}, refusal{}, ""},
		"young enough with the leeway":       {token, access.Requirement{MaxAuthAge: 290 * time.Second}, refusal{}, ""},
		"RS-146 RS-147 a login too old":      {token, access.Requirement{MaxAuthAge: 289 * time.Second}, refusal{401, stepUp, "login_too_old"}, `max_age="289"`},
		"a login ahead within the leeway":    {ahead(10), access.Requirement{MaxAuthAge: time.Hour}, refusal{}, ""},
		"RS-146 a login further ahead":       {ahead(11), access.Requirement{MaxAuthAge: time.Hour}, refusal{401, stepUp, "login_too_old"}, `max_age="3600"`},
		"RS-146 a token without auth_time":   {bare, access.Requirement{MaxAuthAge: time.Hour}, refusal{401, stepUp, "login_too_old"}, `max_age="3600"`},
		"an accepted acr":                    {token, access.Requirement{ACRValues: []string{"gold", "silver"}}, refusal{}, ""},
		"RS-146 RS-147 another acr":          {token, access.Requirement{ACRValues: []string{"gold", "platinum"}}, refusal{401, stepUp, "login_too_weak"}, `acr_values="gold platinum"`},
		"a token without acr":                {bare, access.Requirement{ACRValues: []string{"gold"}}, refusal{401, stepUp, "login_too_weak"}, `acr_values="gold"`},
		"all at once in one challenge":       {token, access.Requirement{Scopes: []string{"read"}, ACRValues: []string{"gold"}, MaxAuthAge: time.Second}, refusal{401, stepUp, "login_too_old"}, `scope="read", acr_values="gold", max_age="1"`},
		"the scope before the login":         {token, access.Requirement{Scopes: []string{"x"}, MaxAuthAge: time.Second}, refusal{403, "insufficient_scope", "scope_missing"}, `scope="x"`},
		"the binding it has":                 {token, access.Requirement{Binding: access.BindingDPoP}, refusal{}, ""},
		"RS-056 a nonce for this route only": {token, access.Requirement{Nonce: true}, refusal{401, "use_dpop_nonce", "nonce_missing"}, ""},
		"a wrong requirement":                {token, access.Requirement{MaxAuthAge: -1}, refusal{503, "", "unavailable"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t)
			r := owner(test.token)
			grant, err := s.Check(r)
			if err != nil {
				t.Fatal(err)
			}
			err = s.Allow(r, grant, test.q)
			if test.want == (refusal{}) {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := expect(t, err, test.want)
			got := challenges(e)
			if test.want.status == 503 {
				return
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], `DPoP error="`+test.want.code+`"`) { // RS-148
				t.Fatalf("challenges %q", got)
			}
			want := ", " + algs
			if test.params != "" {
				want = ", " + test.params + want
			}
			if !strings.HasSuffix(got[0], `"`+want) || test.params == "" && strings.Count(got[0], "=") != 3 {
				t.Errorf("challenge %q, want %q at its end", got[0], want)
			}
		})
	}
}

func TestAllowForBearer(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.InsecureAllowBearer = true })
	r := get("Bearer "+poptest.Token{}.String(), "")
	grant, err := s.Check(r)
	if err != nil {
		t.Fatal(err)
	}
	for name, q := range map[string]access.Requirement{
		"a binding": {Binding: access.BindingDPoP},
		"a nonce":   {Nonce: true},
	} {
		e := expect(t, s.Allow(r, grant, q), refusal{401, "invalid_token", "binding_missing"})
		if got := challenges(e); len(got) != 2 || got[0] != "DPoP "+algs || !strings.HasPrefix(got[1], `Bearer error="invalid_token"`) {
			t.Errorf("%s: challenges %q", name, got)
		}
	}
	e := expect(t, s.Allow(r, grant, access.Requirement{ACRValues: []string{"x"}}), refusal{401, "insufficient_user_authentication", "login_too_weak"})
	if got := challenges(e); !strings.HasPrefix(got[1], `Bearer error="insufficient_user_authentication"`) { // RS-148
		t.Errorf("challenges %q", got)
	}
}

// A nonce for one route only: demanded, given, accepted.
func TestNonceForOneRoute(t *testing.T) {
	s := newGuard(t)
	token := bound()
	q := access.Requirement{Nonce: true}
	r := owner(token)
	grant, err := s.Check(r)
	if err != nil {
		t.Fatal(err)
	}
	e := expect(t, s.Allow(r, grant, q), refusal{401, "use_dpop_nonce", "nonce_missing"})
	r = get("DPoP "+token, poptest.Proof{Token: token, Nonce: e.Nonce}.String())
	grant, err = s.Check(r)
	if err == nil {
		err = s.Allow(r, grant, q)
	}
	if err != nil {
		t.Error(err)
	}
}

func TestRequirementSettings(t *testing.T) {
	for name, test := range map[string]struct {
		q    access.Requirement
		want string
	}{
		"two scopes in one": {access.Requirement{Scopes: []string{"a b"}}, `Scopes has "a b"`},
		"empty scope":       {access.Requirement{Scopes: []string{""}}, `Scopes has ""`},
		"a quote":           {access.Requirement{Scopes: []string{`a"b`}}, `Scopes has`},
		"acr with a space":  {access.Requirement{ACRValues: []string{"a b"}}, `ACRValues has "a b"`},
		"negative age":      {access.Requirement{MaxAuthAge: -time.Second}, "MaxAuthAge is -1s"},
		"part of a second":  {access.Requirement{MaxAuthAge: time.Millisecond}, "MaxAuthAge is 1ms"},
		"unknown binding":   {access.Requirement{Binding: 0x80}, "Binding is none"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := newGuard(t).Guard.Route(test.q); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

// RFC 6749 §3.3: scopes are separated by spaces alone. An authorization server that takes what a client asks for apart
// in that way, and lets it put something of its own into a scope, has not granted what stands behind another white space.
func TestScopesAreSeparatedBySpacesAlone(t *testing.T) {
	guard := newGuard(t)
	for name, scope := range map[string]any{
		"tab":               "account:1\tadmin",
		"line feed":         "account:1\nadmin",
		"form feed":         "account:1\fadmin",
		"no-break space":    "account:1\u00a0admin",
		"next line":         "account:1\u0085admin",
		"ideographic space": "account:1\u3000admin",
		"in an array":       []string{"account:1\tadmin", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := guard.Check(owner(bound(claim("scope", scope))), access.Requirement{Scopes: []string{"admin"}})
			expect(t, err, refusal{403, "insufficient_scope", "scope_missing"})
		})
	}
	for name, scope := range map[string]any{"several spaces": "  account:1   admin ", "an array": []string{"account:1", "admin"}} {
		if _, err := guard.Check(owner(bound(claim("scope", scope))), access.Requirement{Scopes: []string{"admin", "account:1"}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

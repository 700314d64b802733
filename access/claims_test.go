package access_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// segment is one part of a JWT.
func segment(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }

// What claims to be a JWT, and is of no issuer of ours, is refused without a question: else anybody could make us ask
// about what he has written himself, and look broken when the answer is a 400. A token claims to be one if its first part
// is base64url of a JSON object with alg (RFC 7515 §4.1.1). Everything else is opaque, and asked about.
func TestForeignJWTsAreNotAskedAbout(t *testing.T) {
	const introspected = "https://opaque.example.com"
	payload := segment(`{"iss":"https://nobody.example.com"}`)
	for name, test := range map[string]struct {
		token string
		want  refusal // zero: asked about
	}{
		"another issuer":               {bound(claim("iss", "https://other.example.com")), refusal{401, "invalid_token", "token_issuer_unknown"}},
		"a slash more":                 {bound(claim("iss", poptest.Issuer+"/")), refusal{401, "invalid_token", "token_issuer_unknown"}},
		"no issuer":                    {bound(claim("iss", nil)), refusal{401, "invalid_token", "token_issuer_unknown"}},
		"an issuer that is no text":    {bound(claim("iss", 7)), refusal{401, "invalid_token", "token_json_invalid"}},
		"no algorithm":                 {segment(`{"alg":"none"}`) + "." + payload + ".", refusal{401, "invalid_token", "token_jws_malformed"}},
		"no signature":                 {segment(`{"alg":"ES256"}`) + "." + payload, refusal{401, "invalid_token", "token_jws_malformed"}},
		"a payload that is none":       {segment(`{"alg":"ES256"}`) + ".x.y", refusal{401, "invalid_token", "token_jws_malformed"}},
		"alg of another type":          {segment(`{"alg":7}`) + "." + payload + ".x", refusal{401, "invalid_token", "token_json_invalid"}},
		"of the introspected issuer":   {bound(claim("iss", introspected)), refusal{}},
		"encrypted (RFC 7516)":         {segment(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a.b.c.d", refusal{}},
		"a JSON object without alg":    {segment(`{"typ":"JWT"}`) + "." + payload + ".x", refusal{}},
		"a first part that is no JSON": {"abc." + payload + ".x", refusal{}},
		"random text":                  {"4b1d-random", refusal{}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t, map[string]any{"iss": introspected})
			s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.Issuer = introspected })
			for form, guard := range map[string]*setup{
				"beside an issuer": newGuard(t, func(b *setup) { b.Tokens = s.Tokens }),
				"alone":            s,
			} {
				asked := e.asked.Load()
				_, err := guard.Check(owner(test.token))
				switch {
				case test.want == (refusal{}) && (err != nil || e.asked.Load() != asked+1):
					t.Errorf("%s: asked %d times, %v", form, e.asked.Load()-asked, err)
				case test.want != (refusal{}):
					expect(t, err, test.want)
					if e.asked.Load() != asked {
						t.Errorf("%s: asked about", form)
					}
				}
			}
		})
	}
}

// A validator that names no issuers is asked about JWTs too: it may know them.
func TestValidatorOfAnyIssuerIsAsked(t *testing.T) {
	asked := 0
	s := newGuard(t, func(s *setup) {
		s.Tokens = access.ValidatorFunc(func(context.Context, string) (*access.Token, error) {
			asked++
			return nil, access.ErrTokenInactive
		})
	})
	_, err := s.Check(owner(bound(claim("iss", "https://other.example.com"))))
	expect(t, err, refusal{401, "invalid_token", "token_inactive"})
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// Null in claims says nothing, and a wrong type is held against the token or against what it would grant: alike in JWTs
// and in answers of introspection, and never as our own trouble.
func TestTypesOfClaims(t *testing.T) {
	const invalid = "token_json_invalid"
	wrong := map[string]any{"x": 1}
	for name, test := range map[string]struct {
		claim string
		value any
		want  string // the reason; empty: accepted
		has   func(*access.Grant) bool
	}{
		"auth_time null":        {"auth_time", nullClaim, "", func(g *access.Grant) bool { return g.AuthTime.IsZero() }},
		"acr null":              {"acr", nullClaim, "", func(g *access.Grant) bool { return g.ACR == "" }},
		"sub null":              {"sub", nullClaim, "", func(g *access.Grant) bool { return g.Subject == "" }},
		"sid null":              {"sid", nullClaim, "", func(g *access.Grant) bool { return g.Session == "" }},
		"jti null":              {"jti", nullClaim, "", func(g *access.Grant) bool { return g.ID == "" }},
		"scope null":            {"scope", nullClaim, "", func(g *access.Grant) bool { return len(g.Scopes) == 0 }},
		"nbf null":              {"nbf", nullClaim, "", func(g *access.Grant) bool { return g.NotBefore.IsZero() }},
		"iat null":              {"iat", nullClaim, "token_claim_missing", nil}, // and there is no nbf either
		"exp null":              {"exp", nullClaim, invalid, nil},
		"cnf null":              {"cnf", nullClaim, "token_cnf_not_understood", nil},
		"cnf.jkt null":          {"cnf", map[string]any{"jkt": nullClaim}, "token_cnf_not_understood", nil},
		"cnf.x5t#S256 null":     {"cnf", map[string]any{"jkt": poptest.ClientKey().Thumbprint(), "x5t#S256": nullClaim}, "token_cnf_not_understood", nil},
		"iss as a number":       {"iss", 1, invalid, nil},
		"aud as an object":      {"aud", wrong, invalid, nil},
		"exp as text":           {"exp", "4102444800", invalid, nil},
		"iat as an object":      {"iat", wrong, invalid, nil},
		"nbf as text":           {"nbf", "1", invalid, nil},
		"sub as a number":       {"sub", 1, invalid, nil},
		"sid as a number":       {"sid", 1, invalid, nil},
		"jti as a list":         {"jti", []any{"a"}, invalid, nil},
		"client_id as a number": {"client_id", 1, invalid, nil},
		"azp as an object":      {"azp", wrong, invalid, nil},
		"cnf as text":           {"cnf", "x", "token_cnf_not_understood", nil},
		"scope as a number":     {"scope", 1, "", func(g *access.Grant) bool { return len(g.Scopes) == 0 }},
		"scope as an object":    {"scope", wrong, "", func(g *access.Grant) bool { return len(g.Scopes) == 0 }},
		"acr as a number":       {"acr", 1, "", func(g *access.Grant) bool { return g.ACR == "" }},
		"acr as a list":         {"acr", []any{"mfa"}, "", func(g *access.Grant) bool { return g.ACR == "" }},
		"auth_time as text":     {"auth_time", "now", "", func(g *access.Grant) bool { return g.AuthTime.IsZero() }},
		"others of any type":    {"roles", wrong, "", func(*access.Grant) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			value := test.value
			if value == nullClaim {
				value = rawNull{}
			} else if m, ok := value.(map[string]any); ok {
				copied := map[string]any{}
				for k, v := range m {
					if copied[k] = v; v == nullClaim {
						copied[k] = rawNull{}
					}
				}
				value = copied
			}
			jwt := bound(claim(test.claim, value))
			for form, check := range map[string]func() (*access.Grant, error){
				"JWT": func() (*access.Grant, error) { return newGuard(t).Check(owner(jwt)) },
				"introspection": func() (*access.Grant, error) {
					return introspecting(t, newEndpoint(t, map[string]any{test.claim: value})).Check(owner("opaque"))
				},
			} {
				grant, err := check()
				switch {
				case test.want == "" && (err != nil || !test.has(grant)):
					t.Errorf("%s: %v, %+v", form, err, grant)
				case test.want != "" && test.claim == "iss" && form == "JWT":
					expect(t, err, refusal{401, "invalid_token", invalid})
				case test.want != "":
					expect(t, err, refusal{401, "invalid_token", test.want})
				}
			}
		})
	}
}

const nullClaim = "null, and not left out"

// rawNull is null in JSON, where a nil would leave the claim out.
type rawNull struct{}

func (rawNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// Times in another unit, and far away, are refused by the lifetime, and the log says what they are.
func TestTimesInAnotherUnit(t *testing.T) {
	soon := poptest.Now.Add(time.Minute)
	for name, test := range map[string]struct {
		changes []func(*poptest.Token)
		reason  string
		says    string
	}{
		"exp in milliseconds": {[]func(*poptest.Token){claim("exp", soon.UnixMilli())}, "token_lifetime_too_long", "which are milliseconds: seconds are wanted"},
		"exp in nanoseconds":  {[]func(*poptest.Token){claim("exp", soon.UnixNano())}, "token_lifetime_too_long", "which are nanoseconds: seconds are wanted"},
		"exp in the year 9000": {[]func(*poptest.Token){claim("exp", time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC).Unix())},
			"token_lifetime_too_long", "until 9000-01-01"},
		"all in milliseconds": {[]func(*poptest.Token){claim("exp", soon.UnixMilli()), claim("iat", poptest.Now.UnixMilli())},
			"token_not_yet_valid", "which are milliseconds: seconds are wanted"},
		"nbf in microseconds": {[]func(*poptest.Token){claim("nbf", poptest.Now.UnixMicro())}, "token_not_yet_valid", "which are microseconds: seconds are wanted"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newGuard(t).Check(owner(bound(test.changes...)))
			e := expect(t, err, refusal{401, "invalid_token", test.reason})
			if !strings.Contains(e.Error(), test.says) {
				t.Errorf("the log says %v", e)
			}
		})
	}
}

// Who made a JWT is read as strictly as by whoever judges it: one that names two issuers is nobody's, and nobody is asked.
func TestClaimedIssuerIsReadStrictly(t *testing.T) {
	const opaque = "https://a.example.com"
	e := newEndpoint(t, map[string]any{"iss": opaque})
	s := introspecting(t, e, func(i *access.IntrospectionConfig) { i.Issuer = opaque })
	both := newGuard(t, func(b *setup) { b.Tokens, b.Resources = s.Tokens, resource() })
	for name, test := range map[string]struct {
		payload string
		asked   bool
	}{
		"one":      {`{"iss":"` + opaque + `"}`, true},
		"escaped":  {`{"iss":"https:\/\/a.example.com"}`, true},
		"two":      {`{"iss":"` + opaque + `","iss":"` + opaque + `"}`, false},
		"a number": {`{"iss":7}`, false},
		"none":     {`{}`, false},
		"null":     {`{"iss":null}`, false},
		"no JSON":  {`{"iss":"` + opaque, false},
	} {
		t.Run(name, func(t *testing.T) {
			before := e.asked.Load()
			token := bound(func(p *poptest.Token) { p.RawPayload = test.payload })
			if _, err := both.Check(owner(token)); (e.asked.Load() > before) != test.asked || test.asked != (err == nil) {
				t.Errorf("asked %d times, %v", e.asked.Load()-before, err)
			}
		})
	}
	// All issuers are listed once, in order, whoever knows them.
	if got := strings.Join(both.Metadata().AuthorizationServers, " "); got != opaque+" "+poptest.Issuer {
		t.Errorf("issuers %s", got)
	}
	twice := newGuard(t, func(b *setup) { b.Tokens, b.Resources = introspecting(t, e).Tokens, resource() })
	if got := strings.Join(twice.Metadata().AuthorizationServers, " "); got != poptest.Issuer {
		t.Errorf("issuers %s", got)
	}
}

// All claims can be had in the caller's own type, and what does not fit it is an error.
func TestClaimsInAnotherType(t *testing.T) {
	token, err := access.NewToken(map[string]any{"iss": "a", "n": 7})
	if err != nil {
		t.Fatal(err)
	}
	var said struct{ N int }
	if err := token.Claims(&said); err != nil || said.N != 0 { // names match exactly
		t.Errorf("%+v, %v", said, err)
	}
	var numbers map[string]int
	if err := token.Claims(&numbers); err == nil {
		t.Error("a text is taken for a number")
	}
	var list []string
	if err := new(access.Token).Claims(&list); err == nil {
		t.Error("no claims are taken for a list")
	}
	if err := new(access.Token).Claims(&numbers); err != nil {
		t.Error(err)
	}
}

// An array of scopes grants those of its elements that are one scope each.
func TestScopesInAnArray(t *testing.T) {
	grant, err := newGuard(t).Check(owner(bound(claim("scope", []any{"a", 7, "b c", nil, true, "~!", `d"`, `e\`, "f\x7f", []string{"g"}, ""}))))
	if err != nil || strings.Join(grant.Scopes, " ") != "a ~!" {
		t.Errorf("granted %q, %v", grant.Scopes, err)
	}
}

// What a token does not say, its grant does not either.
func TestGrantOfAFewClaims(t *testing.T) {
	s := newGuard(t, func(s *setup) {
		s.Tokens = access.ValidatorFunc(func(context.Context, string) (*access.Token, error) {
			return &access.Token{
				Issuer: poptest.Issuer, IssuedAt: poptest.Now, Expiry: poptest.Now.Add(time.Minute),
				Confirmation: access.Confirmation{JKT: poptest.ClientKey().Thumbprint()},
			}, nil
		})
	})
	if grant, err := s.Check(owner("opaque")); err != nil || grant.Scopes != nil || grant.Audience != nil {
		t.Errorf("%v, scopes %#v, audience %#v", err, grant.Scopes, grant.Audience)
	}
}

// A token is good from the instant at which the leeway lets it be.
func TestTokenOfTheNextMoment(t *testing.T) {
	for ahead, fine := range map[time.Duration]bool{access.DefaultLeeway: true, access.DefaultLeeway + time.Second: false} {
		token := bound(func(p *poptest.Token) { p.IssuedAt = poptest.Now.Add(ahead) })
		_, err := newGuard(t).Check(owner(token))
		if fine && err != nil {
			t.Errorf("%v ahead: %v", ahead, err)
		} else if !fine {
			expect(t, err, refusal{401, "invalid_token", "token_not_yet_valid"})
		}
	}
}

package access_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// A token that is made of claims says what they say, and gives them all back.
func TestNewToken(t *testing.T) {
	token, err := access.NewToken(map[string]any{
		"iss": poptest.Issuer, "sub": "user-1", "azp": "client-1", "jti": "t-1", "sid": "s-1", "aud": poptest.Audience, "scope": "a b",
		"iat": poptest.Now.Unix(), "exp": poptest.Now.Unix() + 60, "acr": "gold", "plan": "pro", "cnf": map[string]any{"jkt": "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := []any{
		token.Issuer, token.Subject, token.ClientID, token.ID, token.Session, strings.Join(token.Audience, " "),
		strings.Join(token.Scopes, " "), token.IssuedAt.Equal(poptest.Now), token.Expiry.Equal(poptest.Now.Add(time.Minute)),
		token.ACR, token.Confirmation.JKT,
	}
	want := []any{poptest.Issuer, "user-1", "client-1", "t-1", "s-1", poptest.Audience, "a b", true, true, "gold", "x"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var all struct {
		Plan string `json:"plan"`
		Sub  string `json:"sub"`
	}
	if err := token.Claims(&all); err != nil || all.Plan != "pro" || all.Sub != "user-1" {
		t.Errorf("claims %+v, %v", all, err)
	}
}

func TestNewTokenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		claims any
		want   string
	}{
		"nothing":         {nil, "token_json_invalid"},
		"a list":          {[]int{1}, "token_json_invalid"},
		"a date as text":  {map[string]any{"exp": "tomorrow"}, "token_json_invalid"},
		"an unknown cnf":  {map[string]any{"cnf": map[string]any{"kid": "x"}}, "token_cnf_not_understood"},
		"a cnf of nobody": {map[string]any{"cnf": nil}, "token_cnf_not_understood"},
	} {
		if token, err := access.NewToken(test.claims); token != nil || reason.Of(err) != test.want {
			t.Errorf("%s: %v, %v", name, token, err)
		}
	}
	for name, claims := range map[string]any{"a function": func() {}, "a claim twice": json.RawMessage(`{"sub":"a","sub":"b"}`)} {
		if token, err := access.NewToken(claims); token != nil || err == nil || !strings.HasPrefix(err.Error(), "access.NewToken: ") {
			t.Errorf("%s: %v, %v", name, token, err)
		}
	}
}

// A Validator that gives the same Token to every request: nothing that a request does with its grant is seen by the
// next. A cached JWT is shared in the same way.
func TestGrantsAreCopies(t *testing.T) {
	made, err := access.NewToken(map[string]any{
		"iss": poptest.Issuer, "sub": "user-1", "aud": []string{poptest.Audience, "other"}, "scope": "a b",
		"iat": poptest.Now.Unix(), "exp": poptest.Now.Unix() + 60, "cnf": map[string]any{"jkt": poptest.ClientKey().Thumbprint()},
	})
	if err != nil {
		t.Fatal(err)
	}
	made.Scopes = append(make([]string, 0, 10), made.Scopes...) // with room behind
	jwt := bound(claim("scope", "a b"), claim("aud", []string{poptest.Audience, "other"}))
	for name, test := range map[string]struct {
		token  string
		change func(*setup)
	}{
		"a Validator's": {"opaque", func(s *setup) {
			s.Issuers, s.Tokens = nil, access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { return made, nil })
		}},
		"a cached JWT": {jwt, func(*setup) {}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, test.change)
			s.answer = func(_ http.ResponseWriter, r *http.Request) {
				grant := access.GrantFrom(r.Context())
				if got := strings.Join(append(slices.Clone(grant.Scopes), grant.Audience...), " "); got != "a b "+poptest.Audience+" other" {
					t.Errorf("the grant has %s", got)
				}
				_ = append(grant.Scopes, "admin")
				_ = append(grant.Audience, "admin")
				if grant.Audience[0] != poptest.Audience {
					t.Error("scopes grew into the audience")
				}
				grant.Scopes[0], grant.Audience[0], grant.Subject = "admin", "admin", "admin"
			}
			h := s.Handler(s)
			for range 3 {
				s.accepts(t, h, owner(test.token))
				s.WaitForCache()
			}
			s.refuses(t, s.Handler(s, scope("admin")), owner(test.token), 403, "scope_missing")
		})
	}
}

// Which of an issuer's claims name the client and hold the scopes, and for whom its tokens may be, are its settings.
func TestClaimsOfAnIssuer(t *testing.T) {
	claims := map[string]any{
		"client_id": nil, "azp": "by azp", "appid": "by appid", "scope": "in-scope", "scp": []string{"in", "scp"}, "roles": "in roles",
	}
	for name, test := range map[string]struct {
		change         func(*access.Issuer)
		claims         map[string]any // instead
		client, scopes string
		want           string // the reason of a refusal
	}{
		"as usual":              {change: func(*access.Issuer) {}, client: "by azp", scopes: "in-scope"},
		"another claim":         {change: func(i *access.Issuer) { i.ClientClaims = []string{"appid"} }, client: "by appid", scopes: "in-scope"},
		"the first that is":     {change: func(i *access.Issuer) { i.ClientClaims = []string{"cid", "appid", "azp"} }, client: "by appid", scopes: "in-scope"},
		"none that is":          {change: func(i *access.Issuer) { i.ClientClaims = []string{"cid"} }, client: "", scopes: "in-scope"},
		"scopes elsewhere":      {change: func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{{Name: "scp"}, {Name: "scope"}} }, client: "by azp", scopes: "in scp"},
		"in the one that is":    {change: func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{{Name: "permissions"}, {Name: "roles"}} }, client: "by azp", scopes: "in roles"},
		"in none":               {change: func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{{Name: "permissions"}} }, client: "by azp", scopes: ""},
		"a client that is none": {change: func(i *access.Issuer) { i.ClientClaims = []string{"appid"} }, claims: map[string]any{"appid": 7}, want: "token_json_invalid"},
		"scopes that are none":  {change: func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{{Name: "scp"}} }, claims: map[string]any{"scp": map[string]any{}}, client: "by azp", scopes: ""},
		"elements of a list":    {change: func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{{Name: "scp"}} }, claims: map[string]any{"scp": []any{"a", "b c", 7, "", "d"}}, client: "by azp", scopes: "a d"},
		"a prefix": {change: func(i *access.Issuer) {
			i.ScopeClaims = []access.ScopeClaim{{Name: "app"}, {Name: "roles", Prefix: "role:"}}
		},
			claims: map[string]any{"roles": []any{"admin", "b c", 7, "", "role:d"}}, client: "by azp", scopes: "role:admin role:role:d"},
		"a prefix of another": {change: func(i *access.Issuer) {
			i.ScopeClaims = []access.ScopeClaim{{Name: "scp"}, {Name: "roles", Prefix: "role:"}}
		}, client: "by azp", scopes: "in scp"},
		"for one of several":     {change: func(i *access.Issuer) { i.MoreAudiences = []string{"api-1", "api-2"} }, claims: map[string]any{"aud": "api-2"}, client: "by azp", scopes: "in-scope"},
		"for the first of them":  {change: func(i *access.Issuer) { i.MoreAudiences = []string{"api-1"} }, client: "by azp", scopes: "in-scope"},
		"for none of them":       {change: func(i *access.Issuer) { i.MoreAudiences = []string{"api-1"} }, claims: map[string]any{"aud": "api-3"}, want: "token_audience_wrong"},
		"for one without a list": {change: func(*access.Issuer) {}, claims: map[string]any{"aud": "api-1"}, want: "token_audience_wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, func(s *setup) { test.change(&s.Issuers[0]) })
			token := bound(func(p *poptest.Token) {
				for _, all := range []map[string]any{claims, test.claims} {
					for name, value := range all {
						claim(name, value)(p)
					}
				}
			})
			if test.want != "" {
				s.refuses(t, s.Handler(s), owner(token), 401, test.want)
				return
			}
			s.accepts(t, s.Handler(s), owner(token))
			if got := strings.Join(s.grant.Scopes, " "); s.grant.ClientID != test.client || got != test.scopes {
				t.Errorf("client %q, scopes %q", s.grant.ClientID, got)
			}
		})
	}
}

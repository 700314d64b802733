package access_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// Every way in which a JWT access token can be wrong, each with the name that an operator sees. All of them are
// 401 invalid_token to the client (RS-109, RS-121).
func TestTokenRefusals(t *testing.T) {
	other := poptest.Keyed("ES256", "other issuer")
	rsa := poptest.Keyed("RS256", "issuer")
	part := func(s string, i int) string { return strings.Split(s, ".")[i] }
	good := bound()
	for name, test := range map[string]struct {
		token string
		want  string
	}{
		"RS-126 opaque":                          {"opaque", "token_jws_malformed"},
		"RS-126 two parts":                       {"a.b", "token_jws_malformed"},
		"RS-114 RS-126 five parts, a JWE":        {"a.b.c.d.e", "token_jws_malformed"},
		"RS-126 detached payload":                {part(good, 0) + ".." + part(good, 2), "token_jws_malformed"},
		"RS-138 stray bits in the signature":     {good[:len(good)-1] + "B", "token_jws_malformed"},
		"RS-118 RS-125 alg none":                 {poptest.Token{Key: &poptest.Key{Alg: "none"}}.String() + "AA", "token_alg_not_allowed"},
		"RS-118 alg none, no signature":          {poptest.Token{Key: &poptest.Key{Alg: "none"}}.String(), "token_jws_malformed"},
		"RS-124 HS256 keyed with the public key": {bound(func(t *poptest.Token) { t.Key = &poptest.Key{Alg: "HS256", Private: poptest.IssuerKey().Private} }), "token_alg_not_allowed"},
		"RS-124 RS256 under an EC key's kid":     {bound(func(t *poptest.Token) { t.Key = rsa }), "token_key_alg_mismatch"},
		"RS-117 RS-131 another issuer's key":     {bound(func(t *poptest.Token) { t.Key = other }), "token_signature_invalid"},
		"RS-117 tampered":                        {poptest.Tampered(good), "token_signature_invalid"},
		"RS-133 kid of a file":                   {bound(member("kid", "../../dev/null")), "token_key_unknown"},
		"RS-133 kid of another type":             {bound(member("kid", 1)), "token_json_invalid"},
		"RS-133 its own key in jwk":              {bound(func(t *poptest.Token) { t.Key, t.Header = other, map[string]any{"jwk": other.JWK(), "kid": "x"} }), "token_key_unknown"},
		"RS-136 crit":                            {bound(member("crit", []string{"exp"})), "token_crit_present"},
		"RS-136 empty crit":                      {bound(member("crit", []string{})), "token_crit_present"},
		"RS-145 b64 false":                       {bound(member("b64", false)), "token_header_invalid"},
		"RS-137 alg twice":                       {bound(func(t *poptest.Token) { t.RawHeader = `{"typ":"at+jwt","alg":"none","alg":"ES256","kid":"k1"}` }), "token_json_invalid"},
		"RS-137 exp twice":                       {bound(func(t *poptest.Token) { t.RawPayload = `{"exp":1,"exp":9999999999}` }), "token_json_invalid"},
		"RS-139 names in another case":           {bound(func(t *poptest.Token) { t.RawHeader = `{"typ":"at+jwt","ALG":"ES256","kid":"k1"}` }), "token_header_invalid"},
		"RS-130 a byte order mark":               {bound(func(t *poptest.Token) { t.RawPayload = "\ufeff{}" }), "token_json_invalid"},
		"RS-130 invalid UTF-8":                   {bound(func(t *poptest.Token) { t.RawPayload = "{\"iss\":\"\xff\"}" }), "token_json_invalid"},
		"a payload that is an array":             {bound(func(t *poptest.Token) { t.RawPayload = "[]" }), "token_json_invalid"},
		"a second payload behind":                {bound(func(t *poptest.Token) { t.RawPayload = "{}{}" }), "token_json_invalid"},
		"RS-113 RS-123 typ JWT":                  {bound(member("typ", "JWT")), "token_typ_wrong"},
		"RS-113 no typ":                          {bound(member("typ", nil)), "token_typ_wrong"},
		"RS-113 RS-135 a proof":                  {poptest.Proof{Claims: map[string]any{"iss": poptest.Issuer}}.String(), "token_typ_wrong"},
		"RS-115 another issuer":                  {bound(claim("iss", "https://evil.example.com")), "token_issuer_unknown"},
		"RS-115 a slash more":                    {bound(claim("iss", poptest.Issuer+"/")), "token_issuer_unknown"},
		"RS-115 the issuer in another case":      {bound(claim("iss", strings.ToUpper(poptest.Issuer))), "token_issuer_unknown"},
		"RS-115 no iss":                          {bound(claim("iss", nil)), "token_issuer_unknown"},
		"RS-115 iss as an array":                 {bound(claim("iss", []string{poptest.Issuer})), "token_json_invalid"},
		"RS-116 RS-132 another audience":         {bound(claim("aud", "https://other.example.com")), "token_audience_wrong"},
		"RS-116 no aud":                          {bound(claim("aud", nil)), "token_audience_wrong"},
		"RS-116 aud null":                        {bound(claim("aud", json.RawMessage("null"))), "token_audience_wrong"},
		"RS-116 aud with a number in it":         {bound(claim("aud", []any{poptest.Audience, 1})), "token_json_invalid"},
		"RS-116 aud with us in front of more":    {bound(claim("aud", poptest.Audience+".evil.example")), "token_audience_wrong"},
		"RS-120 no exp":                          {bound(claim("exp", nil)), "token_claim_missing"},
		"RS-120 exp null":                        {bound(claim("exp", json.RawMessage("null"))), "token_json_invalid"},
		"RS-120 exp as text":                     {bound(claim("exp", "9999999999")), "token_json_invalid"},
		"RS-119 expired before its key is asked": {bound(claim("exp", 1), member("kid", "new")), "token_expired"},
		"RS-182 a token of 20 kB":                {bound(claim("x", strings.Repeat("x", 15_000))), "token_too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t)
			grant, err := s.Check(owner(test.token))
			e := expect(t, err, refusal{401, "invalid_token", test.want})
			if grant != nil {
				t.Error("refused, and a grant came all the same")
			}
			for _, secret := range strings.Split(test.token, ".") { // RS-181: no usable part of a token is logged
				if len(secret) > 40 && strings.Contains(e.Error(), secret) {
					t.Errorf("the log holds a part of the token: %s", e)
				}
			}
		})
	}
}

// Every algorithm that is offered works for tokens too.
func TestTokenAlgorithms(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "EdDSA", "Ed25519"} {
		t.Run(alg, func(t *testing.T) {
			key := poptest.Keyed(alg, "issuer")
			s := newGuard(t, func(s *setup) {
				s.Issuers[0].JWKS = poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: key})
			})
			token := bound(func(t *poptest.Token) { t.Key = key })
			if _, err := s.Check(owner(token)); err != nil {
				t.Error(err)
			}
			_, err := s.Check(owner(poptest.Tampered(token)))
			expect(t, err, refusal{401, "invalid_token", "token_signature_invalid"})
			if strings.HasPrefix(alg, "PS") {
				_, err := s.Check(owner(poptest.Salted(token, key, 20))) // RFC 7518 §3.5
				expect(t, err, refusal{401, "invalid_token", "token_signature_invalid"})
			}
		})
	}
}

// The list of algorithms is the issuer's setting, whatever the key could do.
func TestTokenAlgorithmsAreChosenHere(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Issuers[0].Algorithms = []string{"PS256"} })
	_, err := s.Check(owner(bound()))
	expect(t, err, refusal{401, "invalid_token", "token_alg_not_allowed"})
}

// Issuers that send typ JWT, and what must not slip in by that.
func TestAcceptTypeJWT(t *testing.T) {
	s := newGuard(t, func(s *setup) { s.Issuers[0].AcceptTypeJWT = true })
	for name, test := range map[string]struct {
		token string
		want  string // empty: accepted
	}{
		"at+jwt":                       {bound(), ""},
		"JWT":                          {bound(member("typ", "JWT")), ""},
		"jwt":                          {bound(member("typ", "jwt")), ""},
		"none":                         {bound(member("typ", nil)), ""},
		"RS-134 RS-135 dpop+jwt":       {bound(member("typ", "dpop+jwt")), "token_typ_wrong"},
		"RS-134 logout+jwt":            {bound(member("typ", "logout+jwt")), "token_typ_wrong"},
		"RS-123 an ID token's nonce":   {bound(member("typ", "JWT"), claim("nonce", "n")), "token_kind_wrong"},
		"RS-123 an ID token's hash":    {bound(member("typ", nil), claim("at_hash", "h")), "token_kind_wrong"},
		"RS-123 its code's hash":       {bound(member("typ", "JWT"), claim("c_hash", "h")), "token_kind_wrong"},
		"RS-123 its state's hash":      {bound(member("typ", "JWT"), claim("s_hash", "h")), "token_kind_wrong"},
		"RS-135 a logout token":        {bound(member("typ", "JWT"), claim("events", map[string]any{})), "token_kind_wrong"},
		"nonce in a true access token": {bound(claim("nonce", "n")), ""},

		// Keycloak's upgrading guide for 25: until then nonce was in all tokens.
		"Keycloak's access token":        {bound(member("typ", "JWT"), claim("nonce", "n"), claim("typ", "Bearer")), ""},
		"Keycloak's, bound by DPoP":      {bound(member("typ", "JWT"), claim("nonce", "n"), claim("typ", "DPoP")), ""},
		"RS-123 Keycloak's ID token":     {bound(member("typ", "JWT"), claim("nonce", "n"), claim("typ", "ID")), "token_kind_wrong"},
		"Keycloak's refresh token":       {bound(member("typ", "JWT"), claim("nonce", "n"), claim("typ", "Refresh")), "token_kind_wrong"},
		"a claim typ in other letters":   {bound(member("typ", "JWT"), claim("nonce", "n"), claim("typ", "bearer")), "token_kind_wrong"},
		"a claim typ that is a list":     {bound(member("typ", "JWT"), claim("nonce", "n"), claim("typ", []string{"Bearer"})), "token_kind_wrong"},
		"Bearer, and an ID token's hash": {bound(member("typ", "JWT"), claim("at_hash", "h"), claim("typ", "Bearer")), "token_kind_wrong"},
		"Bearer, and events":             {bound(member("typ", "JWT"), claim("events", map[string]any{}), claim("typ", "Bearer")), "token_kind_wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Check(owner(test.token))
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			expect(t, err, refusal{401, "invalid_token", test.want})
		})
	}
}

func TestScopeClaims(t *testing.T) {
	for name, test := range map[string]struct {
		value any
		want  string
	}{
		"text": {"a b", "a b"}, "array": {[]string{"a", "b"}, "a b"}, "none": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) { s.Issuers[0].ScopeClaims = []access.ScopeClaim{{Name: "scp"}} })
			grant, err := s.Check(owner(bound(claim("scp", test.value))))
			if err != nil || strings.Join(grant.Scopes, " ") != test.want {
				t.Errorf("got %v, %v", grant.Scopes, err)
			}
		})
	}
}

// RS-131: with several issuers, each answers for its own tokens only.
func TestSeveralIssuers(t *testing.T) {
	second := poptest.Keyed("ES256", "second issuer")
	s := newGuard(t, func(s *setup) {
		s.Issuers = append(s.Issuers, access.Issuer{
			URL: "https://second.example.com", Audience: "second-audience",
			JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: second}),
		})
	})
	from := func(iss, aud string, key *poptest.Key) string {
		return bound(claim("iss", iss), claim("aud", aud), func(t *poptest.Token) { t.Key = key })
	}
	for name, test := range map[string]struct{ token, want string }{
		"first":                 {bound(), ""},
		"second":                {from("https://second.example.com", "second-audience", second), ""},
		"second's key as first": {from(poptest.Issuer, poptest.Audience, second), "token_signature_invalid"},
		"first's audience":      {from("https://second.example.com", poptest.Audience, second), "token_audience_wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Check(owner(test.token))
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			expect(t, err, refusal{401, "invalid_token", test.want})
		})
	}
}

// discovered is a guard whose issuer is a server, found by discovery unless the settings say otherwise.
func discovered(t *testing.T, issuer *poptest.IssuerServer, changes ...func(*access.Issuer)) *setup {
	settings := access.Issuer{URL: issuer.URL(), Audience: poptest.Audience}
	for _, change := range changes {
		change(&settings)
	}
	return newGuard(t, func(s *setup) {
		s.Issuers, s.HTTPClient = []access.Issuer{settings}, issuer.Client()
	})
}

func ownerOf(issuer *poptest.IssuerServer, token poptest.Token) *http.Request {
	token.JKT = poptest.ClientKey().Thumbprint()
	return owner(issuer.Token(token))
}

func TestKeysFromTheIssuer(t *testing.T) {
	issuer := poptest.NewIssuerServer(t)
	for name, change := range map[string]func(*access.Issuer){
		"by discovery": func(*access.Issuer) {},
		"by JWKSURL":   func(i *access.Issuer) { i.JWKSURL = issuer.URL() + poptest.JWKSPath },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := discovered(t, issuer, change).Check(ownerOf(issuer, poptest.Token{})); err != nil {
				t.Error(err)
			}
		})
	}
}

// A new key is found, and the tokens of a key that was taken away are refused, known ones included.
func TestKeyRotation(t *testing.T) {
	issuer := poptest.NewIssuerServer(t)
	s := discovered(t, issuer)
	old := issuer.Token(poptest.Token{JKT: poptest.ClientKey().Thumbprint()})
	for range 2 {
		if _, err := s.Check(owner(old)); err != nil {
			t.Fatal(err)
		}
		s.WaitForCache()
	}
	k2 := poptest.Keyed("ES256", "k2")
	issuer.SetKeys(map[string]*poptest.Key{"k2": k2})
	if _, err := s.Check(owner(old)); err != nil {
		t.Fatalf("before anything was fetched again: %v", err)
	}
	s.clock.Advance(time.Minute) // past the cooldown
	fresh := func(token string) *http.Request {
		return get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String())
	}
	if _, err := s.Check(fresh(issuer.Token(poptest.Token{KeyID: "k2", JKT: poptest.ClientKey().Thumbprint()}))); err != nil {
		t.Fatalf("the new key: %v", err)
	}
	_, err := s.Check(fresh(old))
	if e := expect(t, err, refusal{401, "invalid_token", "token_key_unknown"}); !errors.Is(e, access.ErrTokenKey) {
		t.Errorf("it is not ErrTokenKey: %v", e)
	}
}

// RS-180: an issuer that cannot be asked is our own trouble; once its keys are known, it may be down.
func TestIssuerDown(t *testing.T) {
	issuer := poptest.NewIssuerServer(t)
	issuer.SetFailing(true)
	s := discovered(t, issuer)
	_, err := s.Check(ownerOf(issuer, poptest.Token{}))
	expect(t, err, refusal{503, "", "keys_unreachable"})
	issuer.SetFailing(false)
	s.clock.Advance(time.Minute)
	fresh := func(t poptest.Token) *http.Request {
		t.JKT, t.IssuedAt = poptest.ClientKey().Thumbprint(), s.clock.Now()
		token := issuer.Token(t)
		return get("DPoP "+token, poptest.Proof{Token: token, IssuedAt: s.clock.Now()}.String())
	}
	if _, err := s.Check(fresh(poptest.Token{})); err != nil {
		t.Fatal(err)
	}
	issuer.SetFailing(true)
	s.clock.Advance(time.Hour)
	if _, err := s.Check(fresh(poptest.Token{})); err != nil {
		t.Errorf("with keys in hand: %v", err)
	}
}

func TestIssuerSettings(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*access.Issuer)
		want   string
	}{
		"no URL":                  {func(i *access.Issuer) { i.URL = "" }, `Issuers[0].URL is ""`},
		"URL with a fragment":     {func(i *access.Issuer) { i.URL += "#a" }, `Issuers[0].URL is "` + poptest.Issuer + `/…"`},
		"URL with bad escapes":    {func(i *access.Issuer) { i.URL += "/%zz" }, `Issuers[0].URL is "…"`},
		"KeyRefresh":              {func(i *access.Issuer) { i.KeyRefresh = time.Second }, "Issuers[0].KeyRefresh is 1s"},
		"URL with a query":        {func(i *access.Issuer) { i.URL += "?a" }, `Issuers[0].URL is "` + poptest.Issuer + `/…"`},
		"no audience":             {func(i *access.Issuer) { i.Audience = "" }, "Issuers[0].Audience is empty"},
		"an empty audience more":  {func(i *access.Issuer) { i.MoreAudiences = []string{""} }, "Issuers[0].MoreAudiences has an empty one"},
		"unknown algorithm":       {func(i *access.Issuer) { i.Algorithms = []string{"HS256"} }, `Issuers[0].Algorithms has "HS256"`},
		"no algorithm":            {func(i *access.Issuer) { i.Algorithms = []string{} }, "Issuers[0].Algorithms is empty"},
		"no claim for the client": {func(i *access.Issuer) { i.ClientClaims = []string{} }, "Issuers[0].ClientClaims has no claim"},
		"no claim at all":         {func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{} }, "Issuers[0].ScopeClaims has no claim, or one without a name"},
		"a prefix with a space":   {func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{{Name: "roles", Prefix: "my role:"}} }, `Issuers[0].ScopeClaims has the Prefix "my role:"`},
		"a claim without a name":  {func(i *access.Issuer) { i.ScopeClaims = []access.ScopeClaim{{Name: "scope"}, {}} }, "Issuers[0].ScopeClaims has no claim, or one without a name"},
		"broken key set":          {func(i *access.Issuer) { i.JWKS = []byte("{") }, "Issuers[0]: "},
		"http":                    {func(i *access.Issuer) { i.URL, i.JWKS = "http://login.example.com", nil }, "Issuers[0]: "},
		"URL with a password":     {func(i *access.Issuer) { i.URL = "https://a:secret@login.example.com" }, `Issuers[0].URL is "https://…"`},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			test.change(&c.Issuers[0])
			_, err := access.New(c)
			if err == nil || !strings.HasPrefix(err.Error(), "access.Config: "+test.want) {
				t.Fatalf("got %v, want %q in front", err, test.want)
			}
		})
	}
	c := config()
	c.Issuers = append(c.Issuers, staticIssuer())
	_, err := access.New(c)
	if err == nil || !strings.HasPrefix(err.Error(), "access.Config: Issuers[1].URL is") {
		t.Errorf("listed twice: %v", err)
	}
}

// The token that RFC 9449 prints is bound to the key that it prints; its own key is not published, so it is
// refused for that and nothing else. Its typ is missing, which RFC 9068 does not allow.
func TestRFC9449Token(t *testing.T) {
	v := poptest.Vectors().RFC9449
	s := newGuard(t, func(s *setup) {
		s.Issuers[0] = access.Issuer{
			URL: v.JWTAccessToken.Claims.Issuer, Audience: "x", AcceptTypeJWT: true, JWKS: s.Issuers[0].JWKS,
		}
		s.clock.Set(time.Unix(v.JWTAccessToken.Claims.NotBefore, 0))
	})
	_, err := s.ValidateToken(t.Context(), v.JWTAccessToken.Value)
	if !errors.Is(err, access.ErrTokenAudience) {
		t.Errorf("got %v, want %v: the example names no audience", err, access.ErrTokenAudience)
	}
}

func FuzzToken(f *testing.F) {
	f.Add(`{"typ":"at+jwt","alg":"ES256","kid":"k1"}`, `{"iss":"`+poptest.Issuer+`","aud":"`+poptest.Audience+`","exp":1767323345,"iat":1767323045,"cnf":{"jkt":"x"}}`)
	for _, part := range strings.Split(poptest.Vectors().RFC9449.JWTAccessToken.Value, ".")[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), string(text))
	}
	s := newGuard(f)
	f.Fuzz(func(t *testing.T, header, payload string) {
		token, err := s.ValidateToken(t.Context(), poptest.Compact(header, payload, poptest.IssuerKey()))
		if (token == nil) == (err == nil) {
			t.Fatalf("got %v and %v", token, err)
		}
		if err != nil {
			if reason.Of(err) == "" {
				t.Errorf("no reason: %v", err)
			}
			return
		}
		var h struct{ Typ, Alg string }
		var c struct {
			Iss string
			Exp float64
		}
		if json.Unmarshal([]byte(header), &h) != nil || json.Unmarshal([]byte(payload), &c) != nil {
			t.Fatalf("accepted what encoding/json refuses: %q %q", header, payload)
		}
		if !strings.Contains(strings.ToLower(h.Typ), "at+jwt") || h.Alg != "ES256" || c.Iss != poptest.Issuer || c.Exp < float64(poptest.Now.Unix()-10) {
			t.Errorf("accepted %q %q", header, payload)
		}
	})
}

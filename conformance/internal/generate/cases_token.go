package generate

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

func tokens(s *suite) {
	s.in("token")
	edited := func(edits ...string) cases.Token { return cases.Token{Edit: edits} }
	bad := func(rs, id, title string, t cases.Token, options ...option) {
		s.token(rs, "token-"+id, title, badToken, t, options...)
	}
	ok := func(rs, id, title string, t cases.Token, options ...option) {
		s.token(rs, "token-"+id, title, accepted, t, options...)
	}
	for _, c := range [][2]string{{"signature:flip", "one bit of the signature"},
		{"signature:zero", "a signature of zeros"}, {"signature:der", "an ASN.1 signature"},
		{"signature:short", "a short signature"}, {"upper-payload", "a letter of the payload changed"}} {
		bad("RS-117", strings.ReplaceAll(c[0], ":", "-"), "token: "+c[1], edited(c[0]))
	}
	for _, c := range [][2]string{{"signature:empty", "an empty signature"}, {"two-parts", "no signature part"},
		{"four-parts", "a fourth part"}, {"detached", "a detached payload"}, {"nested", "a nested JWT"},
		{"five-parts", "five parts"}} {
		rs := "RS-126"
		if c[0] == "five-parts" {
			rs = "RS-114"
		}
		bad(rs, strings.ReplaceAll(c[0], ":", "-"), "token: "+c[1], edited(c[0]))
	}
	bad("RS-117", "other-key", "a token signed by a client's key", cases.Token{Key: "client"})
	bad("RS-133", "kid-unknown", "an unknown kid", cases.Token{Key: "client", Header: members("kid", "nobody")})
	bad("RS-133", "kid-path", "a kid that is a path", cases.Token{Key: "client", Header: members("kid",
		"../../../dev/null")})
	bad("RS-133", "kid-sql", "a kid that is an injection", cases.Token{Key: "client", Header: members("kid",
		"' UNION SELECT 'x")})
	bad("RS-133", "jwk-header", "a token that brings its own jwk", cases.Token{Key: "client",
		Header: members("jwk", raw(publicJWK("client")))})
	bad("RS-133", "jku-header", "a token that brings its own jku", cases.Token{Key: "client",
		Header: members("jku", "http://127.0.0.1:9/jwks")})
	for _, c := range [][2]string{{"der", "DER"}, {"jwk", "JWK"}, {"point", "octets"}} {
		bad("RS-124", "alg-HS256-"+c[0], "token: alg HS256, keyed with the "+c[1]+" of the issuer's key",
			cases.Token{Alg: "HS256", Edit: []string{"signature:mac-" + c[0]}})
	}
	for _, alg := range []string{"none", "None", "HS256", "HS384"} {
		rs := "RS-118"
		if strings.HasPrefix(alg, "HS") {
			rs = "RS-124"
		}
		bad(rs, "alg-"+alg, "token: alg "+alg, cases.Token{Alg: alg})
	}
	bad("RS-125", "alg-none-signed", "token: alg none with a signature", tokenHeader("alg", "none"))
	bad("RS-124", "alg-missing", "token: no alg", tokenHeader("alg", nil))
	bad("RS-124", "alg-other", "token: ES384 with a P-256 key", tokenHeader("alg", "ES384"))
	for _, c := range [][2]string{{"jwt", "JWT"}, {"dpop", "dpop+jwt"}, {"logout", "logout+jwt"}, {"empty", ""}} {
		rs := "RS-113"
		if c[0] == "dpop" {
			rs = "RS-135"
		}
		bad(rs, "typ-"+c[0], "token: typ is \""+c[1]+"\"", tokenHeader("typ", c[1]), needs("strict-typ"))
	}
	bad("RS-113", "typ-missing", "token: no typ", tokenHeader("typ", nil), needs("strict-typ"))
	bad("RS-123", "id-token", "an ID token", cases.Token{Header: members("typ", "JWT"), Claims: members("aud",
		"client-1", "nonce", "n", "at_hash", "x", "scope", nil)})
	ok("RS-113", "typ-application", "token: typ is application/at+jwt", tokenHeader("typ", "application/at+jwt"))
	ok("RS-134", "typ-upper", "token: typ is AT+JWT, a media type's case does not matter", tokenHeader("typ",
		"AT+JWT"), level(cases.SHOULD))
	for _, c := range []struct {
		id, title string
		value     any
	}{
		{"other", "another issuer", "https://evil.example.com"}, {"slash", "a trailing slash", "${issuer}/"},
		{"missing", "no iss", nil}, {"number", "a number", 1}, {"array", "an array", []string{"${issuer}"}},
		{"case", "in upper case", "${issuer|upper}"}, {"prefix", "a longer issuer", "${issuer}.evil.example.com"},
	} {
		bad("RS-115", "iss-"+c.id, "token: iss: "+c.title, tokenClaims("iss", c.value))
	}
	bad("RS-131", "rogue", "a token of an issuer that is not trusted", cases.Token{Issuer: "rogue"})
	bad("RS-131", "rogue-iss", "a rogue issuer's key under the trusted iss", cases.Token{Issuer: "rogue",
		Claims: members("iss", "${issuer}")})
	for _, c := range []struct {
		id, title string
		value     any
	}{
		{"other", "another audience", "https://other.example.com"}, {"missing", "no aud", nil},
		{"empty", "an empty array", []string{}}, {"prefix", "a longer audience", "${audience}.evil.example.com"},
		{"array-other", "an array without this server", []string{"https://a.example", "https://b.example"}},
		{"number", "a number", 1}, {"case", "in upper case", "${audience|upper}"},
		{"object", "an object", map[string]any{"a": "${audience}"}},
		{"shorter", "a shorter audience", "${audience|short}"}, {"suffix", "an audience that ends with ours", "x${audience}"},
		{"middle", "an audience that holds ours", "https://evil.example.com/?x=${audience}&y"}, {"star", "a star", "*"},
		{"wildcard", "a wildcard", "https://*"}, {"slash", "ours with a slash more", "${audience}/"},
		{"list", "ours in a list with spaces", "https://other.example.com ${audience}"},
		{"host", "ours without its scheme", "${host}"},
	} {
		rs := "RS-116"
		if c.id == "prefix" {
			rs = "RS-132"
		}
		bad(rs, "aud-"+c.id, "token: aud: "+c.title, tokenClaims("aud", c.value))
	}
	ok("RS-116", "aud-array", "token: aud is an array with this server", tokenClaims("aud", []string{"${audience}"}))
	ok("RS-116", "aud-array-more", "token: aud names others as well", tokenClaims("aud",
		[]string{"https://other.example.com", "${audience}"}))
	bad("RS-119", "expired", "a token that expired two minutes ago", tokenClaims("exp", at(-120), "iat", at(-300)))
	bad("RS-119", "expired-10-minutes", "a token that expired ten minutes ago", tokenClaims("exp", at(-600), "iat",
		at(-900)))
	bad("RS-119", "expired-long", "a token that expired a day ago", tokenClaims("exp", at(-86400), "iat", at(-86700)))
	bad("RS-119", "expired-70", "a token that expired 70 seconds ago", tokenClaims("exp", at(-70), "iat", at(-300)))
	bad("RS-120", "exp-missing", "token: no exp", tokenClaims("exp", nil))
	bad("RS-120", "exp-string", "token: exp is a string", tokenClaims("exp", raw(`"${now+300}"`)))
	bad("RS-120", "exp-null", "token: exp is null", tokenClaims("exp", raw("null")))
	bad("RS-120", "exp-zero", "token: exp is 0", tokenClaims("exp", 0))
	bad("RS-164", "nbf-future", "token: nbf an hour ahead", tokenClaims("nbf", at(3600)))
	bad("RS-164", "iat-future", "token: iat an hour ahead", tokenClaims("iat", at(3600), "exp", at(3900)),
		level(cases.SHOULD))
	s.token("RS-078", "token-long-lived", "a token that lives for a day", badToken, tokenClaims("exp", at(86400)),
		level(cases.INFO))
	ok("RS-119", "lifetime-14", "a token that lives for 14 minutes", tokenClaims("exp", at(840)))
	ok("RS-119", "exp-fraction", "token: exp with a fraction", tokenClaims("exp", raw("${now+300}.5")))
	ok("RS-119", "iat-fraction", "token: iat with a fraction", tokenClaims("iat", raw("${now-1}.25")))
	ok("RS-170", "iat-8-ahead", "token: iat eight seconds ahead", tokenClaims("iat", at(8)), level(cases.SHOULD))
	ok("RS-164", "nbf-past", "token: nbf in the past", tokenClaims("nbf", at(-60)))
	ok("RS-170", "nbf-8-ahead", "token: nbf eight seconds ahead", tokenClaims("nbf", at(8)), level(cases.SHOULD))
	bad("RS-170", "nbf-61-ahead", "token: nbf 71 seconds ahead", tokenClaims("nbf", at(71)))
	ok("RS-122", "claims-extra", "token: claims of all kinds", tokenClaims("groups", []string{"a"}, "address",
		map[string]any{"x": nil}, "active", true, "n", raw("1e3")))
	ok("RS-122", "scope-missing", "token: no scope, where none is required", tokenClaims("scope", nil), needs("scopeless"))
	ok("RS-122", "sub-unicode", "token: sub with letters of other scripts", tokenClaims("sub", "użytkownik-日本"))
	ok("RS-122", "header-extra", "token: an unknown header member", tokenHeader("x-app", "1"))
	ok("RS-122", "long", "a token of 4 kB", tokenClaims("x", strings.Repeat("x", 2500)))
	ok("RS-122", "azp", "token: azp in place of client_id", tokenClaims("client_id", nil, "azp", "client-1"),
		level(cases.SHOULD))
	ok("RS-122", "white-space", "token: white space between the JSON tokens", edited("header:white-space",
		"payload:white-space"))
	for _, c := range []struct {
		id    string
		value any
	}{{"unknown", []string{"x"}}, {"empty", []string{}}, {"null", raw("null")}} {
		bad("RS-136", "crit-"+c.id, "token: crit is "+c.id, tokenHeader("crit", c.value, "x", 1))
	}
	bad("RS-145", "b64", "token: b64 is false", tokenHeader("b64", false))
	for _, c := range []string{"header:pad", "payload:stray", "signature:stray", "signature:pad",
		"payload:json-after", "payload:bom", "header:latin1"} {
		t := edited(c)
		if c == "header:latin1" {
			t.Header = members("x", "@latin1")
		}
		a := badToken
		if c == "header:pad" { // then it is no token68 either
			a = badToken.or(400)
		}
		s.token("RS-138", "token-form-"+strings.ReplaceAll(c, ":", "-"), "token: "+strings.ReplaceAll(c, ":", ": "),
			a, t)
	}
	all := `"iss":"${issuer}","aud":"${audience}","sub":"user-1","client_id":"c","jti":"${random}","iat":${now},"exp":${now+300},"cnf":{"jkt":"${jkt:client}"}`
	s.token("RS-137", "token-duplicate-cnf", "token: cnf twice, another key's last", mismatch,
		cases.Token{RawPayload: `{` + all + `,"cnf":{"jkt":"${jkt:other}"}}`})
	bad("RS-137", "duplicate-exp", "token: exp twice",
		cases.Token{RawPayload: `{"exp":9999999999,` + all + `,"exp":1}`})
	bad("RS-139", "claim-case", "token: EXP in place of exp", tokenClaims("exp", nil, "EXP", at(300)))
	bad("RS-135", "proof-as-token", "a proof as access token", cases.Token{Raw: "${proof}"},
		func(c *cases.Case) { c.Steps[0].Send.Proofs = []string{"${proof}"} })
	bad("RS-121", "garbage", "a word in place of the token", cases.Token{Raw: "garbage"})
	bad("RS-121", "garbage-jwt", "three words in place of the token", cases.Token{Raw: "a.b.c"})
	s.token("RS-182", "token-huge", "a token of 60,000 octets is refused or accepted, not fatal", badToken.or(400,
		413, 431), cases.Token{Raw: strings.Repeat("x", 60000)}, level(cases.SHOULD))
	s.in("dependency")
	for _, c := range [][2]string{{"introspection", "does not answer"},
		{"introspection-garbage", "answers no JSON"}} {
		st := down.step(cases.Request{Token: &cases.Token{Opaque: true}})
		st.Outage = c[0]
		s.add("RS-180", c[0]+"-down", cases.MUST, "introspection "+c[1]+": refused", steps(st))
		good := accepted.step(cases.Request{Token: &cases.Token{Opaque: true}})
		s.add("RS-180", c[0]+"-back", cases.MUST, "introspection "+c[1]+" and then works again", steps(st, good))
	}
	s.token("RS-180", "issuer-down", "an issuer whose keys cannot be had: refused", down,
		cases.Token{Issuer: "down"}, needs("down"))
}

func publicJWK(name string) string {
	k := keyJSON(name)
	return `{"kty":"EC","crv":"` + k["crv"] + `","x":"` + k["x"] + `","y":"` + k["y"] + `"}`
}

// bearer is a resource that takes unbound tokens under Bearer beside bound ones.
func bearer(s *suite) {
	s.in("bearer")
	r := func(field string, t cases.Token, without ...string) cases.Request {
		return cases.Request{Endpoint: "bearer", Authorization: []string{field}, Token: &t, Without: without}
	}
	unbound := cases.Token{Bind: "-"}
	s.send("RS-100", "bearer-unbound", "an unbound token under Bearer", accepted, r("Bearer ${token}", unbound,
		"proof"))
	s.send("RS-100", "bearer-lower", "the scheme in lower case", accepted, r("bearer ${token}", unbound, "proof"))
	s.send("RS-029", "bearer-bound", "a bound token under Bearer", asBearer, r("Bearer ${token}", cases.Token{},
		"proof"))
	s.send("RS-050", "bearer-bound-proof", "a bound token under Bearer with its proof", asBearer,
		r("Bearer ${token}", cases.Token{}))
	s.send("RS-029", "bearer-dpop", "a bound token under DPoP", accepted, r("DPoP ${token}", cases.Token{}))
	s.send("RS-055", "bearer-unbound-dpop", "an unbound token under DPoP", mismatch, r("DPoP ${token}", unbound))
	s.send("RS-038", "bearer-cnf-kid", "a token with cnf of kid alone under Bearer", asBearer, r("Bearer ${token}",
		tokenClaims("cnf", map[string]any{"kid": "k"}), "proof"), level(cases.SHOULD))
	s.send("RS-038", "bearer-cnf-empty", "a token with an empty cnf under Bearer", asBearer, r("Bearer ${token}",
		tokenClaims("cnf", map[string]any{}), "proof"), level(cases.SHOULD))
	s.send("RS-096", "bearer-cnf-x5t", "a certificate-bound token under Bearer without a certificate", badCert,
		r("Bearer ${token}", cases.Token{Bind: "-", Certificate: "client"}, "proof"))
	s.send("RS-052", "bearer-bad", "a bad token under Bearer: the error stands on Bearer alone",
		badToken.with("error-on-bearer"), r("Bearer ${token}", cases.Token{Bind: "-",
			Edit: []string{"signature:flip"}}, "proof"), level(cases.SHOULD))
	s.send("RS-052", "bearer-bad-dpop", "a bad proof under DPoP: the error stands on DPoP alone",
		badProof.with("error-on-dpop"), cases.Request{Endpoint: "bearer",
			Proof: &cases.Proof{Edit: []string{"signature:flip"}}}, level(cases.SHOULD))
	s.send("RS-051", "bearer-bare", "no credentials: no error code", noCreds.with("no-error").challenged(),
		cases.Request{Endpoint: "bearer", Without: []string{"authorization", "proof"}})
	s.send("RS-053", "bearer-two", "a Bearer and a DPoP field", badAuth, cases.Request{Endpoint: "bearer",
		Authorization: []string{"Bearer ${token}", "DPoP ${token}"}})
}

func introspection(s *suite) {
	s.in("introspection")
	opaque := func(pairs ...any) *cases.Token { return &cases.Token{Opaque: true, Claims: members(pairs...)} }
	r := func(t *cases.Token) cases.Request { return cases.Request{Token: t} }
	s.send("RS-033", "introspection-good", "an opaque token bound to the key", accepted, r(opaque()))
	s.send("RS-033", "introspection-other-key", "an opaque token and another key", mismatch,
		cases.Request{Token: opaque(), Proof: &cases.Proof{Key: "other"}})
	s.send("RS-033", "introspection-unbound", "an opaque token without cnf under DPoP", mismatch,
		r(&cases.Token{Opaque: true, Bind: "-"}))
	s.send("RS-033", "introspection-bearer", "a bound opaque token under Bearer", asBearer,
		cases.Request{Token: opaque(), Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"}})
	s.send("RS-164", "introspection-inactive", "a token that is not active", badToken, r(opaque("active", false)))
	s.send("RS-164", "introspection-active-string", "active is the string true", badToken.or(401, 503),
		r(opaque("active", "true")))
	s.send("RS-119", "introspection-expired", "an active token whose exp has passed", badToken, r(opaque("exp",
		at(-120), "iat", at(-300))))
	s.send("RS-116", "introspection-aud", "a token for another audience", badToken, r(opaque("aud",
		"https://other.example.com")))
	s.send("RS-131", "introspection-iss", "an answer of introspection that names another issuer", badToken.baseOr(503),
		r(opaque("iss", "https://evil.example.com")), rfc("RFC 7662 §2.2, RFC 8725 §3.8"))
	s.send("RS-131", "introspection-iss-longer", "an answer of introspection with a longer issuer", badToken.baseOr(503),
		r(opaque("iss", "${issuer}.evil.example.com")), rfc("RFC 7662 §2.2, RFC 8725 §3.8"))
	s.send("RS-029", "introspection-type-bearer", "token_type DPoP without cnf, under Bearer where bearer tokens are taken",
		asBearer, cases.Request{Endpoint: "bearer", Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"},
			Token: &cases.Token{Opaque: true, Bind: "-", Claims: members("token_type", "DPoP")}},
		rfc("RFC 9449 §6, §7.2"))
	s.send("RS-029", "introspection-bound-bearer", "a bound opaque token under Bearer where bearer tokens are taken",
		asBearer, cases.Request{Endpoint: "bearer", Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"},
			Token: opaque()})
	s.send("RS-164", "introspection-unknown", "an opaque token that nobody knows", badToken,
		r(&cases.Token{Raw: "opaque-unknown"}), needs("introspection"))
	s.send("RS-035", "introspection-no-proof", "the introspection endpoint gets no proof",
		accepted.with("unproven-introspection"), r(opaque()))
	s.send("RS-034", "introspection-type", "token_type Bearer with cnf.jkt", accepted, r(opaque("token_type",
		"Bearer")), level(cases.INFO))
	s.send("RS-034", "introspection-type-dpop", "token_type DPoP", accepted, r(opaque("token_type", "DPoP")))
	s.send("RS-088", "introspection-x5t", "an opaque token bound to a certificate", accepted, cases.Request{
		Endpoint: "mtls", Certificate: "client", Authorization: []string{"Bearer ${token}"},
		Without: []string{"proof"},
		Token:   &cases.Token{Opaque: true, Bind: "-", Certificate: "client"},
	})
	s.send("RS-088", "introspection-x5t-other", "the same with another certificate", badCert, cases.Request{
		Endpoint: "mtls", Certificate: "other", Authorization: []string{"Bearer ${token}"},
		Without: []string{"proof"},
		Token:   &cases.Token{Opaque: true, Bind: "-", Certificate: "client"},
	})
	s.send("RS-150", "introspection-acr", "acr from introspection", accepted, cases.Request{Endpoint: "strong",
		Token: opaque("acr", "urn:conformance:strong")}, needs("stepup"))
	s.send("RS-150", "introspection-acr-weak", "a weak acr from introspection", stepUp,
		cases.Request{Endpoint: "strong", Token: opaque("acr", "urn:conformance:weak")}, needs("stepup"))
}

package generate

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

func serverCases(s *suite) {
	binding(s)
	credentials(s)
	challenges(s)
	replay(s)
	nonces(s)
	tokens(s)
	routes(s)
	bearer(s)
	certificates(s)
	proxiedCertificates(s)
	introspection(s)
	metadata(s)
	known(s)
	robustness(s)
	fapi(s)
}

func binding(s *suite) {
	s.in("binding")
	s.send("RS-023", "binding-other-key", "a good proof by a key that the token is not bound to", mismatch,
		cases.Request{Proof: &cases.Proof{Key: "other"}}, because("key_mismatch"))
	s.send("RS-023", "binding-other-token", "a token bound to another key", mismatch,
		cases.Request{Token: &cases.Token{Bind: "other"}}, because("key_mismatch"))
	s.send("RS-023", "binding-other-family", "a proof by an RSA key for a token bound to an EC key", mismatch,
		cases.Request{Proof: &cases.Proof{Key: "rsa", Alg: "RS256"}}, needs("alg:RS256"), because("key_mismatch"))
	s.send("RS-055", "binding-none", "an unbound token under the DPoP scheme", mismatch,
		cases.Request{Token: &cases.Token{Bind: "-"}})
	cnf := func(rs, id, title string, a answers, value any, options ...option) {
		s.token(rs, "cnf-"+id, title, a, tokenClaims("cnf", value), options...)
	}
	j := "${jkt:client}"
	cnf("RS-036", "extra", "an unknown member beside jkt", accepted, map[string]any{"jkt": j, "x-app": 1})
	cnf("RS-036", "kid-beside", "a kid beside jkt", accepted, map[string]any{"jkt": j, "kid": "k"})
	cnf("RS-037", "both", "a certificate as well, which is not presented", mismatch, map[string]any{"jkt": j,
		"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}, needs("mtls"))
	cnf("RS-038", "kid", "kid alone", mismatch, map[string]any{"kid": "k"})
	cnf("RS-038", "empty", "an empty object", mismatch, map[string]any{})
	cnf("RS-038", "jwk", "jwk alone", mismatch, map[string]any{"jwk": map[string]any{"kty": "EC"}})
	for _, c := range []struct {
		id    string
		value any
	}{{"null", raw("null")}, {"string", j}, {"array", []string{j}}, {"number", 1}} {
		cnf("RS-030", c.id, "cnf is of another type: "+c.id, mismatch, c.value)
	}
	for _, c := range []struct {
		id    string
		value any
	}{
		{"jkt-padded", "${jkt:client|pad}"}, {"jkt-hex", "${jkt:client|hex}"}, {"jkt-upper", "${jkt:client|upper}"},
		{"jkt-short", "${jkt:client|short}"},
		{"jkt-space", "${jkt:client} "}, {"jkt-empty", ""}, {"jkt-array", []string{j}}, {"jkt-null", nil},
		{"jkt-number", 7}, {"jkt-prefix", "sha-256:${jkt:client}"},
		{"jkt-altered", "${jkt:client|altered}"}, {"jkt-altered-first", "${jkt:client|altered-first}"},
		{"jkt-half", "${jkt:client|first-half}"}, {"jkt-half-last", "${jkt:client|last-half}"},
		{"jkt-invert", "${jkt:client|invert}"},
	} {
		cnf("RS-030", c.id, "another spelling of the thumbprint", mismatch, map[string]any{"jkt": c.value})
	}
	cnf("RS-139", "jkt-name", "JKT in place of jkt", mismatch, map[string]any{"JKT": j})
	s.token("RS-139", "cnf-name", "CNF in place of cnf", mismatch, tokenClaims("cnf", nil, "CNF",
		map[string]any{"jkt": j}))
	s.token("RS-030", "cnf-top-jkt", "jkt outside of cnf", mismatch, tokenClaims("cnf", nil, "jkt", j))
}

func credentials(s *suite) {
	s.in("credentials")
	auth := func(rs, id, title string, a answers, fields []string, options ...option) {
		s.send(rs, "auth-"+id, title, a, cases.Request{Authorization: fields}, options...)
	}
	for _, scheme := range []string{"dpop", "DPOP", "dPoP", "Dpop"} {
		rs := "RS-040"
		if scheme == "dPoP" {
			rs = "RS-174"
		}
		auth(rs, "scheme-"+scheme, "the scheme as "+scheme, accepted, []string{scheme + " ${token}"})
	}
	auth("RS-040", "two-spaces", "two spaces behind the scheme", accepted, []string{"DPoP  ${token}"})
	auth("RS-040", "space-after", "a space behind the token", accepted, []string{"DPoP ${token} "})
	auth("RS-172", "scheme-inverted", "the scheme with the case of letters inverted", accepted,
		[]string{"dpOp ${token}"})
	for _, c := range [][3]string{
		{"tab", "a tab behind the scheme", "DPoP\t${token}"}, {"word", "a word behind the token", "DPoP ${token} x"},
		{"no-token", "no token", "DPoP"}, {"comma", "a comma behind the token", "DPoP ${token},"},
		{"quotes", "quotes around the token", `DPoP "${token}"`},
		{"parameter", "the token as a parameter", `DPoP token="${token}"`},
		{"twice-one-field", "two tokens in one field", "DPoP ${token}, DPoP ${token}"},
		{"equals-first", "an equals sign before the token", "DPoP =${token}"},
		{"percent", "a percent sign in the token", "DPoP ${token}%"},
	} {
		auth("RS-040", c[0], c[1], badAuth, []string{c[2]})
	}
	auth("RS-040", "no-space", "no space behind the scheme", noCreds.or(400), []string{"DPoP${token}"})
	auth("RS-104", "token-alone", "the token without a scheme", noCreds.or(400), []string{"${token}"})
	auth("RS-104", "basic", "the scheme Basic", noCreds.or(400), []string{"Basic dXNlcjpwYXNz"})
	auth("RS-104", "gnap", "an unknown scheme", noCreds.or(400), []string{"GNAP ${token}"})
	auth("RS-104", "scheme-prefix", "a scheme that begins with DPoP", noCreds.or(400), []string{"DPoPs ${token}"})
	auth("RS-053", "twice", "two Authorization fields", badAuth, []string{"DPoP ${token}", "DPoP ${token}"})
	auth("RS-053", "twice-bearer", "a Bearer and a DPoP field", badAuth, []string{"Bearer ${token}", "DPoP ${token}"})
	for _, c := range []struct {
		id, title string
		fields    []string
	}{
		{"bearer-first", "a Bearer field before the DPoP field, without a proof", []string{"Bearer ${token}", "DPoP ${token}"}},
		{"bearer-last", "a Bearer field behind the DPoP field, without a proof", []string{"DPoP ${token}", "Bearer ${token}"}},
		{"bearer-list", "both schemes in one field, without a proof", []string{"DPoP ${token}, Bearer ${token}"}},
	} {
		s.send("RS-050", "auth-twice-"+c.id, c.title+": a bound token never counts as Bearer", badAuth,
			cases.Request{Authorization: c.fields, Without: []string{"proof"}})
		s.send("RS-050", "bearer-twice-"+c.id, c.title+", where bearer tokens are taken", badAuth,
			cases.Request{Endpoint: "bearer", Authorization: c.fields, Without: []string{"proof"}})
	}
	auth("RS-175", "twice-basic", "a Basic field beside the token's", badAuth, []string{"DPoP ${token}",
		"Basic dXNlcjpwYXNz"})
	auth("RS-050", "bearer-proof", "a bound token under Bearer, with its proof", asBearer,
		[]string{"Bearer ${token}"})
	s.send("RS-050", "auth-bearer", "a bound token under Bearer, without a proof", asBearer,
		cases.Request{Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"}})
	s.send("RS-050", "auth-bearer-lower", "a bound token under bearer in lower case", asBearer,
		cases.Request{Authorization: []string{"bearer ${token}"}, Without: []string{"proof"}})
	s.send("RS-166", "auth-bearer-unbound", "an unbound token under Bearer", asBearer,
		cases.Request{Token: &cases.Token{Bind: "-"}, Authorization: []string{"Bearer ${token}"},
			Without: []string{"proof"}})
	s.send("RS-156", "auth-bearer-unbound-proof", "an unbound token under Bearer beside a proof", asBearer.or(400,
		401), cases.Request{Token: &cases.Token{Bind: "-"}, Authorization: []string{"Bearer ${token}"}})
	s.send("RS-039", "auth-missing", "a proof without a token", noCreds.or(400),
		cases.Request{Without: []string{"authorization"}})
	s.send("RS-049", "auth-proxy", "the token in Proxy-Authorization", noCreds.or(400).with("no-proxy-authenticate"),
		cases.Request{
			Without: []string{"authorization"}, Headers: []cases.Header{{Name: "Proxy-Authorization",
				Value: "DPoP ${token}"}},
		})
	s.send("RS-163", "query-token", "the token in the query alone", noCreds.or(400),
		cases.Request{Without: []string{"authorization"}, Query: "access_token=${token}"})
	s.send("RS-103", "query-token-no-proof", "the token in the query, without a proof", noCreds.or(400),
		cases.Request{Without: []string{"authorization", "proof"}, Query: "access_token=${token}"})
	s.send("RS-101", "query-token-twice", "the token in the query as well", badAuth,
		cases.Request{Query: "access_token=${token}"}, level(cases.SHOULD))
	s.send("RS-101", "query-token-encoded", "the same with the parameter's name encoded", badAuth,
		cases.Request{Query: "access%5Ftoken=${token}"}, level(cases.SHOULD))
	form := []cases.Header{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}
	s.send("RS-102", "body-token", "the token in a form body alone", noCreds.or(400), cases.Request{Method: "POST",
		Without: []string{"authorization"}, Headers: form, Body: "access_token=${token}"}, needs("methods"))
	for _, c := range [][3]string{
		{"query-token-post", "POST", ""}, {"query-token-post-form", "POST", "x=1"}, {"query-token-put", "PUT", ""},
		{"query-token-delete", "DELETE", ""},
	} {
		r := cases.Request{Method: c[1], Without: []string{"authorization", "proof"}, Query: "access_token=${token}",
			Body: c[2]}
		if c[2] != "" {
			r.Headers = form
		}
		s.send("RS-103", c[0], "the token in the query of a "+c[1], noCreds.or(400), r, needs("methods"))
	}
	s.send("RS-103", "query-token-bearer", "a bound token in the query, where bearer tokens are taken", noCreds.or(400),
		cases.Request{Endpoint: "bearer", Without: []string{"authorization", "proof"}, Query: "access_token=${token}"})
	s.send("RS-102", "body-token-no-proof", "the token in a form body, without a proof", noCreds.or(400),
		cases.Request{Method: "POST", Without: []string{"authorization", "proof"}, Headers: form,
			Body: "access_token=${token}"}, needs("methods"))
	for _, c := range []struct {
		id, title string
		r         cases.Request
	}{
		{"bare", "an OPTIONS without credentials", cases.Request{Without: []string{"authorization", "proof"}}},
		{"preflight", "a preflight", cases.Request{Without: []string{"authorization", "proof"}, Headers: []cases.Header{
			{Name: "Origin", Value: "https://app.example.com"}, {Name: "Access-Control-Request-Method", Value: "GET"}}}},
		{"bearer", "an OPTIONS with a bound token under Bearer", cases.Request{
			Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"}}},
		{"proof", "an OPTIONS with a bad proof", cases.Request{Proof: &cases.Proof{Edit: []string{"signature:flip"}}}},
		{"override", "an OPTIONS that asks for a GET", cases.Request{Without: []string{"authorization", "proof"},
			Headers: []cases.Header{{Name: "X-HTTP-Method-Override", Value: "GET"}}}},
	} {
		c.r.Method = "OPTIONS"
		s.send("RS-041", "options-"+c.id, c.title+" does not get at the resource", ours, c.r, needs("methods"))
	}
	s.send("RS-102", "cookie-token", "the token in a cookie", noCreds.or(400),
		cases.Request{Without: []string{"authorization"}, Headers: []cases.Header{{Name: "Cookie",
			Value: "access_token=${token}"}}})
	s.send("RS-162", "other-fields", "a request with cookies and other fields", accepted,
		cases.Request{Headers: []cases.Header{{Name: "Cookie", Value: "a=b"}, {Name: "Accept", Value: "*/*"},
			{Name: "X-Request-Id", Value: "1"}}})
	s.send("RS-162", "query-other-token", "a query parameter whose name holds access_token", accepted,
		cases.Request{Query: "my_access_token=1"})
	s.send("RS-177", "connection-names", "Connection names the DPoP field", anyClient,
		cases.Request{Headers: []cases.Header{{Name: "Connection", Value: "DPoP"}}}, level(cases.INFO))
	s.send("RS-040", "underscore-field", "an Authorization field under another spelling does not count", accepted,
		cases.Request{Headers: []cases.Header{{Name: "X_Authorization", Value: "Bearer x"}}})
}

func challenges(s *suite) {
	s.in("challenge")
	bare := cases.Request{Without: []string{"authorization", "proof"}}
	bad := cases.Request{Proof: &cases.Proof{Edit: []string{"signature:flip"}}}
	check := func(rs, l, id, title string, a answers, r cases.Request, options ...option) {
		s.send(rs, "challenge-"+id, title, a, r, append(options, level(l))...)
	}
	check("RS-042", cases.MUST, "dpop", "no credentials: a DPoP challenge", noCreds.challenged(), bare)
	check("RS-104", cases.MUST, "present", "no credentials: WWW-Authenticate is there", noCreds.with("challenge"),
		bare)
	check("RS-111", cases.SHOULD, "no-error", "no credentials: no error code", noCreds.with("no-error"), bare)
	check("RS-051", cases.SHOULD, "no-error-proof", "a proof without a token: no error code",
		noCreds.or(400).with("no-error"), cases.Request{Without: []string{"authorization"}})
	check("RS-046", cases.SHOULD, "algs", "no credentials: algs", noCreds.with("algs"), bare)
	check("RS-046", cases.SHOULD, "algs-bad", "a bad proof: algs", badProof.with("algs"), bad)
	check("RS-046", cases.MUST, "algs-asymmetric", "algs offers nothing symmetric and not none",
		noCreds.with("algs-asymmetric"), bare)
	check("RS-042", cases.SHOULD, "first", "the DPoP challenge stands first", noCreds.with("dpop-first"), bare)
	check("RS-042", cases.MUST, "bad-dpop", "a bad proof: a DPoP challenge", badProof.challenged(), bad)
	check("RS-043", cases.SHOULD, "bad-error", "a bad proof: an error code", badProof.with("error"), bad)
	check("RS-044", cases.SHOULD, "bad-code", "a bad proof: invalid_dpop_proof", refusal(status(401),
		[]string{"invalid_dpop_proof"}, status(401), []string{"invalid_dpop_proof"}), bad)
	check("RS-045", cases.SHOULD, "mismatch-code", "a key that does not fit: invalid_token", refusal(status(401),
		[]string{"invalid_token"}, status(401), []string{"invalid_token"}),
		cases.Request{Proof: &cases.Proof{Key: "other"}})
	check("RS-107", cases.SHOULD, "token-error", "a bad token: an error code", badToken.with("error"),
		cases.Request{Token: &cases.Token{Edit: []string{"signature:flip"}}})
	check("RS-109", cases.SHOULD, "token-401", "a bad token: 401", badToken,
		cases.Request{Token: &cases.Token{Edit: []string{"signature:flip"}}})
	check("RS-108", cases.SHOULD, "request-400", "a doubled Authorization: 400", refusal(status(400), nil,
		status(400), nil), cases.Request{Authorization: []string{"DPoP ${token}", "DPoP ${token}"}})
	check("RS-052", cases.SHOULD, "error-on-dpop", "the scheme was DPoP: the error stands on DPoP alone",
		badProof.with("error-on-dpop"), bad)
	check("RS-052", cases.SHOULD, "error-on-bearer", "the scheme was Bearer: the error stands on Bearer alone",
		asBearer.with("error-on-bearer"), cases.Request{Authorization: []string{"Bearer ${token}"},
			Without: []string{"proof"}})
	check("RS-105", cases.MUST, "realm", "realm at most once", noCreds.with("realm-once"), bare)
	check("RS-106", cases.MUST, "well-formed", "no credentials: well-formed", noCreds.with("well-formed"), bare)
	check("RS-106", cases.MUST, "well-formed-bad", "a bad proof: well-formed", badProof.with("well-formed"), bad)
	for _, c := range []struct{ id, claim, value string }{
		{"htu", "htu", `https://x/\", realm=\"` + marker}, {"htm", "htm", `GET\", error=\"` + marker},
		{"nonce", "nonce", `x\", x=\"` + marker},
	} {
		a := badProof
		endpoint := ""
		if c.id == "nonce" { // elsewhere it may be another server's, and is ignored
			endpoint = "nonce"
			a = answers{cases.Answer{Status: status(401)}, cases.Answer{Status: status(400, 401)}}
		}
		check("RS-106", cases.MUST, "injection-"+c.id, "quotes in "+c.claim+" do not break out",
			a.with("well-formed", "not-broken-out"), cases.Request{Endpoint: endpoint, Proof: ptr(claims(c.claim,
				raw(`"`+c.value+`"`)))})
		check("RS-181", cases.MUST, "crlf-"+c.id, "line breaks in "+c.claim+" do not become a field",
			a.with("well-formed", "not-broken-out"), cases.Request{Endpoint: endpoint, Proof: ptr(claims(c.claim,
				raw(`"x\r\nX-`+marker+`: 1"`)))})
		check("RS-181", cases.SHOULD, "repeated-"+c.id, c.claim+" is not repeated in a field",
			a.with("not-reflected"), cases.Request{Endpoint: endpoint, Proof: ptr(claims(c.claim, raw(`"x`+marker+`"`)))})
	}
	check("RS-181", cases.MUST, "token-not-repeated", "the token is not repeated", badProof.with("not-reflected",
		"token-not-reflected"), bad)
	check("RS-049", cases.MUST, "no-proxy", "no Proxy-Authenticate", noCreds.with("no-proxy-authenticate"), bare)
	check("RS-060", cases.MUST, "one-nonce", "at most one DPoP-Nonce on a refusal",
		badProof.with("at-most-one-nonce"), bad)
	check("RS-060", cases.MUST, "one-nonce-ok", "at most one DPoP-Nonce on success",
		accepted.with("at-most-one-nonce", "nonce-text"), cases.Request{})
	check("RS-064", cases.SHOULD, "no-store", "an answer with a nonce may not be stored",
		accepted.with("no-store"), cases.Request{})
	cors := []cases.Header{{Name: "Origin", Value: "https://app.example.com"}}
	check("RS-048", cases.SHOULD, "expose", "browsers may read WWW-Authenticate",
		badProof.with("expose-challenge"), cases.Request{Proof: bad.Proof, Headers: cors}, needs("cors"))
	check("RS-048", cases.SHOULD, "expose-bare", "the same without credentials", noCreds.with("expose-challenge"),
		cases.Request{Without: bare.Without, Headers: cors}, needs("cors"))
	check("RS-042", cases.MUST, "head", "a refused HEAD has its challenge too", badProof.challenged(),
		cases.Request{Method: "HEAD", Proof: bad.Proof}, needs("methods"))
}

func again(a answers, r cases.Request) cases.Step {
	st := a.step(r)
	st.Again = true
	return st
}

func after(seconds int, st cases.Step) cases.Step {
	st.Wait = seconds
	return st
}

func replay(s *suite) {
	s.in("replay")
	add := func(rs, id, title string, list []cases.Step, options ...option) {
		s.add(rs, "replay-"+id, cases.MUST, title, list, append(options, needs("replay"))...)
	}
	good := cases.Request{}
	add("RS-073", "same", "the same proof twice", steps(accepted.step(good), again(badProof, good)),
		because("proof_replayed"))
	add("RS-054", "thrice", "the same proof a third time", steps(accepted.step(good), again(badProof, good),
		again(badProof, good)))
	add("RS-073", "new-token", "a jti used before, with a new token",
		steps(accepted.step(cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`)))}),
			badProof.step(cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`)))})), level(cases.SHOULD))
	add("RS-073", "new-iat", "a jti used before, with a new iat",
		steps(accepted.step(cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`), "iat", at(-5)))}),
			badProof.step(cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`), "iat", at(-4)))})), iatOnly,
		level(cases.SHOULD))
	add("RS-073", "query", "the same proof with another query", steps(accepted.step(good), again(badProof,
		cases.Request{Query: "a=b"})))
	add("RS-073", "ahead", "a proof from the future, twice",
		steps(accepted.step(cases.Request{Proof: ptr(claims("iat", at(4)))}), again(badProof, cases.Request{})),
		iatOnly)
	add("RS-073", "old", "an old proof, twice", steps(accepted.step(cases.Request{Proof: ptr(claims("iat",
		at(-20)))}), again(badProof, cases.Request{})), iatOnly)
	add("RS-073", "later", "the same proof 15 seconds later", steps(accepted.step(good), after(15, again(badProof,
		good))))
	add("RS-073", "much-later", "the same proof 61 seconds later", steps(accepted.step(good), after(61,
		again(badProof, good))))
	add("RS-073", "ahead-later", "a proof from the future 65 seconds later",
		steps(accepted.step(cases.Request{Proof: ptr(claims("iat", at(8)))}), after(65, again(badProof,
			cases.Request{}))), iatOnly)
	add("RS-073", "much-much-later", "the same proof 20 minutes later", steps(accepted.step(good), after(1200,
		again(badProof.or(401), good))))
	remembered(s, add)
	add("RS-075", "two-keys", "one jti under two keys", steps(
		accepted.step(cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`)))}),
		accepted.step(cases.Request{Token: &cases.Token{Bind: "other"}, Proof: &cases.Proof{Key: "other",
			Claims: members("jti", raw(`"${jti}"`))}})), level(cases.SHOULD))
	add("RS-054", "new-proofs", "one token, many proofs", steps(accepted.step(good), accepted.step(good),
		accepted.step(good)))
	burned := func(id, title string, first cases.Request, a answers) {
		p := claims("jti", raw(`"${jti}"`))
		add("RS-076", "unburned-"+id, "a refused proof does not use its jti up: "+title, steps(a.step(first),
			accepted.step(cases.Request{Proof: &p})), level(cases.SHOULD))
	}
	burned("signature", "a bad signature", cases.Request{Proof: &cases.Proof{Claims: members("jti",
		raw(`"${jti}"`)), Edit: []string{"signature:flip"}}}, badProof)
	burned("htu", "a wrong htu", cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`), "htu",
		"https://x.example/"))}, badProof)
	burned("ath", "a wrong ath", cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`), "ath", "x"))}, badProof)
	burned("token", "an expired token", cases.Request{Token: ptr(tokenClaims("exp", at(-100))),
		Proof: ptr(claims("jti", raw(`"${jti}"`)))}, badToken)
	burned("thief", "another key's proof", cases.Request{Proof: &cases.Proof{Key: "other", Claims: members("jti",
		raw(`"${jti}"`))}}, mismatch)
	race := badProof.baseOr(409, 429, 503).step(good)
	race.Copies = 50
	race.Strict.Exact, race.Base.Exact = 1, 1
	add("RS-074", "race", "50 copies of one proof at the same instant: one is accepted", steps(race))
	add("RS-074", "race-again", "and afterwards none", steps(race, again(badProof, good)))
	many := badProof.baseOr(409, 429, 503).step(cases.Request{Method: "POST"})
	many.Copies, many.Strict.Exact, many.Base.Exact = 20, 1, 1
	add("RS-074", "race-post", "20 copies of one POST: one is accepted", steps(many), needs("methods"))
}

func nonces(s *suite) {
	s.in("nonce")
	n := func(p cases.Proof) cases.Request { return cases.Request{Endpoint: "nonce", Proof: &p} }
	none := n(claims("nonce", nil))
	with := n(claims("nonce", raw(`"${nonce}"`)))
	add := func(rs, id, l, title string, list ...cases.Step) { s.add(rs, "nonce-"+id, l, title, list) }
	add("RS-056", "missing", cases.MUST, "no nonce: use_dpop_nonce and one DPoP-Nonce", useNonce.step(none))
	add("RS-058", "retry", cases.MUST, "the retry with the nonce succeeds", useNonce.step(none),
		accepted.step(with))
	add("RS-061", "text", cases.MUST, "the nonce holds permitted characters",
		useNonce.with("nonce-text").step(none))
	add("RS-067", "many", cases.MUST, "one nonce in three proofs", useNonce.step(none), accepted.step(with),
		accepted.step(with), accepted.step(with))
	add("RS-068", "dropped", cases.MUST, "after a nonce was given, a proof without one", useNonce.step(none),
		accepted.step(with), useNonce.step(none))
	for _, c := range []struct{ id, title, value string }{
		{"random", "a random nonce", `"${random}"`}, {"empty", "an empty nonce", `""`},
		{"long", "a nonce of 1000 characters", `"` + strings.Repeat("n", 1000) + `"`},
		{"issuer", "a nonce in the form of another server", `"eyJ7S_zG.eyJH0-Z.HX4w-7v"`},
		{"quote", "a nonce with quotes", `"a\"b"`},
		{"zero", "a nonce of zeros", `"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"`},
	} {
		rs := "RS-057"
		switch c.id {
		case "issuer":
			rs = "RS-066"
		case "random":
			rs = "RS-020"
		}
		add(rs, "bad-"+c.id, cases.MUST, c.title, useNonce.step(n(claims("nonce", raw(c.value)))))
	}
	add("RS-059", "altered", cases.MUST, "a nonce with its last character changed", useNonce.step(none),
		useNonce.step(n(claims("nonce", raw(`"${nonce|altered}"`)))))
	add("RS-059", "altered-first", cases.MUST, "a nonce with its first character changed", useNonce.step(none),
		useNonce.step(n(claims("nonce", raw(`"${nonce|altered-first}"`)))))
	add("RS-059", "longer", cases.MUST, "a nonce with a character more", useNonce.step(none),
		useNonce.step(n(claims("nonce", raw(`"${nonce}A"`)))))
	add("RS-059", "upper", cases.MUST, "a nonce in upper case", useNonce.step(none),
		useNonce.step(n(claims("nonce", raw(`"${nonce|invert}"`)))))
	for _, c := range []struct {
		id    string
		value any
	}{{"number", 1}, {"null", raw("null")}, {"array", raw(`["${nonce}"]`)}} {
		add("RS-007", "type-"+c.id, cases.MUST, "a nonce of another type: "+c.id, useNonce.step(none),
			answers{cases.Answer{Status: status(401)}, cases.Answer{Status: status(400,
				401)}}.step(n(claims("nonce", c.value))))
	}
	add("RS-064", "no-store", cases.SHOULD, "a challenge with a nonce may not be stored",
		useNonce.with("no-store").step(none))
	add("RS-062", "previous", cases.SHOULD, "a nonce is still good 30 seconds later", useNonce.step(none),
		after(30, accepted.step(with)))
	add("RS-057", "expired", cases.MUST, "a nonce is no longer good after 20 minutes", useNonce.step(none),
		after(1200, useNonce.step(with)))
	add("RS-063", "renewed", cases.INFO, "a nonce that is no longer the newest brings a new one with the answer",
		useNonce.step(none), after(70, accepted.with("one-nonce").step(with)))
	add("RS-069", "stale-iat", cases.INFO, "a fresh nonce stands in for an iat an hour old", useNonce.step(none),
		accepted.step(n(claims("nonce", raw(`"${nonce}"`), "iat", at(-3600)))))
	add("RS-057", "replay", cases.MUST, "a proof with a nonce is good once", useNonce.step(none),
		accepted.step(with), again(badProof, with))
	s.send("RS-065", "nonce-expose", "browsers may read DPoP-Nonce", useNonce.with("expose-nonce"),
		cases.Request{Endpoint: "nonce", Proof: none.Proof, Headers: []cases.Header{{Name: "Origin",
			Value: "https://app.example.com"}}}, needs("cors"), level(cases.SHOULD))
	s.send("RS-057", "nonce-foreign-main", "a foreign nonce where none is demanded", useNonce,
		cases.Request{Proof: ptr(claims("nonce", raw(`"${random}"`)))}, needs("nonce"), level(cases.SHOULD))
	add("RS-056", "bad-signature", cases.MUST, "no nonce and a bad signature are never accepted",
		answers{cases.Answer{Status: status(401)}, cases.Answer{Status: status(400,
			401)}}.step(cases.Request{Endpoint: "nonce", Proof: &cases.Proof{Claims: members("nonce", nil),
			Edit: []string{"signature:flip"}}}))
}

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

func routes(s *suite) {
	s.in("scope")
	at := func(endpoint string, t cases.Token) cases.Request {
		return cases.Request{Endpoint: endpoint, Token: &t}
	}
	s.send("RS-110", "scope-missing", "a token without the scope: 403", noScope, at("scope", cases.Token{}),
		needs("issuer"))
	s.send("RS-165", "scope-present", "a token with the scope", accepted, at("scope", tokenClaims("scope",
		"accounts:read conformance:write")))
	s.send("RS-165", "scope-only", "a token with that scope alone", accepted, at("scope", tokenClaims("scope",
		"conformance:write")))
	s.send("RS-165", "scope-longer", "a scope that begins with the right one", noScope, at("scope",
		tokenClaims("scope", "conformance:writeall")))
	s.send("RS-165", "scope-case", "the scope in upper case", noScope, at("scope", tokenClaims("scope",
		"CONFORMANCE:WRITE")))
	for _, c := range [][3]string{
		{"shorter", "the beginning of the scope", "conformance:writ"}, {"star", "a star", "*"},
		{"wildcard", "a wildcard", "conformance:*"}, {"parent", "the scope's first word", "conformance"},
		{"suffix", "a scope that ends with the right one", "xconformance:write"},
		{"middle", "a scope that holds the right one", "no:conformance:write:x"},
		{"sub", "a scope below the right one", "conformance:write:own"}, {"title", "one letter in upper case", "Conformance:write"},
		{"newline", "scopes separated by a line break", "a\nconformance:write"},
		{"plus", "scopes separated by a plus", "a+conformance:write"},
	} {
		s.send("RS-165", "scope-"+c[0], c[1], noScope, at("scope", tokenClaims("scope", c[2])))
	}
	s.send("RS-165", "scope-object", "a scope within an object", refusal(status(401, 403), []string{"insufficient_scope",
		"invalid_token"}, status(400, 401, 403), nil), at("scope", tokenClaims("scope",
		map[string]any{"a": "conformance:write"})), level(cases.SHOULD))
	s.send("RS-165", "scope-claim-missing", "a token without any scope", noScope, at("scope", tokenClaims("scope",
		nil)))
	s.send("RS-165", "scope-comma", "scopes separated by commas are one scope", noScope, at("scope",
		tokenClaims("scope", "a,conformance:write")))
	s.send("RS-110", "scope-named", "the challenge names the scope", noScope.with("scope"), at("scope",
		cases.Token{}), level(cases.SHOULD), needs("issuer"))
	s.send("RS-165", "scope-bad-proof", "a bad proof comes before a missing scope", badProof,
		cases.Request{Endpoint: "scope", Proof: &cases.Proof{Edit: []string{"signature:flip"}}})

	s.in("stepup")
	auth := func(endpoint string, pairs ...any) cases.Request { return at(endpoint, tokenClaims(pairs...)) }
	s.send("RS-146", "stepup-old", "a login an hour ago where five minutes are wanted", stepUp, auth("fresh",
		"auth_time", atTime(-3600)))
	s.send("RS-146", "stepup-no-time", "a token that does not say when the login was", stepUp, auth("fresh",
		"auth_time", nil))
	s.send("RS-146", "stepup-fresh", "a login a minute ago", accepted, auth("fresh", "auth_time", atTime(-60)))
	s.send("RS-147", "stepup-max-age", "max_age is named", stepUp.with("max-age"), auth("fresh", "auth_time",
		atTime(-3600)), level(cases.SHOULD))
	s.send("RS-146", "stepup-weak", "a weak login where a strong one is wanted", stepUp, auth("strong", "acr",
		"urn:conformance:weak"))
	s.send("RS-146", "stepup-no-acr", "a token that does not say how the login was", stepUp, auth("strong", "acr",
		nil))
	for _, c := range []struct {
		id, title string
		value     any
	}{
		{"longer", "an acr that begins with the right one", "urn:conformance:stronger"},
		{"shorter", "the beginning of the acr", "urn:conformance:stron"},
		{"suffix", "an acr that ends with the right one", "x:urn:conformance:strong"},
		{"case", "the acr in upper case", "URN:CONFORMANCE:STRONG"}, {"star", "a star as acr", "*"},
		{"wildcard", "a wildcard as acr", "urn:conformance:*"},
		{"list", "the acr in a list with spaces", "urn:conformance:weak urn:conformance:strong"},
		{"space", "a space behind the acr", "urn:conformance:strong "},
		{"empty", "an empty acr", ""},
	} {
		s.send("RS-146", "stepup-acr-"+c.id, c.title, stepUp, auth("strong", "acr", c.value))
	}
	s.send("RS-146", "stepup-ahead", "a login two minutes ahead", stepUp, auth("fresh", "auth_time", atTime(120)),
		level(cases.SHOULD))
	s.send("RS-146", "stepup-hour-ahead", "a login an hour ahead", stepUp, auth("fresh", "auth_time", atTime(3600)),
		level(cases.SHOULD))
	s.send("RS-146", "stepup-milliseconds", "a login in milliseconds", stepUp, auth("fresh", "auth_time",
		raw("${now-3600}000")), level(cases.SHOULD))
	s.send("RS-146", "stepup-zero", "a login at the beginning of time", stepUp, auth("fresh", "auth_time", 0))
	s.send("RS-146", "stepup-string", "a login whose time is a string", refusal(status(401), []string{
		"insufficient_user_authentication", "invalid_token"}, status(400, 401), nil), auth("fresh", "auth_time",
		raw(`"${now-60}"`)), level(cases.SHOULD))
	s.send("RS-146", "stepup-strong", "a strong login", accepted, auth("strong", "acr", "urn:conformance:strong"))
	s.send("RS-147", "stepup-acr", "acr_values is named", stepUp.with("acr"), auth("strong", "acr",
		"urn:conformance:weak"), level(cases.SHOULD))
	s.send("RS-148", "stepup-scheme", "the challenge is DPoP", stepUp.with("error-on-dpop"), auth("strong", "acr",
		"urn:conformance:weak"))
	s.send("RS-149", "stepup-expired", "an expired token with a weak login: invalid_token", badToken, auth("strong",
		"acr", "urn:conformance:weak", "exp", atTime(-120), "iat", atTime(-300)), level(cases.SHOULD))
	for i := range s.cases {
		if s.cases[i].Group == "stepup" {
			s.cases[i].Needs = append(s.cases[i].Needs, "stepup")
		}
	}
}

func atTime(offset int) raw { return at(offset) }

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

func certificates(s *suite) {
	s.in("mtls")
	r := func(certificate, boundTo string) cases.Request {
		return cases.Request{
			Endpoint: "mtls", Certificate: certificate, Authorization: []string{"Bearer ${token}"},
			Without: []string{"proof"},
			Token:   &cases.Token{Bind: "-", Certificate: boundTo},
		}
	}
	s.send("RS-085", "mtls-good", "the certificate that the token is bound to", accepted, r("client", "client"))
	s.send("RS-086", "mtls-other", "another certificate", badCert, r("other", "client"))
	s.send("RS-086", "mtls-none", "no certificate", badCert, r("", "client"))
	s.send("RS-096", "mtls-bearer", "a certificate-bound token without a certificate is not a bearer token", badCert,
		r("", "other"))
	s.send("RS-093", "mtls-renewed", "the same key in a new certificate", badCert, r("renewed", "client"))
	s.send("RS-091", "mtls-renewed-token", "the new certificate with its own token", accepted, r("renewed",
		"renewed"))
	s.send("RS-090", "mtls-expired", "an expired certificate with its token, where only possession counts", accepted,
		r("expired", "expired"), level(cases.INFO))
	cnf := func(id, title string, a answers, value any) {
		q := r("client", "")
		q.Token = &cases.Token{Bind: "-", Claims: members("cnf", map[string]any{"x5t#S256": value})}
		s.send("RS-087", "mtls-x5t-"+id, title, a, q)
	}
	cnf("hex", "the thumbprint in hexadecimal", badCert, "${x5t:client|hex}")
	cnf("padded", "the thumbprint with padding", badCert, "${x5t:client|pad}")
	cnf("upper", "the thumbprint in upper case", badCert, "${x5t:client|upper}")
	cnf("short", "the thumbprint with its last character missing", badCert, "${x5t:client|short}")
	cnf("half", "the first half of the thumbprint", badCert, "${x5t:client|first-half}")
	cnf("half-last", "the last half of the thumbprint", badCert, "${x5t:client|last-half}")
	cnf("altered", "a character of the thumbprint changed", badCert, "${x5t:client|altered}")
	cnf("empty", "an empty thumbprint", badCert, "")
	cnf("array", "the thumbprint in an array", badCert, []string{"${x5t:client}"})
	s.send("RS-139", "mtls-x5t-name", "x5t#s256 in place of x5t#S256", badCert, func() cases.Request {
		q := r("client", "")
		q.Token = &cases.Token{Bind: "-", Claims: members("cnf", map[string]any{"x5t#s256": "${x5t:client}"})}
		return q
	}())
	both := func(certificate, key string) cases.Request {
		return cases.Request{Endpoint: "mtls", Certificate: certificate,
			Token: &cases.Token{Certificate: "client"}, Proof: &cases.Proof{Key: key}}
	}
	s.send("RS-037", "mtls-both", "bound to a key and a certificate, both proved", accepted, both("client", "client"))
	s.send("RS-037", "mtls-both-no-certificate", "bound to both, without the certificate", badCert, both("",
		"client"))
	s.send("RS-037", "mtls-both-other-certificate", "bound to both, with another certificate", badCert, both("other",
		"client"))
	s.send("RS-037", "mtls-both-other-key", "bound to both, with another key", mismatch, both("client", "other"))
	s.send("RS-037", "mtls-both-bearer", "bound to both, under Bearer", asBearer, func() cases.Request {
		q := both("client", "client")
		q.Authorization, q.Without = []string{"Bearer ${token}"}, []string{"proof"}
		return q
	}())
	s.send("RS-085", "mtls-dpop", "a DPoP-bound token over a connection with a certificate", accepted,
		cases.Request{Endpoint: "mtls", Certificate: "client"})
	s.send("RS-176", "mtls-host-other", "over TLS another Host, and a proof for it", badProof.or(400, 403, 404, 421),
		cases.Request{Endpoint: "mtls", Certificate: "client", Host: "evil.example.net",
			Proof: ptr(claims("htu", raw(`"https://evil.example.net${path}"`)))},
		needs("origin"), rfc("RFC 9110 §7.4, §4.2.2"))
	s.send("RS-086", "mtls-unbound", "an unbound token with a certificate", asBearer, r("client", ""))
	for _, h := range [][2]string{
		{"Client-Cert", ":${certificate:client}:"}, {"X-SSL-Client-Cert", "${certificate:client}"},
		{"X-Forwarded-Client-Cert", "Hash=x;Cert=\"${certificate:client}\""},
		{"X-Forwarded-Tls-Client-Cert", "${certificate:client}"},
		{"X-Amzn-Mtls-Clientcert", "${certificate:client}"}, {"X-Client-Cert", "${certificate:client}"},
		{"SSL_CLIENT_CERT", "${certificate:client}"},
	} {
		q := r("", "client")
		q.Headers = []cases.Header{{Name: h[0], Value: h[1]}}
		s.send("RS-092", "mtls-header-"+h[0], "a certificate in "+h[0]+" from a client", badCert, q)
	}
	s.send("RS-084", "mtls-asked", "the handshake asks for a certificate", accepted.with("certificate-request"),
		r("client", "client"))
	for _, version := range []string{"1.0", "1.1"} {
		q := r("client", "client")
		q.TLS = version
		closed := cases.Answer{Closed: true}
		s.send("RS-094", "mtls-tls-"+version, "no handshake of TLS "+version, answers{closed, closed}, q)
	}
	for _, version := range []string{"1.2", "1.3"} {
		q := r("client", "client")
		q.TLS = version
		s.send("RS-169", "mtls-tls-"+version, "TLS "+version, accepted, q)
	}
	q := r("other", "client")
	q.Headers = []cases.Header{{Name: "Client-Cert", Value: ":${certificate:client}:"}}
	s.send("RS-098", "mtls-header-beside", "another certificate and the right one in Client-Cert", badCert, q)
}

// proxiedCertificates come in the field of a proxy that ends TLS (RFC 9440).
func proxiedCertificates(s *suite) {
	s.in("certproxy")
	r := func(fields ...string) cases.Request {
		q := cases.Request{
			Endpoint: "certproxy", Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"},
			Token: &cases.Token{Bind: "-", Certificate: "client"},
		}
		for i := 0; i < len(fields); i += 2 {
			q.Headers = append(q.Headers, cases.Header{Name: fields[i], Value: fields[i+1]})
		}
		return q
	}
	good := ":${certificate:client}:"
	s.send("RS-097", "certproxy-good", "the certificate in Client-Cert", accepted, r("Client-Cert", good))
	s.send("RS-097", "certproxy-spaces", "the same with spaces around it", accepted, r("Client-Cert", "  "+good+" "))
	s.send("RS-099", "certproxy-chain", "a chain beside it", accepted, r("Client-Cert", good, "Client-Cert-Chain",
		":${certificate:other}:"))
	s.send("RS-099", "certproxy-chain-only", "the certificate in the chain alone", badCert, r("Client-Cert-Chain",
		good))
	s.send("RS-099", "certproxy-chain-leaf", "another certificate, and the right one in the chain", badCert,
		r("Client-Cert", ":${certificate:other}:", "Client-Cert-Chain", good))
	s.send("RS-086", "certproxy-other", "another certificate", badCert, r("Client-Cert", ":${certificate:other}:"))
	s.send("RS-086", "certproxy-none", "no certificate", badCert, r())
	for _, c := range [][3]string{
		{"no-colons", "no colons", "${certificate:client}"}, {"one-colon", "one colon", ":${certificate:client}"},
		{"list", "two certificates in one field", good + ", :${certificate:other}:"},
		{"base64", "text that is not base64", ":*:"},
		{"string", "a string in place of octets", "\"${certificate:client}\""},
		{"der", "octets that are no certificate", ":AAAA:"}, {"pem", "PEM", "-----BEGIN CERTIFICATE-----"},
	} {
		rs := "RS-097"
		if c[0] == "der" {
			rs = "RS-095"
		}
		s.send(rs, "certproxy-"+c[0], c[1], badCert, r("Client-Cert", c[2]))
	}
	s.send("RS-175", "certproxy-twice", "the field twice", badCert, r("Client-Cert", good, "Client-Cert", good))
	s.send("RS-175", "certproxy-twice-other", "the field twice with different certificates", badCert,
		r("Client-Cert", good, "Client-Cert", ":${certificate:other}:"))
	s.send("RS-095", "certproxy-huge", "a field of 50,000 octets", badCert.or(400, 413, 431), r("Client-Cert",
		":"+strings.Repeat("A", 50000)+":"))
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

func metadata(s *suite) {
	s.in("metadata")
	m := cases.Request{Target: "${metadata}", Without: []string{"authorization", "proof"}}
	check := func(rs, id, title, name string) {
		s.send(rs, "metadata-"+id, title, accepted.with(name), m, needs("metadata"))
	}
	check("RS-151", "json", "metadata at the well-known address, as JSON", "metadata-json")
	check("RS-152", "https", "resource is https without a fragment", "metadata-https")
	check("RS-153", "resource", "resource is the origin it was asked for", "metadata-resource")
	check("RS-155", "algs", "the algorithms are those of the challenge", "metadata-algs")
	check("RS-156", "bound", "it does not say that bound tokens are optional", "metadata-bound")
	check("RS-158", "methods", "it offers neither query nor body", "metadata-methods")
	check("RS-159", "none", "it lists neither none nor a symmetric algorithm", "metadata-asymmetric")
	s.send("RS-154", "metadata-challenge", "resource_metadata in a challenge leads to this server's metadata",
		noCreds.with("resource-metadata"), cases.Request{Without: m.Without}, needs("metadata"))
	check("RS-160", "full", "members without values are left out", "metadata-full")
}

func robustness(s *suite) {
	s.in("proxy")
	fields := func(pairs ...string) (list []cases.Header) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, cases.Header{Name: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	evil := ptr(claims("htu", raw(`"${scheme}://evil.example.net${path}"`)))
	for _, c := range [][2]string{
		{"X-Forwarded-Host", "evil.example.net"}, {"Forwarded", "host=evil.example.net;proto=https"},
		{"X-Original-Host", "evil.example.net"}, {"X-Host", "evil.example.net"},
		{"X-Forwarded-Server", "evil.example.net"},
	} {
		s.send("RS-178", "forwarded-"+c[0], c[0]+" from a client does not move the origin", badProof.or(400, 421),
			cases.Request{Proof: evil, Headers: fields(c[0], c[1])})
		s.send("RS-178", "forwarded-ignored-"+c[0], c[0]+" from a client does not spoil a good request", accepted,
			cases.Request{Headers: fields(c[0], c[1])}, level(cases.SHOULD))
	}
	for _, c := range [][3]string{{"X-Original-URL", "/other", "other"}, {"X-Rewrite-URL", "/other", "other"},
		{"X-Forwarded-Prefix", "/v1", "v1${path}"}, {"X-Forwarded-Uri", "/other", "other"},
		{"X-Forwarded-Path", "/other", "other"}, {"X-Script-Name", "/v1", "v1${path}"},
		{"X-Envoy-Original-Path", "/other", "other"}, {"X-Original-Uri", "/other", "other"},
		{"X-Request-Uri", "/other", "other"}} {
		s.send("RS-178", "forwarded-path-"+c[0], c[0]+" from a client does not move the path", badProof.or(400, 404,
			421), cases.Request{Proof: ptr(claims("htu", raw(`"${origin}/`+c[2]+`"`))), Headers: fields(c[0],
			c[1])})
	}
	for _, c := range [][3]string{
		{"X-Forwarded-Port", "8443", "${origin|port-8443}"}, {"X-Forwarded-Ssl", "${scheme|other-on}", "${origin|other-scheme}"},
		{"Front-End-Https", "${scheme|other-on}", "${origin|other-scheme}"},
		{"X-Forwarded-Scheme", "${scheme|other-scheme-name}", "${origin|other-scheme}"},
		{"X-Forwarded-Protocol", "${scheme|other-scheme-name}", "${origin|other-scheme}"},
		{"X-Url-Scheme", "${scheme|other-scheme-name}", "${origin|other-scheme}"},
		{"X-Scheme", "${scheme|other-scheme-name}", "${origin|other-scheme}"},
		{"Forwarded", "proto=${scheme|other-scheme-name}", "${origin|other-scheme}"},
	} {
		s.send("RS-178", "forwarded-origin-"+c[0], c[0]+" from a client moves neither scheme nor port", badProof.or(400, 421),
			cases.Request{Proof: ptr(claims("htu", raw(`"`+c[2]+`${path}"`))), Headers: fields(c[0], c[1])})
	}
	s.send("RS-178", "forwarded-proto", "X-Forwarded-Proto from a client does not move the scheme", badProof.or(400,
		421), cases.Request{
		Proof: ptr(claims("htu", raw(`"${origin|other-scheme}${path}"`))), Headers: fields("X-Forwarded-Proto",
			"${scheme|other-scheme-name}"),
	})
	proxied := func(pairs ...string) cases.Request {
		return cases.Request{Endpoint: "proxied", Host: "internal.example.net", Headers: fields(pairs...)}
	}
	s.send("RS-178", "proxied-good", "a trusted proxy names the host and the scheme", accepted,
		proxied("X-Forwarded-Host", "${host}", "X-Forwarded-Proto", "${scheme}"))
	s.send("RS-178", "proxied-twice", "a trusted proxy lets two hosts pass", badProof.or(400, 421),
		proxied("X-Forwarded-Host", "${host}", "X-Forwarded-Host", "evil.example.net"))
	s.send("RS-178", "proxied-list", "a list of hosts", badProof.or(400, 421), proxied("X-Forwarded-Host",
		"${host}, evil.example.net"), level(cases.SHOULD))
	s.send("RS-178", "proxied-evil", "a trusted proxy names a host that is not this server's", badProof.or(400, 421),
		func() cases.Request {
			q := proxied("X-Forwarded-Host", "evil.example.net", "X-Forwarded-Proto", "${scheme}")
			q.Proof = evil
			return q
		}())

	s.in("robustness")
	for _, c := range []struct {
		id, title string
		p         cases.Proof
	}{
		{"members", "a header with 2000 members",
			cases.Proof{RawHeader: `{"typ":"dpop+jwt","alg":"ES256","jwk":${jwk}` + strings.Repeat(`,"a":1`,
				900) + `}`}},
		{"keys", "a jwk with a long array", jwk("x5c", strings.Split(strings.Repeat("A ", 1500), " "))},
		{"number", "a number of 3000 digits", claims("iat", raw(strings.Repeat("9", 3000)))},
		{"string", "a string with 1000 escapes", claims("htm", raw(`"`+strings.Repeat(`\u0047`, 900)+`"`))},
	} {
		a := badProof.or(400, 413, 431).with("fast")
		s.add("RS-182", "robust-"+c.id, robustLevel(c.id), c.title+" is refused quickly", once(a,
			cases.Request{Proof: &c.p}))
	}
	for _, c := range []struct{ id, title, value string }{
		{"long-token68", "8000 letters", strings.Repeat("a", 8000)},
		{"dots", "5000 dots", strings.Repeat(".", 5000)}, {"high", "octets above 127", "\xff\xfe.\x80.\x81"},
		{"percent", "format directives", "%s%n%d.%x.%p"}, {"json-bomb", "braces", strings.Repeat("{", 3000)},
	} {
		s.send("RS-179", "robust-"+c.id, "a proof of "+c.title, badProof.or(400, 431).with("fast"),
			cases.Request{Proofs: []string{toASCII(c.value)}})
		if c.id != "high" {
			s.send("RS-179", "robust-token-"+c.id, "a token of "+c.title, badProof.or(400, 431).with("fast"),
				cases.Request{Authorization: []string{"DPoP " + c.value}})
		}
	}
	s.send("RS-041", "refused-post", "a refused POST has no effect", badProof, cases.Request{Method: "POST",
		Proof: &cases.Proof{Edit: []string{"signature:flip"}}, Body: "x=1"}, needs("methods"))
	s.send("RS-041", "refused-bare-post", "a POST without credentials has no effect", noCreds,
		cases.Request{Method: "POST", Without: []string{"authorization", "proof"}, Body: "x=1"}, needs("methods"))
	s.send("RS-098", "preflight", "a CORS preflight is not answered with an error of ours", vectorsAny(),
		cases.Request{Method: "OPTIONS", Without: []string{"authorization", "proof"}, Headers: fields("Origin",
			"https://app.example.com", "Access-Control-Request-Method", "GET")}, needs("cors"), level(cases.INFO))
}

// robustLevel is SHOULD for what a generous parser may accept.
func robustLevel(id string) string {
	if id == "members" || id == "keys" {
		return cases.SHOULD
	}
	return cases.MUST
}

func vectorsAny() answers { return accepted }

// toASCII keeps octets above 127 as they are in JSON: as the code points of the same number.
func toASCII(s string) string { return strings.ToValidUTF8(s, "é") }

func fapi(s *suite) {
	s.in("fapi2")
	only := profiles("fapi2")
	for _, c := range [][2]string{{"RS256", "rsa"}, {"RS512", "rsa"}, {"ES384", "es384"}, {"ES512", "es512"}} {
		s.refuse("RS-167", "fapi-"+c[0], "a proof with "+c[0]+" is refused in FAPI 2.0", "", cases.Proof{Key: c[1],
			Alg: c[0]}, bound(c[1]), only)
	}
	for _, c := range [][2]string{{"PS256", "rsa"}, {"ES256", "client"}} {
		s.accept("RS-167", "fapi-"+c[0], "a proof with "+c[0]+" in FAPI 2.0", cases.Proof{Key: c[1], Alg: c[0]},
			bound(c[1]), only)
	}
	s.refuse("RS-168", "fapi-rsa-1024", "an RSA key of 1024 bits with PS256", "", cases.Proof{Key: "rsa-1024",
		Alg: "PS256"}, bound("rsa-1024"), only)
	s.refuse("RS-170", "fapi-iat-61", "an iat 61 seconds ahead", "", claims("iat", at(61)), only, iatOnly)
	s.accept("RS-170", "fapi-iat-8", "an iat eight seconds ahead", claims("iat", at(8)), only, iatOnly)
	s.send("RS-166", "fapi-bearer-unbound", "an unbound token under Bearer is refused in FAPI 2.0", asBearer,
		cases.Request{Token: &cases.Token{Bind: "-"}, Authorization: []string{"Bearer ${token}"},
			Without: []string{"proof"}}, only)
	s.send("RS-163", "fapi-query", "the token in the query", noCreds.or(400),
		cases.Request{Without: []string{"authorization"}, Query: "access_token=${token}"}, only)
}

package generate

import "github.com/senderlock/senderlock/conformance/internal/cases"

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

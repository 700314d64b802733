package generate

import "github.com/senderlock/senderlock/conformance/internal/cases"

func routes(s *suite) {
	s.in("scope")
	to := func(endpoint string, t cases.Token) cases.Request {
		return cases.Request{Endpoint: endpoint, Token: &t}
	}
	s.send("RS-110", "scope-missing", "a token without the scope: 403", noScope, to("scope", cases.Token{}),
		needs("issuer"))
	s.send("RS-165", "scope-present", "a token with the scope", accepted, to("scope", tokenClaims("scope",
		"accounts:read conformance:write")))
	s.send("RS-165", "scope-only", "a token with that scope alone", accepted, to("scope", tokenClaims("scope",
		"conformance:write")))
	s.send("RS-165", "scope-longer", "a scope that begins with the right one", noScope, to("scope",
		tokenClaims("scope", "conformance:writeall")))
	s.send("RS-165", "scope-case", "the scope in upper case", noScope, to("scope", tokenClaims("scope",
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
		s.send("RS-165", "scope-"+c[0], c[1], noScope, to("scope", tokenClaims("scope", c[2])))
	}
	s.send("RS-165", "scope-object", "a scope within an object", refusal(status(401, 403), []string{"insufficient_scope",
		"invalid_token"}, status(400, 401, 403), nil), to("scope", tokenClaims("scope",
		map[string]any{"a": "conformance:write"})), level(cases.SHOULD))
	s.send("RS-165", "scope-claim-missing", "a token without any scope", noScope, to("scope", tokenClaims("scope",
		nil)))
	s.send("RS-165", "scope-comma", "scopes separated by commas are one scope", noScope, to("scope",
		tokenClaims("scope", "a,conformance:write")))
	s.send("RS-110", "scope-named", "the challenge names the scope", noScope.with("scope"), to("scope",
		cases.Token{}), level(cases.SHOULD), needs("issuer"))
	s.send("RS-165", "scope-bad-proof", "a bad proof comes before a missing scope", badProof,
		cases.Request{Endpoint: "scope", Proof: &cases.Proof{Edit: []string{"signature:flip"}}})

	s.in("stepup")
	auth := func(endpoint string, pairs ...any) cases.Request { return to(endpoint, tokenClaims(pairs...)) }
	s.send("RS-146", "stepup-old", "a login an hour ago where five minutes are wanted", stepUp, auth("fresh",
		"auth_time", at(-3600)))
	s.send("RS-146", "stepup-no-time", "a token that does not say when the login was", stepUp, auth("fresh",
		"auth_time", nil))
	s.send("RS-146", "stepup-fresh", "a login a minute ago", accepted, auth("fresh", "auth_time", at(-60)))
	s.send("RS-147", "stepup-max-age", "max_age is named", stepUp.with("max-age"), auth("fresh", "auth_time",
		at(-3600)), level(cases.SHOULD))
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
	s.send("RS-146", "stepup-ahead", "a login two minutes ahead", stepUp, auth("fresh", "auth_time", at(120)),
		level(cases.SHOULD))
	s.send("RS-146", "stepup-hour-ahead", "a login an hour ahead", stepUp, auth("fresh", "auth_time", at(3600)),
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
		"acr", "urn:conformance:weak", "exp", at(-120), "iat", at(-300)), level(cases.SHOULD))
	for i := range s.cases {
		if s.cases[i].Group == "stepup" {
			s.cases[i].Needs = append(s.cases[i].Needs, "stepup")
		}
	}
}

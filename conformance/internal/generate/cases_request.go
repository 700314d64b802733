package generate

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

func method(s *suite) {
	s.in("method")
	for _, c := range [][2]string{{"POST", "GET"}, {"get", "GET"}, {"Get", "GET"}, {"GET ", "GET"},
		{"GET,POST", "GET"}, {"*", "GET"}, {"HEAD", "GET"}} {
		s.refuse("RS-014", "htm-"+strings.NewReplacer(" ", "-space", ",", "-", "*",
			"star").Replace(c[0])+"-on-"+c[1], "htm \""+c[0]+"\" on a "+c[1], "htm_mismatch", claims("htm", c[0]))
	}
	for _, c := range [][2]string{{"GET", "POST"}, {"POST", "PUT"}, {"GET", "HEAD"}, {"PUT", "PATCH"},
		{"GET", "DELETE"}} {
		s.send("RS-014", "htm-"+c[0]+"-on-"+c[1], "htm "+c[0]+" on a "+c[1], badProof, cases.Request{Method: c[1],
			Proof: ptr(claims("htm", c[0]))}, because("htm_mismatch"), needs("methods"))
	}
	for _, name := range []string{"POST", "PUT", "PATCH", "DELETE", "HEAD"} {
		s.send("RS-014", "method-"+name, "a good "+name, accepted, cases.Request{Method: name}, needs("methods"))
	}
	s.send("RS-014", "method-override", "X-HTTP-Method-Override does not change the method", badProof,
		cases.Request{
			Method: "POST", Proof: ptr(claims("htm", "DELETE")),
			Headers: []cases.Header{{Name: "X-HTTP-Method-Override", Value: "DELETE"}},
		}, needs("methods"))
	s.send("RS-081", "body", "a POST with a body", accepted, cases.Request{
		Method: "POST", Body: `{"amount":1}`, Headers: []cases.Header{{Name: "Content-Type",
			Value: "application/json"}},
	}, needs("methods"))
}

func uri(s *suite) {
	s.in("uri")
	for _, c := range []struct{ id, title, htu string }{
		{"path", "another path", "${origin}/other"}, {"sub-path", "a path below", "${url}/x"},
		{"no-path", "no path", "${origin}"}, {"root", "the root", "${origin}/"},
		{"prefix", "the beginning of the path", "${url|short}"},
		{"host", "another host", "${scheme}://evil.example.net${path}"},
		{"host-suffix", "the host with a suffix", "${origin}.example.net${path}"},
		{"sub-domain", "a host below", "${scheme}://x.${host}${path}"},
		{"port", "another port", "${origin}0${path}"},
		{"user-info", "user information before the host", "${scheme}://user@${host}${path}"},
		{"user-info-host", "the host as user information", "${scheme}://${host}@evil.example.net${path}"},
		{"relative", "the path alone", "${path}"},
		{"network", "no scheme", "//${host}${path}"}, {"ws", "the scheme wss", "wss://${host}${path}"},
		{"ftp", "the scheme ftp", "ftp://${host}${path}"},
		{"no-slashes", "one slash after the scheme", "${scheme}:/${host}${path}"},
		{"trailing-slash", "a trailing slash", "${url}/"},
		{"double-slash", "a double slash before the path", "${origin}/${path}"},
		{"path-case", "the path in upper case", "${origin}${path|upper}"},
		{"matrix", "a matrix parameter", "${url};x=1"},
		{"encoded-slash", "the first slash encoded", "${origin}%2F${path|tail}"},
		{"double-encoding", "a letter encoded twice", "${url|encode-twice}"},
		{"backslash", "a backslash in place of the slash", "${origin}\\\\${path|tail}"},
		{"space-after", "a space at the end", "${url} "}, {"space-before", "a space at the start", " ${url}"},
		{"newline", "a line break at the end", "${url}\\n"},
		{"nul", "a NUL at the end", "${url}\\u0000"}, {"list", "two URIs", "${url} ${url}"}, {"star", "a star", "*"},
		{"bad-escape", "a percent sign without digits", "${url}%"},
		{"dot-after", "a dot behind the host", "${scheme}://${host}.${path}"},
		{"encoded-query", "an encoded question mark", "${url}%3Fa=b"},
		{"kelvin", "a letter that folds to an ASCII one", "${origin}/re\\u017fource"},
		{"over-dots", "dot segments that lead elsewhere", "${url}/../other"},
		{"javascript", "a javascript URI", "javascript:${url}"},
		{"index", "index.html behind it", "${url}/index.html"}, {"html", "the suffix .html", "${url}.html"},
		{"json", "the suffix .json", "${url}.json"}, {"php", "the suffix .php", "${url}.php"},
		{"www", "www before the host", "${scheme}://www.${host}${path}"},
		{"fullwidth", "a letter that NFKC turns into an ASCII one", "${origin}/${path|tail|wide}"},
		{"fullwidth-host", "a host with a wide letter", "${scheme}://${host|wide}${path}"},
		{"accent", "a mark at the end that nothing shows", "${url}\\u034f"},
		{"zero-width", "a space of no width at the end", "${url}\\u200b"},
		{"encoded-accent", "an encoded mark at the end", "${url}%CC%81"},
	} {
		s.refuse("RS-015", "htu-"+c.id, "htu: "+c.title, "htu_mismatch", claims("htu", raw(`"`+c.htu+`"`)))
	}
	for _, id := range []string{"htu-trailing-slash", "htu-double-slash", "htu-path-case", "htu-matrix",
		"htu-encoded-slash", "htu-double-encoding"} {
		for i := range s.cases {
			if s.cases[i].ID == id {
				s.cases[i].Requirement = "RS-019"
			}
		}
	}
	s.refuse("RS-015", "htu-scheme", "htu: the other scheme", "htu_mismatch", claims("htu",
		raw(`"${origin|other-scheme}${path}"`)))
	ok := func(rs, l, id, title, htu string) {
		s.accept(rs, "htu-ok-"+id, "htu: "+title, claims("htu", raw(`"`+htu+`"`)), level(l))
	}
	ok("RS-016", cases.MUST, "query", "a query", "${url}?a=b")
	ok("RS-016", cases.MUST, "fragment", "a fragment", "${url}#a")
	ok("RS-016", cases.MUST, "both", "a query and a fragment", "${url}?a=b#c")
	ok("RS-016", cases.MUST, "empty-query", "an empty query", "${url}?")
	ok("RS-016", cases.MUST, "empty-fragment", "an empty fragment", "${url}#")
	ok("RS-016", cases.MUST, "query-slash", "a query with slashes and an at sign", "${url}?next=https://x@y/z")
	ok("RS-017", cases.SHOULD, "scheme-upper", "the scheme in upper case", "${scheme|upper}://${host}${path}")
	ok("RS-017", cases.SHOULD, "host-upper", "the host in upper case", "${scheme}://${host|upper}${path}")
	ok("RS-017", cases.SHOULD, "host-title", "the host with a capital", "${scheme}://${host|title}${path}")
	ok("RS-017", cases.SHOULD, "unreserved", "a letter percent-encoded", "${url|encode}")
	ok("RS-017", cases.SHOULD, "dot", "a dot segment", "${origin}/.${path}")
	ok("RS-017", cases.SHOULD, "dots", "two dot segments", "${origin}/other/..${path}")
	ok("RS-017", cases.SHOULD, "dots-encoded", "encoded dot segments", "${origin}/other/%2e%2e${path}")
	ok("RS-018", cases.SHOULD, "default-port", "the default port", "${origin|with-port}${path}")
	ok("RS-018", cases.SHOULD, "empty-port", "an empty port", "${origin|empty-port}${path}")
	s.send("RS-016", "query", "a request with a query, htu without", accepted, cases.Request{Query: "a=b&c=d"})
	s.send("RS-016", "query-url", "a query that holds a URL", accepted, cases.Request{Query: "next=https://x/y?z"})
	s.send("RS-016", "query-encoded", "a query with percent-encoding", accepted,
		cases.Request{Query: "q=%C3%A9%2F+x"})
	s.send("RS-016", "query-other", "htu with another query", accepted, cases.Request{Query: "a=b",
		Proof: ptr(claims("htu", raw(`"${url}?c=d"`)))})
	s.send("RS-016", "query-empty", "a request with an empty query", accepted, cases.Request{Target: "${path}?"})
	s.send("RS-176", "host-upper", "the Host field in upper case", accepted, cases.Request{Host: "${host|upper}"},
		level(cases.SHOULD))
	s.send("RS-176", "absolute-form", "the request target in absolute form", accepted,
		cases.Request{Target: "${origin}${path}"}, level(cases.SHOULD), needs("absolute-form"))
	s.send("RS-176", "host-other", "another Host, and a proof for it", badProof.or(400, 403, 404, 421),
		cases.Request{
			Host: "evil.example.net", Proof: ptr(claims("htu", raw(`"${scheme}://evil.example.net${path}"`))),
		}, needs("origin"))
	for _, c := range [][2]string{{"question", "evil.example.net?"}, {"slash", "evil.example.net/"},
		{"user", "evil@${host}"}, {"backslash", "evil.example.net\\"}, {"space", "${host} x"},
		{"empty-port", "${host}:99999"}} {
		s.send("RS-176", "host-bad-"+c[0], "a Host of "+c[1], anyClient, cases.Request{Host: c[1]},
			needs("origin"), level(cases.SHOULD))
	}
}

// uriPaths need a server that answers below its main resource.
func uriPaths(s *suite) {
	s.in("paths")
	type pair struct{ id, title, path, htu string }
	for _, c := range []pair{
		{"plain", "a path of its own", "/a/b", ""}, {"tilde", "a tilde", "/~user", ""},
		{"tilde-encoded", "an encoded tilde, htu with a raw one", "/%7Euser", "/~user"},
		{"tilde-raw", "a raw tilde, htu with an encoded one", "/~user", "/%7euser"},
		{"hex-case", "lower-case hexadecimal in htu", "/a%2Fb", "/a%2fb"},
		{"hex-case-path", "lower-case hexadecimal in the path", "/a%2fb", "/a%2Fb"},
		{"slash", "an encoded slash", "/a%2Fb", ""}, {"space", "an encoded space", "/a%20b", ""},
		{"utf8", "letters of other scripts", "/%C5%BC%C3%B3%C5%82%C4%87", ""},
		{"utf8-lower", "the same in lower-case hexadecimal", "/%C5%BC", "/%c5%bc"},
		{"plus", "a plus", "/a+b", ""}, {"colon", "a colon", "/a:b", ""},
		{"at", "an at sign", "/user@example.com", ""}, {"comma", "a comma", "/a,b", ""},
		{"semicolon", "a matrix parameter", "/a;v=1", ""},
		{"equals", "an equals sign", "/a=b", ""}, {"dollar", "a dollar sign", "/$metadata", ""},
		{"amp", "an ampersand", "/a&b", ""}, {"bang", "an exclamation mark", "/a!", ""},
		{"parens", "parentheses, as OData has them", "/Items(1)", ""}, {"quote", "an apostrophe", "/Items('x')", ""},
		{"star", "a star", "/*", ""}, {"trailing", "a trailing slash on both", "/a/", ""},
		{"double", "a double slash on both", "/a//b", ""}, {"percent", "an encoded percent sign", "/100%25", ""},
		{"dots-in-name", "dots within a name", "/a..b/.c", ""},
		{"long", "a long path", "/" + strings.Repeat("segment/", 60), ""},
		{"upper", "upper-case letters", "/ABC", ""}, {"digits", "encoded digits in htu", "/123", "/%31%32%33"},
		{"hyphen", "an encoded hyphen in htu", "/a-b", "/a%2Db"},
		{"question", "an encoded question mark", "/a%3Fb", ""}, {"hash", "an encoded hash", "/a%23b", ""},
		{"uuid", "a UUID", "/2f1a7c0e-58f7-4f3e-9d56-0f5f0b7a2c11", ""},
	} {
		htu := c.htu
		r := cases.Request{Path: c.path}
		rs, l := "RS-015", cases.MUST
		if htu != "" {
			rs, l = "RS-017", cases.SHOULD
			r.Proof = ptr(claims("htu", raw(`"${resource}`+htu+`"`)))
		}
		s.send(rs, "path-"+c.id, "a path with "+c.title, accepted.baseOr(400, 403, 404), r, level(l))
	}
	for _, c := range []pair{
		{"case", "the path in another case", "/Abc", "/abc"},
		{"slash-raw", "a raw slash for an encoded one", "/a%2Fb", "/a/b"},
		{"slash-encoded", "an encoded slash for a raw one", "/a/b", "/a%2Fb"},
		{"trailing-more", "a trailing slash in htu alone", "/a", "/a/"},
		{"trailing-less", "a trailing slash in the path alone", "/a/", "/a"},
		{"double", "a double slash merged", "/a//b", "/a/b"},
		{"matrix", "a matrix parameter left out", "/a;v=1", "/a"},
		{"double-encoding", "a double encoding undone", "/a%252Fb", "/a%2Fb"},
		{"plus", "a plus for a space", "/a%20b", "/a+b"},
		{"sibling", "a sibling", "/accounts/1", "/accounts/2"},
		{"percent", "an encoded percent sign decoded", "/a%2541", "/aA"}, {"parent", "the parent", "/a/b", "/a"},
		{"question", "an encoded question mark taken for a query", "/a%3Fb", "/a"},
		{"semicolon", "an encoded semicolon", "/a;b", "/a%3Bb"},
		{"mount", "the resource for what is below it", "/a/b", ""}, {"mount-slash", "the same with a slash", "/a/b", "/"},
		{"index", "a directory for its index.html", "/a/index.html", "/a/"},
		{"suffix", "a name without its suffix", "/a.json", "/a"},
		{"composed", "a composed letter for a decomposed one", "/z%CC%87", "/%C5%BC"},
		{"decomposed", "a decomposed letter for a composed one", "/%C5%BC", "/z%CC%87"},
		{"compatible", "a ligature for its letters", "/%EF%AC%81", "/fi"},
		{"upper-utf8", "a letter of another script in another case", "/%C5%BB", "/%C5%BC"},
		{"last", "a path that differs in its last letter", "/accounts/12345", "/accounts/12346"},
		{"longer", "a longer path", "/a", "/a/b"},
	} {
		s.send("RS-019", "path-not-"+c.id, "not the same: "+c.title, badProof.baseOr(301, 307, 308, 404), cases.Request{Path: c.path,
			Proof: ptr(claims("htu", raw(`"${resource}`+c.htu+`"`)))}, because("htu_mismatch"))
	}
	for _, c := range [][3]string{{"raw", "/a/../b", "/b"}, {"encoded", "/a/%2e%2e/b", "/b"}} {
		s.send("RS-019", "path-dots-"+c[0], "a request target with dot segments", badProof.or(301, 307, 308, 400,
			404), cases.Request{Target: "${base}" + c[1], Proof: ptr(claims("htu", raw(`"${resource}`+c[2]+`"`)))},
			level(cases.SHOULD), needs("paths"))
	}
}

func times(s *suite) {
	s.in("time")
	old := func(id, title, reason string, value raw, l string) {
		s.refuse("RS-021", "iat-"+id, title, reason, claims("iat", value), iatOnly, level(l))
	}
	old("hour-old", "an iat an hour old", "iat_too_old", at(-3600), cases.MUST)
	old("hour-ahead", "an iat an hour ahead", "iat_in_future", at(3600), cases.MUST)
	old("year-old", "an iat a year old", "iat_too_old", at(-31536000), cases.MUST)
	old("11-minutes", "an iat eleven minutes old", "iat_too_old", at(-660), cases.SHOULD)
	old("6-minutes-ahead", "an iat six minutes ahead", "iat_in_future", at(360), cases.SHOULD)
	old("zero", "an iat of 0", "iat_too_old", "0", cases.MUST)
	old("negative", "an iat below 0", "iat_too_old", "-1", cases.MUST)
	old("milliseconds", "an iat in milliseconds", "iat_in_future", "${now}000", cases.MUST)
	old("huge", "an iat of 1e300", "iat_in_future", "1e300", cases.MUST)
	old("overflow", "an iat beyond 64 bits", "iat_in_future", "9223372036854775808", cases.MUST)
	old("overflow-double", "an iat beyond a double", "iat_in_future", "1e999", cases.MUST)
	old("minimum", "an iat at the end of 64 bits", "iat_too_old", "-9223372036854775808", cases.MUST)
	for _, c := range [][2]string{{"nan", "NaN"}, {"infinity", "Infinity"}, {"hex", "0x10"}, {"plus", "+1"},
		{"leading-zero", "0${now}"}} {
		s.refuse("RS-007", "iat-not-"+c[0], "iat is "+c[1]+", which is not JSON", "json_invalid", claims("iat",
			raw(c[1])), iatOnly)
	}
	ok := func(rs, id, title string, value raw, l string) {
		s.accept(rs, "iat-ok-"+id, title, claims("iat", value), iatOnly, level(l))
	}
	ok("RS-070", "now", "an iat of this second", "${now}", cases.MUST)
	ok("RS-070", "5-old", "an iat five seconds old", at(-5), cases.MUST)
	ok("RS-070", "30-old", "an iat 30 seconds old", at(-30), cases.SHOULD)
	ok("RS-072", "4-ahead", "an iat four seconds ahead", at(4), cases.SHOULD)
	ok("RS-072", "8-ahead", "an iat eight seconds ahead", at(8), cases.SHOULD)
	ok("RS-027", "fraction", "an iat with a fraction", "${now}.5", cases.MUST)
	ok("RS-027", "fraction-long", "an iat with nine digits behind the point", "${now-1}.123456789", cases.MUST)
	ok("RS-027", "fraction-zero", "an iat with .0", "${now}.0", cases.MUST)
	ok("RS-027", "exponent", "an iat with an exponent", "${now}e0", cases.MUST)
	ok("RS-027", "exponent-upper", "an iat with an exponent of another form", "${now}.0E+0", cases.MUST)
	s.add("RS-071", "iat-90-old", cases.INFO, "an iat 90 seconds old", once(accepted,
		cases.Request{Proof: ptr(claims("iat", at(-90)))}), iatOnly)
	s.add("RS-071", "iat-200-old", cases.INFO, "an iat 200 seconds old", once(accepted,
		cases.Request{Proof: ptr(claims("iat", at(-200)))}), iatOnly)
	s.add("RS-072", "iat-30-ahead", cases.INFO, "an iat 30 seconds ahead", once(accepted,
		cases.Request{Proof: ptr(claims("iat", at(30)))}), iatOnly)
	for _, c := range []struct {
		id, title, source, reason string
		value                     any
	}{
		{"exp-past", "a proof whose exp has passed by an hour", "RFC 7519 §4.1.4", "exp_past", at(-3600)},
		{"exp-zero", "a proof whose exp is 0", "RFC 7519 §4.1.4", "exp_past", 0},
		{"nbf-ahead", "a proof whose nbf is an hour ahead", "RFC 7519 §4.1.5", "nbf_in_future", at(3600)},
		{"exp-string", "a proof whose exp is a string", "RFC 7519 §4.1.4", "json_invalid", raw(`"${now+60}"`)},
		{"nbf-string", "a proof whose nbf is a string", "RFC 7519 §4.1.5", "json_invalid", raw(`"${now-60}"`)},
	} {
		options := []option{rfc(c.source)}
		if strings.HasSuffix(c.id, "-string") {
			options = append(options, level(cases.SHOULD))
		}
		s.refuse("RS-183", c.id, c.title, c.reason, claims(c.id[:3], c.value), options...)
	}
}

func tokenHash(s *suite) {
	s.in("ath")
	for _, c := range []struct {
		id, title string
		value     any
	}{
		{"missing", "no ath", nil}, {"empty", "an empty ath", ""},
		{"other", "the hash of another token", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"},
		{"padded", "ath with padding", raw(`"${ath|pad}"`)}, {"hex", "ath in hexadecimal", raw(`"${ath|hex}"`)},
		{"sha512", "the SHA-512 of the token", raw(`"${ath512}"`)},
		{"token", "the token itself", raw(`"${token}"`)},
		{"case", "ath with the case of letters changed", raw(`"${ath|invert}"`)},
		{"space", "a space behind ath", raw(`"${ath} "`)},
		{"prefix", "ath with its last character missing", raw(`"${ath|short}"`)},
		{"longer", "ath with a character more", raw(`"${ath}A"`)},
		{"altered", "ath with a character near its end changed", raw(`"${ath|altered}"`)},
		{"altered-first", "ath with its first character changed", raw(`"${ath|altered-first}"`)},
		{"altered-middle", "ath with a character in the middle changed", raw(`"${ath|altered-middle}"`)},
		{"half", "the first half of ath, and something else", raw(`"${ath|first-half}"`)},
		{"half-last", "something else, and the last half of ath", raw(`"${ath|last-half}"`)},
		{"upper", "ath in upper case", raw(`"${ath|upper}"`)},
	} {
		rs := "RS-022"
		if c.id == "sha512" {
			rs = "RS-083"
		}
		reason := "ath_mismatch"
		if c.value == nil {
			reason = "ath_missing"
		}
		s.refuse(rs, "ath-"+c.id, c.title, reason, claims("ath", c.value))
	}
	for _, c := range []struct {
		id    string
		value any
	}{{"null", raw("null")}, {"number", 1}, {"array", raw(`["${ath}"]`)}} {
		s.refuse("RS-007", "ath-"+c.id, "ath is of another type: "+c.id, "json_invalid", claims("ath", c.value))
	}
	s.refuse("RS-139", "ath-name", "ATH in place of ath", "ath_missing", claims("ath", nil, "ATH", raw(`"${ath}"`)))
	s.accept("RS-082", "ath-ok", "ath is the SHA-256 of the token as sent", cases.Proof{})
}

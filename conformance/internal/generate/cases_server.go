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
	s.send("RS-098", "preflight", "a CORS preflight is not answered with an error of ours", accepted,
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

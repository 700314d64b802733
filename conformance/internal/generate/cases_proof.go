package generate

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

func allCases() []cases.Case {
	s := &suite{}
	proofField(s)
	proofHeader(s)
	proofKey(s)
	proofSignature(s)
	proofClaims(s)
	method(s)
	uri(s)
	uriPaths(s)
	times(s)
	tokenHash(s)
	serverCases(s)
	return s.cases
}

const marker = "conformance-marker"

func proofField(s *suite) {
	s.in("field")
	s.accept("RS-162", "good", "a good request is accepted", cases.Proof{})
	s.send("RS-001", "field-lower", "the field name in lower case", accepted, cases.Request{ProofField: "dpop"})
	s.send("RS-001", "field-upper", "the field name in upper case", accepted, cases.Request{ProofField: "DPOP"})
	s.send("RS-001", "field-mixed", "the field name in mixed case", accepted, cases.Request{ProofField: "dPoP"})
	s.send("RS-001", "field-spaces", "white space around the field value is no part of it", accepted,
		cases.Request{Proofs: []string{"  ${proof} \t"}})
	s.refuse("RS-002", "field-letter-case", "one letter of the payload part in upper case", "signature_invalid",
		edit("upper-payload"), because("*"))
	// RFC 6750 §3.1 has a code for requests that repeat something: who answers with it is right too.
	s.send("RS-003", "field-twice-equal", "two equal DPoP fields", noProof,
		cases.Request{Proofs: []string{"${proof}", "${proof}"}}, because("proof_multiple"))
	s.send("RS-003", "field-twice-good-first", "a good DPoP field and an empty one", noProof,
		cases.Request{Proofs: []string{"${proof}", "x"}}, because("proof_multiple"))
	s.send("RS-003", "field-twice-good-last", "a bad DPoP field and a good one behind it", noProof,
		cases.Request{Proofs: []string{"x", "${proof}"}}, because("proof_multiple"))
	s.send("RS-003", "field-list", "two proofs in one field, with a comma", badProof,
		cases.Request{Proofs: []string{"${proof}, ${proof2}"}}, because("jws_malformed"))
	for _, c := range []struct{ id, title, value string }{
		{"field-empty", "an empty field", ""},
		{"field-word", "a word in place of a proof", "x"},
		{"field-dots", "two dots and nothing else", ".."},
		{"field-json", "a JSON object in place of a proof", "{}"},
		{"field-null", "the word null", "null"},
		{"field-token", "the access token as proof", "${token}"},
	} {
		rs, reason := "RS-004", "jws_malformed"
		if c.id == "field-token" {
			rs, reason = "RS-079", "typ_wrong"
		}
		s.send(rs, c.id, c.title, noProof, cases.Request{Proofs: []string{c.value}}, because(reason))
	}
	for _, c := range []struct{ id, title, edit string }{
		{"parts-one", "the header alone", "one-part"}, {"parts-two", "no signature part", "two-parts"},
		{"parts-four", "a fourth part", "four-parts"}, {"parts-five", "five parts, as a JWE has", "five-parts"},
		{"parts-dot-after", "a dot behind the signature", "dot-after"},
		{"parts-dot-before", "a dot before the header", "dot-before"},
		{"json-flattened", "flattened JSON serialisation", "json-flat"},
		{"json-general", "general JSON serialisation", "json-general"},
		{"detached", "a detached payload", "detached"}, {"quoted", "quotes around the proof", "quoted"},
	} {
		s.refuse("RS-004", "form-"+c.id, c.title, "jws_malformed", edit(c.edit))
	}
	s.refuse("RS-126", "form-nested", "a proof within a signed JWT", "json_invalid", edit("nested"))
	s.send("RS-039", "proof-missing", "a token under DPoP without a proof", noProof,
		cases.Request{Without: []string{"proof"}}, because("proof_missing"))
	for _, c := range []struct{ id, title, reason string }{
		{"header:pad", "padding behind the header", "jws_malformed"},
		{"payload:pad", "padding behind the payload", "jws_malformed"},
		{"signature:pad", "padding behind the signature", "jws_malformed"},
		{"header:space", "a space within the header", "jws_malformed"},
		{"payload:space", "a space within the payload", "jws_malformed"},
		{"header:stray", "stray bits at the end of the header", "jws_malformed"},
		{"payload:stray", "stray bits at the end of the payload", "jws_malformed"},
		{"signature:stray", "stray bits at the end of the signature", "jws_malformed"},
		{"header:standard", "the standard base64 alphabet in the header", "jws_malformed"},
		{"payload:standard", "the standard base64 alphabet in the payload", "jws_malformed"},
		{"header:empty", "an empty header", "jws_malformed"}, {"payload:empty", "an empty payload", "jws_malformed"},
	} {
		p := edit(c.id)
		p.Header, p.Claims = members("x", "?????>>>>>"), members("x", "?????>>>>>")
		s.refuse("RS-138", "base64-"+strings.ReplaceAll(c.id, ":", "-"), c.title, c.reason, p)
	}
	for _, part := range []string{"header", "payload"} {
		s.refuse("RS-130", "utf-bom-"+part, "a byte order mark before the "+part, "json_invalid", edit(part+":bom"))
		s.refuse("RS-130", "utf-16-"+part, "the "+part+" in UTF-16", "json_invalid", edit(part+":utf16"))
		s.refuse("RS-004", "json-after-"+part, "a second JSON object behind the "+part, "json_invalid",
			edit(part+":json-after"))
	}
	p := edit("payload:latin1")
	p.Claims = members("x", "@latin1")
	s.refuse("RS-130", "utf-invalid-payload", "an octet that is not UTF-8 in the payload", "json_invalid", p)
	p = edit("header:latin1")
	p.Header = members("x", "@latin1")
	s.refuse("RS-130", "utf-invalid-header", "an octet that is not UTF-8 in the header", "json_invalid", p)
	s.accept("RS-025", "json-white-space", "white space between the JSON tokens", edit("header:white-space",
		"payload:white-space"))
	s.refuse("RS-182", "proof-huge", "a proof of 60,000 octets", "proof_too_large", claims("x", strings.Repeat("x",
		45000)), func(c *cases.Case) {
		c.Steps[0].Strict, c.Steps[0].Base = badProof.or(413, 431, 400).strict, badProof.or(413, 431, 400).base
		c.Level = cases.SHOULD
		c.Reason = ""
	})
}

func proofHeader(s *suite) {
	s.in("header")
	for _, name := range []string{"typ", "alg", "jwk"} {
		reason := map[string]string{"typ": "typ_wrong", "alg": "header_invalid", "jwk": "header_invalid"}[name]
		s.refuse("RS-005", "header-no-"+name, "no "+name, reason, header(name, nil))
		wrong := "json_invalid"
		s.refuse("RS-007", "header-null-"+name, name+" is null", "*", header(name, raw("null")))
		s.refuse("RS-007", "header-number-"+name, name+" is a number", wrong, header(name, 1))
		s.refuse("RS-007", "header-array-"+name, name+" is an array", wrong, header(name, []string{"dpop+jwt"}))
	}
	for _, c := range [][2]string{
		{"jwt", "JWT"}, {"at-jwt", "at+jwt"}, {"empty", ""}, {"other", "dpop"}, {"suffix", "dpop+jwt2"},
		{"space", " dpop+jwt"}, {"logout", "logout+jwt"},
	} {
		s.refuse("RS-008", "typ-"+c[0], "typ is \""+c[1]+"\"", "typ_wrong", header("typ", c[1]))
	}
	s.add("RS-008", "typ-upper", cases.INFO, "typ in upper case", once(accepted,
		cases.Request{Proof: ptr(header("typ", "DPOP+JWT"))}))
	s.add("RS-008", "typ-application", cases.INFO, "typ with application/ before it", once(accepted,
		cases.Request{Proof: ptr(header("typ", "application/dpop+jwt"))}))
	for _, alg := range []string{"none", "None", "NONE", "nOnE"} {
		p := header("alg", alg)
		s.refuse("RS-010", "alg-"+alg+"-signed", "alg "+alg+" with a signature", "alg_not_allowed", p)
		s.refuse("RS-010", "alg-"+alg, "alg "+alg+" without a signature", "jws_malformed", cases.Proof{Alg: alg})
	}
	for _, alg := range []string{"HS256", "HS384", "HS512"} {
		s.refuse("RS-009", "alg-"+alg, "alg "+alg+", keyed with the public key", "alg_not_allowed",
			cases.Proof{Alg: alg})
	}
	for _, alg := range []string{"dir", "A256KW", "ECDH-ES", "RSA-OAEP", "XX256", "es256", "ES256 ", ""} {
		reason := "alg_not_allowed"
		if alg == "" {
			reason = "header_invalid"
		}
		s.refuse("RS-009", "alg-name-"+strings.ReplaceAll(alg, " ", "-space"), "alg \""+alg+"\"", reason,
			header("alg", alg))
	}
	s.refuse("RS-080", "alg-RS1", "alg RS1, with SHA-1", "alg_not_allowed", cases.Proof{Key: "rsa",
		Header: members("alg", "RS1")}, bound("rsa"))
	for _, c := range [][3]string{
		{"der", "client", "its DER"}, {"jwk", "client", "its JWK"}, {"point", "client", "its octets"},
		{"pem", "rsa", "the PEM of an RSA key"}, {"modulus", "rsa", "the modulus of an RSA key"},
	} {
		s.refuse("RS-009", "alg-HS256-"+c[0], "alg HS256, keyed with "+c[2], "alg_not_allowed", cases.Proof{Key: c[1],
			Alg: "HS256", Edit: []string{"signature:mac-" + c[0]}}, bound(c[1]))
	}
	s.refuse("RS-009", "alg-oct-bound", "an HMAC key in jwk, to which the token is bound", "alg_not_allowed", cases.Proof{
		Alg: "HS256", RawJWK: `{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"}`,
		Edit: []string{"signature:mac-k"},
	}, bound("="))
	s.refuse("RS-009", "alg-oct", "an HMAC key in jwk", "alg_not_allowed", cases.Proof{Alg: "HS256",
		RawJWK: `{"kty":"oct","k":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"}`})
	for _, c := range [][2]string{
		{"ES256", "client"}, {"ES384", "es384"}, {"ES512", "es512"}, {"EdDSA", "ed25519"}, {"Ed25519", "ed25519"},
		{"RS256", "rsa"}, {"RS384", "rsa"}, {"RS512", "rsa"}, {"PS256", "rsa"}, {"PS384", "rsa"}, {"PS512", "rsa"},
	} {
		s.accept("RS-011", "alg-"+c[0], "a proof with "+c[0]+", which the server offers", cases.Proof{Key: c[1],
			Alg: c[0]}, bound(c[1]), needs("alg:"+c[0]))
		s.refuse("RS-011", "alg-"+c[0]+"-not-offered", "a proof with "+c[0]+", which the server does not offer", "",
			cases.Proof{Key: c[1], Alg: c[0]},
			bound(c[1]), needs("not-alg:"+c[0]))
	}
	for _, c := range [][3]string{
		{"ES384", "client", "P-256"}, {"ES512", "client", "P-256"}, {"ES256", "es384", "P-384"},
		{"ES256", "rsa", "RSA"}, {"RS256", "client", "P-256"},
		{"PS256", "client", "P-256"}, {"EdDSA", "client", "P-256"}, {"ES256", "ed25519", "Ed25519"},
		{"RS256", "ed25519", "Ed25519"},
	} {
		s.refuse("RS-124", "alg-"+c[0]+"-with-"+c[1], c[0]+" with a key of "+c[2], "*", cases.Proof{Key: c[1],
			Alg: c[0]}, bound(c[1]))
	}
	s.refuse("RS-124", "alg-RS-as-PS", "a PKCS #1 v1.5 signature under the name PS256", "signature_invalid",
		cases.Proof{Key: "rsa", Header: members("alg", "PS256")}, bound("rsa"))
	s.refuse("RS-124", "alg-RS512-as-RS256", "an RS512 signature under the name RS256", "signature_invalid",
		cases.Proof{Key: "rsa", Alg: "RS512", Header: members("alg", "RS256")}, bound("rsa"))
	for _, c := range []struct {
		id, title string
		value     any
	}{
		{"unknown", "crit names an extension", []string{"x"}}, {"empty", "crit is an empty array", []string{}},
		{"null", "crit is null", raw("null")}, {"string", "crit is a string", "x"},
		{"known", "crit names exp", []string{"exp"}}, {"b64", "crit names b64", []string{"b64"}},
	} {
		p := header("crit", c.value, "x", 1)
		if c.id == "b64" {
			p = header("crit", c.value, "b64", true)
		}
		s.refuse("RS-136", "crit-"+c.id, c.title, "crit_present", p)
	}
	s.refuse("RS-145", "b64-false", "b64 is false", "header_invalid", header("b64", false))
	good := `"typ":"dpop+jwt","alg":"ES256","jwk":${jwk}`
	for _, c := range [][4]string{
		{"typ-last", `{"typ":"JWT",` + good + `}`, "typ twice, the good one last", ""},
		{"typ-first", `{` + good + `,"typ":"JWT"}`, "typ twice, the bad one last", ""},
		{"alg", `{` + good + `,"alg":"none"}`, "alg twice", ""},
		{"jwk", `{` + good + `,"jwk":{}}`, "jwk twice", ""},
	} {
		l := cases.MUST
		if c[0] == "typ-last" {
			l = cases.SHOULD // RFC 7515 lets a parser take the last
		}
		s.refuse("RS-137", "duplicate-"+c[0], c[2], "json_invalid", cases.Proof{RawHeader: c[1]}, level(l))
	}
	for _, c := range [][2]string{{"typ", "TYP"}, {"alg", "Alg"}, {"jwk", "JWK"}} {
		value := map[string]string{"typ": `"dpop+jwt"`, "alg": `"ES256"`, "jwk": `${jwk}`}
		text := `{`
		for _, name := range []string{"typ", "alg", "jwk"} {
			spelled := name
			if name == c[0] {
				spelled = c[1]
			}
			text += `"` + spelled + `":` + value[name] + `,`
		}
		reason := map[string]string{"typ": "typ_wrong", "alg": "header_invalid", "jwk": "header_invalid"}[c[0]]
		s.refuse("RS-139", "header-case-"+c[0], c[1]+" in place of "+c[0], reason,
			cases.Proof{RawHeader: strings.TrimSuffix(text, ",") + `}`})
	}
	for _, c := range []struct {
		id, title string
		value     cases.Proof
	}{
		{"kid", "a kid beside the jwk", header("kid", "k1")},
		{"unknown", "an unknown member", header("x-app", map[string]any{"a": []int{1, 2}})},
		{"cty", "a cty", header("cty", "json")}, {"uri", "a member with a URI as name",
			header("https://example.com/x", true)},
		{"long-kid", "a kid of 1000 characters", header("kid", strings.Repeat("k", 1000))},
		{"null-extra", "an unknown member that is null", header("x", raw("null"))},
		{"b64-true", "b64 is true", header("b64", true)},
		{"x5t", "an x5t#S256", header("x5t#S256", "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2")},
	} {
		l := cases.MUST
		if c.id == "b64-true" {
			l = cases.SHOULD
		}
		s.accept("RS-025", "header-extra-"+c.id, c.title+" is ignored", c.value, level(l))
	}
	s.accept("RS-025", "header-order", "the header members in another order",
		cases.Proof{RawHeader: `{"jwk":${jwk},"alg":"ES256","typ":"dpop+jwt"}`})
	s.accept("RS-025", "header-escapes", "a member name with a JSON escape",
		cases.Proof{RawHeader: `{"\u0074yp":"dpop\u002bjwt","alg":"ES256","jwk":${jwk}}`})
	s.refuse("RS-133", "jku-only", "jku in place of jwk", "header_invalid", header("jwk", nil, "jku",
		"https://example.com/keys"))
	s.refuse("RS-133", "x5c-only", "x5c in place of jwk", "header_invalid", header("jwk", nil, "x5c",
		[]string{"AAAA"}))
	s.refuse("RS-133", "kid-only", "kid in place of jwk", "header_invalid", header("jwk", nil, "kid", "k1"))
	s.accept("RS-012", "jku-beside", "a jku beside the jwk is ignored", header("jku", "http://127.0.0.1:9/keys"))
	s.refuse("RS-129", "zip", "a compressed payload is not inflated", "json_invalid",
		cases.Proof{Header: members("zip", "DEF"), RawPayload: "x\x9c"})
}

func ptr[T any](v T) *T { return &v }

// bound binds the token to the key of the proof.
func bound(key string) option {
	return requests(func(r *cases.Request) { r.Token = &cases.Token{Bind: key} })
}

func proofKey(s *suite) {
	s.in("key")
	s.refuse("RS-013", "private-ec", "an EC key with d", "key_private", jwk("d",
		"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"))
	s.refuse("RS-013", "private-okp", "an Ed25519 key with d", "key_private", cases.Proof{Key: "ed25519",
		JWK: members("d", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")}, bound("ed25519"), needs("alg:EdDSA"))
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth"} {
		var value any = "AQAB"
		if name == "oth" {
			value = []any{}
		}
		s.refuse("RS-013", "private-rsa-"+name, "an RSA key with "+name, "key_private", cases.Proof{Key: "rsa",
			JWK: members(name, value)}, bound("rsa"), needs("alg:RS256"))
	}
	s.refuse("RS-013", "private-rsa-factor", "an RSA key with its own p", "key_private", cases.Proof{Key: "rsa",
		JWK: members("p", keyJSON("rsa")["p"])}, bound("rsa"), needs("alg:RS256"))
	s.refuse("RS-013", "private-k", "a key with k, which an EC key does not have", "key_private", jwk("k", "AQAB"),
		level(cases.INFO))
	s.refuse("RS-013", "private-null", "a key whose d is null", "key_private", jwk("d", raw("null")))
	for _, c := range []struct {
		id, rs, title string
		p             cases.Proof
		reason        string
	}{
		{"null", "RS-005", "jwk is an empty object", header("jwk", map[string]any{}), "key_unacceptable"},
		{"string", "RS-007", "jwk is a string with JSON in it", header("jwk", `{"kty":"EC"}`), "json_invalid"},
		{"kty-missing", "RS-127", "no kty", jwk("kty", nil), "key_unacceptable"},
		{"kty-unknown", "RS-127", "an unknown kty", jwk("kty", "XX"), "key_unacceptable"},
		{"kty-case", "RS-139", "kty in lower case", jwk("kty", "ec"), "key_unacceptable"},
		{"kty-oct", "RS-127", "kty oct", jwk("kty", "oct"), "key_unacceptable"},
		{"crv-missing", "RS-127", "no crv", jwk("crv", nil), "key_unacceptable"},
		{"crv-unknown", "RS-127", "an unknown crv", jwk("crv", "P-192"), "key_unacceptable"},
		{"crv-secp256k1", "RS-127", "crv secp256k1", jwk("crv", "secp256k1"), "key_unacceptable"},
		{"crv-other", "RS-127", "a P-256 point as one of P-384", jwk("crv", "P-384"), "key_unacceptable"},
		{"x-missing", "RS-127", "no x", jwk("x", nil), "key_unacceptable"},
		{"y-missing", "RS-127", "no y", jwk("y", nil), "key_unacceptable"},
		{"x-number", "RS-007", "x is a number", jwk("x", 1), "json_invalid"},
		{"x-empty", "RS-127", "x is empty", jwk("x", ""), "key_unacceptable"},
		{"off-curve", "RS-127", "a point that is not on its curve", jwk("y",
			"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"), "key_unacceptable"},
		{"zero", "RS-127", "the point (0, 0)", jwk("x", strings.Repeat("A", 43), "y", strings.Repeat("A", 43)),
			"key_unacceptable"},
		{"x-long", "RS-143", "x with a zero octet more", jwk("x", "${x-long}"), "key_unacceptable"},
		{"x-padded", "RS-138", "x with padding", jwk("x", "${x-padded}"), "*"},
		{"use-enc", "RS-140", "use is enc", jwk("use", "enc"), "key_unacceptable"},
		{"ops-encrypt", "RS-140", "key_ops is encrypt", jwk("key_ops", []string{"encrypt"}), "key_unacceptable"},
		{"alg-other", "RS-124", "the key's own alg is ES384", jwk("alg", "ES384"), "key_alg_mismatch"},
	} {
		client := keyJSON("client")
		for name, value := range c.p.JWK {
			switch string(value) {
			case `"${x-long}"`:
				c.p.JWK[name] = []byte(`"` + extend(client["x"]) + `"`)
			case `"${x-padded}"`:
				c.p.JWK[name] = []byte(`"` + client["x"] + `="`)
			}
		}
		l := cases.MUST
		if strings.HasPrefix(c.id, "use-") || strings.HasPrefix(c.id, "ops-") || c.id == "alg-other" {
			l = cases.SHOULD
		}
		options := []option{level(l)}
		if c.p.JWK != nil {
			options = append(options, bound("="))
		}
		s.refuse(c.rs, "key-"+c.id, c.title, c.reason, c.p, options...)
	}
	for _, c := range [][3]string{{"zero-x", "x", "ES256"}, {"zero-y", "y", "ES256"}, {"zero-x-521", "x", "ES512"}} {
		s.accept("RS-032", "key-"+c[0], "a key whose "+c[1]+" begins with a zero octet", cases.Proof{Key: c[0]},
			bound(c[0]), needs("alg:"+c[2]))
		s.refuse("RS-143", "key-"+c[0]+"-stripped", c[1]+" without its leading zero octet", "key_unacceptable",
			cases.Proof{Key: c[0], JWK: members(c[1], strip(keyJSON(c[0])[c[1]]))}, bound("="), needs("alg:"+c[2]))
	}
	okp := func(id, title, reason string, pairs ...any) {
		s.refuse("RS-144", "key-okp-"+id, title, reason, cases.Proof{Key: "ed25519", JWK: members(pairs...)},
			bound("="), needs("alg:EdDSA"))
	}
	okp("crv-x25519", "crv X25519", "key_unacceptable", "crv", "X25519")
	okp("crv-ed448", "crv Ed448 with 32 octets", "key_unacceptable", "crv", "Ed448")
	okp("short", "x of 31 octets", "key_unacceptable", "x", strings.Repeat("B", 42))
	okp("long", "x of 33 octets", "key_unacceptable", "x", strings.Repeat("B", 44))
	okp("small-order", "a point of small order", "key_unacceptable", "x",
		"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	for _, c := range [][3]string{
		{"small-order-fits", "the neutral point, with a signature that fits it",
			"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{"small-order-two-fits", "the point of order two, with a signature that fits it",
			"7P_______________________________________38"},
	} {
		s.refuse("RS-144", "key-okp-"+c[0], c[1], "key_unacceptable", cases.Proof{Key: "ed25519", JWK: members("x", c[2]),
			Edit: []string{"signature:small-order"}}, bound("="), needs("alg:EdDSA"))
	}
	okp("not-canonical", "a point that is not canonical", "key_unacceptable", "x",
		"7v________________________________________38")
	rsa := func(id, rs, title, reason string, pairs ...any) {
		s.refuse(rs, "key-rsa-"+id, title, reason, cases.Proof{Key: "rsa", JWK: members(pairs...)}, bound("="),
			needs("alg:RS256"))
	}
	s.refuse("RS-141", "key-rsa-1024", "an RSA key of 1024 bits", "key_unacceptable", cases.Proof{Key: "rsa-1024"},
		bound("rsa-1024"))
	s.accept("RS-141", "key-rsa-3072", "an RSA key of 3072 bits", cases.Proof{Key: "rsa-3072"}, bound("rsa-3072"),
		needs("alg:RS256"))
	s.refuse("RS-080", "key-rsa-e-1", "the exponent 1, with a signature that fits it", "key_unacceptable",
		cases.Proof{Key: "rsa", JWK: members("e", "AQ"), Edit: []string{"signature:e-1"}}, bound("="), needs("alg:RS256"),
		rfc("RFC 9449 §11.6, RFC 8017 §3.1"))
	rsa("e-even", "RS-127", "an even exponent", "key_unacceptable", "e", "AQAA")
	rsa("e-zero", "RS-127", "the exponent 0", "key_unacceptable", "e", "AA")
	rsa("e-empty", "RS-127", "an empty exponent", "key_unacceptable", "e", "")
	rsa("e-huge", "RS-127", "an exponent of 256 octets", "key_unacceptable", "e", strings.Repeat("_", 342))
	rsa("e-leading-zero", "RS-143", "an exponent with a leading zero octet", "key_unacceptable", "e", "AAEAAQ")
	rsa("n-leading-zero", "RS-143", "a modulus with a leading zero octet", "key_unacceptable", "n",
		extend(keyJSON("rsa")["n"]))
	rsa("n-missing", "RS-127", "no modulus", "key_unacceptable", "n", nil)
	rsa("n-even", "RS-127", "an even modulus", "key_unacceptable", "n", strings.Repeat("_", 341)+"g")
	s.refuse("RS-179", "key-rsa-16384", "an RSA key of 16,384 bits costs nothing", "key_unacceptable",
		cases.Proof{Key: "rsa", JWK: members("n", strings.Repeat("_", 2730)+"8")}, bound("="),
		func(c *cases.Case) {
			c.Steps[0].Strict.Checks, c.Steps[0].Base.Checks = []string{"fast"}, []string{"fast"}
		})
	for _, c := range []struct {
		id, title string
		p         cases.Proof
	}{
		{"kid", "a kid in the jwk", jwk("kid", "k1")}, {"use-sig", "use is sig", jwk("use", "sig")},
		{"alg", "alg is the proof's", jwk("alg", "ES256")},
		{"ext", "ext, as browsers export it", jwk("ext", true)},
		{"ops-verify", "key_ops is verify", jwk("key_ops", []string{"verify"})},
		{"ops-both", "key_ops with verify among others", jwk("key_ops", []string{"sign", "verify"})},
		{"unknown", "an unknown member", jwk("x-app", []any{1, nil, "x"})},
		{"x5u", "an x5u", jwk("x5u", "https://example.com/c")},
		{"iat", "an iat and exp in the jwk", jwk("iat", 1, "exp", 2)},
	} {
		s.accept("RS-031", "key-extra-"+c.id, c.title+" does not enter the thumbprint", c.p)
	}
	client := keyJSON("client")
	s.accept("RS-030", "key-order", "the members of the jwk in another order", cases.Proof{
		RawJWK: `{"y":"` + client["y"] + `","x":"` + client["x"] + `","kty":"EC","crv":"P-256"}`,
	})
	s.refuse("RS-137", "key-duplicate-x", "x twice in the jwk", "json_invalid", cases.Proof{
		RawJWK: `{"x":"AAAA","y":"` + client["y"] + `","x":"` + client["x"] + `","kty":"EC","crv":"P-256"}`,
	}, level(cases.SHOULD))
}

func proofSignature(s *suite) {
	s.in("signature")
	for _, c := range []struct{ id, title, edit, reason string }{
		{"flip", "one bit of the signature", "signature:flip", "signature_invalid"},
		{"first-bit", "the first bit of the signature", "signature:first-bit", "signature_invalid"},
		{"empty", "an empty signature", "signature:empty", "jws_malformed"},
		{"short", "a signature that is an octet short", "signature:short", "signature_invalid"},
		{"long", "a signature with an octet behind it", "signature:long", "signature_invalid"},
		{"front", "a zero octet before the signature", "signature:front", "signature_invalid"},
		{"zero", "r and s are zero", "signature:zero", "signature_invalid"},
		{"half", "s is zero", "signature:half", "signature_invalid"},
		{"swap", "s before r", "signature:swap", "signature_invalid"},
		{"der", "an ASN.1 signature", "signature:der", "signature_invalid"},
		{"plus-order", "r and s plus the order of the group", "signature:plus-order", "signature_invalid"},
	} {
		rs := "RS-012"
		if c.id == "der" || c.id == "plus-order" || c.id == "zero" {
			rs = "RS-142"
		}
		s.refuse(rs, "signature-"+c.id, c.title, c.reason, edit(c.edit))
	}
	s.refuse("RS-012", "signature-other-key", "signed by another key than the jwk", "signature_invalid",
		cases.Proof{Signer: "other"})
	s.refuse("RS-012", "signature-other-rsa", "an RSA proof signed by another key", "signature_invalid",
		cases.Proof{Key: "rsa", Signer: "rsa-3072"}, bound("rsa"), needs("alg:RS256"))
	s.refuse("RS-012", "signature-flip-ed25519", "one bit of an Ed25519 signature", "signature_invalid",
		cases.Proof{Key: "ed25519", Edit: []string{"signature:flip"}}, bound("ed25519"), needs("alg:EdDSA"))
	s.refuse("RS-012", "signature-flip-rsa", "one bit of an RSA signature", "signature_invalid",
		cases.Proof{Key: "rsa", Edit: []string{"signature:flip"}}, bound("rsa"), needs("alg:RS256"))
	s.refuse("RS-012", "signature-flip-pss", "one bit of a PSS signature", "signature_invalid",
		cases.Proof{Key: "rsa", Alg: "PS256", Edit: []string{"signature:flip"}}, bound("rsa"), needs("alg:PS256"))
}

func proofClaims(s *suite) {
	s.in("claims")
	for _, name := range []string{"jti", "htm", "htu", "iat"} {
		s.refuse("RS-006", "claim-no-"+name, "no "+name, "claim_missing", claims(name, nil))
		s.refuse("RS-007", "claim-null-"+name, name+" is null", "json_invalid", claims(name, raw("null")))
		s.refuse("RS-007", "claim-array-"+name, name+" is an array", "json_invalid", claims(name, []string{"x"}))
		s.refuse("RS-007", "claim-object-"+name, name+" is an object", "json_invalid", claims(name,
			map[string]any{"a": 1}))
		s.refuse("RS-007", "claim-bool-"+name, name+" is true", "json_invalid", claims(name, true))
		good := map[string]string{"jti": `"${random}"`, "htm": `"${method}"`, "htu": `"${url}"`, "iat": `${now}`,
			"ath": `"${ath}"`}
		text := `{`
		for _, other := range []string{"jti", "htm", "htu", "iat", "ath"} {
			spelled := other
			if other == name {
				spelled = strings.ToUpper(other)
			}
			text += `"` + spelled + `":` + good[other] + `,`
		}
		s.refuse("RS-139", "claim-case-"+name, strings.ToUpper(name)+" in place of "+name, "claim_missing",
			cases.Proof{RawPayload: strings.TrimSuffix(text, ",") + `}`}, iatOnly)
	}
	for _, name := range []string{"jti", "htm", "htu"} {
		s.refuse("RS-007", "claim-number-"+name, name+" is a number", "json_invalid", claims(name, 7))
	}
	s.refuse("RS-006", "claim-empty-htm", "htm is empty", "claim_missing", claims("htm", ""))
	s.refuse("RS-006", "claim-empty-htu", "htu is empty", "claim_missing", claims("htu", ""))
	s.refuse("RS-007", "claim-string-iat", "iat is a string with the right number", "json_invalid", claims("iat",
		raw(`"${now}"`)))
	s.refuse("RS-007", "claim-date-iat", "iat is a date in words", "json_invalid", claims("iat",
		"2026-01-02T03:04:05Z"))
	for _, c := range [][2]string{{"array", "[]"}, {"string", `"x"`}, {"number", "1"}, {"null", "null"},
		{"empty", "{}"}, {"not-json", "x"}, {"open", `{"jti":"x"`}} {
		reason := "json_invalid"
		if c[0] == "empty" {
			reason = "claim_missing"
		}
		s.refuse("RS-004", "payload-"+c[0], "the payload is "+c[1], reason, cases.Proof{RawPayload: c[1]})
	}
	all := `"jti":"${random}","htm":"${method}","htu":"${url}","iat":${now},"ath":"${ath}"`
	for _, c := range [][3]string{
		{"htm", `"htm":"DELETE"`, "htm twice, the wrong one last"},
		{"htu", `"htu":"https://other.example/"`, "htu twice, the wrong one last"},
		{"iat", `"iat":1`, "iat twice, the wrong one last"}, {"ath", `"ath":"x"`, "ath twice, the wrong one last"},
	} {
		s.refuse("RS-137", "claim-duplicate-"+c[0], c[2], "json_invalid",
			cases.Proof{RawPayload: `{` + all + `,` + c[1] + `}`})
		s.refuse("RS-137", "claim-duplicate-"+c[0]+"-first", strings.Replace(c[2], "last", "first", 1),
			"json_invalid", cases.Proof{RawPayload: `{` + c[1] + `,` + all + `}`}, level(cases.SHOULD), iatOnly)
	}
	for _, c := range []struct {
		id, title string
		p         cases.Proof
	}{
		{"iss", "an iss", claims("iss", "https://client.example.com")}, {"sub", "a sub", claims("sub", "user-1")},
		{"aud", "an aud for another party", claims("aud", "https://other.example.com")},
		{"exp", "an exp in the future", claims("exp", at(60))},
		{"nbf", "an nbf in the past", claims("nbf", at(-60))},
		{"client", "a client_id", claims("client_id", "x")},
		{"nested", "a nested object", claims("x", map[string]any{"a": map[string]any{"b": []int{1}}})},
		{"null", "an unknown claim that is null", claims("x", raw("null"))},
		{"uri", "a claim with a URI as name", claims("https://example.com/x", 1)},
		{"upper", "HTM beside htm", claims("HTM", "DELETE")},
		{"body-hash", "a hash of the body", claims("bdh", "x")},
		{"big-number", "a number beyond 64 bits", claims("x", raw("123456789012345678901234567890"))},
	} {
		s.accept("RS-025", "claim-extra-"+c.id, c.title+" is ignored", c.p)
	}
	for _, c := range []struct {
		id, title string
		value     any
	}{
		{"short", "a jti of eight characters", raw(`"${random}"`)},
		{"uuid", "a UUID with braces", raw(`"{${random}-4e89-a1b2}"`)},
		{"unicode", "a jti with letters of other scripts", raw(`"żółć-日本-${random}"`)},
		{"emoji", "a jti with characters beyond the basic plane", raw(`"🔑${random}"`)},
		{"quote", "a jti with quotes and backslashes", raw(`"a\"b\\c${random}"`)},
		{"control", "a jti with control characters", raw(`"a\u0001\n\t${random}"`)},
		{"space", "a jti with spaces", raw(`" a b ${random} "`)},
		{"base64", "a jti in base64 with padding", raw(`"+/${random}=="`)},
		{"url", "a jti that is a URL", raw(`"https://example.com/${random}?a=b#c"`)},
		{"long", "a jti of 500 characters", raw(`"${random}` + strings.Repeat("j", 480) + `"`)},
		{"sql", "a jti that looks like an injection", raw(`"' OR 1=1; -- ${random}"`)},
		{"nul", "a jti with a NUL", raw(`"a\u0000b${random}"`)}, {"number", "a jti of digits", raw(`"${now}000001"`)},
	} {
		s.accept("RS-026", "jti-"+c.id, c.title, claims("jti", c.value))
	}
	s.send("RS-077", "jti-huge", "a jti of 6,000 characters is refused or kept as a hash", accepted,
		cases.Request{Proof: ptr(claims("jti", raw(`"${random}`+strings.Repeat("j", 6000)+`"`)))},
		level(cases.INFO))
	s.accept("RS-025", "claim-escapes", "JSON escapes in names and values", cases.Proof{
		RawPayload: `{"\u006ati":"${random}","ht\u006d":"${method}","htu":"${url|slashes}","iat":${now},"ath":"${ath}"}`,
	}, iatOnly)
	s.accept("RS-025", "claim-order", "the claims in another order",
		cases.Proof{RawPayload: `{"ath":"${ath}","iat":${now},"htu":"${url}","htm":"${method}","jti":"${random}"}`}, iatOnly)
	s.refuse("RS-179", "deep", "brackets nested 2500 deep", "json_invalid", claims("x", raw(strings.Repeat("[",
		2500)+strings.Repeat("]", 2500))), func(c *cases.Case) {
		a := badProof.or(400, 413, 431).with("fast")
		c.Steps[0].Strict, c.Steps[0].Base, c.Reason, c.Level = a.strict, a.base, "", cases.SHOULD
	})
}

// iatOnly is for proofs that are written out, without room for a nonce.
func iatOnly(c *cases.Case) { c.Needs = append(c.Needs, "iat") }

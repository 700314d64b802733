package generate

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

// adder adds a case of the group replay.
type adder func(rs, id, title string, list []cases.Step, options ...option)

// remembered are replays of what a memory may overlook, and good requests that it may take for replays.
func remembered(s *suite, add adder) {
	twice := func(id, title string, r cases.Request, options ...option) {
		add("RS-073", id, title+", twice", steps(accepted.step(r), again(badProof, r)), options...)
	}
	withJTI := func(jti string) cases.Request { return cases.Request{Proof: ptr(claims("jti", raw(`"`+jti+`"`)))} }
	for _, c := range [][2]string{
		{"one", "${random|first}"}, {"64", "${random}" + strings.Repeat("j", 40)}, {"100", "${random}" + strings.Repeat("j", 76)},
		{"300", "${random}" + strings.Repeat("j", 276)}, {"unicode", "żółć-日本-${random}"}, {"space", " ${random} "},
		{"escape", "a\\u0062\\\"${random}"}, {"digits", "${now}${random|digits}"}, {"upper", "${random|upper}"},
	} {
		options := []option{}
		if c[0] == "300" {
			options = append(options, level(cases.SHOULD), rfc("RFC 9449 §11.1"))
		}
		twice("jti-"+c[0], "a proof with a jti of another form ("+c[0]+")", withJTI(c[1]), options...)
	}
	body := []cases.Header{{Name: "Content-Type", Value: "application/json"}}
	twice("body", "a POST with a body", cases.Request{Method: "POST", Body: `{"amount":1}`, Headers: body}, needs("methods"))
	for _, m := range []string{"HEAD", "PUT", "PATCH", "DELETE"} {
		twice(m, "a "+m, cases.Request{Method: m}, needs("methods"))
	}
	twice("below", "a request below the resource", cases.Request{Path: "/a/b"})
	twice("with-query", "a request with a query", cases.Request{Query: "a=b"})
	twice("opaque", "a request with an opaque token", cases.Request{Token: &cases.Token{Opaque: true}})
	twice("certificate", "a request with a certificate", cases.Request{Endpoint: "mtls", Certificate: "client"})
	twice("both", "a request bound to a key and a certificate", cases.Request{Endpoint: "mtls", Certificate: "client",
		Token: &cases.Token{Certificate: "client"}})
	twice("beside-bearer", "a request where bearer tokens are taken as well", cases.Request{Endpoint: "bearer"})
	for _, c := range [][2]string{{"ES384", "es384"}, {"ES512", "es512"}, {"EdDSA", "ed25519"}, {"RS256", "rsa"},
		{"PS256", "rsa"}} {
		twice("alg-"+c[0], "a proof with "+c[0], cases.Request{Token: &cases.Token{Bind: c[1]},
			Proof: &cases.Proof{Key: c[1], Alg: c[0]}}, needs("alg:"+c[0]))
	}
	re := func(id, title string, edit cases.Proof) {
		first := cases.Request{Proof: ptr(claims("jti", raw(`"${jti}"`)))}
		edit.Claims = members("jti", raw(`"${jti}"`))
		add("RS-073", "resigned-"+id, "a used jti in a proof that is signed anew: "+title,
			steps(accepted.step(first), badProof.step(cases.Request{Proof: &edit})), level(cases.SHOULD))
	}
	re("kid", "with a kid in its header", header("kid", "k2"))
	re("order", "with white space", edit("header:white-space", "payload:white-space"))

	// Two proofs whose jti differ are two proofs (RFC 7519 §4.1.7).
	distinct := func(id, title, one, two string, options ...option) {
		add("RS-184", "distinct-"+id, "two proofs whose jti "+title, steps(accepted.step(withJTI(one)),
			accepted.step(withJTI(two))), options...)
	}
	long := strings.Repeat("j", 60)
	distinct("case", "differ in the case of letters", "a-${jti}", "A-${jti}")
	distinct("last", "differ in the last of a hundred characters", "${jti}"+long+"-0000000001", "${jti}"+long+"-0000000002")
	distinct("first", "differ in the first of a hundred characters", "1-"+long+"${jti}", "2-"+long+"${jti}")
	distinct("space", "differ in a space at the end", "${jti}", "${jti} ", level(cases.SHOULD))
	distinct("space-before", "differ in a space at the start", "${jti}", " ${jti}", level(cases.SHOULD))
	distinct("accent", "differ in how a letter is composed", "\\u017c-${jti}", "z\\u0307-${jti}", level(cases.SHOULD))
	distinct("padding", "differ in padding", "${jti}", "${jti}==")
	distinct("zero", "differ in leading zeros", "1${jti}", "01${jti}")
	distinct("prefix", "begin alike", "${jti}", "${jti}-2")

	flood := again(badProof, cases.Request{})
	flood.Flood = 1
	add("RS-073", "flood", "the same proof after many others of the same client", steps(accepted.step(cases.Request{}), flood),
		rfc("RFC 9449 §11.1"))
	post := again(badProof, cases.Request{Method: "POST", Body: "x=1"})
	post.Flood = 1
	add("RS-073", "flood-post", "the same POST after many other requests", steps(
		accepted.step(cases.Request{Method: "POST", Body: "x=1"}), post), needs("methods"))
}

// same is a step with the token of the one before.
func same(a answers, r cases.Request) cases.Step {
	st := a.step(r)
	st.Same = true
	return st
}

// known are refusals of what the server has accepted before, and of what looks like it.
func known(s *suite) {
	s.in("known")
	add := func(rs, id, title string, list []cases.Step, options ...option) {
		s.add(rs, "known-"+id, cases.MUST, title, list, options...)
	}
	good := cases.Request{}
	thief := cases.Request{Proof: &cases.Proof{Key: "other"}}
	add("RS-023", "thief", "a token that was accepted, with a proof by another key", steps(accepted.step(good),
		same(mismatch, thief)))
	add("RS-023", "thief-thrice", "the same after three good requests, and the good client once more", steps(
		accepted.step(good), same(accepted, good), same(accepted, good), same(mismatch, thief), same(mismatch, thief),
		same(accepted, good)))
	add("RS-023", "two-clients", "two clients, each with the other's token", steps(accepted.step(good),
		accepted.step(cases.Request{Token: &cases.Token{Bind: "other"}, Proof: &cases.Proof{Key: "other"}}),
		same(mismatch, good)))
	add("RS-050", "bearer", "a bound token that was accepted, under Bearer", steps(accepted.step(good), same(asBearer,
		cases.Request{Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"}})))
	add("RS-039", "no-proof", "a token that was accepted, without a proof", steps(accepted.step(good), same(noProof,
		cases.Request{Without: []string{"proof"}})))
	add("RS-022", "other-token", "the proof of one token with another of the same key", steps(accepted.step(good),
		badProof.step(cases.Request{Proof: ptr(claims("ath", raw(`"${ath:before}"`)))})), needs("issuer"))
	for _, c := range [][3]string{
		{"signature-flip", "one bit of the signature changed", "signature:flip"},
		{"signature-zero", "a signature of zeros", "signature:zero"},
		{"signature-empty", "no signature", "signature:empty"},
	} {
		add("RS-117", "token-"+c[0], "a token that was accepted, with "+c[1], steps(accepted.step(cases.Request{
			Token: &cases.Token{Claims: members("jti", raw(`"${jti}"`))}}), badToken.step(cases.Request{
			Token: &cases.Token{Claims: members("jti", raw(`"${jti}"`)), Edit: []string{c[2]}}})), needs("issuer"))
	}
	add("RS-117", "token-key", "a token that was accepted, bound to another key, under its old signature", steps(
		accepted.step(good), badToken.step(cases.Request{Token: &cases.Token{Bind: "other", Edit: []string{"signature:before"}},
			Proof: &cases.Proof{Key: "other"}})), needs("issuer"))
	add("RS-117", "token-life", "a token that was accepted, with a longer life, under its old signature", steps(
		accepted.step(good), badToken.step(cases.Request{Token: &cases.Token{Claims: members("exp", at(600)),
			Edit: []string{"signature:before"}}})))
	add("RS-012", "proof-signature", "a proof like one that was accepted, under its signature", steps(accepted.step(good),
		same(badProof, cases.Request{Proof: &cases.Proof{Edit: []string{"signature:before"}}})))
	add("RS-165", "scope", "a token that was accepted elsewhere, without the scope", steps(accepted.step(good),
		same(noScope, cases.Request{Endpoint: "scope"})), needs("scopeless"))
	add("RS-146", "stepup", "a token that was accepted elsewhere, of a weak login", steps(accepted.step(good),
		same(stepUp, cases.Request{Endpoint: "strong"})), needs("stepup"))
	add("RS-086", "certificate", "a certificate-bound token that was accepted, with another certificate", steps(
		accepted.step(withCertificate("client")), same(badCert, withCertificate("other"))))
	add("RS-086", "certificate-none", "a certificate-bound token that was accepted, without a certificate", steps(
		accepted.step(withCertificate("client")), same(badCert, withCertificate(""))))
	short := cases.Request{Token: ptr(tokenClaims("exp", at(30)))}
	add("RS-119", "expired", "a token that was accepted, ten minutes after its exp", steps(accepted.step(short),
		after(630, same(badToken, good))), rfc("RFC 9068 §4, RFC 7519 §4.1.4"))
	add("RS-119", "expired-soon", "a token that was accepted, 70 seconds after its exp", steps(accepted.step(short),
		after(100, same(badToken, good))), level(cases.SHOULD), rfc("RFC 9068 §4, RFC 7519 §4.1.4"))
	rotating := func(issuer string) cases.Request { return cases.Request{Token: &cases.Token{Issuer: issuer}} }
	turn := after(30, accepted.step(rotating("rotating")))
	turn.Rotate = true
	add("RS-117", "rotated-new", "a token of the issuer's new key", steps(accepted.step(rotating("rotating")), turn),
		level(cases.SHOULD), rfc("RFC 9068 §4"))
	add("RS-117", "rotated-old", "a new token by a key that the issuer has taken away", steps(
		accepted.step(rotating("rotating")), turn, after(30, badToken.step(rotating("rotated")))), level(cases.SHOULD),
		rfc("RFC 9068 §4"))
}

// withCertificate is a request with a certificate-bound token.
func withCertificate(certificate string) cases.Request {
	return cases.Request{
		Endpoint: "mtls", Certificate: certificate, Authorization: []string{"Bearer ${token}"}, Without: []string{"proof"},
		Token: &cases.Token{Bind: "-", Certificate: "client"},
	}
}

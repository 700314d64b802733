package generate

import (
	"strings"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

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

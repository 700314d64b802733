package generate

import (
	"log"
	"path"

	"github.com/senderlock/senderlock/conformance/internal/cases"
)

// leave is what the RFCs let a server do otherwise than the case wants.
type leave struct {
	pattern string // of the cases' IDs
	level   string
	rfc     string
	says    string
}

// leaves are the cases that a server may answer otherwise and still be right, each with the sentence that lets it. SHOULD
// is asked by the strict profile alone; INFO is told and never fails.
var leaves = []leave{
	{"base64-*-stray", cases.SHOULD, "RFC 4648 §3.5", "a decoder may reject pad bits that are not zero, and need not"},
	{"token-form-*-stray", cases.SHOULD, "RFC 4648 §3.5", "a decoder may reject pad bits that are not zero, and need not"},
	{"utf-bom-*", cases.SHOULD, "RFC 8259 §8.1", "a parser may ignore a byte order mark"},
	{"token-form-payload-bom", cases.SHOULD, "RFC 8259 §8.1", "a parser may ignore a byte order mark"},
	{"crit-b64", cases.INFO, "RFC 7797 §6", "who implements b64 understands it"},
	{"crit-empty", cases.SHOULD, "RFC 7515 §4.1.11", "that the list is not empty binds producers"},
	{"crit-null", cases.SHOULD, "RFC 7515 §4.1.11", "a recipient may refuse what breaks the rules of use, and need not"},
	{"crit-string", cases.SHOULD, "RFC 7515 §4.1.11", "a recipient may refuse what breaks the rules of use, and need not"},
	{"token-crit-empty", cases.SHOULD, "RFC 7515 §4.1.11", "that the list is not empty binds producers"},
	{"token-crit-null", cases.SHOULD, "RFC 7515 §4.1.11", "a recipient may refuse what breaks the rules of use, and need not"},
	{"b64-false", cases.INFO, "RFC 7515 §4", "who does not know b64 ignores it, and what is signed stays the same"},
	{"token-b64", cases.INFO, "RFC 7515 §4", "who does not know b64 ignores it, and what is signed stays the same"},
	{"header-extra-b64-true", cases.SHOULD, "RFC 7515 §4", "who knows b64 may want it in crit"},
	{"header-extra-long-kid", cases.SHOULD, "RFC 8259 §9", "a parser may limit the length of strings"},
	{"header-extra-x5t", cases.SHOULD, "RFC 7515 §4.1.8", "who understands x5t#S256 may compare it with the key"},
	{"private-rsa-[pqo]*", cases.SHOULD, "RFC 9449 §4.3 item 7", "without d there may be no private key"},
	{"private-rsa-d[pq]", cases.SHOULD, "RFC 9449 §4.3 item 7", "without d there may be no private key"},
	{"private-rsa-factor", cases.SHOULD, "RFC 9449 §4.3 item 7", "without d there may be no private key"},
	{"private-rsa-oth", cases.INFO, "RFC 7518 §6.3.2.7", "an empty array holds no key"},
	{"private-null", cases.INFO, "RFC 9449 §4.3 item 7", "null holds no key"},
	{"key-x-long", cases.SHOULD, "RFC 7518 §6.2.1.2", "the length binds who writes the key"},
	{"key-x-padded", cases.SHOULD, "RFC 7515 §2", "that padding is left out binds who writes the key"},
	{"key-zero-*-stripped", cases.SHOULD, "RFC 7518 §6.2.1.2", "the length binds who writes the key"},
	{"key-rsa-?-leading-zero", cases.SHOULD, "RFC 7518 §2", "that there are no leading zeros binds who writes the key"},
	{"key-extra-ops-both", cases.SHOULD, "RFC 7517 §4.3", "a key for signing may be refused where one for verifying is wanted"},
	{"key-extra-x5u", cases.SHOULD, "RFC 7517 §4.6", "who understands x5u may refuse it"},
	{"key-extra-iat", cases.INFO, "RFC 7517 §4", "who knows exp of a key may refuse one that has passed"},
	{"key-okp-small-order*", cases.SHOULD, "RFC 8725 §3.4, RFC 8032 §5.1.7", "verification by RFC 8032 takes such points"},
	{"key-rsa-e-1", cases.SHOULD, "RFC 8017 §8.2.2", "that the key is valid is assumed by who verifies, and not looked at"},
	{"key-okp-not-canonical", cases.SHOULD, "RFC 8032 §5.1.3", "some decoders take such points"},
	{"alg-*-not-offered", cases.SHOULD, "RFC 9449 §4.3 item 5, §7.1", "the list in a challenge need not be complete"},
	{"claim-extra-big-number", cases.SHOULD, "RFC 8259 §6", "a parser may limit the range of numbers"},
	{"jti-long", cases.INFO, "RFC 9449 §11.1", "servers should refuse what is unnecessarily large"},
	{"jti-control", cases.SHOULD, "RFC 8259 §9", "a parser may limit the characters of strings"},
	{"jti-nul", cases.SHOULD, "RFC 8259 §9", "a parser may limit the characters of strings"},
	{"htu-space-*", cases.SHOULD, "RFC 3986 Appendix C", "white space around a URI may be left out"},
	{"htu-nul", cases.SHOULD, "RFC 9449 §4.3 item 9", "the URL parsers of browsers leave out control characters at the ends"},
	{"htu-newline", cases.SHOULD, "RFC 3986 Appendix C", "white space around a URI may be left out"},
	{"htu-ok-query*", cases.SHOULD, "RFC 9449 §4.3 item 9, §4.2", "who makes a proof leaves query and fragment out, and what is not as it should be may be refused"},
	{"htu-ok-fragment", cases.SHOULD, "RFC 9449 §4.3 item 9, §4.2", "who makes a proof leaves query and fragment out, and what is not as it should be may be refused"},
	{"htu-ok-both", cases.SHOULD, "RFC 9449 §4.3 item 9, §4.2", "who makes a proof leaves query and fragment out, and what is not as it should be may be refused"},
	{"htu-ok-empty-query", cases.SHOULD, "RFC 9449 §4.3 item 9, §4.2", "who makes a proof leaves query and fragment out, and what is not as it should be may be refused"},
	{"htu-ok-empty-fragment", cases.SHOULD, "RFC 9449 §4.3 item 9, §4.2", "who makes a proof leaves query and fragment out, and what is not as it should be may be refused"},
	{"query-other", cases.SHOULD, "RFC 9449 §4.3 item 9, §4.2", "who makes a proof leaves query and fragment out, and what is not as it should be may be refused"},
	{"htu-backslash", cases.SHOULD, "RFC 9449 §4.3 item 9", "the URL parsers of browsers read it so"},
	{"htu-no-slashes", cases.SHOULD, "RFC 9449 §4.3 item 9", "the URL parsers of browsers read it so"},
	{"htu-fullwidth-host", cases.SHOULD, "RFC 3986 §3.2.2, RFC 5891 §4", "an internationalised host may be mapped before it is compared"},
	{"path-slash", cases.SHOULD, "RFC 9110 §15.5.1", "a server may refuse to serve such paths at all"},
	{"path-semicolon", cases.SHOULD, "RFC 9110 §15.5.1", "a server may refuse to serve such paths at all"},
	{"path-double", cases.SHOULD, "RFC 9110 §15.5.1", "a server may refuse to serve such paths at all"},
	{"path-percent", cases.SHOULD, "RFC 9110 §15.5.1", "a server may refuse to serve such paths at all"},
	{"path-question", cases.SHOULD, "RFC 9110 §15.5.1", "a server may refuse to serve such paths at all"},
	{"path-hash", cases.SHOULD, "RFC 9110 §15.5.1", "a server may refuse to serve such paths at all"},
	{"path-long", cases.SHOULD, "RFC 9110 §15.5.15", "a server may refuse a long target"},
	{"host-other", cases.SHOULD, "RFC 9110 §7.4, RFC 9112 §3.3", "over http a server may take the name that the request gives it"},
	{"cnf-kid-beside", cases.SHOULD, "RFC 7800 §3.1, §3.4", "who understands kid may take it for a second key, and want one alone"},
	{"cnf-jkt-padded", cases.SHOULD, "RFC 9449 §6.1", "that padding is left out binds the issuer"},
	{"cnf-jkt-space", cases.SHOULD, "RFC 9449 §6.1", "the spelling binds the issuer"},
	{"mtls-x5t-padded", cases.SHOULD, "RFC 8705 §3.1", "that padding is left out binds the issuer"},
	{"mtls-unbound", cases.SHOULD, "RFC 9449 §7.2, FAPI 2.0 SP §5.3.4 item 5", "a resource may take unbound tokens as well"},
	{"auth-tab", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-word", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-comma", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-quotes", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-parameter", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-equals-first", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-percent", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-no-space", cases.SHOULD, "RFC 9110 §2.4", "a recipient may recover what is malformed"},
	{"auth-twice-one-field", cases.SHOULD, "RFC 9110 §2.4, RFC 6750 §3.1", "a recipient may recover what is malformed"},
	{"auth-twice", cases.SHOULD, "RFC 9110 §5.3, RFC 6750 §3.1", "a recipient may take one of the fields; as Bearer it never counts"},
	{"auth-twice-bearer", cases.SHOULD, "RFC 9110 §5.3, RFC 6750 §3.1", "a recipient may take one of the fields; as Bearer it never counts"},
	{"auth-twice-basic", cases.SHOULD, "RFC 9110 §5.3", "a recipient may take one of the fields"},
	{"bearer-two", cases.SHOULD, "RFC 9110 §5.3, RFC 6750 §3.1", "a recipient may take one of the fields; as Bearer it never counts"},
	{"auth-bearer-unbound", cases.SHOULD, "RFC 9449 §7.2, FAPI 2.0 SP §5.3.4 item 5", "a resource may take unbound tokens as well"},
	{"auth-bearer-unbound-proof", cases.SHOULD, "RFC 9449 §7.2, FAPI 2.0 SP §5.3.4 item 5", "a resource may take unbound tokens as well"},
	{"challenge-first", cases.INFO, "RFC 9449 §7.2", "an example of the RFC has Bearer first; many clients read the first alone"},
	{"challenge-token-not-repeated", cases.SHOULD, "RFC 9700 §4.2", "nothing forbids to repeat a token to its sender"},
	{"bearer-bare", cases.SHOULD, "RFC 6750 §3.1, RFC 9449 §7.2", "an error code without credentials should not be there"},
	{"nonce-foreign-main", cases.INFO, "RFC 9449 §4.3 item 10", "where no nonce was given the claim may be ignored"},
	{"token-expired", cases.SHOULD, "RFC 7519 §4.1.4", "a leeway of a few minutes is permitted"},
	{"token-expired-70", cases.SHOULD, "RFC 7519 §4.1.4", "a leeway of a few minutes is permitted"},
	{"token-exp-missing", cases.MUST, "RFC 9068 §4", ""},
	{"token-nbf-61-ahead", cases.SHOULD, "RFC 7519 §4.1.5, FAPI 2.0 SP §5.3.2.1 item 13", "a leeway of a few minutes is permitted; the clause binds authorization servers"},
	{"fapi-iat-61", cases.SHOULD, "FAPI 2.0 SP §5.3.2.1 item 13", "the clause binds authorization servers"},
	{"token-iat-future", cases.INFO, "RFC 7519 §4.1.6", "iat says how old a token is, and nothing refuses by it"},
	{"token-azp", cases.INFO, "RFC 9068 §2.2", "client_id is required"},
	{"token-lifetime-14", cases.SHOULD, "RFC 9068 §4", "a server may want tokens to live shorter"},
	{"token-long", cases.SHOULD, "RFC 9110 §5.4", "a server may limit the size of fields"},
	{"introspection-expired", cases.SHOULD, "RFC 7662 §2.2", "active says that the token is within its time"},
	{"introspection-active-string", cases.SHOULD, "RFC 7662 §2.2", "the type binds the authorization server"},
	{"metadata-bound", cases.SHOULD, "RFC 9728 §2", "false is what stands there if nothing does"},
	{"proxied-twice", cases.SHOULD, "RFC 9449 §4.3 item 9", "the server may take the field that its proxy wrote"},
}

// grade gives the cases their levels by the leaves.
func grade(list []cases.Case) {
	for _, l := range leaves {
		found := false
		for i := range list {
			c := &list[i]
			if ok, _ := path.Match(l.pattern, c.ID); ok {
				c.Level, c.RFC, c.Leave, found = l.level, l.rfc, l.says, true
				c.Warm = c.Warm && l.level != cases.INFO
			}
		}
		if !found {
			log.Panicf("no case is called %s", l.pattern)
		}
	}
}

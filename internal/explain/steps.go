package explain

import "slices"

// step is one check of a request, as the specifications list them.
type step struct {
	source string
	text   string
	about  subject
	at     int      // where it stands in the order of the Guard, which stops at the first refusal
	causes []string // the reasons for which the Guard refuses here
}

// subject is what has to be there for a step to be taken.
type subject int

const (
	credentials subject = iota
	proofs
	tokens
)

// steps are the checks in the order of RFC 9449 §4.3, with those of the token behind them.
var steps = []step{
	{"RFC 6750 §2.1", "one Authorization field, DPoP or Bearer", credentials, 1,
		[]string{"credentials_missing", "scheme_unknown", "authorization_malformed", "token_sent_twice", "method_rewritten", "target_rewritten"}},

	{"RFC 9449 §4.3 1", "one DPoP field", proofs, 2, []string{"proof_missing", "proof_multiple"}},
	{"RFC 9449 §4.3 2", "the proof is a well-formed JWT", proofs, 3,
		[]string{"proof_too_large", "jws_malformed", "json_invalid", "header_invalid", "crit_present"}},
	{"RFC 9449 §4.3 3", "it has jti, htm, htu and iat", proofs, 6, []string{"claim_missing"}},
	{"RFC 9449 §4.3 4", "typ is dpop+jwt", proofs, 4, []string{"typ_wrong"}},
	{"RFC 9449 §4.3 5", "alg is one that is accepted", proofs, 4, []string{"alg_not_allowed", "key_alg_mismatch"}},
	{"RFC 9449 §4.3 6", "the signature is that of its key", proofs, 23, []string{"signature_invalid"}},
	{"RFC 9449 §4.3 7", "jwk is a public key, and no more", proofs, 5, []string{"key_private", "key_unacceptable"}},
	{"RFC 9449 §4.3 8", "htm is the method", proofs, 7, []string{"htm_mismatch"}},
	{"RFC 9449 §4.3 9", "htu is the address", proofs, 8, []string{"host_unknown", "htu_mismatch"}},
	{"RFC 9449 §4.3 10", StepNonce, proofs, 11,
		[]string{"nonce_missing", "nonce_foreign", "nonce_old", "nonce_elsewhere", "nonce_region", "replay_store_down"}},
	{"RFC 9449 §4.3 11", stepTime, proofs, 12, []string{"iat_too_old", "iat_in_future", "iat_before_start"}},
	{"RFC 7519 §4.1", "exp and nbf hold, where there are any", proofs, 10, []string{"exp_past", "nbf_in_future"}},
	{"RFC 9449 §4.3 12", stepHash, proofs, 9, []string{"ath_missing", "ath_mismatch"}},
	{"RFC 9449 §4.3 12", stepKey, tokens, 21,
		[]string{"dpop_not_accepted", "bound_token_as_bearer", "token_unbound", "key_mismatch"}},
	{"RFC 8705 §3", stepCertificate, tokens, 22,
		[]string{"certificate_not_accepted", "certificate_missing", "certificate_mismatch", "certificate_expired",
			"certificate_not_yet_valid", "certificate_untrusted", "certificate_usage"}},

	{"RFC 9068 §2.1", stepJWT, tokens, 13,
		[]string{"token_too_large", "token_jws_malformed", "token_json_invalid", "token_header_invalid", "token_crit_present"}},
	{"RFC 7662 §2.2", stepActive, tokens, 13, []string{"token_inactive"}},
	{"RFC 9068 §4", stepType, tokens, 15, []string{"token_typ_wrong", "token_kind_wrong"}},
	{"RFC 9068 §4", "iss is a trusted issuer", tokens, 14, []string{"token_issuer_unknown"}},
	{"RFC 9068 §4", "aud is this API", tokens, 17, []string{"token_audience_wrong"}},
	{"RFC 8725 §3.1", stepAlgorithm, tokens, 16, []string{"token_alg_not_allowed"}},
	{"RFC 9068 §2.2", "its claims are there and understood", tokens, 18, []string{"token_claim_missing", "token_cnf_not_understood"}},
	{"RFC 9068 §4", "it has begun and not expired", tokens, 19, []string{"token_expired", "token_not_yet_valid"}},
	{"RFC 9068 §4", StepSignature, tokens, 20,
		[]string{"token_key_unknown", "token_signature_invalid", "token_key_alg_mismatch", "token_key_unacceptable"}},
	{"RFC 9449 §6", "it is short-lived", tokens, 24, []string{"token_lifetime_too_long"}},
	{"RFC 7009 §2", stepStanding, tokens, 25, []string{"token_revoked"}},
	{"RFC 9449 §11.1", stepUnused, proofs, 26, []string{"proof_replayed"}},
	{"RFC 6750 §3.1", "it has the scopes of the route", tokens, 27, []string{"scope_missing"}},
}

// The steps that are also named elsewhere.
const (
	StepNonce       = "the nonce is the server's, and fresh"
	StepSignature   = "the signature is the issuer's"
	stepActive      = "the issuer calls it active"
	stepHash        = "ath is the hash of the token"
	stepTime        = "it was made just now"
	stepKey         = "the token is bound to its key"
	stepCertificate = "and to the certificate, if to one"
	stepJWT         = "the token is a well-formed JWT"
	stepType        = "its typ is at+jwt"
	stepAlgorithm   = "alg is one that the issuer may use"
	stepStanding    = "it has not been taken back"
	stepUnused      = "the proof has not been used before"
)

// remembered says that the server's own memory alone can tell.
func (s *step) remembered() bool { return s.text == stepStanding || s.text == stepUnused }

// ofJWT says that a step is about what an opaque token has not.
func (s *step) ofJWT() bool {
	return slices.Contains([]string{stepJWT, stepType, stepAlgorithm, StepSignature}, s.text)
}

// stepOf finds the step at which the Guard refuses for a reason, or nil.
func stepOf(reason string) *step {
	for i := range steps {
		if slices.Contains(steps[i].causes, reason) {
			return &steps[i]
		}
	}
	return nil
}

// StepOf is the step at which the Guard refuses for a reason.
func StepOf(reason string) (source, text string, ok bool) {
	s := stepOf(reason)
	if s == nil {
		return "", "", false
	}
	return s.source, s.text, true
}

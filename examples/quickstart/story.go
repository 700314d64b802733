package main

import "context"

// story plays every request, top to bottom. Each step says what is sent and which answer it should get: what the
// client is told, and what the operator reads in the server's log.
func (s *stage) story(ctx context.Context) {
	owner, thief := s.client("wallet"), s.newKey()
	token := s.token(ctx, owner, "accounts:read")

	s.play("nobody, without a token", "GET", "/accounts", withoutToken(),
		refused(401, "", "credentials_missing"))

	// A server that has just started cannot know which proofs were used before: for ten seconds it asks for a nonce
	// of its own, which no old proof can have. With Config.RequireNonce it always asks for one.
	proof := s.proof(owner.Signer, "GET", "/accounts", token)
	s.play("the owner, right after the server's start", "GET", "/accounts", withProof(token, proof),
		refused(401, "use_dpop_nonce", "iat_before_start"))

	// The nonce has come with that answer; from here on all proofs carry it.
	proof = s.proof(owner.Signer, "GET", "/accounts", token)
	s.play("the owner, with the server's nonce", "GET", "/accounts", withProof(token, proof),
		accepted(200))
	s.play("a thief sends the very same request again", "GET", "/accounts", withProof(token, proof),
		refused(401, "invalid_dpop_proof", "proof_replayed"))

	proof = s.proof(thief, "GET", "/accounts", token)
	s.play("a thief signs for it with his own key", "GET", "/accounts", withProof(token, proof),
		refused(401, "invalid_token", "key_mismatch"))
	s.play("a thief uses it as a bearer token", "GET", "/accounts", asBearer(token),
		refused(401, "invalid_token", "bound_token_as_bearer"))

	// Proofs of the owner that were caught before they were used.
	proof = s.proof(owner.Signer, "GET", "/accounts", token)
	s.play("a thief pays with a proof for reading", "POST", "/accounts", withProof(token, proof),
		refused(401, "invalid_dpop_proof", "htm_mismatch"))
	proof = s.proof(owner.Signer, "GET", "/profile", token)
	s.play("a thief reads with a proof for another URL", "GET", "/accounts", withProof(token, proof),
		refused(401, "invalid_dpop_proof", "htu_mismatch"))

	proof = s.proof(owner.Signer, "POST", "/accounts", token)
	s.play("the owner pays, without the scope for it", "POST", "/accounts", withProof(token, proof),
		refused(403, "insufficient_scope", "scope_missing"))
	token = s.token(ctx, owner, "accounts:pay")
	proof = s.proof(owner.Signer, "POST", "/accounts", token)
	s.play("the owner pays, with a token that has it", "POST", "/accounts", withProof(token, proof),
		accepted(201))

	token = s.token(ctx, s.client("nightly"), "accounts:read")
	proof = s.proof(owner.Signer, "GET", "/accounts", token)
	s.play("a token that lives for 24 hours", "GET", "/accounts", withProof(token, proof),
		refused(401, "invalid_token", "token_lifetime_too_long"))
	token = s.token(ctx, s.client("legacy"), "accounts:read")
	s.play("a token that is bound to nobody", "GET", "/accounts", asBearer(token),
		refused(401, "invalid_token", "token_unbound"))
}

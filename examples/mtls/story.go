package main

// story plays every request, top to bottom. Each step says what is sent and which answer it should get: what the
// client is told, and what the operator reads in the server's log.
func (s *stage) story() {
	owner, other := s.issue("wallet"), s.issue("wallet on another device")
	thief := s.issue("thief")
	token := s.token("accounts:read", &owner, nil)

	s.play("nobody, without a token", "GET", nil, nil,
		refused(401, "", "credentials_missing"))
	s.play("the owner, with the certificate", "GET", &owner, bearer(token),
		accepted(200))
	s.play("the owner, without it", "GET", nil, bearer(token),
		refused(401, "invalid_token", "certificate_missing"))
	s.play("the owner, with a wrong one", "GET", &other, bearer(token),
		refused(401, "invalid_token", "certificate_mismatch"))

	// A thief may have the token and the certificate, which is no secret. He has not the private key, without which no
	// handshake succeeds with that certificate.
	s.play("a thief, with a certificate of his own", "GET", &thief, bearer(token),
		refused(401, "invalid_token", "certificate_mismatch"))
	s.play("a thief, with the owner's in a field", "GET", nil, claiming(bearer(token), owner),
		refused(401, "invalid_token", "certificate_missing"))
	s.play("a thief, with his own and the owner's", "GET", &thief, claiming(bearer(token), owner),
		refused(401, "invalid_token", "certificate_mismatch"))

	// The whole certificate counts, not the key (RFC 8705 §6.3): after a renewal the client asks for a new token.
	renewed := s.renew(owner)
	s.play("the owner, with the certificate renewed", "GET", &renewed, bearer(token),
		refused(401, "invalid_token", "certificate_mismatch"))
	s.play("the owner, with a new token for it", "GET", &renewed, bearer(s.token("accounts:read", &renewed, nil)),
		accepted(200))

	// Possession is what counts, not who signed (RFC 8705 §6.2).
	own := s.selfSigned("kiosk")
	s.play("a client with a self-signed certificate", "GET", &own, bearer(s.token("accounts:read", &own, nil)),
		accepted(200))
	s.play("a token that is bound to nobody", "GET", &owner, bearer(s.token("accounts:read", nil, nil)),
		refused(401, "invalid_token", "token_unbound"))

	// Paying takes both: the certificate, and a proof of the key that the token is bound to as well.
	key := s.prover()
	s.play("the owner pays, with the certificate only", "POST", &owner, bearer(s.token("accounts:pay", &owner, nil)),
		refused(401, "invalid_token", "binding_missing"))
	token = s.token("accounts:pay", &owner, key)
	s.play("the owner pays, without the server's nonce", "POST", &owner, s.proved(key, token),
		refused(401, "use_dpop_nonce", "nonce_missing"))
	s.play("the owner pays, with certificate and proof", "POST", &owner, s.proved(key, token),
		accepted(201))
	s.play("a thief pays, with the key only", "POST", nil, s.proved(key, token),
		refused(401, "invalid_token", "certificate_missing"))
	s.play("a thief pays, with the certificate only", "POST", &owner, s.proved(s.prover(), token),
		refused(401, "invalid_token", "key_mismatch"))
	s.play("a thief pays, without any proof", "POST", &owner, bearer(token),
		refused(401, "invalid_token", "bound_token_as_bearer"))
}

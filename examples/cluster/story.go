package main

import (
	"context"
	"time"
)

// wary is how long after a start of Redis proofs need a nonce at the most: a second until it is noticed, Skew,
// MaxSkew, and what iat lost when it was cut to whole seconds; and some more, for a slow machine.
const wary = 4500 * time.Millisecond

// story plays every request, top to bottom; the proxy takes the instances in turn. Each step says what is sent and
// which answer it should get.
func (s *stage) story(ctx context.Context) {
	token := s.newToken(ctx)
	const path = "/accounts"

	s.Say("Redis has just been started. It may have forgotten proofs, so those of before are refused.")
	early := s.proofOf(s.began, "GET", path, token, "")
	s.play("the owner, from before the start", "GET", path, token, early, refused(401, "use_dpop_nonce", "iat_before_start"))
	s.play("the same proof again", "GET", path, token, early, refused(401, "use_dpop_nonce", "iat_before_start"))
	time.Sleep(wary)

	s.Say("What one instance has accepted, no other accepts.")
	first := s.proof("GET", path, token, "")
	s.play("the owner", "GET", path, token, first, accepted())
	s.play("a thief sends the same request again", "GET", path, token, first, refused(401, "invalid_dpop_proof", "proof_replayed"))
	s.play("and again", "GET", path, token, first, refused(401, "invalid_dpop_proof", "proof_replayed"))
	s.play("the owner, with a new proof", "GET", path, token, s.proof("GET", path, token, ""), accepted())

	s.Say("What is taken back at one instance is taken back at all.")
	s.play("the owner signs out", "DELETE", path+"/session", token, s.proof("DELETE", path+"/session", token, ""), accepted())
	for _, who := range []string{"the token, at the other instance", "the token, at the same one"} {
		s.play(who, "GET", path, token, s.proof("GET", path, token, ""), refused(401, "invalid_token", "subject_revoked"))
	}
	time.Sleep(1100 * time.Millisecond) // the entry denies what was issued in its second
	token = s.newToken(ctx)
	last := s.proof("GET", path, token, "")
	s.play("the owner, after a new login", "GET", path, token, last, accepted())

	s.Say("Redis is killed. Nothing can be decided, so nothing is accepted, and the client is not to blame.")
	s.Note(s.redis.kill())
	for _, who := range []string{"the owner, at one instance", "the owner, at the other"} {
		s.play(who, "GET", path, token, s.proof("GET", path, token, ""), refused(503, "", "replay_store_unreachable"))
	}

	s.Say("Redis is back. What it was told last may be lost, so what may be old stays refused.")
	s.Note(s.redis.start())
	time.Sleep(wary)
	for range 2 {
		s.play("a thief sends an old request again", "GET", path, token, last, refused(401, "use_dpop_nonce", "iat_before_start"))
	}
	s.play("the owner", "GET", path, token, s.proof("GET", path, token, ""), accepted())
	s.play("the owner, at the other instance", "GET", path, token, s.proof("GET", path, token, ""), accepted())

	s.Say("Two regions, each with a Redis of its own. A proof counts in the one that its nonce names.")
	s.proxy.lead(s.regions["west"])
	s.play("the owner, in the west", "GET", path, token, s.proof("GET", path, token, ""), refused(401, "use_dpop_nonce", "nonce_missing"))
	west := s.proof("GET", path, token, s.nonce)
	s.play("the owner, with its nonce", "GET", path, token, west, accepted())
	s.proxy.lead(s.regions["east"])
	s.play("a thief sends the same request in the east", "GET", path, token, west, refused(401, "use_dpop_nonce", "nonce_region"))
	s.play("the owner, with a nonce of the east", "GET", path, token, s.proof("GET", path, token, s.nonce), accepted())
	s.play("the owner signs out there", "DELETE", path+"/session", token, s.proof("DELETE", path+"/session", token, s.nonce), accepted())
	s.proxy.lead(s.regions["west"])
	s.play("the token, in the west", "GET", path, token, s.proof("GET", path, token, s.nonce), refused(401, "use_dpop_nonce", "nonce_region"))
	s.play("with a nonce of the west", "GET", path, token, s.proof("GET", path, token, s.nonce), refused(401, "invalid_token", "subject_revoked"))
}

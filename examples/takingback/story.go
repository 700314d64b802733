package main

import "context"

// story plays every request, top to bottom. Each step says what is sent and which answer it should get: what the
// client is told, and what the operator reads in the server's log.
func (s *stage) story(ctx context.Context) {
	s.Say("Alice changes her password on her laptop.")
	laptop, phone := s.login(ctx, "alice"), s.login(ctx, "alice")
	s.play(ctx, "Alice's laptop", laptop, "GET", "/accounts", accepted(200))
	s.play(ctx, "Alice's phone", phone, "GET", "/accounts", accepted(200))
	s.play(ctx, "Alice's laptop changes the password", laptop, "POST", "/password", accepted(200))
	s.play(ctx, "Alice's phone", phone, "GET", "/accounts",
		refused(401, "invalid_token", "subject_revoked"))
	s.play(ctx, "Alice's laptop, in the same session", laptop, "GET", "/accounts", accepted(200))

	// A token says in whole seconds when it was issued, and one of the same second counts as before the change.
	nextSecond()
	s.again(ctx, phone, "alice", "")
	s.play(ctx, "Alice's phone, after a new login", phone, "GET", "/accounts", accepted(200))
	phoneOfAlice := phone

	s.Say("Bob is locked.")
	bob := s.login(ctx, "bob")
	s.play(ctx, "Bob", bob, "GET", "/accounts", accepted(200))
	s.Note(s.api.lock(ctx, "bob"))
	s.play(ctx, "Bob, with the same token", bob, "GET", "/accounts",
		refused(401, "invalid_token", "subject_revoked"))
	s.again(ctx, bob, "bob", "")
	s.play(ctx, "Bob, with a new one", bob, "GET", "/accounts",
		refused(401, "invalid_token", "subject_revoked"))

	s.Say("Carol has lost her phone.")
	laptop, phone = s.login(ctx, "carol"), s.login(ctx, "carol")
	s.play(ctx, "Carol's phone", phone, "GET", "/accounts", accepted(200))
	s.play(ctx, "Carol's laptop lists her devices", laptop, "GET", "/devices", accepted(200))
	s.play(ctx, "Carol's laptop reports the phone", laptop, "DELETE", "/devices/"+phone.key.Thumbprint(), accepted(200))
	s.play(ctx, "whoever found the phone", phone, "GET", "/accounts",
		refused(401, "invalid_token", "key_revoked"))
	s.again(ctx, phone, "carol", "")
	s.play(ctx, "whoever found it, and her password too", phone, "GET", "/accounts",
		refused(401, "invalid_token", "key_revoked"))
	s.play(ctx, "Carol's laptop", laptop, "GET", "/accounts", accepted(200))

	s.Say("A transfer wants a second factor, not long ago.")
	s.play(ctx, "Carol, logged in with her password", laptop, "POST", "/transfers",
		refused(401, "insufficient_user_authentication", "login_too_weak"))
	s.again(ctx, laptop, "carol", "mfa") // as the challenge has asked
	s.play(ctx, "Carol, after the login it asks for", laptop, "POST", "/transfers", accepted(201))

	s.Say("Carol follows events, and logs out.")
	end := s.follow(ctx, "Carol follows events", laptop, accepted(200))
	s.play(ctx, "Carol logs out", laptop, "POST", "/logout", accepted(200))
	s.Saw("the stream of events ends", end(), "event: end data: session_revoked")
	s.play(ctx, "Carol, with the same token", laptop, "GET", "/accounts",
		refused(401, "invalid_token", "session_revoked"))

	s.Say("Alice's token is stolen.")
	laptop = s.login(ctx, "alice")
	s.play(ctx, "Alice's laptop", laptop, "GET", "/accounts", accepted(200))
	thief := s.thief(ctx, laptop)
	s.play(ctx, "a thief, with a key of his own", thief, "GET", "/accounts",
		refused(401, "invalid_token", "key_mismatch"))
	s.play(ctx, "Alice's laptop, whose session has ended", laptop, "GET", "/accounts",
		refused(401, "invalid_token", "session_revoked"))
	s.Saw("the identity provider is told", s.provider.told(ctx, s.patience), "session ended")
	s.play(ctx, "Alice's phone, in another session", phoneOfAlice, "GET", "/accounts", accepted(200))
}

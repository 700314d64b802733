package main

import (
	"context"

	"github.com/senderlock/senderlock/examples/internal/story"
)

var (
	accepted = story.Accepted
	refused  = story.Refused
)

// story plays every request, top to bottom. Each step says what is sent and which answer it should get.
func (s *stage) story(ctx context.Context) {
	const ready = "first: 0 of 1 refused, 0 challenged; second: 0 of 1 refused, 0 challenged; third: 0 of 1 refused, 0 challenged"
	s.enter(ctx, 1)
	first := s.client(ctx, "first", false)
	second, third := s.client(ctx, "second", true), s.client(ctx, "third", true)
	all := func(first *client) {
		s.play("the first client", first, accepted(200))
		s.play("the second client", second, accepted(200))
		s.play("the third client", third, accepted(200))
	}
	all(first)
	s.told("first: 1 of 1 refused, 0 challenged, token_unbound; second: 0 of 1 refused, 0 challenged; third: 0 of 1 refused, 0 challenged")

	s.enter(ctx, 2)
	all(first)
	s.told("first: 1 of 1 refused, 0 challenged, token_unbound; second: 0 of 1 refused, 0 challenged; third: 0 of 1 refused, 0 challenged")
	// One middleware for Bearer beside one for DPoP would let this in: the token is good, and the thief chooses the scheme.
	thief := &client{id: "third", token: third.token, http: first.http}
	s.play("a thief, with the third client's token", thief, refused(401, "invalid_token", "bound_token_as_bearer"))

	s.enter(ctx, 3)
	late := first
	first = s.client(ctx, "first", true)
	all(first)
	s.told(ready)

	s.enter(ctx, 4)
	all(first)
	s.told("first: 0 of 1 refused, 1 challenged, nonce_missing; second: 0 of 1 refused, 1 challenged, nonce_missing; third: 0 of 1 refused, 1 challenged, nonce_missing")
	s.play("a copy of the first client's old token", late, refused(401, "invalid_token", "bearer_ended"))

	s.enter(ctx, 5)
	for _, c := range []*client{first, second, third} {
		s.prime(ctx, c)
	}
	all(first)
}

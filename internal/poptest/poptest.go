// Package poptest mints the tokens, proofs, keys and certificates that the
// tests of this module need, under one fixed clock.
//
// A zero [Proof] or [Token] is a good one, so a test states only what
// differs. Everything can be made wrong: members are replaced or removed by
// the Header and Claims maps, whole JSON texts by RawHeader and RawPayload,
// and the signer need not be the key that the header names. Signatures come
// straight from the standard library; nothing here checks what it is asked
// to make.
//
// What is not in it: verification of any kind, and any other package of this
// module but mint, which makes the parts. Functions that cannot fail on good input panic on bad input, since
// only tests call them.
package poptest

import (
	"maps"
	"sync"
	"time"
)

// The parties of all tests.
const (
	// Issuer is the authorization server of a zero Token.
	Issuer = "https://login.example.com"
	// Audience is the resource server of a zero Token.
	Audience = "https://api.example.com"
	// URL is the request target of a zero Proof.
	URL = Audience + "/accounts"
	// KeyID is the kid of a zero Token.
	KeyID = "k1"
)

// Now is the fixed instant of all tests.
var Now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// Clock is a clock that moves only when told to. It is safe for concurrent
// use. The zero Clock shows the zero time; use NewClock.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows [Now].
func NewClock() *Clock { return &Clock{now: Now} }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set makes the clock show t, which may lie in its past.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Advance moves the clock by d, backwards if d is negative.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// override copies changes into m; a nil value removes the member.
func override(m, changes map[string]any) map[string]any {
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return m
}

package conformance

import (
	"testing"

	"github.com/senderlock/senderlock/internal/storecontract"
)

// ReplayUnderTest is an empty replay store and what the tests need to ask it about: its clock, a second instance that
// shares it, its capacity, a way to break it. What is nil leaves out the tests that need it.
type ReplayUnderTest = storecontract.Replay

// RevocationUnderTest is an empty revocation store with its clock.
type RevocationUnderTest = storecontract.Revocation

// RegisterUnderTest is an empty register of tokens in use with its clock.
type RegisterUnderTest = storecontract.Register

// TestReplayStore checks that a store does what dpop.ReplayStore promises: of any number of claims of a key one is
// fresh, keys are kept until they expire, and whatever keeps a store from knowing is an error and never fresh. open
// returns a new, empty store each time, and has it closed when the test ends. (RFC 9449 §11.1)
func TestReplayStore(t *testing.T, open func(t *testing.T) ReplayUnderTest) {
	t.Helper()
	storecontract.TestReplayStore(t, open)
}

// TestRevocationStore checks that a store does what revocation.Store promises. open returns a new, empty store each
// time, with a Retention.Lifetime of at least ten minutes and room for ten thousand entries, and has it closed when
// the test ends.
func TestRevocationStore(t *testing.T, open func(t *testing.T) RevocationUnderTest) {
	t.Helper()
	storecontract.TestRevocationStore(t, open)
}

// TestRegister checks that a register does what revocation.Register promises. open returns a new, empty register
// each time, with room for ten thousand tokens, and has it closed when the test ends.
func TestRegister(t *testing.T, open func(t *testing.T) RegisterUnderTest) {
	t.Helper()
	storecontract.TestRegister(t, open)
}

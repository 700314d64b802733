package conformance

import (
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/storecontract"
	"github.com/senderlock/senderlock/revocation"
)

// ReplayUnderTest is an empty replay store and what the tests need to ask it about. Store and Now are required; what
// is nil or zero leaves out the tests that need it.
type ReplayUnderTest struct {
	Store dpop.ReplayStore
	// Others are further instances that share what Store remembers, as of other processes.
	Others []dpop.ReplayStore

	// Now is the stores' clock, Set makes it show another time, earlier or later.
	Now func() time.Time
	Set func(time.Time)

	// Capacity is how many keys the store has room for, at least a hundred if given.
	Capacity int
	// Break makes the store unreachable.
	Break func()
}

// RevocationUnderTest is an empty revocation store with its clock. Store and Now are required.
type RevocationUnderTest struct {
	Store revocation.Store

	// Now is the store's clock.
	Now func() time.Time
	// Advance moves the clock, by whole seconds. Nil leaves out the tests in which time passes.
	Advance func(time.Duration)
}

// RegisterUnderTest is an empty register of tokens in use with its clock. All fields are required.
type RegisterUnderTest struct {
	Register revocation.Register

	// Store is the store of the same process, for [revocation.TakeBack].
	Store revocation.Store

	// Now is the register's clock, Advance moves it by whole seconds.
	Now     func() time.Time
	Advance func(time.Duration)
}

// TestReplayStore checks that a store does what dpop.ReplayStore promises: of any number of claims of a key one is
// fresh, keys are kept until they expire whatever the clock does, and whatever keeps a store from knowing (it is full,
// it is down, the caller has gone) is an error and never fresh (RFC 9449 §11.1). open returns a new, empty store
// each time, with room for ten thousand proofs unless it has a Capacity, and has it closed when the test ends.
func TestReplayStore(t *testing.T, open func(t *testing.T) ReplayUnderTest) {
	t.Helper()
	storecontract.TestReplayStore(t, func(t *testing.T) storecontract.Replay {
		s := open(t)
		return storecontract.Replay{Store: s.Store, Others: s.Others, Now: s.Now, Set: s.Set}
	})
	storecontract.TestReplayTrouble(t, func(t *testing.T) storecontract.Trouble {
		s := open(t)
		return storecontract.Trouble{Store: s.Store, Now: s.Now, Capacity: s.Capacity, Break: s.Break}
	})
}

// TestRevocationStore checks that a store does what revocation.Store promises. open returns a new, empty store each
// time, with a Retention.Lifetime of at least ten minutes and room for ten thousand entries, and has it closed when
// the test ends.
func TestRevocationStore(t *testing.T, open func(t *testing.T) RevocationUnderTest) {
	t.Helper()
	storecontract.TestRevocationStore(t, func(t *testing.T) storecontract.Revocation {
		return storecontract.Revocation(open(t))
	})
}

// TestRegister checks that a register does what revocation.Register promises. open returns a new, empty register
// each time, with room for ten thousand tokens, and has it closed when the test ends.
func TestRegister(t *testing.T, open func(t *testing.T) RegisterUnderTest) {
	t.Helper()
	storecontract.TestRegister(t, func(t *testing.T) storecontract.Register {
		return storecontract.Register(open(t))
	})
}

package storecontract

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// Trouble is an empty replay store under test that can be brought into trouble.
type Trouble struct {
	Store dpop.ReplayStore

	// Now is the store's clock.
	Now func() time.Time

	// Capacity is how many keys the store has room for. Zero leaves out the tests that fill it.
	Capacity int
	// Break makes the store unreachable. Nil leaves out the tests of an outage.
	Break func()
}

// TestReplayTrouble checks what [dpop.ReplayStore] promises when a store cannot decide: an error, and never a fresh
// key (RFC 9449 §11.1). open returns a new, empty store each time, and has it closed when the test ends.
func TestReplayTrouble(t *testing.T, open func(t *testing.T) Trouble) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Trouble)
		can  func(Trouble) bool
	}{
		{"RS-074: of 64 claims at once one is fresh", testClaimers, nil},
		{"RS-075: keys of another namespace, sender or jti are others", testNamespaces, nil},
		{"RS-180: a full store refuses and forgets nothing", testFull, func(s Trouble) bool { return s.Capacity > 0 }},
		{"RS-180: 64 claims at once do not overfill a store", testOverfill, func(s Trouble) bool { return s.Capacity > 0 }},
		{"RS-180: a store that cannot be reached is an error", testOutage, func(s Trouble) bool { return s.Break != nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			if c.can != nil && !c.can(s) {
				t.Skip("the store under test offers no way to ask for it")
			}
			c.test(t, s)
		})
	}
}

// claimers is how many goroutines claim at once.
const claimers = 64

// minute is an expiry about a minute from now.
func (s Trouble) minute() time.Time { return s.Now().Add(time.Minute) }

func (s Trouble) claim(t *testing.T, k dpop.ReplayKey, want bool) {
	t.Helper()
	fresh, err := s.Store.Claim(context.Background(), k, s.minute())
	if err != nil || fresh != want {
		t.Fatalf("Claim = %t, %v, want %t", fresh, err, want)
	}
}

// undecided claims a key about which the store cannot know.
func (s Trouble) undecided(t *testing.T, name string) {
	t.Helper()
	if fresh, err := s.Store.Claim(context.Background(), replayKey(name), s.minute()); fresh || err == nil {
		t.Fatalf("Claim = %t, %v, want an error", fresh, err)
	}
}

// together claims a key of each goroutine's own choice, all at once, and counts the fresh ones.
func (s Trouble) together(key func(i int) dpop.ReplayKey) (fresh int64) {
	var count atomic.Int64
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range claimers {
		done.Go(func() {
			<-start
			if ok, _ := s.Store.Claim(context.Background(), key(i), s.minute()); ok {
				count.Add(1)
			}
		})
	}
	close(start)
	done.Wait()
	return count.Load()
}

func testClaimers(t *testing.T, s Trouble) {
	for round := range 20 {
		key := replayKey(fmt.Sprint("race ", round))
		if n := s.together(func(int) dpop.ReplayKey { return key }); n != 1 {
			t.Fatalf("%d of %d claims of one key were fresh, want one", n, claimers)
		}
	}
}

func testNamespaces(t *testing.T, s Trouble) {
	for _, k := range [][3]string{
		{"n", "k", "j"}, {"m", "k", "j"}, {"n", "l", "j"}, {"n", "k", "i"},
		{"", "nk", "j"}, {"nk", "", "j"}, {"n", "kj", ""}, {"", "", "nkj"},
	} {
		s.claim(t, dpop.NewReplayKey(k[0], k[1], k[2]), true)
	}
	s.claim(t, dpop.NewReplayKey("n", "k", "j"), false)
}

func testFull(t *testing.T, s Trouble) {
	for i := range s.Capacity {
		s.claim(t, replayKey(fmt.Sprint("full ", i)), true)
	}
	for i := range 10 {
		s.undecided(t, fmt.Sprint("beyond ", i))
	}
	for i := range s.Capacity {
		// Still used, or an error: a full store may be unable to say, but never calls a used key fresh.
		if fresh, _ := s.Store.Claim(context.Background(), replayKey(fmt.Sprint("full ", i)), s.minute()); fresh {
			t.Fatalf("key %d was forgotten to make room", i)
		}
	}
}

func testOverfill(t *testing.T, s Trouble) {
	const room = 10
	for i := range s.Capacity - room {
		s.claim(t, replayKey(fmt.Sprint("full ", i)), true)
	}
	if n := s.together(func(i int) dpop.ReplayKey { return replayKey(fmt.Sprint("edge ", i)) }); n > room {
		t.Fatalf("%d keys were accepted, and there was room for %d", n, room)
	}
}

func testOutage(t *testing.T, s Trouble) {
	s.claim(t, replayKey("before"), true)
	s.Break()
	s.undecided(t, "before")
	s.undecided(t, "after")
}

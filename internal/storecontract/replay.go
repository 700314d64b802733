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

// Replay is an empty replay store under test. Store and Now are required; what is nil or zero leaves out the tests
// that need it.
type Replay struct {
	Store dpop.ReplayStore

	// Now is the store's clock, Advance moves it forward by whole seconds.
	Now     func() time.Time
	Advance func(time.Duration)

	// Other is a second instance that shares the store, as of another process.
	Other dpop.ReplayStore
	// Capacity is how many keys the store has room for.
	Capacity int
	// Break makes the store unreachable.
	Break func()
}

// claimers is how many goroutines fight for one key.
const claimers = 64

// TestReplayStore checks that a store does what [dpop.ReplayStore] promises: of any number of claims of a key one is
// fresh, keys are kept until they expire, and whatever keeps a store from knowing is an error and never fresh. open
// returns a new, empty store each time, and has it closed when the test ends.
func TestReplayStore(t *testing.T, open func(t *testing.T) Replay) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Replay)
		can  func(Replay) bool
	}{
		{"RS-073: a key is fresh once", testFreshOnce, nil},
		{"RS-074: of many claims at once one is fresh", testRace, nil},
		{"RS-074: of many claims at two instances one is fresh", testTwoInstances, func(r Replay) bool { return r.Other != nil }},
		{"RS-074: claims of many keys at once are all fresh", testManyKeys, nil},
		{"RS-075: keys of another namespace, sender or jti are others", testNamespaces, nil},
		{"RS-073: a key is kept until it expires", testKept, func(r Replay) bool { return r.Advance != nil }},
		{"RS-073: a later claim does not shorten the first", testNotShortened, func(r Replay) bool { return r.Advance != nil }},
		{"RS-073: a key that expired long ago is never fresh", testPast, func(r Replay) bool { return r.Advance != nil }},
		{"a store lives on when keys have expired", testLivesOn, func(r Replay) bool { return r.Advance != nil }},
		{"RS-180: a full store refuses and forgets nothing", testFull, func(r Replay) bool { return r.Capacity > 0 }},
		{"RS-180: a store that cannot be reached is an error", testOutage, func(r Replay) bool { return r.Break != nil }},
		{"a context that is done is an error", testContext, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t)
			if c.can != nil && !c.can(r) {
				t.Skip("the store under test offers no way to ask for it")
			}
			c.test(t, r)
		})
	}
}

func key(jti string) dpop.ReplayKey { return dpop.NewReplayKey("contract", "thumbprint", jti) }

// minute is an expiry at the beginning of a second, about a minute from now.
func (r Replay) minute() time.Time { return r.Now().Truncate(time.Second).Add(time.Minute) }

func (r Replay) claim(t *testing.T, k dpop.ReplayKey, expiry time.Time, want bool) {
	t.Helper()
	fresh, err := r.Store.Claim(context.Background(), k, expiry)
	if err != nil || fresh != want {
		t.Fatalf("Claim = %t, %v, want %t", fresh, err, want)
	}
}

// undecided claims a key about which the store cannot know.
func (r Replay) undecided(ctx context.Context, t *testing.T, k dpop.ReplayKey, expiry time.Time) {
	t.Helper()
	if fresh, err := r.Store.Claim(ctx, k, expiry); fresh || err == nil {
		t.Fatalf("Claim = %t, %v, want an error", fresh, err)
	}
}

func testFreshOnce(t *testing.T, r Replay) {
	for _, jti := range []string{"a", "", "b"} {
		r.claim(t, key(jti), r.minute(), true)
		for range 3 {
			r.claim(t, key(jti), r.minute(), false)
		}
	}
}

// race claims each key from many goroutines, half of them at a second store.
func race(t *testing.T, stores [2]dpop.ReplayStore, expiry time.Time) {
	t.Helper()
	for round := range 20 {
		k := key(fmt.Sprint("race ", round))
		var fresh atomic.Int64
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range claimers {
			wg.Go(func() {
				<-start
				ok, err := stores[i%2].Claim(context.Background(), k, expiry)
				if err != nil {
					t.Errorf("Claim: %v", err)
				}
				if ok {
					fresh.Add(1)
				}
			})
		}
		close(start)
		wg.Wait()
		if n := fresh.Load(); n != 1 {
			t.Fatalf("%d of %d claims of one key were fresh, want one", n, claimers)
		}
	}
}

func testRace(t *testing.T, r Replay) {
	race(t, [2]dpop.ReplayStore{r.Store, r.Store}, r.minute())
}

func testTwoInstances(t *testing.T, r Replay) {
	race(t, [2]dpop.ReplayStore{r.Store, r.Other}, r.minute())
}

func testManyKeys(t *testing.T, r Replay) {
	const each = 50
	var wg sync.WaitGroup
	for i := range claimers {
		wg.Go(func() {
			for j := range each {
				if fresh, err := r.Store.Claim(context.Background(), key(fmt.Sprint(i, " ", j)), r.minute()); !fresh || err != nil {
					t.Errorf("Claim = %t, %v, want a fresh one", fresh, err)
				}
			}
		})
	}
	wg.Wait()
}

func testNamespaces(t *testing.T, r Replay) {
	for _, k := range [][3]string{
		{"n", "k", "j"}, {"m", "k", "j"}, {"n", "l", "j"}, {"n", "k", "i"}, {"", "nk", "j"}, {"nk", "", "j"}, {"n", "kj", ""}, {"", "", "nkj"},
	} {
		r.claim(t, dpop.NewReplayKey(k[0], k[1], k[2]), r.minute(), true)
	}
	r.claim(t, dpop.NewReplayKey("n", "k", "j"), r.minute(), false)
}

func testKept(t *testing.T, r Replay) {
	expiry := r.minute()
	r.claim(t, key("kept"), expiry, true)
	for r.Now().Add(time.Second).Before(expiry) {
		r.Advance(time.Second)
		r.claim(t, key("kept"), expiry, false)
	}
}

func testNotShortened(t *testing.T, r Replay) {
	short, long := r.minute(), r.minute().Add(time.Minute)
	r.claim(t, key("long"), long, true)
	r.claim(t, key("long"), short, false)
	r.Advance(90 * time.Second)
	r.claim(t, key("long"), long, false)
}

func testPast(t *testing.T, r Replay) {
	expiry := r.minute()
	r.claim(t, key("past"), expiry, true)
	r.Advance(time.Hour)
	r.claim(t, key("now"), r.minute(), true) // what has ended may be dropped by now
	if fresh, _ := r.Store.Claim(context.Background(), key("past"), expiry); fresh {
		t.Error("a key whose expiry has passed is fresh: it may have been used and forgotten")
	}
}

func testLivesOn(t *testing.T, r Replay) {
	for i := range 5 {
		r.claim(t, key("again"), r.minute(), true)
		r.claim(t, key("again"), r.minute(), false)
		r.claim(t, key(fmt.Sprint("another ", i)), r.minute(), true)
		r.Advance(time.Hour)
	}
}

func testFull(t *testing.T, r Replay) {
	expiry := r.minute()
	for i := range r.Capacity {
		r.claim(t, key(fmt.Sprint("full ", i)), expiry, true)
	}
	for i := range 10 {
		r.undecided(context.Background(), t, key(fmt.Sprint("beyond ", i)), expiry)
	}
	for i := range r.Capacity {
		// Still used, or an error: a full store may be unable to say, but never calls a used key fresh.
		if fresh, _ := r.Store.Claim(context.Background(), key(fmt.Sprint("full ", i)), expiry); fresh {
			t.Fatalf("key %d was forgotten to make room", i)
		}
	}
}

func testOutage(t *testing.T, r Replay) {
	r.claim(t, key("before"), r.minute(), true)
	r.Break()
	r.undecided(context.Background(), t, key("before"), r.minute())
	r.undecided(context.Background(), t, key("after"), r.minute())
}

func testContext(t *testing.T, r Replay) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	r.undecided(ctx, t, key("cancelled"), r.minute())
}

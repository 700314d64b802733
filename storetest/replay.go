package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// Replay is an empty replay store under test, and what the tests need to ask it about. Store and Now are required;
// what is nil or zero leaves out the tests that need it.
type Replay struct {
	Store dpop.ReplayStore

	// Others are the stores of further processes that share what Store remembers, under the same clock.
	Others []dpop.ReplayStore

	// Now is the stores' clock. Set makes it show another time, earlier or later.
	Now func() time.Time
	Set func(time.Time)

	// Capacity is how many keys the store has room for, at least a hundred.
	Capacity int

	// Break makes the store unreachable.
	Break func()
}

// TestReplayStore checks that a store does what [dpop.ReplayStore] promises: of any number of claims of a key one is
// fresh, keys are kept until they expire whatever the clock does, and whatever keeps a store from knowing (it is full,
// it is down, the caller has gone) is an error and never fresh (RFC 9449 §11.1). open returns a new, empty store each
// time, with room for ten thousand proofs unless it has a Capacity, and has it closed when the test ends.
func TestReplayStore(t *testing.T, open func(t *testing.T) Replay) {
	anyStore := func(Replay) bool { return true }
	clock := func(r Replay) bool { return r.Set != nil }
	bounded := func(r Replay) bool { return r.Capacity > 0 }
	breakable := func(r Replay) bool { return r.Break != nil }
	for _, c := range []struct {
		name string
		can  func(Replay) bool
		test func(*testing.T, Replay)
	}{
		{"RS-073: a key is fresh once, at whichever process", anyStore, testReplayOnce},
		{"RS-073: of concurrent claims exactly one is fresh", anyStore, testReplayRace},
		{"RS-074: of 64 claims at once one is fresh", anyStore, testClaimers},
		{"RS-075: keys of another namespace, sender or jti are others", anyStore, testNamespaces},
		{"keys that differ in one bit are different", anyStore, testReplayBits},
		{"a claim of a caller who has gone is not fresh", anyStore, testReplayGone},
		{"a claim that has expired is refused", anyStore, testReplayExpired},
		{"extreme expiries do no harm", anyStore, testReplayExtremes},
		{"every process tells one Window", anyStore, testReplayWindow},
		{"Since is no later than the Window from now, and stays while nothing is lost", anyStore, testReplaySince},
		{"Since does not go back when time passes and the clock is set", clock, testReplaySinceMoves},
		{"a key is remembered until its expiry", clock, testReplayKept},
		{"RS-073: a key is remembered for the Window, however soon it expires", clock, testReplayWindowKept},
		{"a clock set forward and back reopens nothing", clock, testReplayClock},
		{"no history accepts a key twice", clock, testReplayModel},
		{"RS-180: a full store refuses and forgets nothing", bounded, testFull},
		{"RS-180: 64 claims at once do not overfill a store", bounded, testOverfill},
		{"RS-180: a store that cannot be reached is an error", breakable, testOutage},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := open(t)
			if !c.can(r) {
				t.Skip("the store under test offers no way to ask for it")
			}
			c.test(t, r)
		})
	}
}

func replayKey(name string) dpop.ReplayKey { return dpop.NewReplayKey("contract", "thumbprint", name) }

// any returns the store of one process, in turn.
func (r Replay) any(i int) dpop.ReplayStore {
	if i %= len(r.Others) + 1; i > 0 {
		return r.Others[i-1]
	}
	return r.Store
}

// claim claims at every process and expects the first answer to be fresh, or none of them.
func (r Replay) claim(t *testing.T, name string, expiry time.Time, fresh bool) {
	t.Helper()
	for i := range len(r.Others) + 2 {
		got, err := r.any(i).Claim(context.Background(), replayKey(name), expiry)
		if err != nil || got != (fresh && i == 0) {
			t.Fatalf("Claim(%s) number %d = %t, %v", name, i, got, err)
		}
	}
}

// refuse expects that nobody gets the key. Whether it is refused as used or with an error is the store's to say.
func (r Replay) refuse(t *testing.T, name string, expiry time.Time) {
	t.Helper()
	for i := range len(r.Others) + 1 {
		if fresh, err := r.any(i).Claim(context.Background(), replayKey(name), expiry); fresh {
			t.Fatalf("Claim(%s) number %d = %t, %v", name, i, fresh, err)
		}
	}
}

func testReplayOnce(t *testing.T, r Replay) {
	for i := range 50 {
		name := fmt.Sprint(i)
		r.claim(t, name, r.Now().Add(time.Minute), true)
		r.claim(t, name, r.Now().Add(time.Minute), false)
		r.claim(t, name, r.Now().Add(2*time.Minute), false) // another expiry is the same key
		r.claim(t, name, r.Now().Add(time.Second), false)
	}
}

func testReplayRace(t *testing.T, r Replay) {
	const rounds, callers = 50, 32
	for round := range rounds {
		var fresh atomic.Int32
		var start, done sync.WaitGroup
		start.Add(1)
		for i := range callers {
			done.Go(func() {
				start.Wait()
				ok, err := r.any(i).Claim(context.Background(), replayKey(fmt.Sprint(round)), r.Now().Add(time.Minute))
				if err != nil {
					t.Errorf("Claim: %v", err)
				}
				if ok {
					fresh.Add(1)
				}
			})
		}
		start.Done()
		done.Wait()
		if n := fresh.Load(); n != 1 {
			t.Fatalf("%d of %d concurrent claims were fresh, want one", n, callers)
		}
	}
}

func testReplayBits(t *testing.T, r Replay) {
	base := replayKey("base")
	expiry := r.Now().Add(time.Minute)
	for i := range len(base) * 8 {
		key := base
		key[i/8] ^= 1 << (i % 8)
		fresh, err := r.any(i).Claim(context.Background(), key, expiry)
		// A store may keep a part of the key; then it may refuse a stranger's, but never by another cause than its own.
		if !fresh && err == nil {
			t.Fatalf("a key that differs in bit %d counts as used", i)
		}
	}
}

func testReplayGone(t *testing.T, r Replay) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	fresh, err := r.Store.Claim(ctx, replayKey("gone"), r.Now().Add(time.Minute))
	if fresh || !errors.Is(err, context.Canceled) {
		t.Fatalf("Claim = %t, %v, want the context's error", fresh, err)
	}
}

func testReplayExpired(t *testing.T, r Replay) {
	for _, ago := range []time.Duration{time.Nanosecond, time.Second, time.Hour} {
		if fresh, err := r.Store.Claim(context.Background(), replayKey("late"), r.Now().Add(-ago)); fresh || err == nil {
			t.Errorf("Claim %v after expiry = %t, %v, want an error", ago, fresh, err)
		}
	}
}

func testReplayExtremes(t *testing.T, r Replay) {
	r.refuse(t, "zero", time.Time{})
	for _, expiry := range []time.Time{time.Unix(1<<61, 999_999_999), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		r.claim(t, expiry.String(), expiry, true)
	}
}

func testReplayKept(t *testing.T, r Replay) {
	start := r.Now()
	for _, life := range []time.Duration{time.Second, 10 * time.Second, 70 * time.Second} {
		name := life.String()
		r.Set(start)
		r.claim(t, name, start.Add(life), true)
		for _, before := range []time.Duration{life / 2, time.Millisecond, time.Nanosecond} {
			r.Set(start.Add(life - before))
			r.claim(t, name, start.Add(life), false)
		}
		start = start.Add(2 * life)
	}
}

func testReplayWindow(t *testing.T, r Replay) {
	for i := range len(r.Others) + 1 {
		if got := r.any(i).Window(); got <= 0 || got != r.Store.Window() {
			t.Errorf("Window() of number %d = %v, want one that is more than 0, and %v", i, got, r.Store.Window())
		}
	}
}

// since asks every process from when it remembers. What is zero forgets nothing.
func (r Replay) since(t *testing.T) (since []time.Time) {
	t.Helper()
	for i := range len(r.Others) + 1 {
		s := r.any(i).Since()
		if latest := r.Now().Add(r.Store.Window()); s.After(latest) {
			t.Fatalf("Since() of number %d = %v, and it is %v", i, s, r.Now())
		}
		since = append(since, s)
	}
	return since
}

func testReplaySince(t *testing.T, r Replay) {
	r.claim(t, "first", r.Now().Add(time.Minute), true)
	before := r.since(t)
	for i := range 50 {
		r.claim(t, fmt.Sprint(i), r.Now().Add(time.Minute), true)
	}
	if after := r.since(t); !slices.EqualFunc(before, after, time.Time.Equal) {
		t.Errorf("Since() went from %v to %v, and nothing was lost", before, after)
	}
}

func testReplaySinceMoves(t *testing.T, r Replay) {
	before := r.since(t)
	start := r.Now()
	for i, at := range []time.Duration{time.Second, time.Minute, -time.Minute, 10 * time.Second, r.Store.Window() + time.Hour, time.Hour} {
		r.Set(start.Add(at))
		_, _ = r.any(i).Claim(context.Background(), replayKey(fmt.Sprint(i)), r.Now().Add(time.Minute)) // may be refused when time went back
		for i := range before {
			now := r.any(i).Since()
			if now.Before(before[i]) {
				t.Fatalf("Since() of number %d went back from %v to %v", i, before[i], now)
			}
			before[i] = now
		}
	}
}

// testReplayWindowKept claims with one expiry, and then as a Verifier does that accepts the same proof for longer.
func testReplayWindowKept(t *testing.T, r Replay) {
	window := r.Store.Window()
	for _, life := range []time.Duration{time.Second, 10 * time.Second, window / 2} {
		start := r.Now()
		name := life.String()
		r.claim(t, name, start.Add(life), true)
		for _, age := range []time.Duration{life - 1, life + 1, life + time.Second, window / 2, window - time.Second, window - 1} {
			r.Set(start.Add(age))
			r.claim(t, name, start.Add(max(window, age+time.Second)), false)
		}
		r.Set(start.Add(2*window + time.Minute))
	}
}

func testReplayClock(t *testing.T, r Replay) {
	start, window := r.Now(), r.Store.Window()
	r.claim(t, "short", start.Add(30*time.Second), true)
	r.claim(t, "long", start.Add(window+5*time.Minute), true)
	r.Set(start.Add(window + time.Minute))
	for i := range len(r.Others) + 1 { // every process sees the time
		_, _ = r.any(i).Claim(context.Background(), replayKey(fmt.Sprint("now", i)), start.Add(window+3*time.Minute))
	}
	r.Set(start)
	r.refuse(t, "short", start.Add(30*time.Second))
	r.claim(t, "long", start.Add(window+5*time.Minute), false)
}

// testReplayModel walks at random through time and claims.
func testReplayModel(t *testing.T, r Replay) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	type claim struct{ until, kept time.Time }
	used, window := map[string]claim{}, r.Store.Window()
	latest := r.Now() // that any process has seen
	for step := range 2000 {
		now := r.Now()
		switch rnd.IntN(12) {
		case 0:
			r.Set(now.Add(time.Duration(rnd.Int64N(int64(window / 4)))))
		case 1:
			r.Set(now.Add(-time.Duration(rnd.IntN(20)) * time.Second))
		default:
			name := fmt.Sprint(rnd.IntN(40))
			expiry := now.Add(time.Duration(1+rnd.IntN(90_000)) * time.Millisecond)
			if old, ok := used[name]; ok && rnd.IntN(2) == 0 {
				expiry = old.until
			}
			if now.After(latest) {
				latest = now
			}
			fresh, err := r.any(rnd.IntN(8)).Claim(context.Background(), replayKey(name), expiry)
			if !fresh {
				continue
			}
			// A proof always has the same expiry. Another one with its jti may be accepted once the first is forgotten.
			old, ok := used[name]
			if err != nil || ok && (old.until.Equal(expiry) || latest.Before(old.until) || latest.Before(old.kept)) {
				t.Fatalf("seed %d, step %d: Claim = %t, %v at %v; it was used until %v, and is kept until %v",
					seed, step, fresh, err, now, old.until, old.kept)
			}
			used[name] = claim{until: expiry, kept: now.Add(window)}
		}
	}
}

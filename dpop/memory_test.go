package dpop_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/storetest"
)

var _ dpop.ReplayStore = (*dpop.Memory)(nil)

func newMemory(t testing.TB, c dpop.MemoryConfig) *dpop.Memory {
	t.Helper()
	m, err := dpop.NewMemory(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// wantClaim claims key and checks the answer. Nothing that comes with an error may be fresh.
func wantClaim(t testing.TB, m *dpop.Memory, key dpop.ReplayKey, expiry time.Time, fresh bool, cause error) {
	t.Helper()
	got, err := m.Claim(t.Context(), key, expiry)
	if got != fresh || !errors.Is(err, cause) {
		t.Fatalf("Claim = %t, %v; want %t, %v", got, err, fresh, cause)
	}
}

func mustClaim(t testing.TB, m *dpop.Memory, key dpop.ReplayKey, expiry time.Time) {
	t.Helper()
	wantClaim(t, m, key, expiry, true, nil)
}

func wantUsed(t testing.TB, m *dpop.Memory, key dpop.ReplayKey, expiry time.Time) {
	t.Helper()
	wantClaim(t, m, key, expiry, false, nil)
}

func wantLen(t testing.TB, m *dpop.Memory, n int) {
	t.Helper()
	if got := m.Len(); got != n {
		t.Fatalf("Len = %d, want %d", got, n)
	}
}

// at is the instant that lies seconds after the start of a slice of thirty seconds.
func at(seconds float64) time.Time {
	return poptest.Now.Truncate(time.Minute).Add(time.Duration(seconds * float64(time.Second)))
}

func TestMemoryConfig(t *testing.T) {
	_, err := dpop.NewMemory(dpop.MemoryConfig{MaxEntries: -1})
	if err == nil || !strings.Contains(err.Error(), "dpop.MemoryConfig: MaxEntries is -1") {
		t.Errorf("error = %v, want one that names the field and its value", err)
	}

	for window, want := range map[time.Duration]time.Duration{
		0: 130 * time.Second, time.Second: time.Second, 80 * time.Minute: 80 * time.Minute,
	} {
		if got := newMemory(t, dpop.MemoryConfig{Window: window}).Window(); got != want {
			t.Errorf("Window %v: got %v, want %v", window, got, want)
		}
	}
	for _, window := range []time.Duration{-1, 1, time.Second - 1, 80*time.Minute + 1} {
		if _, err := dpop.NewMemory(dpop.MemoryConfig{Window: window}); err == nil ||
			!strings.HasPrefix(err.Error(), "dpop.MemoryConfig: Window is "+window.String()+": give a value from 1s to 1h20m0s") {
			t.Errorf("Window %v: got %v", window, err)
		}
	}

	clock := poptest.NewClock()
	m := newMemory(t, dpop.MemoryConfig{Now: clock.Now})
	clock.Advance(time.Hour)
	if !m.Since().Equal(poptest.Now) {
		t.Errorf("Since = %v, want the time of NewMemory, %v", m.Since(), poptest.Now)
	}

	before := time.Now()
	byDefault := newMemory(t, dpop.MemoryConfig{})
	if s := byDefault.Since(); s.Before(before) || s.After(time.Now()) {
		t.Errorf("without a clock, Since = %v, want now", s)
	}
	expiry := time.Now().Add(time.Hour)
	mustClaim(t, byDefault, numberedKey(1), expiry)
	wantUsed(t, byDefault, numberedKey(1), expiry)
}

// RS-073: a proof is remembered for the whole time in which it would be accepted, at both ends of a slice.
func TestMemoryRemembersUntilExpiry(t *testing.T) {
	type claim struct {
		now, expiry float64
		fresh       bool
		cause       error
	}
	cases := map[string][]claim{
		"used at once":                               {{0, 60, true, nil}, {0, 60, false, nil}},
		"used just before its expiry":                {{0, 65, true, nil}, {64.999, 65, false, nil}},
		"used at the instant of its expiry":          {{0, 65, true, nil}, {65, 65, false, nil}},
		"no answer after its expiry":                 {{0, 65, true, nil}, {65.001, 65, false, dpop.ErrExpiryPast}},
		"expiry at the start of a slice":             {{0, 60, true, nil}, {60, 60, false, nil}},
		"expiry just after the start of a slice":     {{0, 60.001, true, nil}, {60, 60.001, false, nil}},
		"expiry at the end of a slice":               {{0, 89.999, true, nil}, {89.999, 89.999, false, nil}},
		"end of a slice is over in the next":         {{0, 89.999, true, nil}, {90, 89.999, false, dpop.ErrExpiryPast}},
		"claimed at the instant of its expiry":       {{60, 60, true, nil}, {60, 60, false, nil}},
		"claimed after its expiry":                   {{60, 59, false, dpop.ErrExpiryPast}},
		"claimed late, in the slice of its expiry":   {{69, 61, false, dpop.ErrExpiryPast}},
		"another proof with the key, expiring later": {{0, 15, true, nil}, {10, 75, false, nil}},
		"another proof with the key, sooner":         {{0, 75, true, nil}, {0, 15, false, nil}, {16, 75, false, nil}},
		"the later proof does not prolong the first": {{0, 15, true, nil}, {1, 75, false, nil}, {29.999, 75, false, nil}, {30, 75, true, nil}},
		"clock a moment back":                        {{60, 70, true, nil}, {59, 70, false, nil}},
	}
	for name, claims := range cases {
		t.Run(name, func(t *testing.T) {
			clock := poptest.NewClock()
			m := newMemory(t, dpop.MemoryConfig{Window: time.Second, Now: clock.Now})
			for _, c := range claims {
				clock.Set(at(c.now))
				wantClaim(t, m, numberedKey(1), at(c.expiry), c.fresh, c.cause)
			}
		})
	}
}

// RS-073: however soon a claim expires, it is remembered for the Window, by whichever expiry it is claimed again.
func TestMemoryRemembersForTheWindow(t *testing.T) {
	for _, c := range []struct {
		name         string
		window       time.Duration
		claimed, now float64
		fresh        bool
	}{
		{"default, last instant", 0, 0, 130, false},
		{"claimed late in a slice, forgotten", 0, 19.999, 150, true},
		{"default, start of the slice after", 0, 0, 150, true},
		{"claimed late in a slice", 0, 19.999, 149.999, false},
		{"longest, last instant", 80 * time.Minute, 0, 4800, false},
		{"longest, forgotten", 80 * time.Minute, 0, 4830, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			clock := poptest.NewClock()
			m := newMemory(t, dpop.MemoryConfig{Window: c.window, Now: clock.Now})
			clock.Set(at(c.claimed))
			mustClaim(t, m, numberedKey(1), at(c.claimed+1))
			clock.Set(at(c.now))
			wantClaim(t, m, numberedKey(1), at(c.now+1), c.fresh, nil)
		})
	}
}

func TestMemoryExtremeExpiries(t *testing.T) {
	m := newMemory(t, dpop.MemoryConfig{Now: poptest.NewClock().Now})
	wantClaim(t, m, numberedKey(1), time.Time{}, false, dpop.ErrExpiryPast)
	for n, expiry := range []time.Time{time.Unix(1<<61, 999_999_999), time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)} {
		mustClaim(t, m, numberedKey(uint64(n)), expiry)
		wantUsed(t, m, numberedKey(uint64(n)), expiry)
	}
}

// The clock jumps ahead, what had expired by then is forgotten, and the clock is put right again.
func TestMemoryClockForwardAndBack(t *testing.T) {
	clock := poptest.NewClock()
	m := newMemory(t, dpop.MemoryConfig{Window: time.Second, Now: clock.Now})
	clock.Set(at(0))
	mustClaim(t, m, numberedKey(1), at(20))
	mustClaim(t, m, numberedKey(2), at(60))

	clock.Set(at(45))
	mustClaim(t, m, numberedKey(3), at(100))
	wantLen(t, m, 2)

	clock.Set(at(0))
	wantClaim(t, m, numberedKey(1), at(20), false, dpop.ErrClockBack)
	wantClaim(t, m, numberedKey(4), at(20), false, dpop.ErrClockBack)
	wantClaim(t, m, numberedKey(4), at(29.999), false, dpop.ErrClockBack)
	wantClaim(t, m, numberedKey(4), at(5), false, dpop.ErrClockBack)
	wantUsed(t, m, numberedKey(2), at(60))
	wantUsed(t, m, numberedKey(3), at(100))
	mustClaim(t, m, numberedKey(4), at(30))

	clock.Set(at(1e6))
	wantLen(t, m, 0)
	clock.Set(at(0))
	for n, expiry := range map[uint64]float64{1: 20, 2: 60, 3: 100, 4: 30} {
		wantClaim(t, m, numberedKey(n), at(expiry), false, dpop.ErrClockBack)
	}
}

func TestMemoryFullRefusesAndRecovers(t *testing.T) {
	const size = 500
	clock := poptest.NewClock()
	m := newMemory(t, dpop.MemoryConfig{MaxEntries: size, Window: time.Second, Now: clock.Now})
	clock.Set(at(0))
	expiry := func(n uint64) time.Time { return at(float64(5 + n%70)) }
	for n := range uint64(size) {
		mustClaim(t, m, numberedKey(n), expiry(n))
	}
	for n := range uint64(size) {
		wantClaim(t, m, numberedKey(size+n), expiry(n), false, dpop.ErrStoreFull)
		wantClaim(t, m, numberedKey(size+n), expiry(n), false, dpop.ErrStoreFull)
	}
	for n := range uint64(size) {
		wantUsed(t, m, numberedKey(n), expiry(n))
	}
	wantLen(t, m, size)

	// The first slice is over: just its entries make room, without a call of anything but Claim.
	clock.Set(at(30))
	room := 0
	for n := range uint64(size) {
		if expiry(n).Before(at(30)) {
			room++
		}
	}
	for n := range uint64(room) {
		mustClaim(t, m, numberedKey(2*size+n), at(80))
	}
	wantClaim(t, m, numberedKey(3*size), at(80), false, dpop.ErrStoreFull)
	wantLen(t, m, size)

	clock.Set(at(90))
	wantLen(t, m, 0)
}

// Claims that race for the last places of several slices never take more than there are.
func TestMemoryFullUnderConcurrency(t *testing.T) {
	const size, claimers, each = 100, 16, 50
	m := newMemory(t, dpop.MemoryConfig{MaxEntries: size, Window: time.Second, Now: poptest.NewClock().Now})
	var accepted, full atomic.Int64
	atOnce(claimers, func(claimer int) {
		for i := range each {
			n := uint64(claimer*each + i)
			switch fresh, err := m.Claim(t.Context(), numberedKey(n), spreadExpiry(n)); {
			case fresh && err == nil:
				accepted.Add(1)
			case !fresh && errors.Is(err, dpop.ErrStoreFull):
				full.Add(1)
			default:
				t.Errorf("Claim = %t, %v", fresh, err)
			}
		}
	})
	if accepted.Load() != size || full.Load() != claimers*each-size {
		t.Errorf("accepted %d, refused as full %d; want %d and the rest", accepted.Load(), full.Load(), size)
	}
	wantLen(t, m, size)
}

// What the slices cost is bounded too: each has its own buffer, however few entries it holds.
func TestMemoryBoundsSlices(t *testing.T) {
	const slices = 171
	clock := poptest.NewClock()
	m := newMemory(t, dpop.MemoryConfig{Window: time.Second, Now: clock.Now})
	clock.Set(at(0))
	for n := range uint64(slices) {
		mustClaim(t, m, numberedKey(n), at(float64(30*n)))
	}
	wantClaim(t, m, numberedKey(slices), at(30*slices), false, dpop.ErrStoreFull)
	mustClaim(t, m, numberedKey(slices), at(30*slices-1))
	wantUsed(t, m, numberedKey(0), at(0))

	for n := range uint64(slices) {
		wantUsed(t, m, numberedKey(n), at(60))
	}

	clock.Set(at(30))
	mustClaim(t, m, numberedKey(slices+1), at(30*slices))
}

// Marks that tell where a key is not are given on from slice to slice. Keys of a slice share places with those of others
// here, and no slice takes away the mark of another, however many there have been. None is left of those that are over.
func TestMemoryGivesMarksOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const keys = 20
		clock := poptest.NewClock()
		m := newMemory(t, dpop.MemoryConfig{MaxEntries: 100, Window: time.Second, Now: clock.Now})
		key := func(slice, n int) dpop.ReplayKey { return numberedKey(uint64(slice*keys + n)) }
		for slice := range 40 {
			clock.Set(at(float64(30 * slice)))
			expiry := at(float64(30*slice + 40))
			for n := range keys {
				mustClaim(t, m, key(slice, n), expiry)
			}
			synctest.Wait() // until the slices that are over have been cleared
			for n := range keys {
				wantUsed(t, m, key(slice, n), expiry)
				if slice > 0 {
					wantUsed(t, m, key(slice-1, n), expiry)
				}
			}
		}
		clock.Set(at(2000))
		if n := m.Len(); n > 0 {
			t.Errorf("%d entries are held when all are over", n)
		}
		synctest.Wait()
		if n := dpop.Marks(m); n > 0 {
			t.Errorf("%d marks are left when all is over", n)
		}
	})
}

// RS-026, RS-077: any jti is a key of one size, and parts that run together into one text stay different.
func TestReplayKeyKeepsPartsApart(t *testing.T) {
	parts := [][3]string{
		{"a", "b", "c"}, {"ab", "", "c"}, {"", "ab", "c"}, {"a", "", "bc"}, {"a", "bc", ""}, {"", "", "abc"},
		{"abc", "", ""}, {"a", "b", "c\x00"}, {"a", "b\x00", "c"}, {"", "", ""}, {"", "", "\x00"},
		{"a", "c", "b"}, {"n", "t", "ü"}, {"n", "t", "\"}\r\n"}, {"n", "t", strings.Repeat("j", 128<<10)},
	}
	m := newMemory(t, dpop.MemoryConfig{Window: time.Second, Now: poptest.NewClock().Now})
	for _, p := range parts {
		mustClaim(t, m, dpop.NewReplayKey(p[0], p[1], p[2]), spreadExpiry(0))
	}
	for _, p := range parts {
		wantUsed(t, m, dpop.NewReplayKey(p[0], p[1], p[2]), spreadExpiry(0))
	}
}

// Ristretto finds entries by the first 64 bits and does not store a second key that shares them. Whoever can
// make such a key gains nothing by it: the claim fails, and fails again.
func TestMemoryRefusesWhatItCannotRecord(t *testing.T) {
	m := newMemory(t, dpop.MemoryConfig{MaxEntries: 2, Now: poptest.NewClock().Now})
	first := numberedKey(1)
	mustClaim(t, m, first, spreadExpiry(0))

	alike := first
	alike[8] ^= 1
	for range 3 {
		wantClaim(t, m, alike, spreadExpiry(0), false, dpop.ErrNotRecorded)
	}
	wantUsed(t, m, first, spreadExpiry(0))
	wantLen(t, m, 1) // a claim that failed holds no place
	mustClaim(t, m, numberedKey(2), spreadExpiry(0))

	// Zeros are the second hash that ristretto takes for "do not compare".
	zeros := newMemory(t, dpop.MemoryConfig{Now: poptest.NewClock().Now})
	mustClaim(t, zeros, first, spreadExpiry(0))
	half := first
	clear(half[8:16])
	wantClaim(t, zeros, half, spreadExpiry(0), false, dpop.ErrNotRecorded)
}

func TestMemoryCancelledContext(t *testing.T) {
	m := newMemory(t, dpop.MemoryConfig{Now: poptest.NewClock().Now})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 2 {
		fresh, err := m.Claim(ctx, numberedKey(1), spreadExpiry(0))
		if fresh || !errors.Is(err, context.Canceled) {
			t.Fatalf("Claim = %t, %v; want false and the error of the context", fresh, err)
		}
	}
	wantLen(t, m, 0)
	mustClaim(t, m, numberedKey(1), spreadExpiry(0)) // nothing was recorded before
}

// A clock that panics ends the claim that asked it, and holds up no other.
func TestMemoryClockPanics(t *testing.T) {
	broken := false
	m := newMemory(t, dpop.MemoryConfig{Now: func() time.Time {
		if broken {
			panic("no clock")
		}
		return poptest.Now
	}})
	func() {
		defer func() { broken = recover() == nil }()
		broken = true
		_, _ = m.Claim(t.Context(), numberedKey(1), spreadExpiry(0))
	}()
	if broken {
		t.Fatal("the clock was not asked")
	}
	mustClaim(t, m, numberedKey(1), spreadExpiry(0))
	wantUsed(t, m, numberedKey(1), spreadExpiry(0))
	wantLen(t, m, 1)
}

// RS-073: of any number of concurrent requests with one proof, one is accepted.
func TestMemoryAcceptsOnce(t *testing.T) {
	const claimers, keys = 64, 300
	m := newMemory(t, dpop.MemoryConfig{Window: time.Second, Now: poptest.NewClock().Now})
	var accepted [keys]atomic.Int64
	var gates [keys]sync.WaitGroup // no claimer begins with a key before all have come to it
	for k := range gates {
		gates[k].Add(claimers)
	}
	atOnce(claimers, func(claimer int) {
		for k := range keys {
			gates[k].Done()
			gates[k].Wait()
			// Half of them say a different expiry, so that another slice would have room for the key.
			expiry := spreadExpiry(uint64(k + claimer%2*30))
			fresh, err := m.Claim(t.Context(), numberedKey(uint64(k)), expiry)
			if err != nil {
				t.Errorf("key %d: %v", k, err)
			}
			if fresh {
				accepted[k].Add(1)
			}
		}
	})
	for k := range accepted {
		if n := accepted[k].Load(); n != 1 {
			t.Errorf("key %d was accepted %d times", k, n)
		}
	}
	wantLen(t, m, keys)
}

// churnClaims is how many claims TestMemoryChurn makes: a sample by default, as many as wished for by
// SENDERLOCK_REPLAY_CLAIMS.
func churnClaims(t *testing.T) int64 {
	text, ok := os.LookupEnv("SENDERLOCK_REPLAY_CLAIMS")
	if !ok {
		return 500_000
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A small store, proofs that live for up to a minute, a clock that runs on all the time and sometimes jumps,
// and claimers that mostly replay: what was accepted is recorded beside it, exactly. Nothing may ever be
// accepted twice, not even long after it expired.
func TestMemoryChurn(t *testing.T) {
	const claimers, size, newest = 8, 3000, 4000
	claims := churnClaims(t)
	clock := poptest.NewClock()
	m := newMemory(t, dpop.MemoryConfig{MaxEntries: size, Window: time.Second, Now: clock.Now})

	var model sync.Map // number of the proof → true once it was accepted
	var step, accepted, used, full, late, back, replayed, wronglyUsed atomic.Int64
	var refusedAsUsed sync.Map
	atOnce(claimers, func(claimer int) {
		random := rand.New(rand.NewPCG(uint64(claimer), 73))
		for {
			i := step.Add(1)
			if i > claims {
				return
			}
			if i%100 == 0 {
				clock.Advance(250 * time.Millisecond)
			}
			switch i % 10_000 {
			case 4_000:
				clock.Advance(20 * time.Second)
			case 5_000:
				clock.Advance(-20 * time.Second)
			}
			n := uint64(i/4) + random.Uint64N(newest)
			// Its number decides when a proof expires. The newest now expires in 40 to 65
			// seconds; most have been claimed before, and the oldest are about to expire.
			expiry := poptest.Now.Add(time.Duration(n)*10*time.Millisecond + time.Duration(n%25)*time.Second)
			fresh, err := m.Claim(t.Context(), numberedKey(n), expiry)
			switch {
			case fresh && err == nil:
				accepted.Add(1)
				if _, again := model.LoadOrStore(n, true); again {
					replayed.Add(1)
				}
			case fresh:
				t.Errorf("proof %d: fresh together with %v", n, err)
			case err == nil:
				used.Add(1)
				refusedAsUsed.Store(n, true)
			case errors.Is(err, dpop.ErrStoreFull):
				full.Add(1)
			case errors.Is(err, dpop.ErrExpiryPast):
				late.Add(1)
			case errors.Is(err, dpop.ErrClockBack):
				back.Add(1)
			default:
				t.Errorf("proof %d: %v", n, err)
			}
		}
	})
	refusedAsUsed.Range(func(n, _ any) bool {
		if _, ok := model.Load(n); !ok {
			wronglyUsed.Add(1)
		}
		return true
	})
	t.Logf("%d claims: %d accepted, %d used, %d full, %d expired, %d forgotten", claims,
		accepted.Load(), used.Load(), full.Load(), late.Load(), back.Load())
	if replayed.Load() != 0 || wronglyUsed.Load() != 0 {
		t.Errorf("%d replays accepted, %d proofs refused as used that never were", replayed.Load(), wronglyUsed.Load())
	}
	for what, n := range map[string]int64{
		"accepted": accepted.Load(), "used": used.Load(), "full": full.Load(), "expired": late.Load(),
		"forgotten": back.Load(),
	} {
		if n < claims/1000 {
			t.Errorf("only %d of %d claims ended as %s: the mixture proves little", n, claims, what)
		}
	}
}

// The memory is closed in the middle of a storm of claims, by several at once.
func TestMemoryCloseDuringClaims(t *testing.T) {
	closeDuringClaims(t, func(_ int, k uint64) dpop.ReplayKey { return numberedKey(k) })
}

// No claim waits for another here, so one that a closed cache never answers leaves everybody in the bubble waiting, which
// ends with a panic at once.
func TestMemoryCloseWaitsForClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		closeDuringClaims(t, func(claimer int, k uint64) dpop.ReplayKey {
			key := numberedKey(k)
			key[len(key)-1] = byte(claimer) // its stripe
			return key
		})
	})
}

func closeDuringClaims(t *testing.T, key func(claimer int, k uint64) dpop.ReplayKey) {
	const rounds, claimers, keys = 20, 16, 400
	for range rounds {
		m := newMemory(t, dpop.MemoryConfig{Window: time.Second, Now: poptest.NewClock().Now})
		var accepted sync.Map
		var total, closers atomic.Int64
		atOnce(claimers, func(claimer int) {
			for i := range keys {
				k := uint64((i + claimer*7) % keys)
				fresh, err := m.Claim(t.Context(), key(claimer, k), spreadExpiry(k))
				if err != nil && (fresh || !errors.Is(err, dpop.ErrStoreClosed)) {
					t.Errorf("Claim = %t, %v", fresh, err)
				}
				if fresh {
					if _, again := accepted.LoadOrStore(key(claimer, k), true); again {
						t.Errorf("claimer %d: key %d was accepted again", claimer, k)
					}
				}
				if total.Add(1) > keys && closers.Add(1) <= 3 {
					if err := m.Close(); err != nil {
						t.Errorf("Close: %v", err)
					}
				}
			}
		})
		wantClaim(t, m, numberedKey(keys), spreadExpiry(0), false, dpop.ErrStoreClosed)
		wantClaim(t, m, key(0, 0), spreadExpiry(0), false, dpop.ErrStoreClosed)
		wantLen(t, m, 0)
	}
}

// Every slice has goroutines of its own. None may outlive it, nor the memory: the bubble ends with a panic if
// one is left.
func TestMemoryLeavesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(t, dpop.MemoryConfig{Window: time.Second})
		for n := range uint64(100) {
			mustClaim(t, m, numberedKey(n), time.Now().Add(time.Duration(n)*time.Second))
		}
		time.Sleep(60 * time.Second)
		wantLen(t, m, 40)
		for range 2 {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

// atOnce runs f in n goroutines and waits for all.
func atOnce(n int, f func(i int)) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() { f(i) })
	}
	group.Wait()
}

func TestMemoryKeepsTheContract(t *testing.T) {
	storetest.TestReplayStore(t, func(t *testing.T) storetest.Replay {
		clock := poptest.NewClock()
		m := newMemory(t, dpop.MemoryConfig{Now: clock.Now, MaxEntries: 5000})
		return storetest.Replay{Store: m, Now: clock.Now, Set: clock.Set, Capacity: 5000, Break: func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}}
	})
}

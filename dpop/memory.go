package dpop

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/senderlock/senderlock/internal/setting"
)

const (
	defaultMaxEntries = 1_000_000

	// sliceSeconds is the width of a time slice: an entry outlives its expiry by less than this. A claim looks into
	// every slice, each a place in memory that is in no cache of the processor, so it costs by their number.
	sliceSeconds = 30
	// The least life of a claim covers the defaults of a Verifier: two periods of nonces and Skew. The greatest covers
	// its greatest settings.
	defaultWindow = 2*defaultNoncePeriod + DefaultSkew
	maxWindow     = 80 * time.Minute

	// maxSlices bounds what the slices themselves cost: some 300 KB each, and one look of every claim. Proofs
	// that are accepted for an hour need 120.
	maxSlices = 171

	// stripeCount bounds the claims in flight, and with them the writes that wait in a cache's buffer of 32,768:
	// it is never full, so no write is dropped for want of room.
	stripeCount = 256
)

// MemoryConfig holds the settings of a [Memory]. The zero value is ready for use.
type MemoryConfig struct {
	// MaxEntries is how many proofs are remembered at once; further claims fail with [ErrStoreFull] until some
	// expire. Size it as the highest rate of requests times the seconds of Window, plus 30.
	// An entry takes about 135 octets, less than 200. Zero means 1,000,000; a negative number is an error.
	MaxEntries int
	// Window is for how long every claim is remembered at least: for as long as any [Verifier] that uses this memory may
	// accept a proof, MaxAge or two periods of nonces, and Skew. Zero means 130 s, which are enough for their defaults;
	// 80 minutes are the most.
	Window time.Duration

	// Now is the clock. It must be safe for concurrent use and must not call the Memory. Nil means [time.Now].
	Now func() time.Time
}

// Memory is a [ReplayStore] in the memory of this process (RFC 9449 §11.1). It never forgets a proof to make
// room: when it is full, claims fail. It forgets everything when the process ends, which [Memory.Since] tells
// the [Verifier]. Several instances of a server need a store that they share instead.
//
// Entries are released some seconds after their expiry, by later calls of Claim and Len. Live expiries may lie
// up to 85 minutes apart, and the nearer together they are, the faster is a claim. All methods are safe for
// concurrent use. Make one with [NewMemory], and close it when it is no longer needed.
type Memory struct {
	now        func() time.Time
	maxEntries int64
	window     atomic.Int64              // a time.Duration
	since      atomic.Pointer[time.Time] // moves when window grows

	live    atomic.Int64 // entries of all slices, and those about to be written
	stripes [stripeCount]stripe
	closing sync.WaitGroup

	// mu is held for reading from the first look of a claim to the last, and for writing by whatever adds or
	// removes a slice. So a slice that was removed is in nobody's hands, and its cache can be closed: a Set or
	// Wait of a ristretto cache that is being closed panics or never returns.
	mu        sync.RWMutex
	slices    []*timeSlice // by slot, oldest first
	free      mark         // what no slice has
	forgotten int64        // the newest slot that was ever removed
	closed    bool
}

// stripe lets one claim at a time look at its keys.
type stripe struct {
	sync.Mutex
	marks marks     // nil before the first claim
	key   ReplayKey // of the claim: ristretto hashes by a function that lets its argument escape
}

// timeSlice remembers the claims that expire in one slot of time.
type timeSlice struct {
	slot    int64
	mark    mark // one, or none
	entries atomic.Int64
	cache   *ristretto.Cache[[]byte, struct{}]
}

// NewMemory makes an empty Memory. The error names the setting that is wrong.
func NewMemory(c MemoryConfig) (*Memory, error) {
	if c.MaxEntries < 0 {
		return nil, fmt.Errorf("dpop.MemoryConfig: MaxEntries is %d: put the number of proofs to remember, "+
			"or 0 for %d", c.MaxEntries, defaultMaxEntries)
	}
	if err := setting.Between("Window", &c.Window, defaultWindow, time.Second, maxWindow); err != nil {
		return nil, fmt.Errorf("dpop.MemoryConfig: %w", err)
	}
	m := &Memory{
		now:        c.Now,
		maxEntries: int64(cmp.Or(c.MaxEntries, defaultMaxEntries)),
		forgotten:  math.MinInt64,
		free:       allMarks,
	}
	if m.now == nil {
		m.now = time.Now
	}
	m.window.Store(int64(c.Window))
	start := m.now()
	m.since.Store(&start)
	return m, nil
}

// Since returns the instant from which m remembers every proof: that at which it was made, unless a [Verifier] to which
// it belongs needed a longer Window since.
func (m *Memory) Since() time.Time { return *m.since.Load() }

// Window returns for how long every claim is remembered at least.
func (m *Memory) Window() time.Duration { return time.Duration(m.window.Load()) }

// widen makes the window at least so wide. What was claimed before is remembered for less, so the memory begins anew: at
// an instant by which every proof was made that was dated ahead by up to skew.
func (m *Memory) widen(window, skew time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Window() >= window {
		return
	}
	if len(m.slices) > 0 || m.forgotten > math.MinInt64 {
		again := m.now().Add(skew)
		m.since.Store(&again)
	}
	m.window.Store(int64(window))
}

// Claim implements [ReplayStore]. The key stays used for Window, and as long as the clock shows no later than expiry,
// whatever expiry later claims of it give.
//
// It fails with [ErrStoreFull], [ErrStoreClosed], [ErrNotRecorded], with [ErrExpiryPast] or [ErrClockBack] when
// the key may have been used and forgotten, and with the error of a ctx that is done; then nothing is recorded.
func (m *Memory) Claim(ctx context.Context, key ReplayKey, expiry time.Time) (fresh bool, err error) {
	stripe := &m.stripes[key[len(key)-1]]
	stripe.Lock()
	defer stripe.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s, err := m.enter(expiry)
	if err != nil {
		return false, err
	}
	defer m.mu.RUnlock()
	if stripe.marks == nil {
		stripe.marks = newMarks(m.maxEntries)
	}
	stripe.key = key
	marked := stripe.marks.of(&key)
	if m.holds(*marked, stripe.key[:]) {
		return false, nil
	}
	*marked |= s.mark
	return m.record(s, stripe.key[:])
}

// Len returns the number of entries that are held, for metrics. Up to thirty seconds' worth of them have expired.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(slotOf(m.now()))
	return int(m.live.Load())
}

// Cap returns the number of entries that can be held at once, for metrics beside [Memory.Len].
func (m *Memory) Cap() int { return int(m.maxEntries) }

// Close releases what m holds, after the claims in flight. Later claims fail with [ErrStoreClosed]. It returns
// nil, and may be called more than once.
func (m *Memory) Close() error {
	m.mu.Lock()
	m.closed = true
	m.forget(math.MaxInt64)
	m.mu.Unlock()
	m.closing.Wait()
	return nil
}

// enter returns the slice of expiry with m.mu held for reading, after the slices that are over were removed.
func (m *Memory) enter(expiry time.Time) (*timeSlice, error) {
	for {
		// Without the monotonic reading: expiry and the slots are wall clock time. Not with the lock held, which a clock
		// that panics would leave held for ever. What others remove meanwhile, check finds forgotten.
		now := m.now().Round(0)
		m.mu.RLock()
		slot := max(slotOf(expiry), slotOf(now.Add(m.Window())))
		if err := m.check(now, expiry); err != nil {
			m.mu.RUnlock()
			return nil, err
		}
		if i, ok := m.find(slot); ok && m.slices[0].slot >= slotOf(now) {
			return m.slices[i], nil
		}
		m.mu.RUnlock()
		if err := m.turn(slotOf(now), slot); err != nil {
			return nil, err
		}
	}
}

// check refuses a claim of which m cannot tell whether it is the first, because an earlier one may have been
// forgotten. Both are possible without anybody's ill will: a proof can expire between the check of its time
// and the claim, and a clock can be set.
func (m *Memory) check(now, expiry time.Time) error {
	switch {
	case m.closed:
		return ErrStoreClosed
	case expiry.Before(now):
		return ErrExpiryPast
	case slotOf(expiry) <= m.forgotten:
		return ErrClockBack
	}
	return nil
}

// turn removes the slices that were over at now and adds the one for slot, if it is missing.
func (m *Memory) turn(now, slot int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now)
	i, ok := m.find(slot)
	if ok || m.closed || slot <= m.forgotten {
		return nil // what stands against the claim is said by check
	}
	if len(m.slices) == maxSlices {
		return fmt.Errorf("%w: its proofs expire over too long a time", ErrStoreFull)
	}
	s, err := newTimeSlice(slot)
	if err != nil {
		return fmt.Errorf("dpop: replay memory: %w", err)
	}
	s.mark = m.free.first()
	m.free &^= s.mark
	m.slices = slices.Insert(m.slices, i, s)
	return nil
}

// forget removes the slices before slot. They are cleared aside, so that no request waits for it.
func (m *Memory) forget(slot int64) {
	for len(m.slices) > 0 && m.slices[0].slot < slot {
		s := m.slices[0]
		m.slices = slices.Delete(m.slices, 0, 1)
		m.forgotten = max(m.forgotten, s.slot)
		m.live.Add(-s.entries.Load())
		m.closing.Go(func() { m.clear(s) })
	}
}

// clear releases what a removed slice held. No other slice has its mark before the last of its keys has lost it; of a
// memory that is closed none will.
func (m *Memory) clear(s *timeSlice) {
	s.cache.Close()
	for i := 0; i < len(m.stripes) && !m.isClosed(); i++ {
		m.stripes[i].unmark(s.mark)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free |= s.mark
}

func (m *Memory) isClosed() bool {
	m.mu.RLock()
	closed := m.closed
	m.mu.RUnlock()
	return closed
}

func (s *stripe) unmark(gone mark) {
	s.Lock()
	defer s.Unlock()
	for i := range s.marks {
		s.marks[i] &^= gone
	}
}

func (m *Memory) find(slot int64) (i int, ok bool) {
	return slices.BinarySearchFunc(m.slices, slot, func(s *timeSlice, slot int64) int {
		return cmp.Compare(s.slot, slot)
	})
}

// holds looks into every slice that may have the key: two proofs with one key need not expire together.
func (m *Memory) holds(marked mark, key []byte) bool {
	for _, s := range m.slices {
		if (s.mark == 0 || s.mark&marked != 0) && s.holds(key) {
			return true
		}
	}
	return false
}

// record writes key, which m does not hold, into s. Only the second look decides: ristretto is free to lose a
// write at several places, and says so at none that can be relied upon.
func (m *Memory) record(s *timeSlice, key []byte) (fresh bool, err error) {
	if m.live.Add(1) > m.maxEntries {
		m.live.Add(-1)
		return false, ErrStoreFull
	}
	s.cache.Set(key, struct{}{}, 1)
	s.cache.Wait()
	if !s.holds(key) {
		m.live.Add(-1)
		return false, ErrNotRecorded
	}
	s.entries.Add(1)
	return true, nil
}

// newTimeSlice makes a slice whose cache has no cause to evict or to reject: there is always room, so the
// policy's counters are never asked, and no entry has a lifetime of its own.
func newTimeSlice(slot int64) (*timeSlice, error) {
	cache, err := ristretto.NewCache(&ristretto.Config[[]byte, struct{}]{
		NumCounters:            512,
		MaxCost:                math.MaxInt64,
		BufferItems:            64,
		KeyToHash:              halves,
		IgnoreInternalCost:     true,
		TtlTickerDurationInSec: 86400, // there is nothing to clean up
	})
	if err != nil {
		return nil, err
	}
	return &timeSlice{slot: slot, cache: cache}, nil
}

// holds asks by GetTTL, which unlike Get does not tell the policy of each question: that is for evictions, of which there
// are none.
func (s *timeSlice) holds(key []byte) bool {
	_, ok := s.cache.GetTTL(key)
	return ok
}

// halves gives ristretto its two hashes: 128 of the 256 bits of a [ReplayKey]. That is enough, because keys
// that meet can only refuse. When all 128 bits agree, the later proof counts as used: somebody who wants that
// for the proof of another needs a second preimage, 2^127 hashes. When only the first 64 do, ristretto does
// not store the second key, and the claim fails: by chance once in 2^25 fillings of a million entries. The
// second hash is never 0, which would tell ristretto not to compare it.
func halves(key []byte) (first, second uint64) {
	return binary.BigEndian.Uint64(key), max(1, binary.BigEndian.Uint64(key[8:]))
}

// slotOf numbers the slices of time. A slice is over when the clock shows a later slot; then it shows a time
// after every expiry in it.
func slotOf(t time.Time) int64 { return t.Unix() / sliceSeconds }

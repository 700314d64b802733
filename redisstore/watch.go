package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// How often a new instance looks whether others are at work, and how often a server that is down is tried.
const (
	arriveEvery = 200 * time.Millisecond
	tryEvery    = 100 * time.Millisecond
)

// watch renews what this instance holds until ctx ends.
func (s *Store) watch(ctx context.Context) {
	for {
		pause := s.config.renewal
		if s.down.Load() {
			pause = tryEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(pause):
		}
		_ = s.renew(ctx, s.config.Timeout) // what stands against it is said by the calls
		if s.down.Load() {
			ctx, cancel := s.within(ctx)
			s.down.Store(s.try(ctx) != nil)
			cancel()
		}
	}
}

// renew renews the lease of every bucket, and returns what stands against the first that has none.
func (s *Store) renew(ctx context.Context, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	errs := make([]error, len(s.buckets))
	var all sync.WaitGroup
	for i, b := range s.buckets {
		all.Go(func() {
			errs[i] = b.renew(ctx)
		})
	}
	all.Wait()
	return cmp.Or(errs...)
}

// arrive enters every bucket, and watches until it is known since when it is remembered what was used: others vouch for
// that, or nobody does any more.
func (s *Store) arrive(ctx context.Context) error {
	for deadline := s.config.elapsed() + 2*aloneAfter; ; {
		// More has to be done than in one call.
		if err := s.renew(ctx, max(s.config.Timeout, leaseFor)); err != nil {
			return err
		}
		vouched := true
		for _, b := range s.buckets {
			vouched = vouched && b.vouches()
		}
		if vouched || s.config.elapsed() > deadline {
			return nil // as it is, the memory begins now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(arriveEvery):
		}
	}
}

// try makes a claim of nobody's, to see whether claims can be made.
func (s *Store) try(ctx context.Context) error {
	c := s.fence(s.buckets[0])
	return s.carryOut(ctx, c)
}

// fence is a write that nobody reads.
func (s *Store) fence(b *bucket) *call {
	key := s.config.Namespace + ":t:" + b.tag + rand.Text()
	return &call{bucket: b, op: "call", keys: []string{key}, args: []string{"1000"}}
}

// failed notes that a call was not answered, unless it is the caller who did not wait.
func (s *Store) failed(caller context.Context) {
	if s.local == nil || caller.Err() != nil || s.down.Swap(true) {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Down reports whether Redis could not be reached, or took no claims, when it was last tried. Without Fallback it is
// always false.
func (s *Store) Down() bool { return s.down.Load() }

// Local returns the memory for proofs that count for this instance alone. Without Fallback it is nil.
func (s *Store) Local() dpop.ReplayStore {
	if s.local == nil {
		return nil
	}
	return s.local
}

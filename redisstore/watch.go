package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// How often the servers are looked at, and how often one that is down is tried.
const (
	lookEvery = time.Second
	tryEvery  = 100 * time.Millisecond
)

// watch looks at the servers until ctx ends.
func (s *Store) watch(ctx context.Context) {
	for {
		pause := lookEvery
		if s.down.Load() {
			pause = tryEvery
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-time.After(pause):
		}
		s.look(ctx)
	}
}

func (s *Store) look(ctx context.Context) {
	err := s.inspect(ctx)
	if errors.Is(err, ErrEviction) {
		s.unfit.Store(&err)
	} else if err == nil {
		s.unfit.Store(nil)
	}
	if s.down.Load() {
		ctx, cancel := s.within(ctx)
		defer cancel()
		s.down.Store(s.try(ctx) != nil || s.fit() != nil)
	}
}

// try makes a claim of nobody's, to see whether claims can be made.
func (s *Store) try(ctx context.Context) error {
	now := s.now()
	_, err := s.set(ctx, s.key("t", dpop.NewReplayKey("", "", rand.Text())), now, now)
	return err
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

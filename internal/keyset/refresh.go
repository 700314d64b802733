package keyset

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/senderlock/senderlock/internal/precomputed"
)

// leastLifetime is how soon an issuer can have its keys fetched again by Cache-Control.
const leastLifetime = time.Minute

// outcome is what came of the last fetch; while the cooldown lasts it answers for the next.
type outcome struct {
	at       time.Time
	lifetime time.Duration // when to fetch again, if there is no error
	err      error
}

// Start begins the background work, and so the first fetch, before a key is asked for. It does not wait.
func (s *Set) Start() {
	if s.source != nil {
		s.start.Do(func() { s.background.Go(s.keepFresh) })
	}
}

// refetch makes the set as new as the cooldown allows and returns what came of the last fetch.
func (s *Set) refetch(ctx context.Context) outcome {
	s.Start()
	select {
	case result := <-s.flight.DoChan("", s.attempt):
		return result.Val.(outcome)
	case <-ctx.Done():
		return outcome{err: context.Cause(ctx)}
	}
}

// attempt fetches, unless it is too early, and returns an outcome. It runs in flight only, one at a time.
func (s *Set) attempt() (any, error) {
	// A negative age means that the clock was set back; waiting for it to catch up could take for ever.
	if age := s.now().Sub(s.last.at); age >= 0 && age < s.cooldown {
		return s.last, nil
	}
	if err := s.alive.Err(); err != nil {
		return outcome{err: err}, nil
	}
	began := s.now()
	lifetime, err := s.renew()
	s.last = outcome{s.now(), lifetime, err}
	s.fetched(began, s.last.at.Sub(began), err)
	return s.last, nil
}

// renew fetches the set, adopts it and returns for how long it is good. A panic of HTTPClient is an error, since it
// happens where nobody would catch it.
func (s *Set) renew() (lifetime time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ErrFetch.Because(fmt.Errorf("panic: %v", p))
		}
	}()
	d, err := s.source.fetch(s.alive)
	if err != nil {
		return 0, err
	}
	lifetime = s.refresh
	if said, ok := d.lifetime(); ok {
		lifetime = min(s.refresh, max(said, leastLifetime))
	}
	return lifetime, s.adopt(d.body)
}

// adopt puts a key set in the place of the current one, unless it is not usable.
func (s *Set) adopt(raw []byte) error {
	var mine func(issuer string) bool
	if s.source != nil && s.source.ofMany {
		mine = s.source.speaksFor
	}
	keys, skipped, err := parse(raw, s.maxRSABits, mine)
	s.report(skipped)
	if err != nil {
		return err
	}
	s.precompute(keys)
	s.current.Store(newSnapshot(keys))
	return nil
}

// precompute makes the tables of a set, of which each key has one however often it is listed.
func (s *Set) precompute(keys []*Key) {
	var known []*precomputed.Key
	seen := map[string]bool{}
	for _, k := range keys {
		if p := k.Precomputed(); p != nil && !seen[k.Thumbprint()] {
			seen[k.Thumbprint()] = true
			known = append(known, p)
		}
	}
	s.tables.Adopt(known...)
}

// keepFresh refreshes the set until Close, also for a process in which nobody asks for keys any more. It begins with
// what came of the fetch that started it.
func (s *Set) keepFresh() {
	retry := s.cooldown
	for {
		last := s.refetch(s.alive)
		wait := last.lifetime
		switch {
		case s.alive.Err() != nil:
			return
		case last.err == nil:
			retry = s.cooldown
		default:
			wait, retry = retry, min(2*retry, s.refresh)
			s.log.Warn("key set not refreshed, the last good one stays in use", "error", last.err, "retry_in", wait)
		}
		select {
		case <-time.After(max(wait-rand.N(wait/10+1), s.cooldown)):
		case <-s.alive.Done():
			return
		}
	}
}

package keyset

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// outcome is what came of the last fetch; while the cooldown lasts it answers for the next.
type outcome struct {
	at  time.Time
	err error
}

// refetch makes the set as new as the cooldown allows and returns what came of the last fetch.
func (s *Set) refetch(ctx context.Context) error {
	s.start.Do(func() { s.background.Go(s.keepFresh) })
	select {
	case result := <-s.flight.DoChan("", s.attempt):
		return result.Err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// attempt fetches, unless it is too early. It runs in flight only, one at a time.
func (s *Set) attempt() (any, error) {
	// A negative age means that the clock was set back; waiting for it to catch up could take for ever.
	if age := s.now().Sub(s.last.at); age >= 0 && age < s.cooldown {
		return nil, s.last.err
	}
	if err := s.alive.Err(); err != nil {
		return nil, err
	}
	began := s.now()
	err := s.renew()
	s.last = outcome{s.now(), err}
	s.fetched(began, s.last.at.Sub(began), err)
	return nil, err
}

// renew fetches the set and adopts it. A panic of HTTPClient is an error, since it happens where nobody would catch it.
func (s *Set) renew() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = ErrFetch.Because(fmt.Errorf("panic: %v", p))
		}
	}()
	raw, err := s.source.fetch(s.alive)
	if err != nil {
		return err
	}
	return s.adopt(raw)
}

// adopt puts a key set in the place of the current one, unless it is not usable.
func (s *Set) adopt(raw []byte) error {
	keys, skipped, err := parse(raw, s.maxRSABits)
	s.report(skipped)
	if err == nil {
		s.current.Store(newSnapshot(keys))
	}
	return err
}

// keepFresh refreshes the set until Close, also for a process in which nobody asks for keys any more.
func (s *Set) keepFresh() {
	wait, retry := s.refresh, s.cooldown
	for {
		select {
		case <-time.After(wait + rand.N(wait/10+1)):
		case <-s.alive.Done():
			return
		}
		err := s.refetch(s.alive)
		switch {
		case s.alive.Err() != nil:
			return
		case err == nil:
			wait, retry = s.refresh, s.cooldown
		default:
			wait, retry = retry, min(2*retry, s.refresh)
			s.log.Warn("key set not refreshed, the last good one stays in use", "error", err, "retry_in", wait)
		}
	}
}

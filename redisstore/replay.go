package redisstore

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"github.com/senderlock/senderlock/dpop"
)

// Claim implements [dpop.ReplayStore]: SET NX PX, one atomic command of one server. It answers or fails within
// Timeout. After a failure the key may have been recorded, so the same proof may be refused as used.
//
// It fails with [dpop.ErrExpiryPast], with [dpop.ErrClockBack] if the clock has shown the expiry before, with
// [ErrReplicas], [ErrEviction], [dpop.ErrStoreClosed], or with what went wrong between here and the server.
func (s *Store) Claim(ctx context.Context, key dpop.ReplayKey, expiry time.Time) (fresh bool, err error) {
	now := s.now()
	if err := s.claimable(expiry, now); err != nil {
		return false, err
	}
	bounded, cancel := s.within(ctx)
	defer cancel()
	fresh, err = s.set(bounded, s.key("p", key), expiry, now)
	if err != nil {
		s.failed(ctx)
	}
	return fresh, err
}

// Together tells the [dpop.Verifier] to announce claims, which Revoked then makes.
func (s *Store) Together() {}

// claimable refuses a claim that may have been made and forgotten: the key of an earlier one lives at least until the
// clock of each instance shows its expiry.
func (s *Store) claimable(expiry, now time.Time) error {
	switch {
	case s.closed.Load():
		return dpop.ErrStoreClosed
	case !expiry.After(now):
		return dpop.ErrExpiryPast
	case !expiry.After(s.shown()):
		return dpop.ErrClockBack
	}
	return s.fit()
}

// set makes a key that matters until an instant, and reports whether there was none.
func (s *Store) set(ctx context.Context, key string, until, now time.Time) (fresh bool, err error) {
	command := s.setCommand(key, until, now)
	if s.config.Wait == 0 {
		return claimed(s.client.Do(ctx, command))
	}
	err = s.client.Dedicated(func(c rueidis.DedicatedClient) error {
		answers := c.DoMulti(ctx, command, s.waitCommand(c.B()))
		if fresh, err = claimed(answers[0]); err != nil || !fresh {
			return err
		}
		return s.waited(answers[1])
	})
	return fresh && err == nil, err
}

func (s *Store) setCommand(key string, until, now time.Time) rueidis.Completed {
	return s.client.B().Set().Key(key).Value("").Nx().Px(s.lifetime(until, now)).Build()
}

func claimed(answer rueidis.RedisResult) (fresh bool, err error) {
	err = answer.Error()
	if rueidis.IsRedisNil(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("redisstore: claim: %w", err)
	}
	return true, nil
}

// waitCommand waits on the same connection for what was written on it. It gives up in time for its answer.
func (s *Store) waitCommand(b rueidis.Builder) rueidis.Completed {
	return b.Wait().Numreplicas(int64(s.config.Wait)).Timeout(max(1, s.config.Timeout.Milliseconds()/2)).Build()
}

func (s *Store) waited(answer rueidis.RedisResult) error {
	n, err := answer.AsInt64()
	if err != nil {
		return fmt.Errorf("redisstore: wait: %w", err)
	}
	if n < int64(s.config.Wait) {
		return fmt.Errorf("%w: %d of %d", ErrReplicas, n, s.config.Wait)
	}
	return nil
}

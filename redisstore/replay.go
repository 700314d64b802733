package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
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
	fresh, err = s.set(bounded, s.key("p", key), s.until(expiry, now), now)
	if err != nil {
		s.failed(ctx)
	}
	return fresh, err
}

// Window is for how long every claim is remembered at least.
func (s *Store) Window() time.Duration { return 130 * time.Second }

// until is when a claim may be forgotten.
func (s *Store) until(expiry, now time.Time) time.Time {
	if kept := now.Add(s.Window()); expiry.Before(kept) {
		return kept
	}
	return expiry
}

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
	if s.config.Wait == 0 {
		answers, repeated := s.do(ctx, func() []rueidis.Completed {
			return []rueidis.Completed{s.setCommand(key, until, now)}
		})
		return claimed(answers[0], repeated)
	}
	err = s.client.Dedicated(func(c rueidis.DedicatedClient) error {
		answers := c.DoMulti(ctx, s.setCommand(key, until, now), s.waitCommand(c.B()))
		if fresh, err = claimed(answers[0], false); err != nil || !fresh {
			return err
		}
		return s.waited(answers[1])
	})
	return fresh && err == nil, err
}

// connections are those to one server. After a restart each of them may turn out to be closed when it is used.
const connections = 4

// do sends commands in one round trip, and again over another connection if the first was closed by the server. What
// was sent over that one may have been executed.
func (s *Store) do(ctx context.Context, commands func() []rueidis.Completed) (answers []rueidis.RedisResult, repeated bool) {
	for range connections {
		answers = s.client.DoMulti(ctx, commands()...)
		if !slices.ContainsFunc(answers, wasClosed) {
			break
		}
		repeated = true
	}
	return answers, repeated
}

func wasClosed(answer rueidis.RedisResult) bool {
	err := answer.NonRedisError()
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func (s *Store) setCommand(key string, until, now time.Time) rueidis.Completed {
	return s.client.B().Set().Key(key).Value("").Nx().Px(s.lifetime(until, now)).Build()
}

// claimed reads the answer to a claim. If the claim was sent twice, a key that is there may be its own.
func claimed(answer rueidis.RedisResult, repeated bool) (fresh bool, err error) {
	err = answer.Error()
	switch {
	case err == nil:
		return true, nil
	case !rueidis.IsRedisNil(err):
		return false, fmt.Errorf("redisstore: claim: %w", err)
	case repeated:
		return false, errors.New("redisstore: claim: the connection was closed before the answer came")
	}
	return false, nil
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

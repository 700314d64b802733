package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// Claim implements [dpop.ReplayStore] in one atomic step of one server, which looks at the marker of its memory in the
// same step. It answers or fails within Timeout. After a failure the key may have been recorded, so the same proof may be
// refused as used.
//
// It fails with [dpop.ErrExpiryPast], with [ErrClock], [ErrReplicas], [ErrEviction], [dpop.ErrStoreClosed], or with what
// went wrong between here and the server.
func (s *Store) Claim(ctx context.Context, key dpop.ReplayKey, expiry time.Time) (fresh bool, err error) {
	now := s.now()
	if err := s.claimable(expiry, now); err != nil {
		return false, err
	}
	bounded, cancel := s.within(ctx)
	defer cancel()
	c := s.claim(key, expiry, now)
	if err := s.carryOut(bounded, c); err != nil {
		s.failed(ctx)
		return false, err
	}
	return c.done, nil
}

// Window returns for how long every claim lives at least.
func (s *Store) Window() time.Duration { return s.config.Window }

// Region implements [dpop.Regional]: it returns Config.Region.
func (s *Store) Region() string { return s.config.Region }

func (s *Store) claimable(expiry, now time.Time) error {
	switch {
	case s.closed.Load():
		return dpop.ErrStoreClosed
	case !expiry.After(now):
		return dpop.ErrExpiryPast
	}
	return nil
}

// claim is the call that makes a claim. It lives from when the server executes it, and for the whole window.
func (s *Store) claim(key dpop.ReplayKey, expiry, now time.Time) *call {
	const farthest = 100 * 365 * 24 * time.Hour
	life := max(min(expiry.Sub(now), farthest), s.config.Window) + s.slack()
	b, name := s.bucketOf("p", key)
	return &call{bucket: b, op: "call", keys: []string{name}, args: []string{strconv.FormatInt(life.Milliseconds()+1, 10)}}
}

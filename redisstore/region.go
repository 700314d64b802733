package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/singleflight"

	"github.com/senderlock/senderlock/revocation"
)

// Held says since when a revocation holds in a region, or what stands against it.
type Held struct {
	// Region is the name of the region, empty without [Config.Region].
	Region string
	// Since is when its servers had confirmed it, by the clock of this instance: every look-up there that began later
	// finds it. Zero if Err is set.
	Since time.Time
	// Err is why it may not hold there. Nil means that it does.
	Err error
}

// RevokeEverywhere does what Revoke does, and says for each region since when it holds there: this one first, the others
// by their names. All are told at the same time, so it takes as long as the slowest, and the longest Timeout at the most,
// the way to a region that was never reached included. Calling again is always safe.
func (s *Store) RevokeEverywhere(ctx context.Context, e revocation.Entry) []Held {
	return s.tellEverywhere(ctx, e, (*Store).revoke)
}

// tellEverywhere calls a method of the store of each region at the same time.
func (s *Store) tellEverywhere(ctx context.Context, e revocation.Entry, method func(*Store, context.Context, revocation.Entry) error) []Held {
	held := make([]Held, 1+len(s.elsewhere))
	var all sync.WaitGroup
	tell := func(h *Held, there *Config, connect func(context.Context) (*Store, error)) {
		all.Go(func() {
			bounded, cancel := context.WithTimeout(ctx, there.Timeout) // for both together
			defer cancel()
			store, err := connect(bounded)
			if err == nil {
				err = method(store, bounded, e)
			}
			if *h = (Held{Region: there.Region, Err: err}); err == nil {
				h.Since = s.now()
			}
		})
	}
	tell(&held[0], &s.config, func(context.Context) (*Store, error) { return s, nil })
	for i, r := range s.elsewhere {
		tell(&held[i+1], &r.config, r.connect)
	}
	all.Wait()
	return held
}

// everywhere is one error for all regions, which names those where it may not hold.
func everywhere(held []Held) error {
	var errs []error
	for _, h := range held {
		if h.Err != nil && len(held) > 1 {
			h.Err = fmt.Errorf("redisstore: in region %s: %w", h.Region, h.Err)
		}
		errs = append(errs, h.Err)
	}
	if len(held) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// remote are the servers of another region. Nothing is asked of them but to take revocations, and they need not be there
// when this region starts.
type remote struct {
	config Config
	flight singleflight.Group
	mu     sync.Mutex
	store  *Store // nil until the first revocation that reached them
	closed bool
}

// connect returns the store of the region. All who ask meanwhile wait for one attempt, and none of them for longer than it
// wants to.
func (r *remote) connect(ctx context.Context) (*Store, error) {
	select {
	case attempt := <-r.flight.DoChan("", r.attempt):
		s, _ := attempt.Val.(*Store)
		return s, attempt.Err
	case <-ctx.Done():
		return nil, r.unreached(ctx.Err())
	}
}

// attempt connects, unless that is done. It runs in flight only, one at a time.
func (r *remote) attempt() (any, error) {
	if s, err := r.known(); s != nil || err != nil {
		return s, err
	}
	s := newStore(r.config)
	options := s.config.options()
	options.DialCtxFn = s.conns.dial
	var err error
	if s.client, err = rueidis.NewClient(options); err != nil {
		return nil, r.unreached(err)
	}
	r.mu.Lock()
	r.store = s
	r.mu.Unlock()
	return s, nil
}

// known returns the store if there is one.
func (r *remote) known() (*Store, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, revocation.ErrClosed
	}
	return r.store, nil
}

func (r *remote) unreached(err error) error {
	return fmt.Errorf("redisstore: connecting to %v: %w", r.config.Addresses, err)
}

// close waits for an attempt that is under way.
func (r *remote) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	<-r.flight.DoChan("", r.attempt)
	if r.store == nil {
		return nil
	}
	return r.store.Close()
}

// settleRegions looks at what was set for other regions, and gives them what is the same for all.
func (c *Config) settleRegions() error {
	if len(c.Elsewhere) > 0 && c.Region == "" {
		return errors.New("Elsewhere is set without Region: give the name of this region, the same as in dpop.Nonces")
	}
	c.Elsewhere = slices.Clone(c.Elsewhere) // the caller's stays as it is
	for i := range c.Elsewhere {
		other := &c.Elsewhere[i]
		twice := func(o Config) bool { return o.Region == other.Region }
		switch {
		case other.Region == "" || other.Region == c.Region || slices.ContainsFunc(c.Elsewhere[:i], twice):
			return fmt.Errorf("Elsewhere[%d].Region is %q: give each region a name of its own", i, other.Region)
		case len(other.Elsewhere) > 0 || other.Fallback != FallbackNone:
			return fmt.Errorf("Elsewhere[%d] has Elsewhere or Fallback: another region only takes revocations", i)
		}
		other.Namespace, other.Retention, other.Now, other.offset = c.Namespace, c.Retention, c.Now, c.offset
		if err := other.settle(); err != nil {
			return fmt.Errorf("Elsewhere[%d].%w", i, err)
		}
	}
	return nil
}

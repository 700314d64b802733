package redisstore

import (
	"context"
	"strconv"
	"time"

	"github.com/senderlock/senderlock/revocation"
)

var _ revocation.Lifter = (*Store)(nil)

// InForce implements [revocation.Lifter]. It asks the servers of this region.
func (s *Store) InForce(ctx context.Context, e revocation.Entry) ([]revocation.Entry, error) {
	if err := s.liftable(e); err != nil {
		return nil, err
	}
	now := s.now()
	bounded, cancel := s.within(ctx)
	defer cancel()
	b, key := s.entryKey(e.Issuer, e.By, e.Value)
	read := s.read(b)
	read.keys = append(read.keys, key)
	if err := s.carryOut(bounded, read); err != nil {
		return nil, err
	}
	entries, err := decode(read.values[0], revocation.Entry{Issuer: e.Issuer, By: e.By, Value: e.Value})
	if err != nil {
		return nil, err
	}
	var live []revocation.Entry
	for _, e := range entries {
		until, err := s.config.Retention.Until(&e, now)
		if err != nil {
			return nil, ErrDamaged
		}
		if now.Before(until) {
			live = append(live, e)
		}
	}
	return live, nil
}

// Lift implements [revocation.Lifter]. When it returns nil, what was in force is so in no region; its error names the
// regions where it may be.
func (s *Store) Lift(ctx context.Context, e revocation.Entry) error {
	return everywhere(s.LiftEverywhere(ctx, e))
}

// LiftEverywhere does what Lift does, and says for each region since when the entry does not hold there any more, in the
// order of [Store.RevokeEverywhere].
func (s *Store) LiftEverywhere(ctx context.Context, e revocation.Entry) []Held {
	return s.tellEverywhere(ctx, e, (*Store).lift)
}

// liftedFor is how long a value is known to have been lifted: for as long as nobody needs to know.
const liftedFor = time.Minute

// lift puts nothing in the place of what is in force in this region, and begins again if somebody else wrote meanwhile.
func (s *Store) lift(ctx context.Context, e revocation.Entry) error {
	if err := s.liftable(e); err != nil {
		return err
	}
	bounded, cancel := s.within(ctx)
	defer cancel()
	b, key := s.entryKey(e.Issuer, e.By, e.Value)
	for {
		read := &call{bucket: b, op: "call", keys: []string{b.key, key}, args: []string{""}, alone: true}
		if err := s.carryOut(bounded, read); err != nil {
			return err
		}
		end := s.theirs(s.now()).Add(liftedFor + s.slack()).UnixMilli()
		swap := &call{bucket: b, op: "swap", keys: []string{key}, args: []string{read.values[0], "", strconv.FormatInt(end, 10)}}
		if err := s.carryOut(bounded, swap); err != nil || swap.done {
			return err
		}
	}
}

func (s *Store) liftable(e revocation.Entry) error {
	if s.closed.Load() {
		return revocation.ErrClosed
	}
	named := revocation.Entry{Issuer: e.Issuer, By: e.By, Value: e.Value}
	_, err := s.config.Retention.Until(&named, s.now())
	return err
}

package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/revocation"
)

// Retention implements [revocation.Store].
func (s *Store) Retention() revocation.Retention { return s.config.Retention }

// Revoked implements [revocation.Store]. It asks the master, and nothing is cached, so it sees every entry whose
// Revoke has returned. All properties are looked up in one round trip.
func (s *Store) Revoked(ctx context.Context, t revocation.Token) (*revocation.Entry, error) {
	return s.lookUp(ctx, &t, nil)
}

// ClaimUnlessRevoked answers Claim and Revoked on one round trip. The proof of a revoked token is used up as well.
func (s *Store) ClaimUnlessRevoked(
	ctx context.Context, key dpop.ReplayKey, expiry time.Time, t revocation.Token,
) (fresh bool, entry *revocation.Entry, err error) {
	now := s.now()
	if err := s.claimable(expiry, now); err != nil {
		return false, nil, err
	}
	c := s.claim(key, expiry, now)
	if entry, err = s.lookUp(ctx, &t, c); err != nil {
		return false, nil, err
	}
	return c.done, entry, nil
}

// lookUp returns the entry that denies t, after the same trip has made a claim, unless it is nil.
func (s *Store) lookUp(ctx context.Context, t *revocation.Token, claim *call) (*revocation.Entry, error) {
	if s.closed.Load() {
		return nil, revocation.ErrClosed
	}
	if err := s.config.Retention.Covers(t); err != nil {
		return nil, err
	}
	now := s.now()
	keys := s.lookups(t)
	calls := s.calls(claim, keys)
	if len(calls) == 0 {
		return nil, nil
	}
	bounded, cancel := s.within(ctx)
	defer cancel()
	if err := s.carryOut(bounded, calls...); err != nil {
		s.failed(ctx)
		return nil, err
	}
	return s.denied(t, keys, now)
}

// calls returns the calls that look up keys, one for each bucket, and make a claim, which may be nil. With Wait each is
// fenced by a write in the same step, the claim or another: that replicas have it shows that the server is still theirs,
// and so that it knew what was revoked.
func (s *Store) calls(claim *call, keys []lookup) (calls []*call) {
	if claim != nil {
		calls = append(calls, claim)
	}
	for i := range keys {
		k := &keys[i]
		at := slices.IndexFunc(calls, func(c *call) bool { return c.bucket == k.bucket })
		if at < 0 {
			at = len(calls)
			calls = append(calls, s.read(k.bucket))
		}
		k.call, k.at = calls[at], len(calls[at].keys)-1
		calls[at].keys = append(calls[at].keys, k.key)
	}
	return calls
}

// read is a call without a claim.
func (s *Store) read(b *bucket) *call {
	if s.config.Wait > 0 {
		return s.fence(b)
	}
	return &call{bucket: b, op: "call", keys: []string{b.key}, args: []string{""}}
}

// lookup is one value of a token, its key, and where the answer comes.
type lookup struct {
	by     revocation.By
	value  string
	bucket *bucket
	key    string
	call   *call
	at     int
}

func (s *Store) lookups(t *revocation.Token) []lookup {
	all := [...]lookup{
		{by: revocation.ByToken, value: t.ID}, {by: revocation.BySession, value: t.Session},
		{by: revocation.BySubject, value: t.Subject}, {by: revocation.ByClient, value: t.Client},
		{by: revocation.ByKey, value: t.KeyThumbprint}, {by: revocation.ByCertificate, value: t.CertThumbprint},
	}
	found := make([]lookup, 0, len(all))
	for _, l := range all {
		if l.value != "" {
			l.bucket, l.key = s.entryKey(t.Issuer, l.by, l.value)
			found = append(found, l)
		}
	}
	return found
}

func (s *Store) entryKey(issuer string, by revocation.By, value string) (*bucket, string) {
	return s.bucketOf("r", dpop.NewReplayKey(issuer, by.String(), value))
}

// denied returns the first entry in force that denies t.
func (s *Store) denied(t *revocation.Token, keys []lookup, now time.Time) (*revocation.Entry, error) {
	for _, k := range keys {
		value := k.call.values[k.at]
		if value == "" {
			continue
		}
		entries, err := decode(value, revocation.Entry{Issuer: t.Issuer, By: k.by, Value: k.value})
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			until, err := s.config.Retention.Until(&e, now)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
			}
			if now.Before(until) && e.Denies(t) {
				return &e, nil
			}
		}
	}
	return nil, nil
}

// Revoke implements [revocation.Store]. When it returns nil, the master has the entry, and with Wait the replicas too, in
// every region; its error names the regions that may not have it. [revocation.ErrFull] means that a server's memory is
// full.
func (s *Store) Revoke(ctx context.Context, e revocation.Entry) error {
	return everywhere(s.RevokeEverywhere(ctx, e))
}

// revoke adds e to what is known in this region. It reads what is there, adds e and writes both back, and begins again if
// somebody else wrote meanwhile: no revocation is lost to another.
func (s *Store) revoke(ctx context.Context, e revocation.Entry) error {
	if s.closed.Load() {
		return revocation.ErrClosed
	}
	now := s.now()
	until, err := s.config.Retention.Until(&e, now)
	if err != nil {
		return err
	}
	if !s.kept(until, now) {
		return nil
	}
	if e.Before.IsZero() && e.Expiry.IsZero() {
		e.Expiry = until.Add(-ceil(s.config.Retention.Leeway))
	}
	bounded, cancel := s.within(ctx)
	defer cancel()
	for done := false; !done && err == nil; {
		done, err = s.add(bounded, e, now)
	}
	if says(err, "OOM") {
		return revocation.ErrFull.Because(err)
	}
	return err
}

// kept reports whether an entry that ends at an instant still matters to some instance.
func (s *Store) kept(until, now time.Time) bool { return now.Before(until.Add(s.slack())) }

func ceil(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// add adds e to what is known of its value. It is not done if somebody else wrote at the same time. The end is an instant
// of the server's clock, not a duration from now, so that an instance whose clock is ahead shortens nothing.
func (s *Store) add(ctx context.Context, e revocation.Entry, now time.Time) (done bool, err error) {
	b, key := s.entryKey(e.Issuer, e.By, e.Value)
	look := &call{bucket: b, op: "call", keys: []string{b.key, key}, args: []string{""}, alone: true}
	if err := s.carryOut(ctx, look); err != nil {
		return false, err
	}
	old := look.values[0]
	entries, err := decode(old, revocation.Entry{Issuer: e.Issuer, By: e.By, Value: e.Value})
	if err != nil {
		return false, err
	}
	union, until, err := s.union(append(entries, e), now)
	if err != nil {
		return false, err
	}
	const farthest = 1 << 52 // milliseconds that a number of a script holds
	end := min(s.theirs(until.Add(s.slack())).UnixMilli(), farthest)
	swap := &call{bucket: b, op: "swap", keys: []string{key}, args: []string{old, encode(union), strconv.FormatInt(end, 10)}}
	err = s.carryOut(ctx, swap)
	return swap.done, err
}

// union returns what the entries that still matter deny together, and when the last of them ends.
func (s *Store) union(entries []revocation.Entry, now time.Time) (union []revocation.Entry, last time.Time, err error) {
	var live []revocation.Entry
	for _, e := range entries {
		until, err := s.config.Retention.Until(&e, now)
		if err != nil {
			return nil, last, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if s.kept(until, now) {
			live = append(live, e)
		}
		if until.After(last) {
			last = until
		}
	}
	return revocation.Union(live...), last, nil
}

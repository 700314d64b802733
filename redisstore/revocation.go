package redisstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/revocation"
)

// Retention implements [revocation.Store].
func (s *Store) Retention() revocation.Retention { return s.config.Retention }

// Revoked implements [revocation.Store]. It asks the master, and nothing is cached, so it sees every entry whose
// Revoke has returned. All properties are looked up in one round trip.
func (s *Store) Revoked(ctx context.Context, t revocation.Token) (*revocation.Entry, error) {
	return s.revoked(ctx, t, nil)
}

// ClaimUnlessRevoked answers Claim and Revoked on one round trip; with Wait the claim goes alone, behind the look-up.
func (s *Store) ClaimUnlessRevoked(
	ctx context.Context, key dpop.ReplayKey, expiry time.Time, t revocation.Token,
) (fresh bool, entry *revocation.Entry, err error) {
	c := claim{key: key, expiry: expiry}
	if entry, err = s.revoked(ctx, t, &c); err != nil || entry != nil {
		return false, entry, err
	}
	if !c.made {
		c.fresh, c.err = s.Claim(ctx, key, expiry)
	}
	return c.fresh, nil, c.err
}

// claim is one that may travel with a look-up.
type claim struct {
	key    dpop.ReplayKey
	expiry time.Time

	made, fresh bool
	err         error
}

func (s *Store) revoked(ctx context.Context, t revocation.Token, c *claim) (*revocation.Entry, error) {
	now := s.now()
	if err := s.askable(&t, now); err != nil {
		return nil, err
	}
	keys := s.lookups(&t)
	claim := s.travelling(c, now)
	if len(keys) == 0 && claim == nil {
		return nil, nil
	}
	bounded, cancel := s.within(ctx)
	defer cancel()
	answers, repeated := s.do(bounded, func() []rueidis.Completed {
		commands := s.getCommands(keys)
		if claim != nil {
			commands = append(commands, s.setCommand(s.key("p", claim.key), s.until(claim.expiry, now), now))
		}
		return commands
	})
	if claim != nil {
		last := len(answers) - 1
		fresh, err := claimed(answers[last], repeated)
		if err != nil {
			s.failed(ctx)
		}
		claim.made, claim.fresh, claim.err = true, fresh, err
		answers = answers[:last]
	}
	values, err := valuesOf(answers)
	if err != nil {
		s.failed(ctx)
		return nil, err
	}
	return s.denied(&t, keys, values, now)
}

func (s *Store) askable(t *revocation.Token, now time.Time) error {
	if s.closed.Load() {
		return revocation.ErrClosed
	}
	if err := s.config.Retention.Covers(t); err != nil {
		return err
	}
	// The clock was set back, to when a token could be accepted whose entries are gone.
	if end := t.Expiry.Add(s.config.Retention.Leeway); now.Before(s.shown()) && !end.After(s.shown()) {
		return revocation.ErrClock
	}
	return s.fit()
}

// travelling returns the claim to make with a look-up, or nil. One that waits for replicas goes alone.
func (s *Store) travelling(c *claim, now time.Time) *claim {
	if c == nil || s.config.Wait > 0 || s.claimable(c.expiry, now) != nil {
		return nil
	}
	return c
}

// lookup is one value of a token, and its key.
type lookup struct {
	by    revocation.By
	value string
	key   string
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
			l.key = s.entryKey(t.Issuer, l.by, l.value)
			found = append(found, l)
		}
	}
	return found
}

func (s *Store) entryKey(issuer string, by revocation.By, value string) string {
	return s.key("r", dpop.NewReplayKey(issuer, by.String(), value))
}

// getCommands asks for all keys: in a Cluster one by one, because they lie on different servers.
func (s *Store) getCommands(keys []lookup) []rueidis.Completed {
	commands := make([]rueidis.Completed, 0, len(keys)+1)
	switch {
	case len(keys) == 0:
	case s.config.Cluster:
		for _, k := range keys {
			commands = append(commands, s.client.B().Get().Key(k.key).Build())
		}
	default:
		get := s.client.B().Mget().Key(keys[0].key)
		for _, k := range keys[1:] {
			get = get.Key(k.key)
		}
		commands = append(commands, get.Build())
	}
	return commands
}

// valuesOf returns the values in the order of the keys. A key that is missing has an empty one.
func valuesOf(answers []rueidis.RedisResult) (values []string, err error) {
	for _, a := range answers {
		m, err := a.ToMessage()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, fmt.Errorf("redisstore: revocation: %w", err)
		}
		list := []rueidis.RedisMessage{m}
		if m.IsArray() {
			list, _ = m.ToArray()
		}
		for _, m := range list {
			value, err := m.ToString()
			if err != nil && !rueidis.IsRedisNil(err) {
				return nil, fmt.Errorf("redisstore: revocation: %w", err)
			}
			values = append(values, value)
		}
	}
	return values, nil
}

// denied returns the first entry in force that denies t.
func (s *Store) denied(t *revocation.Token, keys []lookup, values []string, now time.Time) (*revocation.Entry, error) {
	if len(values) != len(keys) {
		return nil, ErrDamaged
	}
	for i, value := range values {
		if value == "" {
			continue
		}
		entries, err := decode(value, revocation.Entry{Issuer: t.Issuer, By: keys[i].by, Value: keys[i].value})
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

// Revoke implements [revocation.Store]. When it returns nil, the master has the entry, and with Wait the replicas too.
// It reads what is there, adds e and writes both back, and begins again if somebody else wrote meanwhile: no
// revocation is lost to another. [revocation.ErrFull] means that the server's memory is full.
func (s *Store) Revoke(ctx context.Context, e revocation.Entry) error {
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
	if err := s.fit(); err != nil {
		return err
	}
	if e.Before.IsZero() && e.Expiry.IsZero() {
		e.Expiry = until.Add(-ceil(s.config.Retention.Leeway))
	}
	bounded, cancel := s.within(ctx)
	defer cancel()
	err = s.client.Dedicated(func(c rueidis.DedicatedClient) error {
		for {
			done, err := s.add(bounded, c, e, now)
			if done || err != nil {
				return err
			}
		}
	})
	if r, ok := rueidis.IsRedisErr(err); ok && strings.HasPrefix(r.Error(), "OOM ") {
		return revocation.ErrFull.Because(err)
	}
	if err != nil {
		return fmt.Errorf("redisstore: revoke: %w", err)
	}
	return nil
}

// kept reports whether an entry that ends at an instant still matters to some instance.
func (s *Store) kept(until, now time.Time) bool { return now.Before(until.Add(s.config.MaxSkew)) }

func ceil(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

// add adds e to what is known of its value. It is not done if the key was changed at the same time.
func (s *Store) add(ctx context.Context, c rueidis.DedicatedClient, e revocation.Entry, now time.Time) (done bool, err error) {
	key := s.entryKey(e.Issuer, e.By, e.Value)
	if err := c.Do(ctx, c.B().Watch().Key(key).Build()).Error(); err != nil {
		return false, err
	}
	old, err := c.Do(ctx, c.B().Get().Key(key).Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return false, err
	}
	entries, err := decode(old, revocation.Entry{Issuer: e.Issuer, By: e.By, Value: e.Value})
	if err != nil {
		return false, err
	}
	union, until, err := s.union(append(entries, e), now)
	if err != nil {
		return false, err
	}
	set := c.B().Set().Key(key).Value(encode(union)).Px(s.lifetime(until, now)).Build()
	answers := c.DoMulti(ctx, c.B().Multi().Build(), set, c.B().Exec().Build())
	for _, a := range answers {
		if err := a.Error(); rueidis.IsRedisNil(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	if s.config.Wait > 0 {
		return true, s.waited(c.Do(ctx, s.waitCommand(c.B())))
	}
	return true, nil
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

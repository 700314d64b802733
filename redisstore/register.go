package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/packed"
	"github.com/senderlock/senderlock/revocation"
)

// A token in use has two keys: what it is, and when and where it was last seen, which exists as long as the token is
// on record. A third one lists the tokens of a subject. All of a subject lie on one server.

var _ revocation.Register = (*Store)(nil)

type useKeys struct{ list, token, seen string }

func (s *Store) useKeys(issuer, subject, id string) useKeys {
	// In a Cluster, what stands in braces decides about the server.
	list := s.config.Namespace + ":u:{" + encodeHash(dpop.NewReplayKey(issuer, subject, "")) + "}"
	token := list + ":" + encodeHash(dpop.NewReplayKey(issuer, subject, id))
	return useKeys{list: list, token: token, seen: token + seenSuffix}
}

const seenSuffix = ":seen"

// Record implements [revocation.Register].
func (s *Store) Record(ctx context.Context, t revocation.Token, address string) error {
	if err := s.recordable(&t, address); err != nil {
		return err
	}
	now := s.now()
	until := s.useUntil(t.Expiry)
	if !now.Before(until) {
		return nil
	}
	use := packed.Use{
		Issuer: t.Issuer, ID: t.ID, Subject: t.Subject, Session: t.Session, Client: t.Client,
		KeyThumbprint: t.KeyThumbprint, CertThumbprint: t.CertThumbprint,
		FirstSeen: now, LastSeen: now, Expiry: t.Expiry.Add(time.Second - 1).Truncate(time.Second), Address: address,
	}
	k, life, b := s.useKeys(t.Issuer, t.Subject, t.ID), s.lifetime(until, now), s.client.B()
	answers, err := s.all(ctx,
		b.Set().Key(k.token).Value(string(use.Token())).Nx().Px(life).Build(),
		b.Zadd().Key(k.list).ScoreMember().ScoreMember(float64(until.Unix()), t.ID).Build(),
		b.Pexpire().Key(k.list).Milliseconds(life.Milliseconds()).Nx().Build(),
		b.Pexpire().Key(k.list).Milliseconds(life.Milliseconds()).Gt().Build(),
		b.Set().Key(k.seen).Value(string(use.Sight())).Px(life).Build(),
		b.Zrange().Key(k.list).Min("-inf").Max(s.over(now)).Byscore().Limit(0, trimmed).Build(),
	)
	if err != nil {
		return err
	}
	over, err := answers[len(answers)-1].AsStrSlice()
	if err != nil || len(over) == 0 {
		return err
	}
	_, err = s.all(ctx, b.Zrem().Key(k.list).Member(over...).Build())
	return err
}

// trimmed is how many tokens that are over are taken off a list when one is put on it: more than come, and not so many
// that anybody waits for it.
const trimmed = 32

// over is the latest end, in seconds, of a token that is over for every instance.
func (s *Store) over(now time.Time) string {
	return strconv.FormatInt(now.Add(-s.slack()).Unix(), 10)
}

// lifetime is for how long a key must live that matters until an instant.
func (s *Store) lifetime(until, now time.Time) time.Duration {
	const farthest = 100 * 365 * 24 * time.Hour
	left := min(until.Sub(now), farthest) + s.slack()
	return (left + time.Millisecond - 1).Truncate(time.Millisecond)
}

// Seen implements [revocation.Register].
func (s *Store) Seen(ctx context.Context, t revocation.Token, address string) (bool, error) {
	if err := s.usable(address); err != nil {
		return false, err
	}
	now := s.now()
	if t.Issuer == "" || t.ID == "" || !now.Before(s.useUntil(t.Expiry)) {
		return false, nil
	}
	k, use := s.useKeys(t.Issuer, t.Subject, t.ID), packed.Use{LastSeen: now, Address: address}
	answers, err := s.all(ctx, s.client.B().Set().Key(k.seen).Value(string(use.Sight())).Xx().Keepttl().Build())
	return err == nil && !rueidis.IsRedisNil(answers[0].Error()), err
}

// Uses implements [revocation.Register].
func (s *Store) Uses(ctx context.Context, issuer, subject string) ([]revocation.Use, error) {
	if err := s.usable(issuer, subject); err != nil {
		return nil, err
	}
	if issuer == "" || subject == "" {
		return nil, revocation.ErrInvalid.With("issuer and subject", "none")
	}
	list := s.useKeys(issuer, subject, "").list
	// Those that are over are passed by, however many there are, and the others come in pages.
	from := "(" + s.over(s.now())
	var values []string
	for first := int64(0); ; first += page {
		get := s.client.B().Zrange().Key(list).Min(from).Max("+inf").Byscore().Limit(first, page).Build()
		answers, err := s.all(ctx, get)
		if err != nil {
			return nil, err
		}
		ids, err := answers[0].AsStrSlice()
		if err != nil {
			return nil, err
		}
		some, err := s.valuesOf(ctx, issuer, subject, ids)
		if err != nil {
			return nil, err
		}
		if values = append(values, some...); len(ids) < page {
			return s.uses(values)
		}
	}
}

// page is how many tokens are read at once, so that nobody waits long for it.
const page = 500

// valuesOf returns what is known of tokens, two values for each, which are empty if it is no longer on record.
func (s *Store) valuesOf(ctx context.Context, issuer, subject string, ids []string) (values []string, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	keys := make([]string, 0, 2*len(ids))
	for _, id := range ids {
		k := s.useKeys(issuer, subject, id)
		keys = append(keys, k.token, k.seen)
	}
	answers, err := s.all(ctx, s.client.B().Mget().Key(keys...).Build())
	if err != nil {
		return nil, err
	}
	list, err := answers[0].ToArray()
	if err != nil || len(list) != len(keys) {
		return nil, cmp.Or(err, ErrDamaged)
	}
	for _, m := range list {
		value, err := m.ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, fmt.Errorf("redisstore: register: %w", err)
		}
		values = append(values, value)
	}
	return values, nil
}

// uses returns the tokens on record, the last used first. Their values come in pairs.
func (s *Store) uses(values []string) (uses []revocation.Use, err error) {
	now := s.now()
	for pair := range slices.Chunk(values, 2) {
		if pair[0] == "" || pair[1] == "" { // ended, or forgotten
			continue
		}
		use, ok := packed.ReadUse([]byte(pair[0]), []byte(pair[1]))
		if !ok {
			return nil, ErrDamaged
		}
		u := revocation.Use(use)
		if now.Before(s.useUntil(u.Expiry)) {
			uses = append(uses, u)
		}
	}
	slices.SortFunc(uses, func(a, b revocation.Use) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.ID, b.ID))
	})
	return uses, nil
}

// Forget implements [revocation.Register].
func (s *Store) Forget(ctx context.Context, u revocation.Use) error {
	if err := s.usable(); err != nil {
		return err
	}
	k, b := s.useKeys(u.Issuer, u.Subject, u.ID), s.client.B()
	_, err := s.all(ctx, b.Del().Key(k.seen, k.token).Build(), b.Zrem().Key(k.list).Member(u.ID).Build())
	return err
}

// all sends commands in one round trip and returns the first failure among the answers. With Wait, what they wrote is with
// the replicas, and their keys lie on one server.
func (s *Store) all(ctx context.Context, commands ...rueidis.Completed) ([]rueidis.RedisResult, error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	answers, err := s.confirmedAll(ctx, commands)
	if err != nil {
		return nil, fmt.Errorf("register: %w", s.trouble(err))
	}
	return s.good(answers)
}

// good returns answers, or the first failure among them.
func (s *Store) good(answers []rueidis.RedisResult) ([]rueidis.RedisResult, error) {
	for _, a := range answers {
		if err := a.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return nil, fmt.Errorf("register: %w", s.trouble(err))
		}
	}
	return answers, nil
}

// confirmedAll sends commands in one round trip, and with Wait on one connection, on which it waits for the replicas.
func (s *Store) confirmedAll(ctx context.Context, commands []rueidis.Completed) (answers []rueidis.RedisResult, err error) {
	if s.config.Wait == 0 {
		return s.client.DoMulti(ctx, commands...), nil
	}
	if answers, err = s.lend(ctx, append(commands, s.waitCommand(s.client.B()))...); err != nil {
		return nil, err
	}
	last := len(answers) - 1
	return answers[:last], s.waited(answers[last])
}

// useUntil is when a token that expires at an instant can no longer be valid.
func (s *Store) useUntil(expiry time.Time) time.Time {
	return expiry.Add(ceil(s.config.Retention.Leeway))
}

// longest bounds each string that is kept.
const longest = 4096

func (s *Store) usable(values ...string) error {
	if s.closed.Load() {
		return revocation.ErrClosed
	}
	for _, v := range values {
		if len(v) > longest {
			return revocation.ErrInvalid.With("strings of at most 4096 octets", v)
		}
	}
	return nil
}

func (s *Store) recordable(t *revocation.Token, address string) error {
	switch {
	case t.Issuer == "" || t.ID == "":
		return revocation.ErrInvalid.With("Token.Issuer and Token.ID", "a token without one")
	case t.Expiry.IsZero():
		return revocation.ErrLifetime.With("an expiry", "none")
	}
	return s.usable(t.Issuer, t.ID, t.Subject, t.Session, t.Client, t.KeyThumbprint, t.CertThumbprint, address)
}

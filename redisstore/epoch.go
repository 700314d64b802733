package redisstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// An epoch is a time in which one process of a server has forgotten nothing. It has a marker among the keys, with a
// count, and a script in that process; see epoch.lua. An instance holds an epoch as a lease, which it renews.
const (
	renewEvery = time.Second
	// leaseFor is how long a renewal is good.
	leaseFor = 2 * time.Second
	// aloneAfter is how long the count of an epoch stands still if nobody is left who remembers its beginning.
	aloneAfter = 3 * time.Second
)

// The ways in which an epoch ends for an instance that goes on with the next.
var (
	errOther    = errors.New("another server answers, or one that lost its keys")
	errLapsed   = errors.New("the memory of used proofs was out of reach, and began anew meanwhile")
	errReadOnly = errors.New("the server has become a replica")
)

// epoch is what an instance knows of the epoch it is in. It is not changed, but replaced.
type epoch struct {
	marker marker
	script string // the name of its script
	sign   string // of the server when this instance joined
	// vouches says that this instance knows of everything since the beginning that it is remembered. Only such ones
	// renew the marker, by which others know it too.
	vouches bool
	sent    time.Duration // when the last renewal was sent, by the clock that runs during suspend
	served  time.Time     // when it was executed, by the server's
	still   time.Duration // since when the count stands still
}

// bucket is a part of the keys of proofs and revocations which lies at one server: all of them outside a Cluster. It has
// an epoch of its own.
type bucket struct {
	store *Store
	tag   string // in every key of the bucket; what stands in braces decides about the server
	key   string // of the marker
	turn  chan struct{}

	epoch atomic.Pointer[epoch] // nil: none
	since atomic.Int64          // microseconds of Unix time, as the markers count
	mu    sync.Mutex            // held while one of the two changes
}

func (s *Store) newBucket(tag string) *bucket {
	return &bucket{store: s, tag: tag, key: s.config.Namespace + ":epoch" + strings.TrimSuffix(":"+tag, ":"), turn: make(chan struct{}, 1)}
}

// enter returns the epoch in which the bucket is used now. Without one, or without a lease of it, the instance joins
// that which the server is in, as one that has just been started.
func (b *bucket) enter(ctx context.Context) (*epoch, error) {
	if e := b.epoch.Load(); e != nil && b.store.leased(e.sent) {
		return e, nil
	}
	if err := b.wait(ctx); err != nil {
		return nil, err
	}
	defer b.leave()
	e := b.epoch.Load()
	if e != nil && b.store.leased(e.sent) {
		return e, nil
	}
	b.end(e)
	return b.join(ctx)
}

// wait makes the caller the one that joins, founds and renews.
func (b *bucket) wait(ctx context.Context) error {
	select {
	case b.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redisstore: %w", ctx.Err())
	}
}

func (b *bucket) leave() { <-b.turn }

// holds reports whether an epoch that a call was sent with is still that of the bucket, with a lease.
func (b *bucket) holds(e *epoch) bool {
	now := b.epoch.Load()
	return now != nil && now.marker.id == e.marker.id && b.store.leased(now.sent)
}

// end leaves an epoch, unless it has been left already. What may have been used before now is no longer known.
func (b *bucket) end(e *epoch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.epoch.Load()
	if now == nil || e == nil || now.marker.id != e.marker.id {
		return
	}
	b.epoch.Store(nil)
	b.move(b.store.now())
	b.trace("END", now)
}

// move lets the memory begin after an instant. It moves even if the clock was set back or stands still, so that nonces of
// before are told apart.
func (b *bucket) move(to time.Time) {
	b.since.Store(max(b.since.Load()+1, to.UnixMicro()+1))
}

// take enters an epoch. The memory begins with it, or now if it was there before.
func (b *bucket) take(e *epoch, rule string) *epoch {
	b.mu.Lock()
	defer b.mu.Unlock()
	begin := b.store.ours(e.served)
	if now := b.store.now(); !e.vouches && now.After(begin) {
		begin = now
	}
	b.move(begin)
	b.epoch.Store(e)
	b.trace(rule, e)
	return e
}

// turnOver replaces what is known of an epoch, unless it was left meanwhile.
func (b *bucket) turnOver(from, to *epoch, rule string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.epoch.Load() != from {
		return false
	}
	if rule == "ADOPT" {
		b.since.Store(b.store.ours(to.marker.begin).UnixMicro() + 1)
	}
	b.epoch.Store(to)
	b.trace(rule, to)
	return true
}

// join enters the epoch of the server, or founds one if it is in none: if there is no marker, or one that came from
// elsewhere. Others may do the same at the same time.
func (b *bucket) join(ctx context.Context) (e *epoch, err error) {
	for range 5 {
		answer, err := b.store.aside(ctx, b.store.client.B().Get().Key(b.key).Build())
		if err != nil {
			return nil, err
		}
		found, err := answer.ToString()
		if err != nil && !rueidis.IsRedisNil(err) {
			return nil, b.store.trouble(err)
		}
		if m, ok := parseMarker(found); ok {
			e, err = b.follow(ctx, m)
			if err == nil {
				return b.take(e, "JOIN"), nil
			}
			if !errors.Is(err, errOther) {
				return nil, err
			}
		}
		e, err = b.found(ctx, found, "")
		if err == nil {
			return b.take(e, "FOUND"), nil
		}
		if !errors.Is(err, errOther) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("redisstore: %w", errOther)
}

// follow looks at the epoch of a marker, by its own script.
func (b *bucket) follow(ctx context.Context, m marker) (*epoch, error) {
	e := &epoch{marker: m, script: nameOf(m.id)}
	st, sent, err := b.renewal(ctx, e)
	if err != nil {
		return nil, err
	}
	e.marker, e.sign, e.sent, e.still, e.served = st.marker, st.sign, sent, sent, st.time
	return e, nil
}

// found begins an epoch, now or at an instant, if the marker is still the expected one.
func (b *bucket) found(ctx context.Context, expected, begin string) (*epoch, error) {
	id := rand.Text()
	command := b.store.client.B().Eval().Script(scriptOf(id)).Numkeys(1).Key(b.key).Arg("found", expected, begin).Build()
	st, sent, err := b.state(ctx, command)
	if err != nil {
		return nil, err
	}
	return &epoch{marker: st.marker, script: nameOf(id), sign: st.sign, vouches: true, sent: sent, still: sent, served: st.time}, nil
}

// renewal asks the server whether it is still in an epoch, and renews the marker if this instance vouches for it.
func (b *bucket) renewal(ctx context.Context, e *epoch) (state, time.Duration, error) {
	latest := ""
	if e.vouches {
		// A renewal that lay in some buffer while the lease ran out vouches for nothing.
		latest = micros(e.served.Add(b.store.config.lease))
	}
	command := b.store.client.B().Evalsha().Sha1(e.script).Numkeys(1).Key(b.key).
		Arg("renew", e.marker.name, e.marker.count, e.sign, latest).Build()
	return b.state(ctx, command)
}

// state sends a command that answers with a state, and says when it was sent.
func (b *bucket) state(ctx context.Context, command rueidis.Completed) (st state, sent time.Duration, err error) {
	s := b.store
	sent = s.config.elapsed()
	began := s.now()
	answer, err := s.aside(ctx, command)
	if err == nil {
		st, err = readState(answer)
	}
	switch {
	case err != nil:
		return st, sent, s.trouble(err)
	case !s.leased(sent):
		return st, sent, fmt.Errorf("redisstore: %w", errLapsed)
	case st.policy() == "":
		return st, sent, errors.New("redisstore: INFO does not show run_id, without which a restart would go unnoticed")
	case st.policy() != "noeviction":
		return st, sent, fmt.Errorf("%w (it is %q)", ErrEviction, st.policy())
	}
	return st, sent, s.agree(began, s.now(), st.time)
}

// renew prolongs the lease of the epoch, or leaves it for another.
func (b *bucket) renew(ctx context.Context) error {
	if err := b.wait(ctx); err != nil {
		return err
	}
	defer b.leave()
	e := b.epoch.Load()
	if e == nil || !b.store.leased(e.sent) {
		b.end(e)
		_, err := b.join(ctx)
		return err
	}
	st, sent, err := b.renewal(ctx, e)
	switch {
	case errors.Is(err, errOther), err == nil && st.sign != e.sign, err == nil && e.vouches && st.marker.count == e.marker.count:
		b.end(e)
		_, err = b.join(ctx)
		return err
	case errors.Is(err, errReadOnly), errors.Is(err, ErrEviction), errors.Is(err, ErrClock):
		b.end(e)
		return err
	case err != nil:
		return err // the lease ends by itself
	}
	next := *e
	next.marker, next.sent, next.served = st.marker, sent, st.time
	rule := "RENEWAL"
	if st.marker.count > e.marker.count {
		next.still = sent
		if !e.vouches { // somebody does, and did between the two looks
			next.vouches, rule = true, "ADOPT"
		}
	}
	if !b.turnOver(e, &next, rule) || next.vouches || sent-next.still < aloneAfter {
		return nil
	}
	return b.alone(ctx, &next)
}

// alone founds an epoch after one for which nobody vouches any more. Since this instance joined it, it knows of everything.
func (b *bucket) alone(ctx context.Context, e *epoch) error {
	since := time.UnixMicro(b.since.Load() - 1)
	next, err := b.found(ctx, e.marker.String(), micros(b.store.theirs(since)))
	if errors.Is(err, errOther) {
		return nil // somebody else did, or vouches after all
	}
	if err != nil {
		return err
	}
	// A copy of the marker in another process passes the comparison, and what was accepted since the copy was made is not
	// in it: so the answerer must still be the one of the last renewal, and the lease of that one must not have run out.
	if next.sign != e.sign || !b.store.leased(e.sent) {
		b.end(e)
		_, err = b.join(ctx)
		return err
	}
	b.turnOver(e, next, "ALONE")
	return nil
}

// step is what tests are told of: that an instance followed a rule of the protocol.
type step struct {
	Rule    string
	Bucket  string
	Epoch   string
	Count   string
	Vouches bool
	Since   time.Time // of the bucket, without MaxSkew
}

func (b *bucket) trace(rule string, e *epoch) {
	if tell := b.store.config.trace; tell != nil {
		tell(step{rule, b.key, e.marker.id, e.marker.count, e.vouches, time.UnixMicro(b.since.Load())})
	}
}

// vouches reports whether this instance vouches for its epoch, as all do in the end.
func (b *bucket) vouches() bool {
	e := b.epoch.Load()
	return e != nil && e.vouches
}

// Since returns the instant from which the servers remember every claim, on the clock of any instance: when this one
// began, or earlier if another has shown that it knows of everything until then. It moves when a server may have lost
// keys or another has taken its place, and after two seconds in which no server could be asked. The [dpop.Verifier] then
// accepts no proof that may have been used before.
func (s *Store) Since() time.Time {
	var latest int64
	for _, b := range s.buckets {
		latest = max(latest, b.since.Load())
	}
	return time.UnixMicro(latest).Add(s.config.MaxSkew)
}

// leased reports whether what was sent at an instant is new enough to be a lease.
func (s *Store) leased(sent time.Duration) bool { return s.config.elapsed()-sent <= s.config.lease }

// agree refuses where the clock of this instance and the server's differ by more than they may. The server read its own
// at some instant between the two of this instance.
func (s *Store) agree(sent, received, server time.Time) error {
	server = s.ours(server)
	switch skew := s.config.MaxSkew; {
	case server.Before(sent.Add(-skew)):
		return fmt.Errorf("%w: it is %v ahead, and MaxSkew is %v", ErrClock, sent.Sub(server), skew)
	case server.After(received.Add(skew)):
		return fmt.Errorf("%w: it is %v behind, and MaxSkew is %v", ErrClock, server.Sub(received), skew)
	}
	return nil
}

// ours is the server's time as this instance counts it, theirs the other way round: the same, except in tests.
func (s *Store) ours(server time.Time) time.Time { return server.Add(s.config.offset()) }
func (s *Store) theirs(t time.Time) time.Time    { return t.Add(-s.config.offset()) }

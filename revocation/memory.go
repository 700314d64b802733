package revocation

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"
)

// Options are the settings of [NewMemory] and [Open]. The zero Options work.
type Options struct {
	// Retention says how long entries are kept; zero fields have their defaults.
	Retention Retention

	// Capacity is the number of values that can be denied at once; zero means 1,048,576. An entry takes about
	// 300 octets of memory. At capacity Revoke returns [ErrFull].
	Capacity int

	// UseCapacity is the number of tokens that can be on record in the [Register] at once; zero means
	// 1,048,576. A token takes about 600 octets of memory.
	UseCapacity int

	// SaveEvery is how often a [File] saves when and where tokens were last seen, and removes from the file
	// what has expired. Zero means 30 s; a millisecond is the least. [Memory] makes no use of it.
	SaveEvery time.Duration

	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

const defaultCapacity = 1 << 20

func (o Options) withDefaults() (Options, error) {
	var err error
	if o.Retention, err = o.Retention.withDefaults(); err != nil {
		return o, err
	}
	if o.Capacity < 0 || o.UseCapacity < 0 || o.SaveEvery < 0 {
		return o, fmt.Errorf("revocation: Options has Capacity %d, UseCapacity %d, SaveEvery %s; "+
			"give positive values, or zero for the defaults", o.Capacity, o.UseCapacity, o.SaveEvery)
	}
	if o.SaveEvery != 0 && o.SaveEvery < time.Millisecond {
		return o, fmt.Errorf("revocation: Options has SaveEvery %s, which would keep the disk busy; "+
			"give positive values from 1ms, or zero for 30s", o.SaveEvery)
	}
	if o.Capacity == 0 {
		o.Capacity = defaultCapacity
	}
	if o.UseCapacity == 0 {
		o.UseCapacity = defaultCapacity
	}
	if o.SaveEvery == 0 {
		o.SaveEvery = 30 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// Memory is a [Store] and [Register] in this process. It forgets everything when the process ends, so tokens
// revoked before a restart are accepted again after it: keep Memory for tests, or for lifetimes so short that
// this does not matter. Expired entries make room as new ones come, but not where the clock has jumped ahead, as far as
// the monotonic clock can tell: it may be set right. It is safe for concurrent use.
type Memory struct {
	retention Retention
	now       func() time.Time
	clock     *clock // for what is dropped
	table     *table
	uses      *uses
	closed    atomic.Bool
}

var (
	_ Store    = (*Memory)(nil)
	_ Register = (*Memory)(nil)
)

// NewMemory returns an empty store.
func NewMemory(o Options) (*Memory, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return newMemory(o), nil
}

func newMemory(o Options) *Memory {
	return &Memory{
		retention: o.Retention,
		now:       o.Now,
		clock:     newClock(o.Now, o.Retention.seconds()),
		table:     newTable(o.Retention, o.Capacity),
		uses:      newUses(o.Retention, o.UseCapacity),
	}
}

// Revoke implements [Store].
func (m *Memory) Revoke(_ context.Context, e Entry) error {
	_, err := m.revoke(&e)
	return err
}

// lazyPurge is how many expired entries a change drops, so that none of them outlives the need for its room.
const lazyPurge = 16

// revoke puts e in force and drops some of what has expired. It returns the keys of all that changed.
func (m *Memory) revoke(e *Entry) ([]key, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	if err := e.validate(); err != nil {
		return nil, err
	}
	now := m.now()
	changed := m.table.purge(m.clock.over(), lazyPurge)
	k := key{e.Issuer, e.Value, e.By}
	if !m.table.add(k, e, e.expiry(m.retention, now)) {
		return changed, ErrFull
	}
	return append(changed, k), nil
}

// Revoked implements [Store]. It does not allocate unless t is denied.
func (m *Memory) Revoked(_ context.Context, t Token) (*Entry, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	if err := m.retention.Covers(&t); err != nil {
		return nil, err
	}
	if e := m.table.find(&t, m.now); e != nil {
		return e, nil
	}
	if m.table.forgotten(&t, m.now) {
		return nil, ErrClock
	}
	return nil, nil
}

// Retention implements [Store].
func (m *Memory) Retention() Retention { return m.retention }

// Record implements [Register].
func (m *Memory) Record(_ context.Context, t Token, address string) error {
	_, _, err := m.record(&t, address)
	return err
}

// record puts t on record and drops some of what has expired. It returns the keys of what was dropped.
func (m *Memory) record(t *Token, address string) (sight, []useKey, error) {
	if m.closed.Load() {
		return sight{}, nil, ErrClosed
	}
	if err := t.recordable(address); err != nil {
		return sight{}, nil, err
	}
	now := floor(m.now())
	dropped := m.uses.purge(m.clock.over(), lazyPurge)
	seen := m.uses.add(t, address, now)
	if !seen.onRecord {
		return seen, dropped, ErrFull
	}
	return seen, dropped, nil
}

func (t *Token) recordable(address string) error {
	if t.Issuer == "" || t.ID == "" {
		return ErrInvalid.With("Token.Issuer and Token.ID", "a token without one")
	}
	if t.Expiry.IsZero() {
		return ErrLifetime.With("an expiry", "none")
	}
	for _, v := range [...]string{t.Issuer, t.ID, t.Subject, t.Session, t.Client, t.KeyThumbprint, t.CertThumbprint, address} {
		if len(v) > maxValue {
			return ErrInvalid.With("strings of at most 4096 octets", v)
		}
	}
	return nil
}

// Seen implements [Register].
func (m *Memory) Seen(_ context.Context, t Token, address string) (bool, error) {
	seen, err := m.seen(&t, address)
	return seen.onRecord, err
}

func (m *Memory) seen(t *Token, address string) (sight, error) {
	if m.closed.Load() {
		return sight{}, ErrClosed
	}
	if len(address) > maxValue {
		return sight{}, ErrInvalid.With("an address of at most 4096 octets", address)
	}
	return m.uses.seen(t.useKey(), address, floor(m.now())), nil
}

// Uses implements [Register].
func (m *Memory) Uses(_ context.Context, issuer, subject string) ([]Use, error) {
	if m.closed.Load() {
		return nil, ErrClosed
	}
	if issuer == "" || subject == "" {
		return nil, ErrInvalid.With("issuer and subject", "none")
	}
	return m.uses.list(owner{issuer, subject}, floor(m.now())), nil
}

// Forget implements [Register].
func (m *Memory) Forget(_ context.Context, u Use) error {
	if m.closed.Load() {
		return ErrClosed
	}
	m.uses.remove(u.useKey(), false)
	return nil
}

// Close ends the store and forgets everything. Later calls of other methods return [ErrClosed]. It always
// returns nil.
func (m *Memory) Close() error {
	m.closed.Store(true)
	return nil
}

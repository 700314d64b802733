package revocation

import (
	"fmt"
	"time"
)

// Retention says how long entries are kept, in terms of the tokens that the server accepts. An entry may be
// dropped only when no token that it denies can be accepted any more, so both values must be at least those of
// the server. Raise them here first, and in the server one (old) Lifetime later.
type Retention struct {
	// Lifetime is the longest exp − iat that is accepted. Zero means one hour.
	Lifetime time.Duration

	// Leeway is how far the server lets the issuer's clock differ from its own, either way: how long after
	// exp, and how long before iat, a token is still accepted. Zero means one minute.
	Leeway time.Duration
}

func (r Retention) withDefaults() (Retention, error) {
	if r.Lifetime < 0 || r.Leeway < 0 {
		return r, fmt.Errorf("revocation: Retention is %+v; give positive durations, or zero for the defaults", r)
	}
	if r.Lifetime == 0 {
		r.Lifetime = time.Hour
	}
	if r.Leeway == 0 {
		r.Leeway = time.Minute
	}
	return r, nil
}

// Covers returns nil if every entry that denies t is kept for as long as t can be accepted, [ErrInvalid] if t
// has no issuer, and [ErrLifetime] if t has no expiry or lives longer than r.Lifetime. Every [Store] begins
// its look-up with it.
func (r Retention) Covers(t *Token) error {
	switch {
	case t.Issuer == "":
		return ErrInvalid.With("Token.Issuer", "none")
	case t.Expiry.IsZero():
		return ErrLifetime.With("an expiry", "none")
	case t.IssuedAt.IsZero():
		return nil
	}
	if life := t.Expiry.Sub(t.IssuedAt); life > r.Lifetime {
		return ErrLifetime.With("at most "+r.Lifetime.String(), life.String())
	}
	return nil
}

// Until validates e and returns the instant at which a store drops it, given the instant at which it is
// revoked. Every [Store] keeps e at least that long.
func (r Retention) Until(e *Entry, now time.Time) (time.Time, error) {
	if err := e.validate(); err != nil {
		return time.Time{}, err
	}
	span := r.seconds()
	if e.Before.IsZero() {
		return time.Unix(span.all(e.expiry(r, now)), 0), nil
	}
	return time.Unix(span.mark(e.mark()), 0), nil
}

// expiry returns the expiry in force of an entry without Before, in whole seconds, rounded up.
func (e *Entry) expiry(r Retention, now time.Time) int64 {
	if e.Expiry.IsZero() {
		// A token issued just now may carry an iat that is ahead by Leeway.
		return ceil(now.Add(r.Leeway).Add(r.Lifetime))
	}
	return ceil(e.Expiry)
}

// span is a Retention in whole seconds, rounded up.
type span struct{ lifetime, leeway int64 }

func (r Retention) seconds() span {
	up := func(d time.Duration) int64 { return ceil(time.Unix(0, 0).Add(d)) }
	return span{lifetime: up(r.Lifetime), leeway: up(r.Leeway)}
}

// all returns when a token that expires at expiry can no longer be accepted.
func (s span) all(expiry int64) int64 { return expiry + s.leeway }

// mark returns when no token issued in m's second or before can be accepted any longer. A token of that
// second was issued less than one second after its beginning.
func (s span) mark(m mark) int64 { return m.before + 1 + s.lifetime + s.leeway }

// farthest keeps sums of seconds from overflowing; it is 34 thousand years away.
const farthest = 1 << 40

// floor returns t in whole seconds of Unix time, rounded down as an iat is.
func floor(t time.Time) int64 { return max(-farthest, min(t.Unix(), farthest)) }

// ceil returns t in whole seconds of Unix time, rounded up.
func ceil(t time.Time) int64 {
	s := floor(t)
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

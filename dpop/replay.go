package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// ReplayStore remembers used proofs, so that each is accepted once (RFC 9449 §11.1). Implementations must be
// safe for concurrent use.
//
// A store that forgets what it knew when its process ends must also have the method
//
//	Since() time.Time
//
// with the instant from which it remembers everything; the [Verifier] then refuses proofs that may have been
// used before it. That holds as long as the clock is not set back, nor Skew made smaller, while no process runs.
// A store that can lose its memory while the process runs moves the instant forward each time, by a nanosecond at
// least, before it answers a claim from the new memory: the Verifier looks again after each claim. A wrapper around such a store passes the method on.
//
// A store that can be out of reach may also have the methods
//
//	Down() bool
//	Local() ReplayStore
//
// While it is down, the Verifier accepts only proofs with a nonce that counts for this process alone, which it hands
// out by itself, and claims them from Local, which remembers for as long as the process lives, and must never forget
// earlier. All other instances refuse such a proof, at any time, so it is accepted at most once anywhere. A nil Local
// switches that off. Clients must then come back to the same instance.
type ReplayStore interface {
	// Claim records key until expiry and reports whether it was unused. The look and the record are one
	// atomic step: of any number of concurrent calls with one key, in any process that shares the store,
	// exactly one returns true. A key is forgotten no earlier than at expiry, and never to make room. Once it
	// may have been forgotten, because a clock was set back since or those of two processes differ, a key with
	// such an expiry is refused with an error.
	//
	// A non-nil error means that the store could not decide: it is down, slow, full or closed. The request is
	// then refused with 503, and the key may or may not have been recorded.
	Claim(ctx context.Context, key ReplayKey, expiry time.Time) (fresh bool, err error)
}

// ReplayKey identifies one proof of one key within one namespace. It is a SHA-256 hash, so its size does not
// depend on what the client sent.
type ReplayKey [sha256.Size]byte

// NewReplayKey hashes its three parts, each with its length in front, so that no two different triples meet.
func NewReplayKey(namespace, thumbprint, jti string) ReplayKey {
	b := make([]byte, 0, 256)
	for _, part := range [...]string{namespace, thumbprint, jti} {
		b = binary.BigEndian.AppendUint64(b, uint64(len(part)))
		b = append(b, part...)
	}
	return sha256.Sum256(b)
}

// Announcement is a claim that a request will make once everything else about it has been checked. A store that is
// asked something else for the same request before, such as whether its token was revoked, can settle the claim in the
// same round trip. It belongs to one request and is not safe for concurrent use.
type Announcement struct {
	Key    ReplayKey
	Expiry time.Time

	store   ReplayStore
	settled bool
	fresh   bool
	err     error
}

type announced struct{}

// Announce returns a context in which the claim of p is announced, for calls that come before [Verifier.Remember].
// It does so only if the replay store has the method Together(), with which it says that it makes use of it.
func (v *Verifier) Announce(ctx context.Context, p *Proof) context.Context {
	if _, ok := v.Replay.(interface{ Together() }); !ok || p.stamp.local || !p.signed {
		return ctx
	}
	return context.WithValue(ctx, announced{}, &Announcement{Key: v.key(p), Expiry: p.until, store: v.Replay})
}

// Announced returns the claim on s that ctx announces, or nil.
func Announced(ctx context.Context, s ReplayStore) *Announcement {
	if a, _ := ctx.Value(announced{}).(*Announcement); a != nil && a.store == s {
		return a
	}
	return nil
}

// Settle records what Claim would have answered, had it been called. [Verifier.Remember] uses it in its place, once.
func (a *Announcement) Settle(fresh bool, err error) { a.settled, a.fresh, a.err = true, fresh, err }

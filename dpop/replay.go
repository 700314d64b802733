package dpop

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// ReplayStore remembers used proofs, so that each is accepted once (RFC 9449 §11.1). Implementations must be
// safe for concurrent use. A wrapper around a store passes every method on.
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

	// Since is the instant from which the store remembers every claim. Zero means that it forgets nothing, not even
	// when its process ends. The [Verifier] refuses proofs that may have been used before; that holds as long as the
	// clock is not set back, nor Skew made smaller, while no process runs. A store that can lose its memory while the
	// process runs moves the instant forward each time, by a nanosecond at least, before it answers a claim from the new
	// memory: the Verifier looks again after each claim.
	Since() time.Time

	// Window is for how long every claim is remembered at least, whatever its expiry, and never less. No Verifier may
	// accept a proof for longer, so that a change of its settings brings no used proof back. It does not change while
	// the process runs, except that it may grow after Since has moved.
	Window() time.Duration
}

// Regional is a ReplayStore that knows of which region it is the memory. [New] refuses it with another
// [Nonces.Region], because proofs would then count in several.
type Regional interface {
	ReplayStore
	// Region is the name of the region. Empty means that there is one.
	Region() string
}

// Fallback is a way to go on while the replay store is out of reach. While it is down, the [Verifier] accepts only
// proofs with a nonce that counts for this process alone, which it hands out by itself, and claims them from Local. All
// other instances refuse such a proof, at any time, so it is accepted at most once anywhere. Clients must then come back
// to the same instance.
type Fallback interface {
	// Down reports whether the replay store is out of reach.
	Down() bool
	// Local remembers the proofs that this instance accepts alone, for as long as the process lives.
	Local() ReplayStore
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

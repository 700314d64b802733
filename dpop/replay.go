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
// A wrapper around such a store passes the method on.
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

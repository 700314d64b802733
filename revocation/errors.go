package revocation

import "github.com/senderlock/senderlock/reason"

// ErrRevoked is the cause for refusing a token that has been taken back. [Entry.Cause] returns a copy whose
// stable name says by what: token_revoked, session_revoked, subject_revoked, client_revoked, key_revoked or
// certificate_revoked.
var ErrRevoked = reason.New("revoked", "the token has been taken back")

// The failures of a store. Each means that the call did not do what was asked; none means that a token is
// revoked. A server that gets one of them from [Store.Revoked] refuses the request as its own trouble (503).
var (
	// ErrInvalid means that the caller passed something that cannot work, such as an entry without a value.
	ErrInvalid = reason.NewTrouble("revocation_invalid", "revocation: unusable argument")

	// ErrLifetime means that a token may outlive the entries that deny it, so no answer would be safe: it has
	// no expiry, or lives longer than [Retention.Lifetime].
	ErrLifetime = reason.NewTrouble("revocation_lifetime", "revocation: the token may outlive the entries that deny it")

	// ErrClock means that the clock has gone back to before the expiry of entries that were already dropped,
	// one of which may have denied the token. It lasts until the clock has passed that expiry again.
	ErrClock = reason.NewTrouble("revocation_clock", "revocation: the clock has gone back behind entries already dropped")

	// ErrFull means that the store holds as many live entries as it may. Nothing was revoked.
	ErrFull = reason.NewTrouble("revocation_full", "revocation: the store is full")

	// ErrDisk means that a change could not be saved. What it means for the call is said at each method of
	// [File].
	ErrDisk = reason.NewTrouble("revocation_disk", "revocation: the change could not be saved")

	// ErrLocked means that another process has the file open.
	ErrLocked = reason.NewTrouble("revocation_locked", "revocation: the file is in use by another process")

	// ErrExposed means that somebody else than the user of this process, and root, may change the file, since it or
	// its folder belongs to them or is open to them.
	ErrExposed = reason.NewTrouble("revocation_exposed", "revocation: others may change the file")

	// ErrFile means that the file is damaged, or is not one of this package.
	ErrFile = reason.NewTrouble("revocation_file", "revocation: the file is damaged or not a revocation file")

	// ErrClosed means that the store has been closed.
	ErrClosed = reason.NewTrouble("revocation_closed", "revocation: the store is closed")
)

package revocation

import (
	"context"
	"time"
)

// Use is one token in use, as an application shows it under "your devices". Times are in whole seconds.
type Use struct {
	Issuer         string
	ID             string // jti
	Subject        string
	Session        string
	Client         string
	KeyThumbprint  string    // of the proof key that the token is bound to
	CertThumbprint string    // of the certificate that it is bound to; release 0.1 put none on record
	Address        string    // where the token was last used from, as the caller wrote it
	FirstSeen      time.Time // when it was put on record
	LastSeen       time.Time
	Expiry         time.Time
}

// Entry returns the entry that takes this one token back.
func (u *Use) Entry() Entry {
	return Entry{Issuer: u.Issuer, By: ByToken, Value: u.ID, Expiry: u.Expiry}
}

// Register is an optional record of the tokens in use. A server may put every accepted token on record, to
// list them by subject, or admit only tokens that are on record already: the application records a token when
// it is issued, and the server asks Seen. A token is on record until it can no longer be valid. Methods are
// safe for concurrent use. A non-nil error means that the register could not do what was asked.
type Register interface {
	// Record puts t on record as used now from address, or does the same as Seen if it is there already. It
	// returns [ErrInvalid] for a token without issuer or ID, [ErrLifetime] for one without expiry and
	// [ErrFull] if as many tokens are on record as may be: no token is ever dropped to make room.
	Record(ctx context.Context, t Token, address string) error

	// Seen reports whether t is on record, with its issuer, subject and ID, and if so notes that it is used
	// now from address.
	Seen(ctx context.Context, t Token, address string) (onRecord bool, err error)

	// Uses lists the tokens of a subject that are on record, the last used first.
	Uses(ctx context.Context, issuer, subject string) ([]Use, error)

	// Forget takes u off the record; only Issuer, Subject and ID matter. It does not revoke the token: see
	// [TakeBack]. It is no error if u is not on record.
	Forget(ctx context.Context, u Use) error
}

// TakeBack revokes one token in use, then takes it off the record. Its error is that of [Store.Revoke], after which the
// token is still on record, or that of [Register.Forget]; after either, to try again is safe.
func TakeBack(ctx context.Context, s Store, r Register, u Use) error {
	if err := s.Revoke(ctx, u.Entry()); err != nil {
		return err
	}
	return r.Forget(ctx, u)
}

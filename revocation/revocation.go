package revocation

import (
	"context"
	"time"
)

// Token is what a revocation check sees of an access token whose signature, issuer and expiry have already
// been verified. Empty fields match no entry.
type Token struct {
	Issuer         string // iss; required
	ID             string // jti
	Subject        string // sub
	Session        string // sid
	Client         string // client_id
	KeyThumbprint  string // cnf.jkt, RFC 9449 §6.1
	CertThumbprint string // cnf.x5t#S256, RFC 8705 §3.1

	// IssuedAt is iat. Zero means that the token has none: it then counts as issued before everything, and
	// the caller answers for its lifetime being at most [Retention.Lifetime], which no store can tell. A Guard of
	// package access refuses such tokens.
	IssuedAt time.Time

	// Expiry is exp; required, because an entry is dropped when the tokens it denies have expired. A token
	// without an end must not be accepted, or must be given one by the caller.
	Expiry time.Time
}

// value returns what the token carries in one dimension.
func (t *Token) value(by By) string {
	switch by {
	case ByToken:
		return t.ID
	case BySession:
		return t.Session
	case BySubject:
		return t.Subject
	case ByClient:
		return t.Client
	case ByKey:
		return t.KeyThumbprint
	case ByCertificate:
		return t.CertThumbprint
	}
	return ""
}

// By says by which of a token's properties an [Entry] denies it. The zero By is not valid.
type By uint8

// The properties, in the order in which a store looks at them.
const (
	ByToken       By = iota + 1 // jti
	BySession                   // sid
	BySubject                   // sub
	ByClient                    // client_id
	ByKey                       // thumbprint of the proof key (cnf.jkt)
	ByCertificate               // thumbprint of the client certificate (cnf.x5t#S256)
	endBy
)

var byNames = [endBy]string{"invalid", "token", "session", "subject", "client", "key", "certificate"}

// String returns the property's name as it stands in the name of [Entry.Cause].
func (b By) String() string {
	if b >= endBy {
		b = 0
	}
	return byNames[b]
}

// Entry denies tokens of one issuer. There are two kinds:
//
//   - Before is zero: every token that carries the value, whenever it was issued. The entry is dropped at
//     Expiry.
//   - Before is set: tokens that carry the value and were issued before that instant. The entry is dropped
//     when no token that old can be valid any longer.
type Entry struct {
	Issuer string // required; the entry denies no token of another issuer
	By     By     // required
	Value  string // required; compared octet for octet

	// Before denies tokens issued before this instant, on the issuer's clock. An iat has whole seconds, so a
	// token of the same second counts as before, and so does a token without iat. Of several entries for one
	// value the latest instant counts. Not allowed with ByToken.
	//
	// An instant read from another clock must be advanced by as much as the issuer's clock may be ahead, or a
	// token issued just before it escapes. The new login's own tokens are then kept by ExceptSession or
	// ExceptToken.
	Before time.Time

	// ExceptToken is the jti, ExceptSession the sid, of what this entry does not deny: the new login's own
	// token or session, whatever its iat. Name one of them at most, and only with Before. An exception holds
	// for its own entry alone; another entry that denies the same token still does.
	ExceptToken   string
	ExceptSession string

	// Expiry, for entries without Before, is the latest exp that a denied token can have. Zero means now plus
	// [Retention.Lifetime], which covers every token issued so far. Of several entries for one value the
	// latest counts.
	Expiry time.Time
}

// Denies reports whether e denies t. It does not look at whether e has been dropped.
func (e *Entry) Denies(t *Token) bool {
	if e.Value == "" || e.Issuer != t.Issuer || e.Value != t.value(e.By) {
		return false
	}
	return e.Before.IsZero() || e.mark().denies(t)
}

// Cause returns the cause for refusing a token that e denies. It matches [ErrRevoked].
func (e *Entry) Cause() error {
	return ErrRevoked.Named(e.By.String()+"_revoked").With("", e.Value)
}

// maxValue bounds the octets of each string that is kept, so that a store's capacity bounds its size.
const maxValue = 4096

func (e *Entry) validate() error {
	switch {
	case e.Issuer == "" || e.Value == "":
		return ErrInvalid.With("Entry.Issuer and Entry.Value", e.By.String()+" entry without one")
	case e.By == 0 || e.By >= endBy:
		return ErrInvalid.With("Entry.By between ByToken and ByCertificate", e.By.String())
	case len(e.Issuer) > maxValue || len(e.Value) > maxValue:
		return ErrInvalid.With("Entry.Issuer and Entry.Value of at most 4096 octets", e.Value)
	case len(e.ExceptToken) > maxValue || len(e.ExceptSession) > maxValue:
		return ErrInvalid.With("exceptions of at most 4096 octets", e.ExceptToken+e.ExceptSession)
	case e.ExceptToken != "" && e.ExceptSession != "":
		return ErrInvalid.With("Entry.ExceptToken or Entry.ExceptSession, not both", e.ExceptToken)
	case e.Before.IsZero() && e.ExceptToken+e.ExceptSession != "":
		return ErrInvalid.With("Entry.Before beside an exception", e.ExceptToken+e.ExceptSession)
	case e.By == ByToken && !e.Before.IsZero():
		return ErrInvalid.With("no Entry.Before in a token entry", e.Before.String())
	case e.By == BySession && e.ExceptSession != "":
		return ErrInvalid.With("no Entry.ExceptSession in a session entry", e.ExceptSession)
	case !e.Before.IsZero() && !e.Expiry.IsZero():
		return ErrInvalid.With("no Entry.Expiry beside Entry.Before", e.Expiry.String())
	}
	return nil
}

// Store keeps entries and answers whether a token is denied. Implementations are safe for concurrent use, by
// several processes if they share the store.
type Store interface {
	// Revoke puts e in force. When it returns nil, every call of Revoked that begins later, in any process
	// that shares the store, sees e, until e is dropped or lifted ([Lifter]). The set of denied tokens only grows
	// by it: e is added to what is there, and repeating an entry is harmless. An entry whose tokens have all expired is accepted,
	// and may be dropped at once.
	//
	// An error means that e must be taken as not in force, or not durably so: [ErrInvalid], [ErrFull], or the
	// store's own trouble. A live entry is never dropped to make room. Calling again is always safe.
	Revoke(ctx context.Context, e Entry) error

	// Revoked returns an entry that denies t, or nil if there is none. All properties of t are looked up in
	// one step. If several entries deny t, any of them is returned. Its Expiry and Before are those in force,
	// in whole seconds.
	//
	// A non-nil error means that the store could not decide, and the request is refused with 503. Among them:
	// [ErrInvalid] for a token without issuer, [ErrLifetime] for one that could outlive its entries, and
	// [ErrClock] if the store's clock went back behind what it has dropped.
	Revoked(ctx context.Context, t Token) (*Entry, error)

	// Retention returns how long the store keeps entries. A server that accepts tokens beyond it is unsafe
	// and refuses to start.
	Retention() Retention
}

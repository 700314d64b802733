package events

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/revocation"
)

const (
	caep = "https://schemas.openid.net/secevent/caep/event-type/"
	risc = "https://schemas.openid.net/secevent/risc/event-type/"
)

// The events that [SharedSignals] acts on.
const (
	// SessionRevoked ends the session that the subject names, or all sessions of the user that it names (CAEP 1.0 §3.1).
	// A subject that is just an opaque identifier can be either, so both are ended.
	SessionRevoked = caep + "session-revoked"
	// CredentialChange ends all sessions of the user when a credential was updated, revoked or deleted (CAEP 1.0 §3.3).
	// A credential that was added to the others ends none.
	CredentialChange = caep + "credential-change"
	// AccountDisabled ends all sessions of the user (RISC 1.0 §2.3).
	AccountDisabled = risc + "account-disabled"
	// AccountPurged ends all sessions of the user (RISC 1.0 §2.2).
	AccountPurged = risc + "account-purged"
	// CredentialCompromise ends all sessions of the user (RISC 1.0 §2.7).
	CredentialCompromise = risc + "credential-compromise"
	// SessionsRevoked is what came before SessionRevoked and is still sent (RISC 1.0 §2); it ends all sessions of
	// the user.
	SessionsRevoked = risc + "sessions-revoked"
)

// event is the payload of an event, as far as it is judged.
type event struct {
	Subject    jsontext.Value `json:"subject"` // where older drafts have it
	Time       jsontext.Value `json:"event_timestamp"`
	ChangeType string         `json:"change_type"`
}

// entries are the revocations that one event of a token asks for.
func (s *SharedSignals) entries(ctx context.Context, c *claims, uri string) ([]revocation.Entry, error) {
	e, err := parseEvent(uri, c.Events[uri])
	if err != nil {
		return nil, err
	}
	if e == nil {
		s.provider.Log.InfoContext(ctx, "security event ignored", "issuer", c.Issuer, "jti", c.ID, "event", uri)
		return nil, nil
	}
	at, err := e.at(c.issued)
	if err != nil {
		return nil, err
	}
	subject := c.SubjectID
	if subject == nil {
		subject = e.Subject
	}
	who, err := parseSubject(subject)
	if err != nil {
		return nil, err
	}
	if uri == SessionRevoked {
		return s.session(ctx, who, at)
	}
	return s.user(ctx, who.user, at)
}

// parseEvent reads an event that ends sessions, and returns nil for any other.
func parseEvent(uri string, raw jsontext.Value) (*event, error) {
	switch uri {
	case SessionRevoked, CredentialChange, AccountDisabled, AccountPurged, CredentialCompromise, SessionsRevoked:
	default:
		return nil, nil
	}
	var e event
	if err := jose.Object(raw, &e); err != nil {
		return nil, ErrEvent.With(uri, "").Because(err)
	}
	if uri != CredentialChange {
		return &e, nil
	}
	switch e.ChangeType {
	case "create":
		return nil, nil
	case "update", "revoke", "delete":
		return &e, nil
	}
	return nil, ErrEvent.With("change_type create, revoke, update or delete", e.ChangeType)
}

// at is when the event happened: the instant up to which access tokens are revoked. That cannot be after it was
// reported; to believe it would keep the user out until then.
func (e *event) at(reported time.Time) (time.Time, error) {
	if e.Time == nil {
		return reported, nil
	}
	at, err := jose.NumericDate("event_timestamp", e.Time)
	switch {
	case err != nil:
		return at, ErrEvent.Because(err)
	case at.Unix() <= 0:
		return at, ErrEvent.With("event_timestamp as a time after 1970", string(e.Time))
	case at.After(reported):
		return reported, nil
	}
	return at, nil
}

// session ends the session that is named, or else all sessions of the user.
func (s *SharedSignals) session(ctx context.Context, who subject, at time.Time) ([]revocation.Entry, error) {
	sid := ""
	if who.session != nil && who.session.Format == "opaque" && !s.provider.NoSessions {
		sid = who.session.ID
	}
	if sid == "" {
		return s.user(ctx, who.user, at)
	}
	entries := []revocation.Entry{s.provider.session(sid)}
	if who.session == who.user {
		entries = append(entries, s.provider.subject(sid, at))
	}
	return entries, nil
}

// user ends all sessions of the user.
func (s *SharedSignals) user(ctx context.Context, id *identifier, at time.Time) ([]revocation.Entry, error) {
	sub, err := s.subject(ctx, id)
	if err != nil || sub == "" {
		return nil, err
	}
	return []revocation.Entry{s.provider.subject(sub, at)}, nil
}

package events

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/revocation"
)

const (
	caep  = "https://schemas.openid.net/secevent/caep/event-type/"
	risc  = "https://schemas.openid.net/secevent/risc/event-type/"
	oauth = "https://schemas.openid.net/secevent/oauth/event-type/"
	ssf   = "https://schemas.openid.net/secevent/ssf/event-type/"
)

// The events that [SharedSignals] acts on.
const (
	// SessionRevoked ends the session that the subject names, or all sessions of the user that it names (CAEP 1.0 §3.1).
	// A subject that is just an opaque identifier can be either, so both are ended. One that names an access token
	// (jwt_id) ends that token.
	SessionRevoked = caep + "session-revoked"
	// CredentialChange ends all sessions of the user when a credential was updated, revoked or deleted (CAEP 1.0 §3.3).
	// A credential that was added to the others ends none.
	CredentialChange = caep + "credential-change"
	// AccountDisabled ends all sessions of the user (RISC 1.0 §2.3).
	AccountDisabled = risc + "account-disabled"
	// AccountPurged ends all sessions of the user (RISC 1.0 §2.2).
	AccountPurged = risc + "account-purged"
	// DeviceComplianceChange ends all sessions of the user when the device is not compliant any more (CAEP 1.0 §3.5):
	// access tokens do not say from which device the user signed in. A device that has become compliant ends none.
	DeviceComplianceChange = caep + "device-compliance-change"
	// CredentialCompromise ends all sessions of the user, or the access token, if that is the credential (jwt_id)
	// (RISC 1.0 §2.7).
	CredentialCompromise = risc + "credential-compromise"
	// SessionsRevoked is what came before SessionRevoked and is still sent (RISC 1.0 §2); it ends all sessions of
	// the user.
	SessionsRevoked = risc + "sessions-revoked"
	// TokensRevoked ends all sessions of the user: all its tokens were revoked (OAuth Event Types, which Google sends).
	TokensRevoked = oauth + "tokens-revoked"
	// TokenRevoked ends the access token that the subject names (jwt_id).
	TokenRevoked = oauth + "token-revoked"
)

// harmless are events that take nothing from anybody. Without a hook that wants them, they are acknowledged.
var harmless = []string{
	caep + "session-established", caep + "session-presented", risc + "account-enabled", risc + "verification",
	ssf + "verification", ssf + "stream-updated",
}

// Event is one event of a verified token, for [SharedSignalsConfig.Handle].
type Event struct {
	Issuer string // of the token
	ID     string // the token's jti; the same one may come again
	Type   string // the URI that names the event

	// At is when it happened: event_timestamp, which is never after the token's iat; or else that iat.
	At time.Time
	// Subject is whom it is about (RFC 9493), as JSON that nobody has judged; nil if the token does not say.
	Subject []byte
	// Payload is the event itself, a JSON object, whose members nobody has judged.
	Payload []byte
}

// event is one event of a token.
type event struct {
	uri     string
	payload jsontext.Value
	issued  time.Time // iat of the token

	Subject jsontext.Value `json:"subject"` // where older drafts have it, which is in place of sub_id
	Time    jsontext.Value `json:"event_timestamp"`
}

func (c *claims) event(uri string) (*event, error) {
	e := &event{uri: uri, payload: c.Events[uri], issued: c.issued}
	if err := jose.Object(e.payload, e); err != nil {
		return nil, ErrEvent.With(uri, "").Because(err)
	}
	if c.SubjectID != nil {
		e.Subject = c.SubjectID
	}
	return e, nil
}

// read reads members of the payload that only some events have.
func (e *event) read(members any) error {
	if err := jose.Object(e.payload, members); err != nil {
		return ErrEvent.With(e.uri, "").Because(err)
	}
	return nil
}

// entries are the revocations that one event of a token asks for, and whether anything is done about it. An event that the
// store has no use for is the application's; one that the application does not know either is refused, unless it takes
// nothing away, so that none is acknowledged with which nothing was done.
func (s *SharedSignals) entries(ctx context.Context, c *claims, uri string) (entries []revocation.Entry, done bool, err error) {
	e, err := c.event(uri)
	if err != nil {
		return nil, false, err
	}
	ends, err := e.ends()
	if ends && err == nil {
		if entries, err = s.revocations(ctx, e); err == nil {
			return entries, true, nil
		}
	}
	if err != nil && !errors.Is(err, ErrUnhandled) && !errors.Is(err, ErrSubject) {
		return nil, false, err
	}
	known, failure := s.handle(ctx, c, e)
	if failure != nil || known {
		return nil, known, failure
	}
	if err == nil {
		s.provider.Log.InfoContext(ctx, "security event ignored", "issuer", c.Issuer, "jti", c.ID, "event", uri)
	}
	return nil, false, err
}

// handle gives an event to the application, and reports whether that knows it.
func (s *SharedSignals) handle(ctx context.Context, c *claims, e *event) (known bool, err error) {
	if s.config.Handle == nil {
		return false, nil
	}
	at, err := e.at()
	if err != nil {
		at = e.issued // the member may mean something else in an event of others
	}
	known, err = s.config.Handle(ctx, Event{Issuer: c.Issuer, ID: c.ID, Type: e.uri, At: at, Subject: e.Subject, Payload: e.payload})
	if err != nil {
		return false, ErrUnavailable.Because(err)
	}
	return known, nil
}

// revocations are what the store is told of an event that ends something. ErrSubject says that the store has no name for
// whom it is about.
func (s *SharedSignals) revocations(ctx context.Context, e *event) ([]revocation.Entry, error) {
	at, err := e.at()
	if err != nil {
		return nil, err
	}
	who, err := parseSubject(e.Subject)
	if err != nil {
		return nil, err
	}
	switch named := who.user != nil && who.user == who.session && who.user.Format == "jwt_id"; {
	case named && (e.uri == TokenRevoked || e.uri == SessionRevoked || e.uri == CredentialCompromise):
		return s.token(who.user)
	case e.uri == TokenRevoked:
		return nil, ErrSubject.With("the access token as jwt_id", who.user.format())
	case e.uri == SessionRevoked:
		return s.session(ctx, who, at)
	}
	return s.user(ctx, who.user, at)
}

// ends reports whether the event ends something. ErrUnhandled says that nothing is known of it.
func (e *event) ends() (bool, error) {
	switch e.uri {
	case SessionRevoked, AccountDisabled, AccountPurged, CredentialCompromise, SessionsRevoked, TokensRevoked, TokenRevoked:
		return true, nil
	case CredentialChange:
		var m struct {
			Type string `json:"change_type"`
		}
		err := e.read(&m)
		if err == nil && !slices.Contains([]string{"create", "update", "revoke", "delete"}, m.Type) {
			err = ErrEvent.With("change_type create, revoke, update or delete", m.Type)
		}
		return m.Type != "create", err
	case DeviceComplianceChange:
		var m struct {
			Status string `json:"current_status"`
		}
		err := e.read(&m)
		if err == nil && m.Status != "compliant" && m.Status != "not-compliant" {
			err = ErrEvent.With("current_status compliant or not-compliant", m.Status)
		}
		return m.Status != "compliant", err
	}
	if slices.Contains(harmless, e.uri) {
		return false, nil
	}
	return false, ErrUnhandled.With("an event that is listed, or that Handle knows", e.uri)
}

// at is when the event happened: the instant up to which access tokens are revoked. That cannot be after it was
// reported; to believe it would keep the user out until then.
func (e *event) at() (time.Time, error) {
	if e.Time == nil {
		return e.issued, nil
	}
	at, err := jose.NumericDate("event_timestamp", e.Time)
	switch {
	case err != nil:
		return at, ErrEvent.Because(err)
	case at.Unix() <= 0:
		return at, ErrEvent.With("event_timestamp as a time after 1970", string(e.Time))
	case at.After(e.issued):
		return e.issued, nil
	}
	return at, nil
}

// everySession is what Keycloak 26.7 writes as the session of a user whose sessions were all ended by an administrator.
const everySession = "ALL"

// session ends the session that is named, or else all sessions of the user.
func (s *SharedSignals) session(ctx context.Context, who subject, at time.Time) ([]revocation.Entry, error) {
	sid := ""
	if who.session != nil && who.session.Format == "opaque" && !s.provider.NoSessions {
		sid = who.session.ID
	}
	if sid == "" || sid == everySession && who.session != who.user {
		return s.user(ctx, who.user, at)
	}
	entries := []revocation.Entry{s.provider.session(sid)}
	if who.session == who.user {
		entries = append(entries, s.provider.subject(sid, at))
	}
	return entries, nil
}

// token ends an access token.
func (s *SharedSignals) token(id *identifier) ([]revocation.Entry, error) {
	if err := s.own(id.Issuer); err != nil {
		return nil, err
	}
	return []revocation.Entry{{Issuer: s.provider.TokenIssuer, By: revocation.ByToken, Value: id.Token}}, nil
}

// user ends all sessions of the user.
func (s *SharedSignals) user(ctx context.Context, id *identifier, at time.Time) ([]revocation.Entry, error) {
	sub, err := s.subject(ctx, id)
	if err != nil || sub == "" {
		return nil, err
	}
	return []revocation.Entry{s.provider.subject(sub, at)}, nil
}

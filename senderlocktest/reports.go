package senderlocktest

import (
	"cmp"
	"crypto/rand"
	"time"

	"github.com/senderlock/senderlock/revocation/events"
)

// Logout says what a logout token is to say. The zero Logout ends all sessions of user-1.
type Logout struct {
	Subject  string // empty means "user-1"
	Session  string // sid: the session that ends; empty leaves it out
	ClientID string // aud; empty means "client-1"

	// Claims are further claims, or take the place of those above; a nil value leaves one out.
	Claims map[string]any
	// Header are members of the header in the same way: some providers send a typ of JWT, or none.
	Header map[string]any
}

// LogoutToken issues a logout token, for [events.BackChannelLogout] (OpenID Connect Back-Channel Logout 1.0 §2.4). It is
// good for two minutes. Each has another jti. What it ends was issued up to now on the issuer's clock, so the token of a
// new login is one that is issued after [Clock.Advance].
func (i *Issuer) LogoutToken(l Logout) string {
	now := i.clock.Now()
	claims := map[string]any{
		"iss": i.URL(), "aud": cmp.Or(l.ClientID, "client-1"), "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "sub": cmp.Or(l.Subject, "user-1"),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if l.Session != "" {
		claims["sid"] = l.Session
	}
	return i.sign("logout+jwt", l.Header, changed(claims, l.Claims))
}

// SecurityEvent says what a security event token is to say. The zero SecurityEvent ends all sessions of user-1.
type SecurityEvent struct {
	// Type is the URI of the event, such as [events.AccountDisabled]. Empty means [events.SessionRevoked].
	Type string
	// Subject is whom it is about, in the format iss_sub. Empty means "user-1".
	Subject string
	// Session is the session that it is about, of a complex subject beside the user. Empty leaves it out.
	Session string
	// Audience is the receiver, aud. Empty means [Origin].
	Audience string
	// Payload are the members of the event, such as change_type. Nil means none.
	Payload map[string]any

	// Claims are further claims, or take the place of those above, such as sub_id in another format; a nil value leaves one
	// out.
	Claims map[string]any
	// Header are members of the header in the same way.
	Header map[string]any
}

// SecurityEventToken issues a security event token, for [events.SharedSignals] (RFC 8417, with subjects of RFC 9493). Each
// has another jti. What it ends was issued up to now on the issuer's clock, as for [Issuer.LogoutToken].
func (i *Issuer) SecurityEventToken(e SecurityEvent) string {
	subject := map[string]any{"format": "iss_sub", "iss": i.URL(), "sub": cmp.Or(e.Subject, "user-1")}
	if e.Session != "" {
		session := map[string]any{"format": "opaque", "id": e.Session}
		subject = map[string]any{"format": "complex", "user": subject, "session": session}
	}
	payload := e.Payload
	if payload == nil {
		payload = map[string]any{}
	}
	claims := map[string]any{
		"iss": i.URL(), "aud": cmp.Or(e.Audience, Origin), "jti": rand.Text(), "iat": i.clock.Now().Unix(),
		"sub_id": subject, "events": map[string]any{cmp.Or(e.Type, events.SessionRevoked): payload},
	}
	return i.sign("secevent+jwt", e.Header, changed(claims, e.Claims))
}

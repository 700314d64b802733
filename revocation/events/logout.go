package events

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/revocation"
)

// DefaultMaxAge is how old a logout token may be for a zero [BackChannelLogoutConfig].
const DefaultMaxAge = 5 * time.Minute

// logoutEvent is the member of events that makes a JWT a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// BackChannelLogout receives logout tokens at the backchannel_logout_uri of a client and revokes the access tokens
// of who was logged out (OpenID Connect Back-Channel Logout 1.0 §2). A token that names a session (sid) ends that
// session, also if it names its user (sub) beside it; one that names the user alone ends all of the user's sessions,
// that is, what was issued up to the token's iat.
//
// Make one with [NewBackChannelLogout]; its methods are safe for concurrent use. It is an [http.Handler] of a POST route
// outside of what is protected: the logout token is all that the provider sends. Close it when done.
type BackChannelLogout struct {
	config   BackChannelLogoutConfig
	provider *provider
	profile  profile
}

// BackChannelLogoutConfig holds the settings of a [BackChannelLogout].
type BackChannelLogoutConfig struct {
	// Provider is the OpenID provider that sends logout tokens.
	Provider Provider
	// ClientIDs are those of the application at the provider, one of which the claim aud contains; at least one.
	ClientIDs []string
	// Store gets the revocations: the one that requests are checked against. Required.
	Store revocation.Store
	// AcceptTypeJWT accepts logout tokens whose typ is JWT or missing, beside logout+jwt. Some providers send no
	// other. What tells them apart from other JWTs is then the claim events alone.
	AcceptTypeJWT bool
	// AcceptNoExpiry accepts logout tokens without exp, which drafts of the specification did not know and some providers
	// leave out. MaxAge alone then says for how long one is good.
	AcceptNoExpiry bool
	// MaxAge is for how long after its iat a logout token is accepted. Zero means five minutes; an hour is the most.
	MaxAge time.Duration
}

// NewBackChannelLogout checks the settings. Its error names the field and what to put there. It asks nothing of the
// network.
func NewBackChannelLogout(config BackChannelLogoutConfig) (*BackChannelLogout, error) {
	b := &BackChannelLogout{config: config}
	if err := b.settle(); err != nil {
		return nil, fmt.Errorf("events.BackChannelLogoutConfig: %w", err)
	}
	if !b.provider.NoSessions {
		b.provider.Log.Info("a logout ends access tokens by their session: without sid in them it ends none, unless NoSessions is set",
			"issuer", b.provider.TokenIssuer)
	}
	return b, nil
}

func (b *BackChannelLogout) settle() (err error) {
	if err := given(b.config.Store); err != nil {
		return err
	}
	if len(b.config.ClientIDs) == 0 || slices.Contains(b.config.ClientIDs, "") {
		return fmt.Errorf("ClientIDs is %q: give the client_id under which the provider knows the application", b.config.ClientIDs)
	}
	if err := setting.Between("MaxAge", &b.config.MaxAge, DefaultMaxAge, time.Second, time.Hour); err != nil {
		return err
	}
	b.profile = profile{types: []string{"logout+jwt"}, audiences: slices.Clone(b.config.ClientIDs), check: b.check}
	if b.config.AcceptTypeJWT {
		b.profile.types = append(b.profile.types, "jwt", "")
	}
	b.provider, err = newProvider(b.config.Provider)
	return err
}

// Close ends the fetching of keys. It may be called more than once.
func (b *BackChannelLogout) Close() error {
	return b.provider.close()
}

// ServeHTTP answers a logout request (§2.5 and §2.8): 200 when the revocation is in force, 400 for a token that is
// refused, with invalid_request and a description of ours. Our own trouble is 503 with Retry-After, where the
// specification knows only 400 for a logout that failed: a provider that tries again is what is wanted.
func (b *BackChannelLogout) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var token string
	err := post(w, r, b.provider.MaxSize)
	if err == nil {
		token, err = logoutToken(r)
	}
	if err == nil {
		err = b.Receive(r.Context(), token)
	}
	answer(w, r, b.provider, http.StatusOK, err, func(err error) any {
		return oauthError{Code: "invalid_request", Description: describe(err)}
	})
}

// oauthError is the body of a refusal (RFC 6749 §5.2).
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

// logoutToken takes the token from the form; a URL is logged in too many places to carry one.
func logoutToken(r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", body(err)
	}
	tokens := r.PostForm["logout_token"]
	if len(tokens) != 1 {
		return "", ErrRequest.With("a form with one logout_token", fmt.Sprintf("%d of them", len(tokens)))
	}
	return tokens[0], nil
}

// Receive verifies a logout token (§2.6) and revokes what it names. When it returns nil, the revocation is in force.
// The errors are the causes of this package, and [ErrUnavailable]; after any of them, to try again is safe.
func (b *BackChannelLogout) Receive(ctx context.Context, token string) error {
	c, err := b.provider.read(ctx, token, b.profile)
	if err != nil {
		return named(err)
	}
	entry := b.entry(c)
	if err := revoke(ctx, b.config.Store, []revocation.Entry{entry}); err != nil {
		return err
	}
	b.provider.Log.InfoContext(ctx, "logout received", "issuer", c.Issuer, "jti", c.ID,
		"revoked_by", entry.By.String(), "value", entry.Value)
	return nil
}

func (b *BackChannelLogout) entry(c *claims) revocation.Entry {
	if c.Session != "" && !b.provider.NoSessions {
		return b.provider.session(c.Session)
	}
	return b.provider.subject(c.Subject, c.issued)
}

// check refuses a logout token whose claims are not as they should be (§2.4).
func (b *BackChannelLogout) check(c *claims) error {
	if age := b.provider.Now().Sub(c.issued); age > b.config.MaxAge+b.provider.Leeway {
		return ErrExpired.With("iat at most "+b.config.MaxAge.String()+" ago", when(c.issued)).Off(age - b.config.MaxAge)
	}
	event, ok := c.Events[logoutEvent]
	switch {
	case c.Expiry == nil && !b.config.AcceptNoExpiry:
		return ErrClaim.With("exp", "")
	case c.Nonce != nil:
		return ErrClaim.With("no nonce", string(c.Nonce))
	case !ok:
		return ErrClaim.With("events with "+logoutEvent, "")
	case event.Kind() != jsontext.KindBeginObject:
		return ErrEvent.With(logoutEvent+" as an object", string(event))
	case c.Subject == "" && c.Session == "":
		return ErrClaim.With("sub or sid", "")
	case c.Subject == "" && b.provider.NoSessions:
		return ErrSubject.With("sub, as access tokens carry no sid", "sid "+c.Session)
	}
	return nil
}

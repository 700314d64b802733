package events

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/revocation"
)

// SharedSignals receives security event tokens that are pushed (RFC 8935, OpenID Shared Signals Framework 1.0) and
// revokes the access tokens of whom they are about. The events that it acts on are listed at [SessionRevoked]; all others
// are for [SharedSignalsConfig.Handle]. Events that take nothing away, such as verification, are acknowledged and logged
// without it.
//
// A user is named in the format iss_sub, opaque or email, alone or as the user of a complex subject; a session as
// its session, opaque; an access token as jwt_id, alone. Other formats are for Handle as well. What neither knows is
// refused, so that a revocation that cannot be carried out is not taken for one that was. Other members of a complex subject, such as device or tenant, narrow it to a part of the user's
// sessions that access tokens do not tell apart, so all of them are ended.
//
// Make one with [NewSharedSignals]; its methods are safe for concurrent use. It is an [http.Handler] of a POST route
// outside of what is protected. Close it when done.
type SharedSignals struct {
	config   SharedSignalsConfig
	provider *provider
	profile  profile
}

// SharedSignalsConfig holds the settings of a [SharedSignals].
type SharedSignalsConfig struct {
	// Provider is the transmitter of the stream.
	Provider Provider
	// Audiences are the names of this receiver, one of which the claim aud contains; at least one.
	Audiences []string
	// Authorization is the value of the Authorization field that was agreed upon with the transmitter, scheme
	// included ("Bearer …"); the stream's authorization_header. At least 20 characters. Empty asks for none: the
	// tokens are signed.
	Authorization string
	// SubjectOfEmail returns the subject, as access tokens have it, whose address this is. An empty one means that
	// there is none, so there is nothing to revoke and the event is acknowledged. An error is our own trouble: the
	// transmitter is to try again. Nil refuses subjects in the format email.
	SubjectOfEmail func(ctx context.Context, email string) (subject string, err error)
	// Handle takes events that the store cannot: of other kinds, or about a subject that has no name in it, such as a
	// device or a telephone number. It returns false for one that it does not know. An error is our own trouble: the
	// transmitter is to try again. It may be called again for an event, and at the same time for others. Nil knows none.
	Handle func(ctx context.Context, e Event) (known bool, err error)
	// Store gets the revocations: the one that requests are checked against. Required.
	Store revocation.Store
}

// NewSharedSignals checks the settings. Its error names the field and what to put there. It asks nothing of the network.
func NewSharedSignals(config SharedSignalsConfig) (*SharedSignals, error) {
	s := &SharedSignals{config: config}
	if err := s.settle(); err != nil {
		return nil, fmt.Errorf("events.SharedSignalsConfig: %w", err)
	}
	return s, nil
}

func (s *SharedSignals) settle() (err error) {
	if err := given(s.config.Store); err != nil {
		return err
	}
	if len(s.config.Audiences) == 0 || slices.Contains(s.config.Audiences, "") {
		return fmt.Errorf("Audiences is %q: give the aud that the transmitter puts into tokens for this receiver", s.config.Audiences)
	}
	if a := s.config.Authorization; a != "" && (len(a) < 20 || strings.TrimSpace(a) != a) {
		return errors.New("Authorization is shorter than 20 characters or has spaces around it: " +
			"give the whole value of the field, such as \"Bearer \" and a random secret, or leave it empty")
	}
	s.profile = profile{types: []string{"secevent+jwt"}, audiences: slices.Clone(s.config.Audiences), check: checkEvents}
	s.provider, err = newProvider(s.config.Provider)
	return err
}

// Close ends the fetching of keys. It may be called more than once.
func (s *SharedSignals) Close() error {
	return s.provider.close()
}

// ServeHTTP answers the delivery of one token (RFC 8935 §2): 202 when its revocations are in force, 400 with an error
// code and a description of ours for one that is refused. Our own trouble is 503 with Retry-After.
func (s *SharedSignals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, err := s.pushed(w, r)
	if err == nil {
		err = s.Receive(r.Context(), token)
	}
	answer(w, r, s.provider, http.StatusAccepted, err, func(err error) any {
		return refusal(err)
	})
}

// deliveryError is the body of a refusal (RFC 8935 §2.3), and what stands for one in a request for others (RFC 8936 §2.6).
type deliveryError struct {
	Code        string `json:"err"`
	Description string `json:"description"`
}

func refusal(err error) deliveryError {
	return deliveryError{Code: deliveryCode(err), Description: describe(err)}
}

// deliveryCode is the code of a refusal (RFC 8935 §2.4).
func deliveryCode(err error) string {
	switch {
	case errors.Is(err, ErrAuthentication):
		return "authentication_failed"
	case errors.Is(err, ErrForeign):
		return "access_denied"
	case errors.Is(err, ErrIssuer):
		return "invalid_issuer"
	case errors.Is(err, ErrAudience):
		return "invalid_audience"
	case isKey(err):
		return "invalid_key"
	}
	return "invalid_request"
}

// pushed takes the token from a request whose sender may send it.
func (s *SharedSignals) pushed(w http.ResponseWriter, r *http.Request) (string, error) {
	if err := post(w, r, s.provider.MaxSize); err != nil {
		return "", err
	}
	if !s.authorized(r.Header.Values("Authorization")) {
		return "", ErrAuthentication
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/secevent+jwt" {
		return "", ErrRequest.With("application/secevent+jwt", r.Header.Get("Content-Type"))
	}
	token, err := io.ReadAll(r.Body)
	if err != nil {
		return "", body(err)
	}
	return string(token), nil
}

// authorized compares digests, so that the time it takes says nothing of the secret, its length included.
func (s *SharedSignals) authorized(sent []string) bool {
	if s.config.Authorization == "" {
		return true
	}
	want, got := sha256.Sum256([]byte(s.config.Authorization)), sha256.Sum256([]byte(strings.Join(sent, ",")))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && len(sent) == 1
}

// Receive verifies a security event token and revokes what its events name. When it returns nil, the revocations are
// in force. One event that is refused refuses the token: nothing is revoked then. Only one of which nothing is known does
// not where another is acted upon, since all events of a token are about the same change (RFC 8417 §2). The errors are the causes of this
// package, and [ErrUnavailable]; after any of them, to try again is safe. So it is with Handle, which may have been
// called for an event of a token that another event refuses.
func (s *SharedSignals) Receive(ctx context.Context, token string) error {
	c, err := s.read(ctx, token)
	if err != nil {
		return err
	}
	return s.act(ctx, c)
}

func (s *SharedSignals) read(ctx context.Context, token string) (*claims, error) {
	c, err := s.provider.read(ctx, token, s.profile)
	return c, named(err)
}

// act revokes what the events of a token name.
func (s *SharedSignals) act(ctx context.Context, c *claims) error {
	entries, err := s.all(ctx, c)
	if err != nil {
		return named(err)
	}
	if err := revoke(ctx, s.config.Store, entries); err != nil {
		return err
	}
	for _, e := range entries {
		s.provider.Log.InfoContext(ctx, "security event received", "issuer", c.Issuer, "jti", c.ID,
			"revoked_by", e.By.String(), "value", e.Value)
	}
	return nil
}

// all are the revocations that the events of a token ask for.
func (s *SharedSignals) all(ctx context.Context, c *claims) (all []revocation.Entry, err error) {
	acted := false
	var unhandled error
	for _, uri := range slices.Sorted(maps.Keys(c.Events)) {
		entries, done, err := s.entries(ctx, c, uri)
		switch {
		case errors.Is(err, ErrUnhandled):
			unhandled = err
			s.provider.Log.InfoContext(ctx, "security event ignored", "issuer", c.Issuer, "jti", c.ID, "event", uri)
		case err != nil:
			return nil, err
		}
		all, acted = append(all, entries...), acted || done
	}
	if acted {
		return all, nil
	}
	return nil, unhandled
}

// checkEvents checks the claims of a security event token (RFC 8417 §2.2). Those that other kinds of JWT have are
// prohibited (Shared Signals Framework 1.0, "Distinguishing SETs from other Kinds of JWTs").
func checkEvents(c *claims) error {
	switch {
	case c.Expiry != nil:
		return ErrClaim.With("no exp", string(c.Expiry))
	case c.Subject != "":
		return ErrClaim.With("no sub", c.Subject)
	case len(c.Events) == 0:
		return ErrClaim.With("events", "")
	}
	for uri, event := range c.Events {
		if event.Kind() != jsontext.KindBeginObject {
			return ErrEvent.With(uri+" as an object", string(event))
		}
	}
	return nil
}

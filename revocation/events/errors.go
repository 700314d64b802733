package events

import (
	"errors"
	"strings"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/reason"
)

// The causes for which a token or the request that brought it is refused. Those found in the form of the JWT and
// its signature carry the names of package access, with "event_" in front: event_typ_wrong.
var (
	ErrRequest        = reason.New("event_request_malformed", "the request does not carry one token in the expected way")
	ErrTooLarge       = reason.New("event_too_large", "the request is larger than the accepted size")
	ErrAuthentication = reason.New("event_sender_unknown", "the Authorization field is not the one agreed upon")

	ErrIssuer    = reason.New("event_issuer_unknown", "the token is from an issuer that is not accepted")
	ErrAudience  = reason.New("event_audience_wrong", "the token is for somebody else")
	ErrKey       = reason.New("event_key_unknown", "the token is signed with an unknown key")
	ErrClaim     = reason.New("event_claim_wrong", "the token lacks a required claim, or has a prohibited one")
	ErrExpired   = reason.New("event_expired", "the token has expired, or was issued too long ago")
	ErrEarly     = reason.New("event_not_yet_valid", "the token is not valid yet")
	ErrEvent     = reason.New("event_malformed", "the event does not conform to its definition")
	ErrSubject   = reason.New("event_subject_not_understood", "the event does not name its subject in a way that is understood")
	ErrUnhandled = reason.New("event_not_handled", "the event is of a kind that nothing is done with here")
	ErrForeign   = reason.New("event_subject_foreign", "the sender may not speak for subjects of another issuer")
)

// ErrUnavailable means that the provider's keys, the application's accounts or the revocation store could not be
// asked. It is our own trouble, answered with 503 so that the provider tries again; nothing, or not everything, was
// revoked.
var ErrUnavailable = reason.NewTrouble("event_unavailable", "the event could not be acted on")

// errNotPolled is our own trouble of a [Poller], which only its log tells.
var errNotPolled = reason.NewTrouble("events_not_polled", "the identity provider could not be asked for reports")

// named gives the causes of strict JWTs the name under which they are known here.
func named(err error) error {
	if cause, ok := err.(*reason.Error); ok && !strings.HasPrefix(cause.Name, "event_") { // the outermost cause alone is renamed
		return cause.Named("event_" + cause.Name)
	}
	return err
}

// isKey reports whether the token failed for its key or signature.
func isKey(err error) bool {
	for _, cause := range []error{ErrKey, keyset.ErrAmbiguous, jose.ErrKeyAlg, jose.ErrSignature} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// describe is what the provider is told: a sentence of ours, and nothing that was received.
func describe(err error) string {
	if errors.Is(err, ErrUnavailable) {
		return ErrUnavailable.Text
	}
	if cause, ok := errors.AsType[*reason.Error](err); ok {
		return cause.Text
	}
	return ""
}

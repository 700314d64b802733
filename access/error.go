package access

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/reason"
)

// The error codes that a client may be told.
const (
	CodeInvalidRequest    = "invalid_request"                  // RFC 6750 §3.1
	CodeInvalidToken      = "invalid_token"                    // RFC 6750 §3.1
	CodeInsufficientScope = "insufficient_scope"               // RFC 6750 §3.1
	CodeInvalidProof      = "invalid_dpop_proof"               // RFC 9449 §7.1
	CodeUseNonce          = "use_dpop_nonce"                   // RFC 9449 §9
	CodeStepUp            = "insufficient_user_authentication" // RFC 9470 §3
)

// The causes for which credentials are refused. The name in each is stable; causes found in a proof are in
// package dpop, and those found in the form of a JWT carry its names with "token_" in front.
var (
	ErrNoCredentials = reason.New("credentials_missing", "no credentials were sent")
	ErrScheme        = reason.New("scheme_unknown", "the authentication scheme is not accepted here")
	ErrCredentials   = reason.New("authorization_malformed", "the Authorization field is malformed")
	ErrTokenTwice    = reason.New("token_sent_twice", "the access token was sent in more than one way")

	ErrTokenSize     = reason.New("token_too_large", "the access token is larger than the accepted size")
	ErrTokenIssuer   = reason.New("token_issuer_unknown", "the access token is from an issuer that is not accepted")
	ErrTokenAudience = reason.New("token_audience_wrong", "the access token is for another resource server")
	ErrTokenKey      = reason.New("token_key_unknown", "the access token is signed with an unknown key")
	ErrTokenKind     = reason.New("token_kind_wrong", "the token is not an access token")
	ErrTokenClaim    = reason.New("token_claim_missing", "the access token lacks a required claim")
	ErrTokenExpired  = reason.New("token_expired", "the access token has expired")
	ErrTokenEarly    = reason.New("token_not_yet_valid", "the access token is not valid yet")
	ErrTokenLifetime = reason.New("token_lifetime_too_long", "the access token lives longer than accepted")
	ErrTokenInactive = reason.New("token_inactive", "the access token is not valid")

	ErrConfirmation  = reason.New("token_cnf_not_understood", "the access token is bound in a way that is not understood")
	ErrUnbound       = reason.New("token_unbound", "the access token is not bound to its sender")
	ErrNoDPoP        = reason.New("dpop_not_accepted", "tokens bound to a DPoP key are not accepted here")
	ErrBoundAsBearer = reason.New("bound_token_as_bearer", "the access token is bound to a DPoP key and needs the DPoP scheme")
	ErrKeyMismatch   = reason.New("key_mismatch", "the proof is not made with the key that the access token is bound to")
	ErrNoMTLS        = reason.New("certificate_not_accepted", "tokens bound to a client certificate are not accepted here")
	ErrNoCertificate = reason.New("certificate_missing", "the access token is bound to a client certificate and none was presented")
	// ErrCertificateMismatch is also the cause when a certificate was renewed: its token goes with it.
	ErrCertificateMismatch = reason.New("certificate_mismatch", "the client certificate is not the one that the access token is bound to")

	ErrAccount       = reason.New("account_not_active", "the account that the access token stands for is not active")
	ErrAddress       = reason.New("address_mismatch", "the access token is for another address than the request comes from")
	ErrNotRegistered = reason.New("token_not_on_record", "the access token is not on the record of those in use")

	ErrScope   = reason.New("scope_missing", "the access token lacks a required scope")
	ErrBinding = reason.New("binding_missing", "the access token is not bound in the required way")
	ErrAuthAge = reason.New("login_too_old", "a more recent login is required")
	ErrACR     = reason.New("login_too_weak", "a stronger login is required")
)

// ErrUnavailable means that what a decision needs could not be asked: an issuer's keys, a data base. It is our own
// trouble, answered with 503, whatever it wraps.
var ErrUnavailable = reason.NewTrouble("", "access: the request could not be decided")

// The parts of ours that are asked for a decision, each with the reason if what went wrong there has no name of its own.
var (
	errKeys    = ErrUnavailable.At("keys", "keys_unreachable", "access: the issuer's keys could not be had")
	errTenants = ErrUnavailable.At("tenants", "tenants_unreachable", "access: whose the issuer is could not be asked")

	errIntrospection = ErrUnavailable.At("introspection", "introspection_unreachable", "access: the authorization server could not be asked about the token")
	errRevocation    = ErrUnavailable.At("revocation_store", "revocation_store_unreachable", "access: the store of revocations could not be asked")
	errRegister      = ErrUnavailable.At("register", "register_unreachable", "access: the record of tokens in use could not be had")
	errValidator     = ErrUnavailable.At("validator", "validator_failed", "access: the Validator could not judge the token")
	errPolicy        = ErrUnavailable.At("policy", "policy_failed", "access: a Policy could not decide")
	errAddress       = ErrUnavailable.At("address", "address_unknown", "access: the address of the request could not be found")
	errCertificate   = ErrUnavailable.At("certificate", "certificate_unknown", "access: the client's certificate could not be looked for")
)

// ours says of an error that is no refusal which part of ours it is in.
func ours(part *reason.Trouble, err error) error {
	if _, own := errors.AsType[*Error](err); err == nil || own || reason.IsRefusal(err) || reason.Part(err) != "" {
		return err
	}
	return part.Because(err)
}

// retryAfter is what a client is told to wait when the trouble is ours.
const retryAfter = time.Second

// Error is a refusal: what the client is told, and in Err the cause, which is for logs and never sent. It is
// immutable once returned.
type Error struct {
	// Status is the HTTP status: 400, 401, 403 or 503; of a policy's own refusal any from 400 to 599.
	Status int
	// Code is the error code of the challenge. Empty when no credentials came and when the trouble is ours.
	Code string
	// Description is our sentence for the client. It holds nothing that came with the request.
	Description string
	// Scope lists the scopes that would be enough, separated by spaces; with insufficient_scope and step-up.
	Scope string
	// ACRValues lists the authentication contexts that would be enough (RFC 9470 §3).
	ACRValues string
	// MaxAge is the greatest accepted age of the login, in whole seconds when sent (RFC 9470 §3). Zero: none.
	MaxAge time.Duration
	// Nonce is to be sent in DPoP-Nonce. Empty: none.
	Nonce string
	// RetryAfter is what the client should wait before it tries again; with 503.
	RetryAfter time.Duration
	// Err is the cause.
	Err error

	challenges []offer
}

// Error gives status, code and cause, for logs.
func (e *Error) Error() string {
	return fmt.Sprintf("%d %s: %v", e.Status, cmp.Or(e.Code, http.StatusText(e.Status)), e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Reason returns the stable name of the cause; of our own trouble "unavailable" if it has no other.
func (e *Error) Reason() string {
	if e.Status == http.StatusServiceUnavailable {
		return cmp.Or(reason.Of(e.Err), "unavailable")
	}
	return reason.Of(e.Err)
}

// SetHeaders adds what the answer to this refusal needs: WWW-Authenticate, DPoP-Nonce, Retry-After, and that
// browser code may read them and nobody may store the answer. The status and the body are the caller's.
func (e *Error) SetHeaders(h http.Header) {
	h["Cache-Control"] = []string{"no-store"}
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
	for _, c := range e.challenges {
		h[wwwAuthenticate] = append(h[wwwAuthenticate], c.String())
	}
	if len(e.challenges) > 0 {
		expose(h, "WWW-Authenticate")
	}
	if e.Nonce != "" {
		h.Set("DPoP-Nonce", e.Nonce)
		expose(h, "DPoP-Nonce")
	}
}

// wwwAuthenticate is WWW-Authenticate as [http.Header] has it, which need not spell it anew at each refusal.
const wwwAuthenticate = "Www-Authenticate"

// expose lets code of other origins read a field of the answer, where CORS lets it read the answer at all.
func expose(h http.Header, field string) {
	const name = "Access-Control-Expose-Headers"
	if !slices.Contains(h[name], field) {
		h[name] = append(h[name], field)
	}
}

// write writes the answer, with a JSON body that holds the description.
func (e *Error) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	body, _ := jsontext.AppendQuote([]byte(`{"message":`), e.Description) // what is not UTF-8 is replaced
	_, _ = w.Write(append(body, '}', '\n'))                               // the client may have gone
}

// unavailable is the answer when the trouble is ours: never an accept, and never a 401, which would send a good
// client into a loop.
func unavailable(err error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Description: "the request could not be checked; try again",
		RetryAfter: retryAfter, Err: err,
	}
}

// refuse turns a cause into the answer. Causes that lie with the client are named; everything else is our own
// trouble.
func (g *Guard) refuse(used scheme, code string, err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok { // a policy's own answer
		if e.Status < 400 || e.Status > 599 {
			return unavailable(ErrUnavailable.Because(fmt.Errorf("a policy's refusal has the status %d: give one such as 403: %w", e.Status, err)))
		}
		own := *e
		if own.Code != "" && own.challenges == nil {
			own.challenges = g.challenges(used, &own)
		}
		return &own
	}
	if !reason.IsRefusal(err) {
		return unavailable(err)
	}
	cause, _ := errors.AsType[*reason.Error](err)
	e := &Error{Status: http.StatusUnauthorized, Code: code, Description: cause.Text, Err: err}
	switch {
	case dpop.NeedsNonce(err) && g.proofs != nil:
		e.Code, e.Nonce = CodeUseNonce, g.proofs.Nonce()
	case code == CodeInvalidRequest:
		e.Status = http.StatusBadRequest
	case code == CodeInsufficientScope:
		e.Status = http.StatusForbidden
	}
	e.challenges = g.challenges(used, e)
	return e
}

package access

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// Grant is an accepted request: what its token says, and how the sender proved to be the one it was issued to.
// Treat it as read-only.
type Grant struct {
	*Token
	// Binding says what the sender proved. Zero is a bearer token, with [Guard.InsecureAllowBearer].
	Binding Binding
	// Thumbprint is that of the sender's DPoP key (RFC 7638). Empty without a proof.
	Thumbprint string
	// Certificate is the one that the client presented, whether or not the token is bound to it: Binding tells.
	// Nil without one.
	Certificate *x509.Certificate
	// Nonce is the one that the client should use from now on. Empty when it has the newest, or none.
	// [Grant.SetHeaders] sends it.
	Nonce string

	scheme   scheme
	hasNonce bool
	key      string // of the token in caches
	raw      string // the token, if its validator alone can tell whether it is still good

	// for a Decision
	began time.Time
	took  time.Duration
	known bool // the token was
}

// SetHeaders adds what the answer to an accepted request needs: a new nonce, if there is one, which makes the
// answer unfit to be stored (RFC 9449 §8.2).
func (g *Grant) SetHeaders(h http.Header) {
	if g.Nonce == "" {
		return
	}
	h.Set("DPoP-Nonce", g.Nonce)
	h.Set("Cache-Control", "no-store")
	h.Add("Access-Control-Expose-Headers", "DPoP-Nonce")
}

// Binding is a set of ways in which a sender proves that a token was issued to it.
type Binding uint8

// The ways of binding.
const (
	BindingDPoP        Binding = 1 << iota // by a DPoP proof, RFC 9449
	BindingCertificate                     // by a client certificate, RFC 8705
)

// String lists the ways by name.
func (b Binding) String() string {
	var names []string
	if b&BindingDPoP != 0 {
		names = append(names, "DPoP")
	}
	if b&BindingCertificate != 0 {
		names = append(names, "certificate")
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " and ")
}

// Requirement is what a route demands beyond a valid and bound token. The zero Requirement demands nothing.
type Requirement struct {
	// Scopes must all be granted. Otherwise: 403 insufficient_scope (RFC 6750 §3.1).
	Scopes []string
	// MaxAuthAge is how long ago the user may have logged in, in whole seconds. Zero does not ask. Otherwise:
	// 401 insufficient_user_authentication (RFC 9470 §3). The token must carry auth_time.
	MaxAuthAge time.Duration
	// ACRValues are the accepted authentication contexts, any of which is enough. Empty does not ask.
	ACRValues []string
	// Binding lists the ways of binding that must all have been proved. Zero does not ask.
	Binding Binding
	// Nonce demands a proof with a nonce (RFC 9449 §9).
	Nonce bool
}

// Validate checks the settings, so that a route can be refused when it is made. Its error names the field and
// what to put there.
func (q Requirement) Validate() error {
	for _, scope := range q.Scopes {
		if !quotable(scope) {
			return fmt.Errorf("access.Requirement: Scopes has %q: give one scope an element, printable ASCII without space, quote and backslash", scope)
		}
	}
	for _, acr := range q.ACRValues {
		if !quotable(acr) {
			return fmt.Errorf("access.Requirement: ACRValues has %q: give one value an element, printable ASCII without space, quote and backslash", acr)
		}
	}
	if q.MaxAuthAge < 0 || q.MaxAuthAge%time.Second != 0 {
		return fmt.Errorf("access.Requirement: MaxAuthAge is %v: give whole seconds, or zero not to ask", q.MaxAuthAge)
	}
	if q.Binding&^(BindingDPoP|BindingCertificate) != 0 {
		return errors.New("access.Requirement: Binding is none of the ways of binding")
	}
	return nil
}

// Allow compares an accepted request with the demand of its route, or refuses it with an [*Error]. The binding
// comes first, then scopes, then the login, for which the user is needed.
func (g *Guard) Allow(grant *Grant, q Requirement) error {
	if e := g.compare(grant, q); e != nil {
		e.attempt = grant
		return e
	}
	return nil
}

func (g *Guard) compare(grant *Grant, q Requirement) *Error {
	if err := q.Validate(); err != nil {
		return unavailable(err)
	}
	if missing := q.Binding &^ grant.Binding; missing != 0 {
		return g.refuse(grant.scheme, CodeInvalidToken, ErrBinding.With(q.Binding.String(), grant.Binding.String()))
	}
	if q.Nonce && !grant.hasNonce {
		if g.DPoP == nil || grant.scheme != schemeDPoP {
			return g.refuse(grant.scheme, CodeInvalidToken, ErrBinding.With(BindingDPoP.String(), grant.Binding.String()))
		}
		return g.refuse(grant.scheme, CodeUseNonce, dpop.ErrNonceMissing)
	}
	if !grant.HasScopes(q.Scopes...) {
		return g.insufficient(grant, CodeInsufficientScope, q, ErrScope.With(strings.Join(q.Scopes, " "), strings.Join(grant.Scopes, " ")))
	}
	if q.MaxAuthAge > 0 {
		tooOld := ErrAuthAge.With("a login in the last "+q.MaxAuthAge.String(), "")
		if grant.AuthTime.IsZero() {
			return g.insufficient(grant, CodeStepUp, q, tooOld)
		}
		if age := g.Now().Sub(grant.AuthTime); age > q.MaxAuthAge+g.Leeway {
			return g.insufficient(grant, CodeStepUp, q, tooOld.With(tooOld.Expected, when(grant.AuthTime)).Off(age-q.MaxAuthAge))
		}
	}
	if len(q.ACRValues) > 0 && !slices.Contains(q.ACRValues, grant.ACR) {
		return g.insufficient(grant, CodeStepUp, q, ErrACR.With(strings.Join(q.ACRValues, " "), grant.ACR))
	}
	return nil
}

// insufficient refuses with all that the client needs to ask for in one go.
func (g *Guard) insufficient(grant *Grant, code string, q Requirement, cause error) *Error {
	e := g.refuse(grant.scheme, code, cause)
	e.Scope = strings.Join(q.Scopes, " ")
	if code == CodeStepUp {
		e.ACRValues, e.MaxAge = strings.Join(q.ACRValues, " "), q.MaxAuthAge
	}
	e.challenges = g.challenges(grant.scheme, e)
	return e
}

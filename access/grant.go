package access

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/mtls"
)

// Grant is an accepted request: what its token says, and how the sender proved to be the one it was issued to.
// It belongs to one request; what is changed in it is changed for that request alone.
type Grant struct {
	Token
	// Binding says what the sender proved. Zero is a bearer token, which [Config.Bearer] or InsecureAllowBearer took.
	Binding Binding
	// Thumbprint is that of the sender's DPoP key (RFC 7638). Empty without a proof.
	Thumbprint string
	// Certificate is the one that the client presented, whether or not the token is bound to it: Binding tells.
	// Nil without one, and where the source verifies certificates and this one does not pass.
	Certificate *mtls.Certificate
	// Nonce is the one that the client should use from now on. Empty when it has the newest, or none.
	// [Grant.SetHeaders] sends it.
	Nonce string

	pattern   string // of the router, if the adapter knows
	scheme    scheme
	hasNonce  bool
	algorithm string        // of the proof
	from      place         // where the token was
	sent      string        // as the token; empty once that is known to be good
	key       string        // of the token in caches
	lifetime  time.Duration // the longest that the token may have
	until     time.Time     // when Config.Bearer lets go of the token; zero unless it took it
	raw       string        // the token, if its validator alone can tell whether it is still good

	// for a Decision
	began time.Time
	alert string // kind of the alert that it belongs to
	would *Error // what Config.ReportOnly would have refused it with
	unfit error  // why a certificate that was presented is not in Certificate
	took  time.Duration
	known bool // the token was
}

// SetHeaders adds what the answer to an accepted request needs: a new nonce, if there is one, which makes the
// answer unfit to be stored (RFC 9449 §8.2), as does a token that came in the query.
func (g *Grant) SetHeaders(h http.Header) {
	if g.from.query != "" {
		keepPrivate(h)
	}
	if g.Nonce == "" {
		return
	}
	h.Set("DPoP-Nonce", g.Nonce)
	h.Set("Cache-Control", "no-store")
	expose(h, "DPoP-Nonce")
}

// take copies what a token says: tokens are shared between requests.
func (g *Grant) take(t *Token) {
	g.Token = *t
	lists := append(append(make([]string, 0, len(t.Scopes)+len(t.Audience)), t.Scopes...), t.Audience...)
	if t.Scopes != nil {
		g.Scopes = lists[:len(t.Scopes):len(t.Scopes)]
	}
	if t.Audience != nil {
		g.Audience = lists[len(t.Scopes):]
	}
}

// dropUnfit takes a certificate away that does not pass its verification and that the token did not need.
func (g *Grant) dropUnfit() {
	if g.Certificate == nil || g.Binding&BindingCertificate != 0 {
		return
	}
	if g.unfit = g.Certificate.Verify(); g.unfit != nil {
		g.Certificate = nil
	}
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
	// AnyScope are scopes of which one is enough, beside Scopes. Empty does not ask. Otherwise: 403 insufficient_scope,
	// which names them all.
	AnyScope []string
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
	for field, scopes := range map[string][]string{"Scopes": q.Scopes, "AnyScope": q.AnyScope} {
		for _, scope := range scopes {
			if !quotable(scope) {
				return fmt.Errorf("access.Requirement: %s has %q: give one scope an element, printable ASCII without space, quote and backslash", field, scope)
			}
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

// copied returns the demand with lists of its own: whoever goes on with one for another route changes nothing here.
func (q Requirement) copied() Requirement {
	q.Scopes, q.AnyScope, q.ACRValues = slices.Clone(q.Scopes), slices.Clone(q.AnyScope), slices.Clone(q.ACRValues)
	return q
}

// Allow compares an accepted request with a further demand, or refuses it with an [*Error], and tells the refusal: for a
// handler that learns what it has to demand from what was asked for, such as an amount. Answer with [Guard.WriteError].
func (g *Guard) Allow(r *http.Request, grant *Grant, q Requirement) error {
	if e := g.compare(grant, q); e != nil {
		if x, ok := r.Context().Value(exchangeKey{g}).(*exchange); ok {
			x.told.Store(true)
		}
		return g.decided(r, "", grant, e)
	}
	return nil
}

// compare compares an accepted request with the demand of its route. The binding comes first, then scopes, then the
// login, for which the user is needed.
func (g *Guard) compare(grant *Grant, q Requirement) *Error {
	if err := q.Validate(); err != nil {
		return unavailable(err)
	}
	if missing := q.Binding &^ grant.Binding; missing != 0 {
		return g.refuse(grant.scheme, CodeInvalidToken, ErrBinding.With(q.Binding.String(), grant.Binding.String()))
	}
	if q.Nonce && !grant.hasNonce {
		if grant.scheme != schemeDPoP {
			return g.refuse(grant.scheme, CodeInvalidToken, ErrBinding.With(BindingDPoP.String(), grant.Binding.String()))
		}
		return g.refuse(grant.scheme, CodeUseNonce, dpop.ErrNonceMissing)
	}
	if !grant.HasScopes(q.Scopes...) {
		return g.insufficient(grant, CodeInsufficientScope, q, ErrScope.With(strings.Join(q.Scopes, " "), strings.Join(grant.Scopes, " ")))
	}
	if len(q.AnyScope) > 0 && !slices.ContainsFunc(q.AnyScope, func(s string) bool { return grant.HasScopes(s) }) {
		return g.insufficient(grant, CodeInsufficientScope, q, ErrScope.With("one of "+strings.Join(q.AnyScope, " "), strings.Join(grant.Scopes, " ")))
	}
	if q.MaxAuthAge > 0 {
		tooOld := ErrAuthAge.With("auth_time of a login in the last "+q.MaxAuthAge.String(), "")
		if grant.AuthTime.IsZero() {
			return g.insufficient(grant, CodeStepUp, q, tooOld)
		}
		switch age := g.config.Now().Sub(grant.AuthTime); {
		case age > q.MaxAuthAge+g.config.Leeway:
			return g.insufficient(grant, CodeStepUp, q, tooOld.With(tooOld.Expected, when(grant.AuthTime)).Off(age-q.MaxAuthAge))
		case age < -g.config.Leeway: // a login that has not been yet would stay fresh for too long
			return g.insufficient(grant, CodeStepUp, q, tooOld.With(tooOld.Expected, when(grant.AuthTime)).Off(age))
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
	e.Scope = strings.Join(append(slices.Clone(q.Scopes), q.AnyScope...), " ")
	if code == CodeStepUp {
		e.ACRValues, e.MaxAge = strings.Join(q.ACRValues, " "), q.MaxAuthAge
	}
	e.challenges = g.challenges(grant.scheme, e)
	return e
}

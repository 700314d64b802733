package access

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/senderlock/senderlock/reason"
)

// maxShadowQuestions is the most that a shadow asks Config.Tokens in a second.
const maxShadowQuestions = 100

var errShadowQuestions = reason.NewTrouble("shadow_not_asked", "access: the shadow has asked about as many tokens as it may in a second")

// UnprotectedShadow protects nothing: it judges each request and tells what [Guard.Handler] would have said, in
// [Decision].Would, and calls next in any case. It is for an API whose authentication is somebody else's today, to see
// who would be refused before the Guard takes over. It leaves no grant in the context, so that nothing behind it can lean
// on it; a Handler of the Guard behind it judges anew.
//
// It uses no proof up, records no token, raises no alert and writes no header. A replayed proof it cannot tell. It asks
// Policies and Revocation, and [Config.Tokens] about a hundred tokens in a second at most. It panics on a wrong demand.
func (g *Guard) UnprotectedShadow(next http.Handler, demands ...Requirement) http.Handler {
	own, err := ownDemands(demands)
	if err != nil {
		panic(err.Error())
	}
	s := &shadow{guard: g, demands: own}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.tell(r)
		next.ServeHTTP(w, r)
	})
}

// shadow judges requests that go on in any case.
type shadow struct {
	guard   *Guard
	demands []Requirement

	mu    sync.Mutex
	began time.Time // of the second
	asked int       // in it
}

// tell says what would become of a request.
func (s *shadow) tell(r *http.Request) {
	g := s.guard
	grant := &Grant{began: g.config.Now()}
	if err := guarded("the shadow", func() error { grant.would = s.would(r, grant); return nil }); err != nil {
		grant.would = unavailable(err)
	}
	grant.took = g.config.Now().Sub(grant.began)
	d := g.decision(r, g.route(r, ""), grant, nil)
	d.shadow = true
	_ = g.announce(r.Context(), "request shadowed", d)
}

// would is the refusal of a request, or nil.
func (s *shadow) would(r *http.Request, grant *Grant) *Error {
	g := s.guard
	if g.closed.Load() {
		return unavailable(errClosed)
	}
	if !s.mayAsk(r, grant.began) {
		return unavailable(errShadowQuestions)
	}
	token, _, refusal := g.examine(r, grant)
	if refusal == nil {
		if err := g.revoked(r.Context(), token); err != nil {
			refusal = g.refuse(grant.scheme, CodeInvalidToken, err)
		}
	}
	for i := 0; refusal == nil && i < len(s.demands); i++ {
		refusal = g.compare(grant, s.demands[i])
	}
	if refusal == nil {
		refusal = g.report(grant)
	}
	return refusal
}

// mayAsk counts the tokens about which somebody has to be asked: all but JWTs of Issuers.
func (s *shadow) mayAsk(r *http.Request, now time.Time) bool {
	config := &s.guard.config
	c, err := s.guard.credentials(r)
	if err != nil || config.Tokens == nil {
		return true
	}
	issuer, _ := claimedIssuer(c.token, config.MaxTokenSize) // empty for what is no JWT
	if slices.ContainsFunc(config.Issuers, func(i Issuer) bool { return i.URL == issuer }) {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.began).Abs() >= time.Second { // a clock that was set back does not wait to catch up
		s.began, s.asked = now, 0
	}
	s.asked++
	return s.asked <= maxShadowQuestions
}

package access

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/reason"
)

// ErrBearerEnded is the cause for refusing a token that is bound to nobody, and that an entry of [Config.Bearer] took
// until its date.
var ErrBearerEnded = reason.New("bearer_ended", "access tokens that are not bound to their sender are no longer accepted")

// maxTokenLifetime is the most that a lifetime of tokens may be set to.
const maxTokenLifetime = 366 * 24 * time.Hour

// Bearer is an entry of [Config.Bearer]: which tokens that are bound to nobody are still accepted under the scheme
// Bearer, and until when. All criteria that are named must hold, and one of them has to be named. Whoever steals such a
// token can use it.
type Bearer struct {
	// Issuers are the issuers (iss) whose tokens are taken. Empty does not ask.
	Issuers []string
	// Clients are the clients whose tokens are taken. Empty does not ask.
	Clients []string
	// Routes are the routes on which tokens are taken, each by the pattern of the router, letter for letter: "GET /orders"
	// of net/http's multiplexer, "/orders/:id" of Echo. It is the pattern that the first Handler or Route of the Guard
	// knows, or [Config.Route] gives; where it is unknown, no entry with Routes takes a token. Empty does not ask.
	Routes []string
	// Scopes are all that a taken token may carry, and it carries one at least. Empty does not ask.
	Scopes []string
	// Until is the instant from which the entry takes nothing more, and at which the streams end that it let begin.
	// Required.
	Until time.Time
	// MaxTokenLifetime is the longest lifetime of a taken token, from iat to exp. Zero means that of
	// [Config.MaxTokenLifetime]; a year is the most.
	MaxTokenLifetime time.Duration

	// InsecureCookie names a cookie from which the entry takes tokens as well, where a request has neither Authorization
	// nor DPoP. A browser sends it with what any page makes it send: what changes something, and what opens a WebSocket,
	// is refused if it comes from another origin (by [http.CrossOriginProtection]); the rest has to be harmless. A bound
	// token is not taken from it. Empty reads none.
	InsecureCookie string
	// InsecureQuery names a query parameter in the same way, such as "access_token" (RFC 6750 §2.3). The token is then in
	// the logs of every proxy in between, in histories and bookmarks. Behind a Handler or Route of the Guard the request
	// is without it, and the answer asks for no Referer and for no cache. Empty reads none.
	InsecureQuery string
}

// settleBearer checks the list, and gives lifetimes their default.
func (c *Config) settleBearer() error {
	if c.InsecureAllowBearer && len(c.Bearer) > 0 {
		return errors.New("InsecureAllowBearer is set beside Bearer: it takes every token for ever, and the list would say nothing; leave it out")
	}
	c.Bearer = slices.Clone(c.Bearer)
	for i := range c.Bearer {
		if err := c.Bearer[i].settle(c.MaxTokenLifetime); err != nil {
			return fmt.Errorf("Bearer[%d]%w", i, err)
		}
	}
	return nil
}

func (b *Bearer) settle(lifetime time.Duration) error {
	criteria := 0
	for _, c := range []struct {
		field  string
		values []string
	}{{"Issuers", b.Issuers}, {"Clients", b.Clients}, {"Routes", b.Routes}, {"Scopes", b.Scopes}} {
		if slices.Contains(c.values, "") {
			return fmt.Errorf(".%s has an empty element, which is what a token or a request lacks: leave it out", c.field)
		}
		criteria += len(c.values)
	}
	b.Issuers, b.Clients, b.Routes, b.Scopes = slices.Clone(b.Issuers), slices.Clone(b.Clients), slices.Clone(b.Routes), slices.Clone(b.Scopes)
	switch {
	case criteria == 0:
		return errors.New(" has no criterion: name the Issuers, Clients, Routes or Scopes that still need it")
	case b.Until.IsZero():
		return errors.New(".Until is zero: give the date on which it ends")
	}
	if err := setting.Between("MaxTokenLifetime", &b.MaxTokenLifetime, lifetime, time.Second, maxTokenLifetime); err != nil {
		return fmt.Errorf(".%w", err)
	}
	return b.settlePlaces()
}

// longestLifetime is that of the tokens that live the longest of all that can be accepted.
func (c *Config) longestLifetime() time.Duration {
	longest := c.MaxTokenLifetime
	for _, b := range c.Bearer {
		longest = max(longest, b.MaxTokenLifetime)
	}
	return longest
}

// takesBearer reports whether a token that is bound to nobody can be accepted at all.
func (g *Guard) takesBearer() bool {
	now := g.config.Now()
	return g.config.InsecureAllowBearer || slices.ContainsFunc(g.config.Bearer, func(b Bearer) bool { return now.Before(b.Until) })
}

// unbound judges a token that is bound to nobody by the entries of the list. It notes the longest lifetime, and until
// when, of those that take it. An entry that has not ended but is for shorter lives leaves the token to the others.
func (g *Guard) unbound(r *http.Request, grant *Grant) error {
	if g.config.InsecureAllowBearer {
		return nil
	}
	if len(g.config.Bearer) == 0 {
		return ErrUnbound.With("cnf", "")
	}
	grant.lifetime, grant.until = 0, time.Time{}
	var ended error
	route, now := g.route(r, grant.pattern), g.config.Now()
	for i := range g.config.Bearer {
		b := &g.config.Bearer[i]
		switch {
		case !b.reads(grant.from) || !b.names(&grant.Token, route):
		case now.Before(b.Until):
			grant.lifetime = max(grant.lifetime, b.MaxTokenLifetime)
			if grant.within(b.MaxTokenLifetime) == nil && b.Until.After(grant.until) {
				grant.until = b.Until
			}
		default:
			ended = endedAt(b.Until, now)
		}
	}
	switch {
	case grant.lifetime != 0:
		return nil
	case ended != nil:
		return ended
	}
	return ErrUnbound.With(fmt.Sprintf("cnf, or an entry of Bearer that takes client %q on route %q", grant.ClientID, route), "")
}

// names reports whether all criteria hold.
func (b *Bearer) names(t *Token, route string) bool {
	foreign := func(scope string) bool { return !slices.Contains(b.Scopes, scope) }
	return (len(b.Issuers) == 0 || slices.Contains(b.Issuers, t.Issuer)) &&
		(len(b.Clients) == 0 || slices.Contains(b.Clients, t.ClientID)) &&
		(len(b.Routes) == 0 || slices.Contains(b.Routes, route)) &&
		(len(b.Scopes) == 0 || len(t.Scopes) > 0 && !slices.ContainsFunc(t.Scopes, foreign))
}

// ended returns the cause if what let the token in, bound to nobody, has ended since.
func (g *Grant) ended(now time.Time) error {
	if g.until.IsZero() || now.Before(g.until) {
		return nil
	}
	return endedAt(g.until, now)
}

func endedAt(until, now time.Time) *reason.Error {
	return ErrBearerEnded.With("cnf, since "+when(until), "").Off(now.Sub(until))
}

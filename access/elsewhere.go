package access

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/senderlock/senderlock/internal/challenge"
	"github.com/senderlock/senderlock/reason"
)

// The causes for refusing a token that came in a cookie or a query, where an entry of [Config.Bearer] reads one.
var (
	ErrBoundElsewhere = reason.New("bound_token_elsewhere", "an access token that is bound to its sender is accepted in the Authorization field alone")
	ErrCrossOrigin    = reason.New("cross_origin", "a request that changes something was made by a page of another origin")
)

// place is where a token came from, by the name of the cookie or of the query parameter. The zero place is the
// Authorization field.
type place struct{ cookie, query string }

// String is for logs: the name is the operator's own, and says no more.
func (p place) String() string {
	switch {
	case p.cookie != "":
		return "cookie"
	case p.query != "":
		return "query"
	}
	return ""
}

// settlePlaces checks from where an entry reads tokens.
func (b *Bearer) settlePlaces() error {
	if b.InsecureCookie == "" {
		return nil
	}
	if err := (&http.Cookie{Name: b.InsecureCookie, Value: "x"}).Valid(); err != nil {
		return fmt.Errorf(".InsecureCookie is %q: give the name of a cookie", b.InsecureCookie)
	}
	return nil
}

// places are all from which tokens are read, each once. An entry that has ended still reads, so that its refusals say so.
func (c *Config) places() (all []place) {
	seen := map[place]bool{{}: true}
	for _, b := range c.Bearer {
		for _, p := range []place{{cookie: b.InsecureCookie}, {query: b.InsecureQuery}} {
			if !seen[p] {
				seen[p], all = true, append(all, p)
			}
		}
	}
	return all
}

// reads reports whether the entry takes tokens from there.
func (b *Bearer) reads(from place) bool {
	return from == place{} || from == place{cookie: b.InsecureCookie} || from == place{query: b.InsecureQuery}
}

// credentials reads what a request presents. Another place than Authorization counts only where there is neither that
// field nor a proof, so nothing that was refused there is tried here.
func (g *Guard) credentials(r *http.Request) (credentials, error) {
	if len(g.places) > 0 && r.Header["Authorization"] == nil && r.Header["Dpop"] == nil {
		if c, err := g.elsewhere(r); err != nil || c.token != "" {
			return c, err
		}
	}
	return parseCredentials(r)
}

// elsewhere reads the one token from a cookie or a query, if there is any.
func (g *Guard) elsewhere(r *http.Request) (credentials, error) {
	found := credentials{scheme: schemeBearer}
	count := 0
	for _, p := range g.places {
		for _, token := range p.tokens(r) {
			if token == "" { // what a logout leaves behind
				continue
			}
			found.token, found.from = token, p
			count++
		}
	}
	switch {
	case count == 0:
		return credentials{}, nil
	case count > 1:
		return credentials{scheme: schemeBearer}, ErrTokenTwice.With("one token in a cookie or the query", strconv.Itoa(count))
	case !challenge.IsToken68(found.token):
		return credentials{scheme: schemeBearer}, ErrCredentials
	case found.from.cookie != "":
		return found, sameOrigin(r)
	}
	return found, nil
}

// tokens are those that a request has in a place.
func (p place) tokens(r *http.Request) (all []string) {
	if p.query != "" {
		return r.URL.Query()[p.query]
	}
	for _, c := range r.CookiesNamed(p.cookie) {
		all = append(all, c.Value)
	}
	return all
}

// sameOrigin refuses what a page of another origin made a browser send along with its cookies, unless it changes nothing.
// An upgrade is a GET, and opens a way to change something.
func sameOrigin(r *http.Request) error {
	if r.Header["Upgrade"] != nil {
		upgrade := *r
		upgrade.Method = http.MethodPost
		r = &upgrade
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		cause := ErrCrossOrigin.Because(err)
		return &Error{Status: http.StatusForbidden, Description: ErrCrossOrigin.Text, Err: cause}
	}
	return nil
}

// conceal returns the request without a token in its query, which is for no handler and no log of one.
func (g *Guard) conceal(r *http.Request) *http.Request {
	for _, p := range g.places {
		if p.query != "" && len(p.tokens(r)) > 0 {
			r = withoutParameter(r, p.query)
		}
	}
	return r
}

// withoutParameter returns the request without a parameter of its query.
func withoutParameter(r *http.Request, name string) *http.Request {
	clean, u := *r, *r.URL
	u.RawQuery = withoutPair(u.RawQuery, name)
	clean.URL = &u
	path, query, _ := strings.Cut(r.RequestURI, "?")
	if query = withoutPair(query, name); query != "" {
		path += "?" + query
	}
	clean.RequestURI = path
	clean.Form = maps.Clone(r.Form)
	clean.Form.Del(name)
	return &clean
}

// withoutPair leaves the rest of a query as it is.
func withoutPair(query, name string) string {
	var kept []string
	for pair := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(pair, "=")
		if decoded, _ := url.QueryUnescape(key); decoded == name || pair == "" {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "&")
}

// keepPrivate keeps an answer to a request with a token in its URL out of caches, and the URL out of the requests that
// the answer leads to (RFC 6750 §2.3, §5.3).
func keepPrivate(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
}

package access

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/senderlock/senderlock/internal/challenge"
)

// scheme is an authentication scheme by its registered spelling; empty when the request made none clear.
type scheme string

const (
	schemeDPoP   scheme = "DPoP"
	schemeBearer scheme = "Bearer"
)

// credentials are what a request presents (RFC 6750 §2.1, RFC 9449 §7.1).
type credentials struct {
	scheme scheme
	token  string
	from   place
}

// parseCredentials reads the one Authorization field. A token in the body is never read; one in the query beside one in
// the header is refused (RFC 6750 §2).
func parseCredentials(r *http.Request) (credentials, error) {
	fields := r.Header["Authorization"]
	switch {
	case len(fields) == 0:
		return credentials{}, ErrNoCredentials
	case len(fields) > 1:
		return credentials{}, ErrTokenTwice.With("one Authorization field", strconv.Itoa(len(fields)))
	}
	c, err := parseAuthorization(fields[0])
	if err != nil {
		return c, err
	}
	if tokenInQuery(r.URL) {
		return c, ErrTokenTwice.With("the token in Authorization alone", "access_token in the query as well")
	}
	return c, nil
}

// parseAuthorization reads scheme, spaces and token68 (RFC 9110 §11.4); the scheme's case does not matter. What
// follows another scheme is not ours to judge. The received text may be a secret, so no error holds it.
func parseAuthorization(field string) (credentials, error) {
	name, rest, _ := strings.Cut(field, " ")
	var c credentials
	switch {
	case strings.EqualFold(name, string(schemeDPoP)):
		c.scheme = schemeDPoP
	case strings.EqualFold(name, string(schemeBearer)):
		c.scheme = schemeBearer
	case challenge.IsToken(name):
		return c, ErrScheme
	default:
		return c, ErrCredentials
	}
	c.token = strings.TrimLeft(rest, " ")
	if !challenge.IsToken68(c.token) {
		return c, ErrCredentials
	}
	return c, nil
}

// tokenInQuery reports whether the query has a member access_token, however it is spelled.
func tokenInQuery(u *url.URL) bool {
	if u == nil {
		return false
	}
	query := u.RawQuery
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, _, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil && decoded == "access_token" {
			return true
		}
	}
	return false
}

package access

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// offer is one challenge of a WWW-Authenticate field (RFC 9110 §11.6.1).
type offer struct {
	scheme   scheme
	params   []parameter
	standing string // parameters that are always the same, as they are written
}

type parameter struct{ name, value string }

// String writes the challenge. No value comes from a client; what an application's policy puts in is kept within
// the characters of RFC 6750 §3.
func (c offer) String() string {
	b := append(make([]byte, 0, 256), c.scheme...)
	for i, p := range c.params {
		if i > 0 {
			b = append(b, ',')
		}
		b = p.append(b)
	}
	if len(c.params) > 0 && c.standing != "" {
		b = append(b, ',')
	}
	return string(append(b, c.standing...))
}

func (p parameter) append(b []byte) []byte {
	b = append(append(append(b, ' '), p.name...), '=', '"')
	for _, r := range p.value {
		b = append(b, plain(r))
	}
	return append(b, '"')
}

// settleChallenges writes what is the same in all challenges.
func (g *Guard) settleChallenges() {
	g.standing = g.standingWith(nil)
	for i := range g.publications {
		p := &g.publications[i]
		p.standing = g.standingWith(p.at)
	}
	if len(g.publications) > 0 {
		g.standing = g.publications[0].standing
	}
}

// standingWith is what all challenges say that point to metadata, if that is not nil.
func (g *Guard) standingWith(metadata *url.URL) map[scheme]string {
	standing := map[scheme]string{}
	for _, used := range []scheme{schemeDPoP, schemeBearer} {
		var params []string
		if used == schemeDPoP && g.proofs != nil {
			params = append(params, string(parameter{"algs", strings.Join(g.proofs.Algorithms(), " ")}.append(nil)))
		}
		if metadata != nil { // RFC 9728 §5.1
			params = append(params, string(parameter{"resource_metadata", metadata.String()}.append(nil)))
		}
		standing[used] = strings.Join(params, ",")
	}
	return standing
}

// pointing is a refusal whose challenges point to the metadata of the resource that was asked for.
func (g *Guard) pointing(r *http.Request, e *Error) *Error {
	if e == nil || len(g.publications) < 2 || len(e.challenges) == 0 {
		return e
	}
	to := *e
	to.challenges = slices.Clone(e.challenges)
	standing := g.covering(r).standing
	for i := range to.challenges {
		to.challenges[i].standing = standing[to.challenges[i].scheme]
	}
	return &to
}

// plain keeps a character within those of RFC 6750 §3.
func plain(r rune) byte {
	if r < ' ' || r > '~' || r == '"' || r == '\\' {
		return '?'
	}
	return byte(r)
}

// challenges lists the schemes that are accepted here, DPoP first, since many clients read only the first. The
// error stands on the challenge of the scheme that the request used, or on the first when it made none clear
// (RFC 9449 §7.2).
func (g *Guard) challenges(used scheme, e *Error) []offer {
	list := make([]offer, 0, 2)
	if g.proofs != nil {
		list = append(list, offer{scheme: schemeDPoP, standing: g.standing[schemeDPoP]})
	}
	if used == schemeBearer || g.takesBearer() || g.config.Certificates != nil || g.proofs == nil {
		list = append(list, offer{scheme: schemeBearer, standing: g.standing[schemeBearer]})
	}
	if used != schemeBearer {
		used = list[0].scheme
	}
	for i := range list {
		if list[i].scheme == used {
			list[i].params = e.parameters()
		}
	}
	return list
}

// asking is a refusal of who sends no token, or none that is good, which says what another one has to be good for (RFC
// 6750 §3). Other refusals stay as they are: another token would not help.
func (e *Error) asking(scopes string) *Error {
	if scopes == "" || e.Scope != "" || e.Status != http.StatusUnauthorized || e.Code != "" && e.Code != CodeInvalidToken {
		return e
	}
	named := *e
	named.Scope, named.challenges = scopes, slices.Clone(e.challenges)
	for i := range named.challenges {
		c := &named.challenges[i]
		at := 0
		if len(c.params) > 0 {
			at = 2 // behind error and error_description
		} else if e.Code != "" {
			continue // the challenge of a scheme that was not used
		}
		c.params = slices.Insert(slices.Clone(c.params), at, parameter{"scope", scopes})
	}
	return &named
}

// parameters are what the refusal says of itself (RFC 6750 §3, RFC 9470 §3). Without a code it says nothing.
func (e *Error) parameters() []parameter {
	if e.Code == "" {
		return nil
	}
	list := []parameter{{"error", e.Code}, {"error_description", e.Description}}
	if e.Scope != "" {
		list = append(list, parameter{"scope", e.Scope})
	}
	if e.ACRValues != "" {
		list = append(list, parameter{"acr_values", e.ACRValues})
	}
	if e.MaxAge > 0 {
		list = append(list, parameter{"max_age", strconv.Itoa(int(e.MaxAge / time.Second))})
	}
	return list
}

// quotable reports whether a setting may stand in a space-delimited list within a quoted string: the scope-token
// of RFC 6749 §3.3.
func quotable(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return s != ""
}

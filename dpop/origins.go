package dpop

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	peers "github.com/senderlock/senderlock/internal/peer" // beside the peer of a Transport
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/reason"
)

// Peers are the direct peers of connections whose forwarded fields are believed: see there for the fields.
type Peers = peers.Peers

// origins knows under which public URIs this server is reached, so that a proof can be compared with the URI
// the client used (RFC 9449 §4.3 item 9). An empty list takes the request's Host, after strict validation, and the
// state of its connection. It is immutable and safe for concurrent use.
type origins struct {
	list    []origin
	proxies *peers.Checker
}

type origin struct {
	uri                       // path is the prefix that a proxy strips, without a trailing slash
	scheme, host, port string // port is a number, the default one too
}

func newOrigins(c Config) (o *origins, err error) {
	switch {
	case len(c.Origins) == 0 && !c.InsecureTrustHost:
		return nil, errors.New(`Origins is empty: give the public origins of this API, such as "https://api.example.com"`)
	case len(c.Origins) > 0 && c.InsecureTrustHost:
		return nil, errors.New("Origins and InsecureTrustHost are both set: with origins, Host need not be trusted")
	}
	o = &origins{}
	if o.proxies, err = c.ForwardedBy.Checker(); err != nil {
		return nil, fmt.Errorf("ForwardedBy%w", err)
	}
	for i, s := range c.Origins {
		public, err := o.parse(s)
		if err != nil {
			return nil, fmt.Errorf("Origins[%d] is %s: %w", i, setting.Address(s), err)
		}
		o.list = append(o.list, public)
	}
	return o, nil
}

func (o *origins) parse(s string) (origin, error) {
	u, err := parseURI(s)
	if err != nil || u.dots || strings.ContainsAny(s, "?#") {
		return origin{}, fmt.Errorf("give a public origin such as %q, optionally with a path prefix", "https://api.example.com")
	}
	u.path = strings.TrimRight(u.path, "/")
	for _, other := range o.list {
		if other.origin == u.origin && other.path != u.path {
			return origin{}, fmt.Errorf("already listed with another prefix: give each origin one")
		}
	}
	scheme, authority, _ := strings.Cut(u.origin, "://")
	host, port, err := splitHostPort(authority)
	if err != nil {
		return origin{}, err
	}
	return origin{uri: u, scheme: scheme, host: host, port: cmp.Or(port, defaultPort(scheme))}, nil
}

// Target returns the public URI of a request, normalised, without query and fragment. It returns [ErrHost]
// when the request names a host that is not listed, or one that cannot be understood, and [ErrTarget] when its
// target has no path or one that holds dot segments: routers and proxies disagree on where such a path leads.
func (v *Verifier) Target(r *http.Request) (string, error) { return v.origins.target(r) }

func (o *origins) target(r *http.Request) (string, error) {
	// URL.EscapedPath would turn %2F into a slash once another character in the path is not valid.
	path, err := targetPath(r)
	if err != nil {
		return "", err
	}
	field, scheme, told, err := o.seen(r)
	if err != nil {
		return "", err
	}
	host, port, err := splitHostPort(field)
	if err != nil {
		return "", ErrHost.With("a host name", field)
	}
	if len(o.list) == 0 {
		return joinOrigin(scheme, host, port) + path, nil
	}
	public := o.choose(host, port, scheme, told)
	if public == nil {
		return "", o.ignored(r, ErrHost.With(o.String(), joinOrigin(scheme, host, port)))
	}
	return public.origin + public.path + path, nil
}

// String lists the origins, for logs. It is empty if there are none and Host is taken.
func (o *origins) String() string {
	var s []string
	for _, origin := range o.list {
		s = append(s, origin.uri.String())
	}
	return strings.Join(s, " ")
}

// choose finds the listed origin of a host, or nil. Where one host is listed under both schemes, and where a
// trusted proxy told the scheme, the scheme must agree; otherwise TLS is taken to end in front of this server.
func (o *origins) choose(host, port, scheme string, told bool) *origin {
	var found *origin
	for i := range o.list {
		candidate := &o.list[i]
		if candidate.host != host || candidate.port != cmp.Or(port, defaultPort(candidate.scheme)) {
			continue
		}
		if candidate.scheme == scheme {
			return candidate
		}
		if !told && found == nil {
			found = candidate
		}
	}
	return found
}

// seen returns the host of the request and the scheme it came by; told means that a trusted proxy said so.
func (o *origins) seen(r *http.Request) (host, scheme string, told bool, err error) {
	host, scheme = r.Host, "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if !o.proxies.Believes(r) {
		return host, scheme, false, nil
	}
	if forwarded := r.Header["X-Forwarded-Host"]; forwarded != nil {
		if len(forwarded) != 1 {
			return "", "", false, ErrHost.With("one X-Forwarded-Host", strings.Join(forwarded, ", "))
		}
		host = forwarded[0]
	}
	if proto := r.Header["X-Forwarded-Proto"]; proto != nil {
		told = len(proto) == 1
		switch {
		case told && (proto[0] == "https" || proto[0] == "wss"):
			scheme = "https"
		case told && (proto[0] == "http" || proto[0] == "ws"):
			scheme = "http"
		default:
			return "", "", false, ErrHost.With("one X-Forwarded-Proto: https, wss, http or ws", strings.Join(proto, ", "))
		}
	}
	return host, scheme, told, nil
}

// ignored adds to a refusal of a host which forwarded fields did not count, and who sent them: a proxy that was forgotten
// in ForwardedBy is the usual cause.
func (o *origins) ignored(r *http.Request, cause *reason.Error) error {
	var fields []string
	for _, name := range [...]string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
		if r.Header[name] != nil && (name == "Forwarded" || !o.proxies.Believes(r)) {
			fields = append(fields, name)
		}
	}
	if fields == nil {
		return cause
	}
	return cause.Because(fmt.Errorf("%s from %s was ignored: see ForwardedBy", strings.Join(fields, ", "), r.RemoteAddr))
}

// targetPath reads the path from the request target, in origin form or absolute form (RFC 9112 §3.2).
func targetPath(r *http.Request) (string, error) {
	target := r.RequestURI
	if target == "" && r.URL != nil {
		target = r.URL.RequestURI() // a request that was never read from a connection
	}
	rest := target
	if !strings.HasPrefix(target, "/") {
		var ok bool
		if _, _, rest, ok = splitURI(target); !ok {
			return "", ErrTarget.With("a target with a path", target)
		}
	}
	// A request has no fragment (RFC 9112 §3.2): net/http takes a raw # as part of the path.
	raw, _, _ := strings.Cut(rest, "?")
	path, err := normalizePath(raw)
	if err != nil || hasDotSegments(path) || strings.Contains(raw, "#") {
		return "", ErrTarget.With("a path without dot segments or #", target)
	}
	return path, nil
}

package dpop

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
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
	wild    []origin // of one level: their host begins with a dot
	proxies *peers.Checker
	form    ForwardedForm
}

type origin struct {
	scheme, host, port string   // port is a number, the default one too
	prefixes           []string // that a proxy strips, without a trailing slash
	uri                string   // of the three first; empty if the host has a star
}

func newOrigins(c Config) (o *origins, err error) {
	switch {
	case len(c.Origins) == 0 && !c.InsecureTrustHost:
		return nil, errors.New(`Origins is empty: give the public origins of this API, such as "https://api.example.com"`)
	case len(c.Origins) > 0 && c.InsecureTrustHost:
		return nil, errors.New("Origins and InsecureTrustHost are both set: with origins, Host need not be trusted")
	case c.ForwardedAs >= endForwardedForm:
		return nil, fmt.Errorf("ForwardedAs is %d: give ForwardedAnew, ForwardedLists or ForwardedStandard", c.ForwardedAs)
	case c.ForwardedAs != ForwardedAnew && c.ForwardedBy.IsZero():
		return nil, errors.New("ForwardedAs is set and ForwardedBy is not: give the proxies")
	}
	o = &origins{form: c.ForwardedAs}
	if o.proxies, err = c.ForwardedBy.Checker(); err != nil {
		return nil, fmt.Errorf("ForwardedBy%w", err)
	}
	for i, s := range c.Origins {
		if err := o.add(s); err != nil {
			return nil, fmt.Errorf("Origins[%d] is %s: %w", i, setting.Address(s), err)
		}
	}
	return o, nil
}

func (o *origins) add(s string) error {
	scheme, below, wild := strings.Cut(s, "://*.")
	list := &o.list
	if wild {
		s, list = scheme+"://"+below, &o.wild
	}
	u, err := parseURI(s)
	if err != nil || u.dots || strings.ContainsAny(s, "?#") {
		return fmt.Errorf("give a public origin such as %q, optionally with a path prefix", "https://api.example.com")
	}
	scheme, authority, _ := strings.Cut(u.origin, "://")
	host, port, _ := splitHostPort(authority) // which parseURI has read
	if wild {
		if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(strings.Trim(host, "."), ".") {
			return fmt.Errorf("give a name of your own behind the star, such as %q", "https://*.example.com")
		}
		host = "." + host
	}
	port, prefix := cmp.Or(port, defaultPort(scheme)), strings.TrimRight(u.path, "/")
	for i := range *list {
		if known := &(*list)[i]; known.scheme == scheme && known.host == host && known.port == port {
			known.prefixes = append(known.prefixes, prefix)
			return nil
		}
	}
	added := origin{scheme: scheme, host: host, port: port, prefixes: []string{prefix}}
	if !wild {
		added.uri = u.origin
	}
	*list = append(*list, added)
	return nil
}

// Target returns the public URI of a request, normalised, without query and fragment. It returns [ErrHost]
// when the request names a host that is not listed, or one that cannot be understood, and [ErrTarget] when its
// target has no path or one that holds dot segments: routers and proxies disagree on where such a path leads.
//
// Where one origin has several prefixes, it is the URI under the first; a proof may name any.
func (v *Verifier) Target(r *http.Request) (string, error) {
	at, err := v.origins.locate(r)
	if err != nil {
		return "", err
	}
	return at.String(), nil
}

// location is where a request was sent to.
type location struct {
	origin   string   // scheme, host and port
	prefixes []string // one of which a proxy has stripped; there is one at least
	path     string
}

func (l location) String() string { return l.origin + l.prefixes[0] + l.path }

// named reports whether htu names the location.
func (l location) named(htu string) bool {
	for _, prefix := range l.prefixes {
		if matches(htu, l.origin+prefix+l.path) {
			return true
		}
	}
	return false
}

var noPrefix = []string{""}

func (o *origins) locate(r *http.Request) (location, error) {
	// URL.EscapedPath would turn %2F into a slash once another character in the path is not valid.
	path, err := targetPath(r)
	if err != nil {
		return location{}, err
	}
	field, scheme, told, err := o.seen(r)
	if err != nil {
		return location{}, err
	}
	host, port, err := splitHostPort(field)
	if err != nil {
		return location{}, ErrHost.With("a host name", field)
	}
	if len(o.list) == 0 && len(o.wild) == 0 {
		return location{joinOrigin(scheme, host, port), noPrefix, path}, nil
	}
	public := o.choose(host, port, scheme, told)
	if public == nil {
		return location{}, o.ignored(r, ErrHost.With(o.String(), joinOrigin(scheme, host, port)))
	}
	uri := public.uri
	if uri == "" {
		uri = joinOrigin(public.scheme, host, public.port)
	}
	return location{uri, public.prefixes, path}, nil
}

// String lists the origins, for logs. It is empty if there are none and Host is taken.
func (o *origins) String() string {
	var s []string
	for _, list := range [][]origin{o.list, o.wild} {
		for _, origin := range list {
			for _, prefix := range origin.prefixes {
				host := origin.host
				if strings.HasPrefix(host, ".") {
					host = "*" + host
				}
				s = append(s, joinOrigin(origin.scheme, host, origin.port)+prefix)
			}
		}
	}
	return strings.Join(s, " ")
}

// choose finds the listed origin of a host, or nil: one that is listed by name before one with a star.
func (o *origins) choose(host, port, scheme string, told bool) *origin {
	if found := pick(o.list, host, port, scheme, told); found != nil {
		return found
	}
	if label := strings.IndexByte(host, '.'); label > 0 { // one level
		return pick(o.wild, host[label:], port, scheme, told)
	}
	return nil
}

// pick finds the origin of a host in a list, or nil. Where one host is listed under both schemes, and where a
// trusted proxy told the scheme, the scheme must agree; otherwise TLS is taken to end in front of this server.
func pick(list []origin, host, port, scheme string, told bool) *origin {
	var found *origin
	for i := range list {
		candidate := &list[i]
		if candidate.host != host || candidate.port != cmp.Or(port, defaultPort(candidate.scheme)) {
			continue
		}
		if candidate.scheme == scheme {
			return candidate
		}
		if !told {
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
	said, err := o.form.read(r, o.proxies)
	if err != nil {
		return "", "", false, err
	}
	switch strings.ToLower(said.proto) {
	case "":
	case "https", "wss":
		scheme, told = "https", true
	case "http", "ws":
		scheme, told = "http", true
	default:
		return "", "", false, ErrHost.With("https, wss, http or ws as the scheme", said.proto)
	}
	return cmp.Or(said.host, host), scheme, told, nil
}

// ignored adds to a refusal of a host which forwarded fields did not count, and who sent them: a proxy that was forgotten
// in ForwardedBy is the usual cause.
func (o *origins) ignored(r *http.Request, cause *reason.Error) error {
	var fields []string
	for _, name := range [...]string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
		counts := (name == "Forwarded") == (o.form == ForwardedStandard)
		if r.Header[name] != nil && (!counts || !o.proxies.Believes(r)) {
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

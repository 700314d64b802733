package dpop

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/senderlock/senderlock/internal/setting"
)

// Origins knows under which public URIs this server is reached, so that a proof can be compared with the URI
// the client used (RFC 9449 §4.3 item 9). A nil *Origins takes the request's Host, after strict validation,
// and the state of its connection; behind a proxy, and wherever Host cannot be trusted, list the origins.
// An Origins is immutable and safe for concurrent use.
type Origins struct {
	list    []origin
	proxies []netip.Prefix
}

type origin struct {
	uri                       // path is the prefix that a proxy strips, without a trailing slash
	scheme, host, port string // port is a number, the default one too
}

// NewOrigins takes the public origins of a server ("https://api.example.com"), each optionally with the path
// prefix that a proxy strips ("https://example.com/api"), and the addresses of the proxies whose
// X-Forwarded-Proto and X-Forwarded-Host count. An empty list of origins falls back to Host. A peer on a Unix
// socket has no address and is never a trusted proxy. A request for the prefix alone is taken for one with a
// slash behind it ("https://example.com/api/"): once the prefix is stripped, the two are the same.
//
// It returns an error for an origin that is not an http or https URI, that has a query, a fragment or dot
// segments, or that is listed with two prefixes, and for an address range that can contain no peer.
func NewOrigins(origins []string, proxies []netip.Prefix) (*Origins, error) {
	o := &Origins{proxies: slices.Clone(proxies)}
	for _, s := range origins {
		u, err := parseURI(s)
		if err != nil || u.dots || strings.ContainsAny(s, "?#") {
			return nil, fmt.Errorf("origin %s: give a public origin such as %q, optionally with a path prefix", setting.Address(s), "https://api.example.com")
		}
		u.path = strings.TrimRight(u.path, "/")
		for _, other := range o.list {
			if other.origin == u.origin && other.path != u.path {
				return nil, fmt.Errorf("origin %s: already listed with another prefix: give each origin one", setting.Address(s))
			}
		}
		scheme, authority, _ := strings.Cut(u.origin, "://")
		host, port, err := splitHostPort(authority)
		if err != nil {
			return nil, fmt.Errorf("origin %s: %w", setting.Address(s), err)
		}
		o.list = append(o.list, origin{uri: u, scheme: scheme, host: host, port: cmp.Or(port, defaultPort(scheme))})
	}
	for _, p := range proxies {
		// Peers that are IPv4 are compared as IPv4, however the socket spells them.
		if !p.IsValid() || p.Addr().Is4In6() {
			return nil, fmt.Errorf("trusted proxy %v: give an address range such as 10.0.0.0/8", p)
		}
	}
	return o, nil
}

// Target returns the public URI of a request, normalised, without query and fragment. It returns [ErrHost]
// when the request names a host that is not listed, or one that cannot be understood, and [ErrTarget] when its
// target has no path or one that holds dot segments: routers and proxies disagree on where such a path leads.
func (o *Origins) Target(r *http.Request) (string, error) {
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
	if o == nil || len(o.list) == 0 {
		return joinOrigin(scheme, host, port) + path, nil
	}
	public := o.choose(host, port, scheme, told)
	if public == nil {
		return "", ErrHost.With(o.String(), joinOrigin(scheme, host, port))
	}
	return public.origin + public.path + path, nil
}

// String lists the origins, for logs. It is empty if there are none and Host is taken.
func (o *Origins) String() string {
	if o == nil {
		return ""
	}
	var s []string
	for _, origin := range o.list {
		s = append(s, origin.uri.String())
	}
	return strings.Join(s, " ")
}

// choose finds the listed origin of a host, or nil. Where one host is listed under both schemes, and where a
// trusted proxy told the scheme, the scheme must agree; otherwise TLS is taken to end in front of this server.
func (o *Origins) choose(host, port, scheme string, told bool) *origin {
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
func (o *Origins) seen(r *http.Request) (host, scheme string, told bool, err error) {
	host, scheme = r.Host, "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if o == nil || !o.fromProxy(r.RemoteAddr) {
		return host, scheme, false, nil
	}
	if forwarded := r.Header["X-Forwarded-Host"]; forwarded != nil {
		if len(forwarded) != 1 {
			return "", "", false, ErrHost.With("one X-Forwarded-Host", strings.Join(forwarded, ", "))
		}
		host = forwarded[0]
	}
	if proto := r.Header["X-Forwarded-Proto"]; proto != nil {
		if len(proto) != 1 || proto[0] != "http" && proto[0] != "https" {
			return "", "", false, ErrHost.With("one X-Forwarded-Proto, http or https", strings.Join(proto, ", "))
		}
		scheme, told = proto[0], true
	}
	return host, scheme, told, nil
}

func (o *Origins) fromProxy(remote string) bool {
	if len(o.proxies) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(o.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
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

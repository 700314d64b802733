package dpop

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
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
	uri            // path is the prefix that a proxy strips, without a trailing slash
	host    string // without the scheme, to compare with Host
	secured bool
}

// NewOrigins takes the public origins of a server ("https://api.example.com"), each optionally with the path
// prefix that a proxy strips ("https://example.com/api"), and the addresses of the proxies whose
// X-Forwarded-Proto and X-Forwarded-Host count. An empty list of origins falls back to Host. It returns an
// error for an origin that is not an http or https URI or that has a query, a fragment or dot segments.
func NewOrigins(origins []string, proxies []netip.Prefix) (*Origins, error) {
	o := &Origins{proxies: slices.Clone(proxies)}
	for _, s := range origins {
		u, err := parseURI(s)
		if err != nil || u.dots || strings.ContainsAny(s, "?#") {
			return nil, fmt.Errorf("origin %q: give a public origin such as %q, optionally with a path prefix", s, "https://api.example.com")
		}
		u.path = strings.TrimRight(u.path, "/")
		scheme, host, _ := strings.Cut(u.origin, "://")
		o.list = append(o.list, origin{uri: u, host: host, secured: scheme == "https"})
	}
	for _, p := range proxies {
		if !p.IsValid() {
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
	host, secured, told, err := o.seen(r)
	if err != nil {
		return "", err
	}
	if o == nil || len(o.list) == 0 {
		scheme := "http"
		if secured {
			scheme = "https"
		}
		origin, err := parseOrigin(scheme, host)
		if err != nil {
			return "", ErrHost.With("a host name", host)
		}
		return origin + path, nil
	}
	public, ok := o.choose(host, secured, told)
	if !ok {
		return "", ErrHost.With(o.String(), host)
	}
	return public.origin + public.path + path, nil
}

// String lists the origins, for logs.
func (o *Origins) String() string {
	var s []string
	for _, origin := range o.list {
		s = append(s, origin.uri.String())
	}
	return strings.Join(s, " ")
}

// choose finds the listed origin of a host. Where one host is listed under both schemes, and where a trusted
// proxy told the scheme, the scheme must agree; otherwise TLS is taken to end in front of this server.
func (o *Origins) choose(host string, secured, told bool) (origin, bool) {
	var found []origin
	for _, candidate := range o.list {
		scheme := "http"
		if candidate.secured {
			scheme = "https"
		}
		if told && candidate.secured != secured {
			continue
		}
		if seen, err := parseOrigin(scheme, host); err == nil && seen == candidate.origin {
			found = append(found, candidate)
		}
	}
	for _, candidate := range found {
		if candidate.secured == secured {
			return candidate, true
		}
	}
	if len(found) > 0 {
		return found[0], true
	}
	return origin{}, false
}

// seen returns the host of the request and whether it came over TLS; told means that a trusted proxy said so.
func (o *Origins) seen(r *http.Request) (host string, secured, told bool, err error) {
	host, secured = r.Host, r.TLS != nil
	if o == nil || !o.fromProxy(r.RemoteAddr) {
		return host, secured, false, nil
	}
	if forwarded := r.Header["X-Forwarded-Host"]; forwarded != nil {
		if len(forwarded) != 1 || strings.Contains(forwarded[0], ",") {
			return "", false, false, ErrHost.With("one X-Forwarded-Host", strings.Join(forwarded, ", "))
		}
		host = forwarded[0]
	}
	if proto := r.Header["X-Forwarded-Proto"]; proto != nil {
		if len(proto) != 1 || proto[0] != "http" && proto[0] != "https" {
			return "", false, false, ErrHost.With("one X-Forwarded-Proto, http or https", strings.Join(proto, ", "))
		}
		secured, told = proto[0] == "https", true
	}
	return host, secured, told, nil
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
	raw := target
	if !strings.HasPrefix(target, "/") {
		_, rest, ok := strings.Cut(target, "://")
		if !ok {
			return "", ErrTarget.With("a target with a path", target)
		}
		raw = rest[len(rest)-len(strings.TrimLeftFunc(rest, func(c rune) bool { return !strings.ContainsRune("/?#", c) })):]
	}
	path, err := normalizePath(raw)
	if err != nil || removeDotSegments(path) != path {
		return "", ErrTarget.With("a path without dot segments", target)
	}
	return path, nil
}

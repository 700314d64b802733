package dpop

import (
	"errors"
	"net/netip"
	"strings"
)

var errURI = errors.New("not an absolute http or https URI")

// uri is a target URI in normal form, without query and fragment.
type uri struct {
	origin string // scheme "://" host [":" port], in lower case, without a default port
	path   string
	dots   bool // the path held dot segments
}

func (u uri) String() string { return u.origin + u.path }

// parseURI brings an absolute URI to the normal form of RFC 3986 §6.2.2 and §6.2.3, as RFC 9449 §4.3 asks.
// What stays apart: case of the path, a trailing slash, an escaped slash, empty segments, double encoding.
func parseURI(s string) (uri, error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return uri{}, errURI
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	origin, err := parseOrigin(scheme, rest[:end])
	if err != nil {
		return uri{}, err
	}
	path, err := normalizePath(rest[end:])
	if err != nil {
		return uri{}, err
	}
	clean := removeDotSegments(path)
	return uri{origin: origin, path: clean, dots: clean != path}, nil
}

// parseOrigin validates scheme and authority; nothing in a Host field may move the boundary between
// authority and path.
func parseOrigin(scheme, authority string) (string, error) {
	scheme = strings.ToLower(scheme)
	defaultPort := map[string]string{"http": "80", "https": "443"}[scheme]
	if defaultPort == "" {
		return "", errURI
	}
	host, port, err := splitHostPort(strings.ToLower(authority))
	if err != nil {
		return "", err
	}
	if port == "" || port == defaultPort {
		return scheme + "://" + host, nil
	}
	return scheme + "://" + host + ":" + port, nil
}

func splitHostPort(authority string) (host, port string, err error) {
	host = authority
	if strings.HasPrefix(authority, "[") {
		end := strings.IndexByte(authority, ']')
		if end < 0 {
			return "", "", errURI
		}
		host, port = authority[:end+1], authority[end+1:]
		if addr, err := netip.ParseAddr(host[1:end]); err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", errURI
		}
		if port != "" && port[0] != ':' {
			return "", "", errURI
		}
		port = strings.TrimPrefix(port, ":")
	} else {
		host, port, _ = strings.Cut(authority, ":")
		for i := range len(host) {
			if c := host[i]; !alphanumeric(c) && c != '-' && c != '.' && c != '_' {
				return "", "", errURI
			}
		}
	}
	for i := range len(port) {
		if port[i] < '0' || port[i] > '9' {
			return "", "", errURI
		}
	}
	if host == "" || len(port) > 5 {
		return "", "", errURI
	}
	return host, strings.TrimLeft(port, "0"), nil
}

// normalizePath takes a path with anything that may follow it and returns the path alone, with unreserved
// characters decoded and everything outside a path's alphabet encoded in upper case.
func normalizePath(s string) (string, error) {
	if end := strings.IndexAny(s, "?#"); end >= 0 {
		s = s[:end]
	}
	if s == "" {
		return "/", nil
	}
	if plain(s) {
		return s, nil
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		encoded := c == '%'
		if encoded {
			if i+2 >= len(s) || !hexDigit(s[i+1]) || !hexDigit(s[i+2]) {
				return "", errURI
			}
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		} else if c <= ' ' || c == 0x7f {
			return "", errURI
		}
		if literal(c) || !encoded && delimiter(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(upperHex[c>>4])
		b.WriteByte(upperHex[c&15])
	}
	return b.String(), nil
}

// plain reports whether a path is its own normal form octet by octet.
func plain(s string) bool {
	for i := range len(s) {
		if !literal(s[i]) && !delimiter(s[i]) {
			return false
		}
	}
	return true
}

// literal lists what is the same escaped or not: the unreserved characters of RFC 3986 §2.3, and those
// sub-delimiters that JavaScript's encodeURIComponent leaves raw while other encoders escape them.
func literal(c byte) bool {
	return alphanumeric(c) || strings.IndexByte("-._~!'()*", c) >= 0
}

// delimiter lists what stands for itself in a path but means something else when escaped.
func delimiter(c byte) bool {
	return strings.IndexByte("/:@$&+,;=", c) >= 0
}

// removeDotSegments is RFC 3986 §5.2.4 for a path that begins with a slash.
func removeDotSegments(path string) string {
	if !strings.Contains(path, "/.") {
		return path
	}
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			fallthrough
		case ".":
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

const upperHex = "0123456789ABCDEF"

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func hexDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}

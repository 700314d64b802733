package dpop

import (
	"errors"
	"net/netip"
	"strconv"
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

// matches reports whether htu names the target, which must be in normal form already, as [Origins.Target]
// gives it. An htu that cannot be understood matches nothing.
func matches(htu, target string) bool {
	if htu == target {
		return true
	}
	u, err := parseURI(htu)
	if err != nil {
		return false
	}
	return strings.TrimPrefix(target, u.origin) == u.path // a whole target is no path
}

// parseURI brings an absolute URI to the normal form of RFC 3986 §6.2.2 and §6.2.3, as RFC 9449 §4.3 asks.
// What stays apart: case of the path, a trailing slash, an escaped slash, empty segments, double encoding.
func parseURI(s string) (uri, error) {
	scheme, authority, rest, ok := splitURI(s)
	if !ok {
		return uri{}, errURI
	}
	host, port, err := splitHostPort(authority)
	if err != nil {
		return uri{}, err
	}
	path, err := normalizePath(rest)
	if err != nil {
		return uri{}, err
	}
	clean := removeDotSegments(path)
	return uri{origin: joinOrigin(scheme, host, port), path: clean, dots: clean != path}, nil
}

// splitURI takes an absolute http or https URI apart; scheme is in lower case, rest begins with the path.
func splitURI(s string) (scheme, authority, rest string, ok bool) {
	scheme, rest, _ = strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if scheme != "http" && scheme != "https" {
		return "", "", "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	return scheme, rest[:end], rest[end:], true
}

func joinOrigin(scheme, host, port string) string {
	if port == "" || port == defaultPort(scheme) {
		return scheme + "://" + host
	}
	return scheme + "://" + host + ":" + port
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// splitHostPort validates an authority; nothing in a Host field may move the boundary between authority and
// path. The host comes back in lower case, an IPv6 address in its shortest spelling, the port as a decimal
// number or empty.
func splitHostPort(authority string) (host, port string, err error) {
	colon := strings.LastIndexByte(authority, ':')
	if colon < 0 || strings.HasSuffix(authority, "]") {
		colon = len(authority)
	}
	if host, err = normalizeHost(authority[:colon]); err != nil || len(authority) <= colon+1 {
		return host, "", err
	}
	number, err := strconv.ParseUint(authority[colon+1:], 10, 16)
	if err != nil || number == 0 {
		return "", "", errURI
	}
	return host, strconv.FormatUint(number, 10), nil
}

func normalizeHost(host string) (string, error) {
	if address, ok := strings.CutPrefix(host, "["); ok {
		address, ok = strings.CutSuffix(address, "]")
		ip, err := netip.ParseAddr(address)
		if !ok || err != nil || !ip.Is6() || ip.Zone() != "" {
			return "", errURI
		}
		return "[" + ip.String() + "]", nil
	}
	for i := range len(host) {
		if c := host[i]; !alphanumeric(c) && c != '-' && c != '.' && c != '_' {
			return "", errURI
		}
	}
	if host == "" {
		return "", errURI
	}
	// Only now: the lower case of some characters outside ASCII, such as the Kelvin sign, is an ASCII letter.
	return strings.ToLower(host), nil
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
		if octets[c] == literal || !encoded && octets[c] == delimiter {
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
		if octets[s[i]] == 0 {
			return false
		}
	}
	return true
}

const (
	literal   = 1 + iota // the same escaped or not
	delimiter            // stands for itself in a path, but means something else when escaped
)

// octets sorts the alphabet of a path. Literal are the unreserved characters of RFC 3986 §2.3, and those
// sub-delimiters that JavaScript's encodeURIComponent leaves raw while other encoders escape them.
var octets = func() (class [256]byte) {
	for c := range class {
		if alphanumeric(byte(c)) || strings.IndexByte("-._~!'()*", byte(c)) >= 0 {
			class[c] = literal
		}
	}
	for _, c := range "/:@$&+,;=" {
		class[c] = delimiter
	}
	return class
}()

// hasDotSegments reports whether removeDotSegments would change a path that begins with a slash.
func hasDotSegments(path string) bool {
	if !strings.Contains(path, "/.") {
		return false
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// removeDotSegments is RFC 3986 §5.2.4 for a path that begins with a slash.
func removeDotSegments(path string) string {
	if !hasDotSegments(path) {
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

package gateway

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/senderlock/senderlock/reason"
)

// The causes for refusing a request before the Guard is asked.
var (
	ErrPath     = reason.New("path_ambiguous", "the path can be read in more than one way")
	ErrUnlisted = reason.New("path_unlisted", "no route has this path")
	ErrMethod   = reason.New("method_unlisted", "no route has this path with this method")
)

// PathForms is a set of forms in a path that servers and frameworks read in different ways, so that the route that the
// gateway compares may not be the one that the service serves.
type PathForms uint8

// The forms.
const (
	DotSegments    PathForms = 1 << iota // "." and "..", also as %2e: removed by some, kept by others
	EncodedSlash                         // %2F: a separator once it is decoded
	Backslash                            // "\" and %5C: a separator on Windows
	DoubleSlash                          // "//": merged by some
	Semicolon                            // ";" and %3B: parameters of a segment in Java, cut off
	NUL                                  // %00: ends a path in C
	DoubleEncoding                       // what is still percent-encoded once it was decoded, such as %252F
	endOfPathForms
)

// pathForms are the forms by name, in the order of their values.
var pathForms = []string{
	"dot-segments", "encoded-slash", "backslash", "double-slash", "semicolon", "nul", "double-encoding",
}

// ParsePathForms reads forms by name: dot-segments, encoded-slash, backslash, double-slash, semicolon, nul and
// double-encoding.
func ParsePathForms(names ...string) (PathForms, error) {
	var all PathForms
next:
	for _, name := range names {
		for i, known := range pathForms {
			if name == known {
				all |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("%q is no form of a path: give some of %s", name, strings.Join(pathForms, ", "))
	}
	return all, nil
}

// String lists the forms by name.
func (f PathForms) String() string {
	var names []string
	for i, name := range pathForms {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// target is what a request asks for, as it came over the wire.
type target struct {
	path  string // as it is forwarded, octet for octet
	forms PathForms
	match string // what patterns are compared with
}

// readTarget takes a request target apart. It refuses what no route can allow: anything but a path (RFC 9112 §3.2.1), a
// path that begins with two slashes, which is an authority to some, octets that a path must not have (RFC 3986 §3.3), and
// percent-encoded ones that are control characters or no UTF-8.
func readTarget(requestTarget string) (target, error) {
	path, _, _ := strings.Cut(requestTarget, "?")
	t := target{path: path}
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.Contains(requestTarget, "#") {
		return t, ErrPath.With("a path that begins with one slash", "")
	}
	var segments []string
	for segment := range strings.SplitSeq(path[1:], "/") {
		decoded, clean, err := readSegment(segment, &t.forms)
		if err != nil {
			return t, err
		}
		last := len(segments) == strings.Count(path, "/")-1
		switch {
		case decoded == "." || decoded == "..":
			t.forms |= DotSegments
			clean = unlike
		case decoded == "" && !last:
			t.forms |= DoubleSlash
			clean = unlike
		}
		segments = append(segments, clean)
	}
	t.match = "/" + strings.Join(segments, "/")
	return t, nil
}

// unlike stands for a segment that only a wildcard matches.
const unlike = "%FF"

// readSegment decodes a segment, and writes it as a URL may have it, for patterns to be compared with.
func readSegment(segment string, forms *PathForms) (decoded, clean string, err error) {
	var plain, written strings.Builder
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		escaped := c == '%'
		if escaped {
			if i+2 >= len(segment) || !isHex(segment[i+1]) || !isHex(segment[i+2]) {
				return "", "", ErrPath.With("two hexadecimal digits behind each %", "")
			}
			c = unhex(segment[i+1])<<4 | unhex(segment[i+2])
			i += 2
		}
		switch {
		case c == 0 && escaped:
			*forms |= NUL
		case c < 0x20 || c == 0x7f:
			return "", "", ErrPath.With("no control character", "")
		case !escaped && (c == ' ' || c >= utf8.RuneSelf):
			return "", "", ErrPath.With("octets of a URL, others percent-encoded", "")
		case c == '/':
			*forms |= EncodedSlash
		case c == '\\':
			*forms |= Backslash
		case c == ';':
			*forms |= Semicolon
		}
		plain.WriteByte(c)
		if isUnreserved(c) {
			written.WriteByte(c)
		} else {
			written.WriteString("%" + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1])
		}
	}
	if !utf8.ValidString(plain.String()) { // an overlong form of a slash, for one
		return "", "", ErrPath.With("UTF-8 behind the percent-encoding", "")
	}
	if encoded(plain.String()) {
		*forms |= DoubleEncoding
	}
	return plain.String(), written.String(), nil
}

// encoded reports whether something is left to decode.
func encoded(s string) bool {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' && isHex(s[i+1]) && isHex(s[i+2]) {
			return true
		}
	}
	return false
}

const hexDigits = "0123456789ABCDEF"

func isHex(c byte) bool { return unhex(c) < 16 }

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// isUnreserved reports whether an octet means itself in a URL, encoded or not (RFC 3986 §2.3).
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

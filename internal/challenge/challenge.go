// Package challenge reads the challenges of WWW-Authenticate fields (RFC 9110 §11.6.1): any number in a field,
// any number of fields, in any order. It knows no scheme and does not judge what a challenge asks for.
package challenge

import (
	"errors"
	"fmt"
	"strings"
)

// ErrSyntax means that a field is not a list of challenges.
var ErrSyntax = errors.New("challenge: not a list of challenges")

// Challenge is one challenge. It has parameters or a token68 or neither.
type Challenge struct {
	Scheme  string            // as sent; schemes are compared without regard to case
	Token68 string            // a value without a name, as Negotiate sends
	Params  map[string]string // by name in lower case, quotes and escapes removed; nil without parameters
}

// Is reports whether the challenge is of a scheme, without regard to case.
func (c Challenge) Is(scheme string) bool { return strings.EqualFold(c.Scheme, scheme) }

// Parse reads the values of all WWW-Authenticate fields of a response. What can be read is returned even if
// there is an error, which is then an [ErrSyntax] for the first field that could not be read to its end: one
// malformed challenge does not hide those before it or in other fields.
func Parse(fields []string) ([]Challenge, error) {
	var all []Challenge
	var first error
	for _, field := range fields {
		s := scanner{rest: field}
		read, err := s.challenges()
		all = append(all, read...)
		if err != nil && first == nil {
			first = err
		}
	}
	return all, first
}

// IsToken reports whether s is a token (RFC 9110 §5.6.2), as method names are.
func IsToken(s string) bool { return s != "" && span(s, &tokenChars) == len(s) }

// IsToken68 reports whether s has the syntax of a token68 (RFC 9110 §11.2), as access tokens have.
func IsToken68(s string) bool { return s != "" && token68Span(s) == len(s) }

// scanner takes one field value apart from left to right.
type scanner struct{ rest string }

func (s *scanner) challenges() (read []Challenge, err error) {
	for s.separators(); s.rest != ""; s.separators() {
		c, err := s.challenge()
		if err != nil {
			return read, err
		}
		read = append(read, c)
	}
	return read, nil
}

func (s *scanner) challenge() (Challenge, error) {
	c := Challenge{Scheme: s.token()}
	if c.Scheme == "" {
		return c, s.fail("a scheme")
	}
	if !s.space() {
		return c, s.end()
	}
	if n := token68Span(s.rest); n > 0 && atEnd(s.rest[n:]) {
		c.Token68, s.rest = s.rest[:n], s.rest[n:]
		return c, s.end()
	}
	for {
		name, ok := s.paramName()
		if !ok {
			return c, s.end() // what follows is the next challenge, if anything
		}
		value, err := s.value()
		if err != nil {
			return c, err
		}
		if c.Params == nil {
			c.Params = map[string]string{}
		}
		if _, twice := c.Params[name]; twice {
			return c, s.fail("each parameter once")
		}
		c.Params[name] = value
		if err := s.end(); err != nil {
			return c, err
		}
	}
}

// paramName consumes `name =`, after separators, if that is what follows. A scheme is followed by anything but
// an equals sign, which is how a comma between parameters is told from one between challenges.
func (s *scanner) paramName() (string, bool) {
	ahead := *s
	ahead.separators()
	name := ahead.token()
	ahead.space()
	if name == "" || !strings.HasPrefix(ahead.rest, "=") {
		return "", false
	}
	s.rest = ahead.rest[1:]
	s.space()
	return strings.ToLower(name), true
}

func (s *scanner) value() (string, error) {
	if strings.HasPrefix(s.rest, `"`) {
		return s.quoted()
	}
	if v := s.token(); v != "" {
		return v, nil
	}
	return "", s.fail("a token or a quoted string")
}

func (s *scanner) quoted() (string, error) {
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		if c == '"' {
			s.rest = s.rest[i+1:]
			return b.String(), nil
		}
		if c == '\\' && i+1 < len(s.rest) {
			i++
			c = s.rest[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			break
		}
		b.WriteByte(c)
	}
	return "", s.fail("a quoted string")
}

// separators skips commas with the white space around them; empty list elements are legal (RFC 9110 §5.6.1).
func (s *scanner) separators() { s.rest = strings.TrimLeft(s.rest, ", \t") }

// space skips white space and reports whether there was any.
func (s *scanner) space() bool {
	before := len(s.rest)
	s.rest = strings.TrimLeft(s.rest, " \t")
	return len(s.rest) < before
}

func (s *scanner) token() string {
	n := span(s.rest, &tokenChars)
	t := s.rest[:n]
	s.rest = s.rest[n:]
	return t
}

// end requires that a list element ends here.
func (s *scanner) end() error {
	if !atEnd(s.rest) {
		return s.fail("a comma")
	}
	return nil
}

func (s *scanner) fail(expected string) error {
	return fmt.Errorf("%w: expected %s with %d octets left", ErrSyntax, expected, len(s.rest))
}

func atEnd(s string) bool {
	s = strings.TrimLeft(s, " \t")
	return s == "" || s[0] == ','
}

func token68Span(s string) int {
	n := span(s, &token68Chars)
	if n == 0 {
		return 0
	}
	return n + span(s[n:], &padding)
}

// chars is a set of octets.
type chars [256]bool

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

var (
	tokenChars   = charsOf(alphanumeric + "!#$%&'*+-.^_`|~")
	token68Chars = charsOf(alphanumeric + "-._~+/")
	padding      = charsOf("=")
)

func charsOf(members string) (set chars) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}

// span returns how many octets at the beginning are of a set. It runs over every access token.
func span(s string, set *chars) int {
	for i := range len(s) {
		if !set[s[i]] {
			return i
		}
	}
	return len(s)
}

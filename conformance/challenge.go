package conformance

import (
	"errors"
	"fmt"
	"strings"
)

// challenge is one challenge of a WWW-Authenticate field (RFC 9110 §11.6.1).
type challenge struct {
	scheme string
	params []parameter
}

type parameter struct{ name, value string }

// get returns a parameter's value; names match without regard to case.
func (c *challenge) get(name string) string {
	for _, p := range c.params {
		if strings.EqualFold(p.name, name) {
			return p.value
		}
	}
	return ""
}

var errChallenge = errors.New("WWW-Authenticate is malformed")

// parseChallenges reads all fields. Parameters are separated by commas, and so are challenges; what stands behind a
// comma is a new challenge if a space and no equals sign follows the first word.
func parseChallenges(fields []string) (list []challenge, err error) {
	for _, field := range fields {
		rest := strings.TrimLeft(field, " \t,")
		for rest != "" {
			word := token(rest)
			if word == "" {
				return list, fmt.Errorf("%w at %q", errChallenge, rest)
			}
			after := strings.TrimLeft(rest[len(word):], " \t")
			if !strings.HasPrefix(after, "=") {
				list = append(list, challenge{scheme: word})
				rest = strings.TrimLeft(after, " \t,")
				continue
			}
			if len(list) == 0 {
				return list, fmt.Errorf("%w: %q stands before any scheme", errChallenge, word)
			}
			value, tail, err := parameterValue(strings.TrimLeft(after[1:], " \t"))
			if err != nil {
				return list, err
			}
			last := &list[len(list)-1]
			last.params = append(last.params, parameter{word, value})
			tail = strings.TrimLeft(tail, " \t")
			if tail != "" && tail[0] != ',' {
				return list, fmt.Errorf("%w: a comma is missing before %q", errChallenge, tail)
			}
			rest = strings.TrimLeft(tail, " \t,")
		}
	}
	return list, nil
}

// parameterValue reads a token or a quoted string.
func parameterValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		value = token(s)
		if value == "" {
			return "", "", fmt.Errorf("%w: a value is missing at %q", errChallenge, s)
		}
		return value, s[len(value):], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], nil
		case '\\':
			i++
			if i == len(s) {
				return "", "", fmt.Errorf("%w: a quoted string has no end", errChallenge)
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", fmt.Errorf("%w: a quoted string has no end", errChallenge)
}

// token is the token of RFC 9110 §5.6.2 at the start of s.
func token(s string) string {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return s[:i]
		}
	}
	return s
}

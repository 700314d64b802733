// Package terminal keeps what servers say from steering the terminal of who reads it.
package terminal

import (
	"bytes"
	"io"
	"unicode"
)

// Plain returns a writer that passes text on to w with a question mark for every control or format character, other
// than line feed and tab, and for every octet that is not UTF-8.
func Plain(w io.Writer) io.Writer { return plain{w} }

type plain struct{ w io.Writer }

func (p plain) Write(text []byte) (int, error) {
	said := bytes.Map(func(c rune) rune {
		if c == '\n' || c == '\t' || unicode.IsPrint(c) && c != unicode.ReplacementChar {
			return c
		}
		return '?'
	}, text)
	if _, err := p.w.Write(said); err != nil {
		return 0, err
	}
	return len(text), nil
}

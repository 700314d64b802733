package terminal_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/senderlock/senderlock/internal/terminal"
)

func TestPlain(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"text":              {"a line,\n\tZürich 東京\n", "a line,\n\tZürich 東京\n"},
		"escape":            {"\x1b]0;title\a", "?]0;title?"},
		"carriage return":   {"good\rbad", "good?bad"},
		"8-bit control":     {"\u009b2J", "?2J"},
		"right to left":     {"\u202e", "?"},
		"not UTF-8":         {"a\x9bb", "a?b"},
		"replacement":       {"\ufffd", "?"},
		"zero width joiner": {"\u200d", "?"},
	} {
		var out bytes.Buffer
		n, err := terminal.Plain(&out).Write([]byte(test.text))
		if out.String() != test.want || n != len(test.text) || err != nil {
			t.Errorf("%s: %q, %d, %v; want %q", name, out.String(), n, err, test.want)
		}
	}
	closed, pipe := io.Pipe()
	_ = closed.Close()
	if _, err := terminal.Plain(pipe).Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a closed pipe: %v", err)
	}
}

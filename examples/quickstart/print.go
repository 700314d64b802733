package main

import (
	"fmt"
	"strings"
)

// line is one step of the story as it is printed.
type line struct {
	who, method, path string
	told              string // the challenge, in short
	why               string // the server's log, or the body of an accepted request
	status            int
	expected          bool
}

// The colours of a terminal.
const (
	red   = "31"
	green = "32"
	bold  = "1"
	faint = "2"
)

func (s *stage) print(l line) {
	mark := s.paint(green, "✓")
	if !l.expected {
		mark = s.paint(red, "✗")
	}
	request := fmt.Sprintf("%-42s  %-4s %s", l.who, l.method, l.path)
	said := fmt.Sprintf("%s %s  %s  %s", mark, request, s.paint(bold, fmt.Sprint(l.status)), l.told)
	fmt.Fprintf(s.out, "%s\n    %s\n", strings.TrimRight(said, " "), s.paint(faint, l.why))
}

// opening prints what is where.
func (s *stage) opening() {
	fmt.Fprintf(s.out, "The API is at %s, the authorization server at %s.\n", s.api, s.issuer)
	fmt.Fprintf(s.out, "Each request with its status and what the client is told; %s\n\n",
		s.paint(faint, "below it what the server's log says."))
}

// summary prints the end of the story and reports whether every answer was the expected one.
func (s *stage) summary() bool {
	count := fmt.Sprintf("%d answers: %d accepted, %d refused", s.answers, s.accepted, s.answers-s.accepted)
	if len(s.unexpected) == 0 {
		fmt.Fprintf(s.out, "\n%s\n", s.paint(green, count+", all as expected."))
		return true
	}
	fmt.Fprintf(s.out, "\n%s\n", s.paint(red, fmt.Sprintf("%s, %d NOT as expected:", count, len(s.unexpected))))
	for _, what := range s.unexpected {
		fmt.Fprintln(s.out, "  "+what)
	}
	return false
}

func (s *stage) paint(colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

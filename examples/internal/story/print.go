package story

import (
	"fmt"
	"os"
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

func (s *Story) print(l line) {
	request := fmt.Sprintf("%-42s  %-6s %s", l.who, l.method, l.path)
	said := fmt.Sprintf("%s %s  %s  %s", s.mark(l.expected), request, s.paint(bold, fmt.Sprint(l.status)), l.told)
	fmt.Fprintf(s.Out, "%s\n    %s\n", strings.TrimRight(said, " "), s.paint(faint, l.why))
}

func (s *Story) mark(expected bool) string {
	if expected {
		return s.paint(green, "✓")
	}
	return s.paint(red, "✗")
}

func (s *Story) printSeen(who, got string, expected bool) {
	fmt.Fprintf(s.Out, "%s %s\n    %s\n", s.mark(expected), who, s.paint(faint, got))
}

// Say prints what happens between two requests.
func (s *Story) Say(what string) {
	if s.answers > 0 {
		fmt.Fprintln(s.Out)
	}
	fmt.Fprintln(s.Out, s.paint(bold, what))
}

// opening prints what is where, and how to read the rest.
func (s *Story) opening(where string) {
	fmt.Fprintf(s.Out, "%s\nEach request with its status and what the client is told; %s\n\n",
		where, s.paint(faint, "below it what the server's log says."))
}

// summary prints the end of the story and reports whether every answer was the expected one.
func (s *Story) summary() bool {
	count := fmt.Sprintf("%d answers: %d accepted, %d refused", s.answers, s.accepted, s.answers-s.accepted)
	if len(s.unexpected) == 0 {
		fmt.Fprintf(s.Out, "\n%s\n", s.paint(green, count+", all as expected."))
		return true
	}
	fmt.Fprintf(s.Out, "\n%s\n", s.paint(red, fmt.Sprintf("%s, %d NOT as expected:", count, len(s.unexpected))))
	for _, what := range s.unexpected {
		fmt.Fprintln(s.Out, "  "+what)
	}
	return false
}

func (s *Story) paint(colour, text string) string {
	if !s.Colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// IsTerminal reports whether f shows colours.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

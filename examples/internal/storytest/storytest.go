// Package storytest runs the programs that play a story (package story) in tests, and takes apart what they print.
package storytest

import (
	"bytes"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/story"
)

// A Result is what a program has printed, and the status with which it ended.
type Result struct {
	Out, Err string
	Status   int
}

// Run runs the program of this name.
func Run(name string, run func(story.Program) int) Result {
	var out, errOut bytes.Buffer
	status := run(story.Program{Name: name, Out: &out, Err: &errOut})
	return Result{out.String(), errOut.String(), status}
}

var stepForm = regexp.MustCompile(`(?m)^([✓✗]) (.{42})  (\w+) +(/\w*)\S*  (\d+)(?:  (\w+))?(?: error="([^"]*)")?.*\n    ([a-z_]*)`)

// Steps are the answers in the order in which they came: who, method and path, then status, scheme and code of what the
// client is told, and the reason in the log. It fails unless the program ended well and all are marked as expected.
func (r Result) Steps(t *testing.T) (steps []string) {
	t.Helper()
	if r.Status != 0 || r.Err != "" {
		t.Fatalf("exit status %d, %s\n%s", r.Status, r.Err, r.Out)
	}
	for _, m := range stepForm.FindAllStringSubmatch(r.Out, -1) {
		if m[1] != "✓" {
			t.Errorf("not marked as expected: %s", m[0])
		}
		told := strings.Join(strings.Fields(strings.Join(m[5:], " ")), " ")
		steps = append(steps, strings.TrimSpace(m[2])+": "+m[3]+" "+m[4]+": "+told)
	}
	return steps
}

// Equal fails where the steps are not those that are wanted.
func Equal(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("the steps are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Ends fails where the program did not end with this sum of its answers, or printed colours.
func (r Result) Ends(t *testing.T, sum string) {
	t.Helper()
	if !strings.HasSuffix(r.Out, "\n"+sum+", all as expected.\n") {
		t.Errorf("the sum is not %q:\n%s", sum, r.Out)
	}
	if strings.Contains(r.Out, "\x1b") {
		t.Error("colours where there is no terminal")
	}
}

// Names fails unless the program ended with status 1 and named the answer that was not the expected one.
func (r Result) Names(t *testing.T, answer string) {
	t.Helper()
	if r.Status != 1 || !strings.Contains(r.Err, story.ErrUnexpected.Error()) {
		t.Errorf("exit status %d, %s", r.Status, r.Err)
	}
	if !strings.Contains(r.Out, "NOT as expected:\n") || !strings.Contains(r.Out, "\n  "+answer) || !strings.Contains(r.Out, "\n✗ ") {
		t.Errorf("the wrong answer is not named as %q:\n%s", answer, r.Out)
	}
}

// Colours fails unless the program colours its story on a terminal.
func Colours(t *testing.T, name string, run func(story.Program) int) {
	t.Helper()
	var out bytes.Buffer
	status := run(story.Program{Name: name, Out: &out, Err: io.Discard, Colour: true})
	if status != 0 || !strings.Contains(out.String(), "\x1b[32m✓\x1b[0m") {
		t.Errorf("exit status %d\n%q", status, out.String())
	}
}

// Usage fails unless the program says how it is called, where it is asked or called wrongly.
func Usage(t *testing.T, name string, run func(p story.Program, args ...string) int) {
	t.Helper()
	for arg, status := range map[string]int{"-h": 0, "-x": 2, "play": 2} {
		r := Run(name, func(p story.Program) int { return run(p, arg) })
		if r.Status != status || !strings.Contains(r.Err, "usage: go run ./examples/"+name) || r.Out != "" {
			t.Errorf("%s: exit status %d, %q, %q", arg, r.Status, r.Out, r.Err)
		}
	}
}

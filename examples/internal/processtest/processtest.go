// Package processtest runs programs for the tests of examples, and reads what they print.
package processtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a running program. It is safe for concurrent use, but for Line and Ended, which belong to the test's own
// goroutine.
type Process struct {
	t        testing.TB
	command  *exec.Cmd
	patience time.Duration
	done     chan struct{}
	err      error

	mu      sync.Mutex
	lines   []string
	changed chan struct{}
}

// Start starts a program, which ends with the test, and with it what it has started itself. What it prints on either
// output is kept, and shown if the test fails. Patience is how long the test waits for what has to come.
func Start(t testing.TB, command *exec.Cmd, patience time.Duration) *Process {
	t.Helper()
	p := &Process{t: t, command: command, patience: patience, done: make(chan struct{}), changed: make(chan struct{}, 1)}
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stdout, command.Stderr = in, in
	asGroup(command)
	err = command.Start()
	_ = in.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer out.Close()
		p.read(bufio.NewReader(out))
		p.err = command.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			all := p.Lines()
			t.Logf("%s printed, at the end:\n%s", p.name(), strings.Join(all[max(0, len(all)-100):], "\n"))
		}
	})
	return p
}

func (p *Process) name() string { return filepath.Base(p.command.Path) }

func (p *Process) read(from *bufio.Reader) {
	for {
		line, err := from.ReadString('\n')
		if line != "" {
			p.mu.Lock()
			p.lines = append(p.lines, strings.TrimRight(line, "\r\n"))
			p.mu.Unlock()
		}
		select {
		case p.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// Lines are what the program has printed so far.
func (p *Process) Lines() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines[:len(p.lines):len(p.lines)]
}

// Text is the same in one.
func (p *Process) Text() string { return strings.Join(p.Lines(), "\n") }

// Line waits for a line, among those that are there and those that come. What it is helps whoever reads that it did not.
func (p *Process) Line(what string, match func(line string) bool) string {
	p.t.Helper()
	line, err := p.Find(what, p.patience, match)
	if err != nil {
		p.t.Fatal(err)
	}
	return line
}

// Find is Line with a patience of its own, and an error if the line does not come.
func (p *Process) Find(what string, patience time.Duration, match func(line string) bool) (string, error) {
	late := time.After(patience)
	for read, ended := 0, false; ; {
		lines := p.Lines()
		for _, line := range lines[read:] {
			if match(line) {
				return line, nil
			}
		}
		read = len(lines)
		if ended {
			return "", fmt.Errorf("%s ended (%v) before it printed: %s", p.name(), p.err, what)
		}
		select {
		case <-p.changed:
		case <-p.done:
			ended = true // what it printed at last may have come in the meantime
		case <-late:
			return "", fmt.Errorf("%s did not print: %s", p.name(), what)
		}
	}
}

// Holds is for Line: the line holds a text.
func Holds(text string) func(line string) bool {
	return func(line string) bool { return strings.Contains(line, text) }
}

// Terminate asks the program to end.
func (p *Process) Terminate() {
	p.t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
}

// Kill ends the program at once, if it has not ended. What it has printed is there afterwards.
func (p *Process) Kill() {
	select {
	case <-p.done: // its number may be another's
	default:
		kill(p.command)
		<-p.done
	}
}

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended waits for the end of the program and returns how it ended.
func (p *Process) Ended() error {
	p.t.Helper()
	select {
	case <-p.done:
		return p.err
	case <-time.After(p.patience):
		p.t.Fatalf("%s does not end", p.name())
		return nil
	}
}

// Package spintest lets SPIN search models for tests. A test is skipped where spin or gcc is not installed, and fails under
// CI=true.
package spintest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/senderlock/senderlock/internal/fetched"
)

// Checker is a program that searches one model.
type Checker struct {
	dir     string
	options []string
}

// Size is how much there is to search.
type Size int

// Where there is Little, the compiler does not optimize and the checker begins with a small table of states: both would
// take longer than the search.
const (
	Large Size = iota
	Little
)

// Compile makes the checker of a model, with some macros defined. It searches breadth first, so that a counterexample is
// a shortest one. The checker is there until the test ends.
func Compile(t testing.TB, model string, size Size, macros ...string) *Checker {
	t.Helper()
	for _, name := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(name); err != nil {
			fetched.Missing(t, fmt.Sprintf("%s is not installed: apt-get install spin gcc", name))
		}
	}
	source, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	c, level := &Checker{dir: t.TempDir()}, "-O2"
	if size == Little {
		c.options, level = []string{"-w18"}, "-O0"
	}
	if err := os.WriteFile(filepath.Join(c.dir, "model.pml"), source, 0o600); err != nil {
		t.Fatal(err)
	}
	defines := []string{"-a"}
	for _, m := range macros {
		defines = append(defines, "-D"+m)
	}
	c.run(t, nil, "spin", append(defines, "model.pml")...)
	c.run(t, nil, "gcc", level, "-w", "-DSAFETY", "-DNOREDUCE", "-DBFS", "-DMEMLIM=6000", "-o", "pan", "pan.c")
	return c
}

// Search returns what the checker prints, which sees some variables in its environment. It is safe for concurrent use.
func (c *Checker) Search(t testing.TB, variables ...string) string {
	t.Helper()
	return c.run(t, variables, "./pan", c.options...)
}

func (c *Checker) run(t testing.TB, variables []string, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir, command.Env = c.dir, append(os.Environ(), variables...)
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

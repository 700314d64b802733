// Package spintest lets SPIN search models for tests. A test is skipped where spin or gcc is not installed, and fails under
// CI=true.
package spintest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const tools = "apt-get install spin gcc"

// Search searches a model breadth first, so that a counterexample is a shortest one, with some macros defined and files
// beside it that it includes. It returns what the checker printed. Where there is little to search, "-O0" as level saves
// the compiler more than the checker takes; else give "-O2".
func Search(t testing.TB, model, level string, macros []string, include map[string]string) string {
	t.Helper()
	for _, name := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed: %s", name, tools)
			}
			t.Skipf("SKIPPED, NOTHING WAS CHECKED: %s is not installed: %s", name, tools)
		}
	}
	source, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("model.pml", string(source))
	for name, content := range include {
		write(name, content)
	}
	run := func(name string, args ...string) string {
		command := exec.Command(name, args...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	defines := []string{"-a"}
	for _, m := range macros {
		defines = append(defines, "-D"+m)
	}
	run("spin", append(defines, "model.pml")...)
	run("gcc", level, "-w", "-DSAFETY", "-DNOREDUCE", "-DBFS", "-DMEMLIM=6000", "-o", "pan", "pan.c")
	return run("./pan")
}

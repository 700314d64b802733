package mutant

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Edit plants defects: in a file, which is named from the root of the module and with slashes, a text that stands in it
// once gives way to another. In that one on("a name") is true while the defect is on, and either("a name", bad, good) is
// bad.
type Edit [3]string

var (
	clause   = regexp.MustCompile(`(?m)^package \w+$`)
	switches = regexp.MustCompile(`\b(on|either)\("`)
)

// Build builds the tests of the package whose test calls it, with all defects planted. A defect that does not compile
// proves nothing, and neither does one that no edit plants: they fail the test.
func Build(t testing.TB, defects []string, edits []Edit) (binary string) {
	t.Helper()
	root := moduleRoot(t)
	sources, planted := map[string]string{}, ""
	for _, e := range edits {
		path, old, defective := e[0], e[1], e[2]
		if sources[path] == "" {
			text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
			if err != nil {
				t.Fatal(err)
			}
			sources[path] = clause.ReplaceAllString(string(text), "$0\n\nimport \"github.com/senderlock/senderlock/internal/mutant\"")
		}
		if n := strings.Count(sources[path], old); n != 1 {
			t.Errorf("%s holds %q %d times, want once", path, old, n)
		}
		planted += defective
		defective = switches.ReplaceAllStringFunc(defective, func(s string) string { return "mutant." + strings.ToUpper(s[:1]) + s[1:] })
		sources[path] = strings.Replace(sources[path], old, defective, 1)
	}
	for _, name := range defects {
		if !strings.Contains(planted, `"`+name+`"`) {
			t.Errorf("no edit plants %q", name)
		}
	}
	folder, replace := t.TempDir(), map[string]string{}
	write := func(name, content string) (file string) {
		file = filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for path, text := range sources {
		replace[filepath.Join(root, filepath.FromSlash(path))] = write(strings.ReplaceAll(path, "/", "_"), text)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(folder, "mutants.exe")
	// Without what a debugger reads it is linked sooner.
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay",
		write("overlay.json", string(overlay)), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutants do not build: %v\n%s", err, out)
	}
	return binary
}

// Run runs tests of a binary with one defect on, which has no name if none is to be, and returns what they printed. What
// never returns ends in a panic of the testing package, long after any of these tests is through on a slow machine.
func Run(t testing.TB, binary, defect, tests string, flags ...string) (printed string, err error) {
	t.Helper()
	if defect == "" {
		defect = "none"
	}
	child := exec.CommandContext(t.Context(), binary, append(flags, "-test.run="+tests, "-test.timeout=3m")...)
	child.Env = append(os.Environ(), variable+"="+defect)
	out, err := child.CombinedOutput()
	return string(out), err
}

// moduleRoot is the folder with go.mod above the tests.
func moduleRoot(t testing.TB) string {
	t.Helper()
	folder, err := filepath.Abs(".")
	for err == nil {
		if _, missing := os.Stat(filepath.Join(folder, "go.mod")); missing == nil {
			return folder
		}
		if filepath.Dir(folder) == folder {
			break
		}
		folder = filepath.Dir(folder)
	}
	t.Fatal("no go.mod above the test: ", err)
	return ""
}

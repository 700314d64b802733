package senderlock_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// readme is the README's lines.
func readme(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatalf("the module needs a README.md: %v", err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

func TestReadmeIsShortAndHasTheCommands(t *testing.T) {
	lines := readme(t)
	if len(lines) > 120 {
		t.Errorf("README.md has %d lines, want at most 120", len(lines))
	}
	for _, command := range []string{"go run ./examples/quickstart", "go test ./..."} {
		// .ci/run looks for the command at the start of a line as well.
		begins := func(line string) bool { return strings.HasPrefix(line, command) }
		if !slices.ContainsFunc(lines, begins) {
			t.Errorf("README.md has no line that begins with: %s", command)
		}
	}
}

// The Go code in the README is built as it stands. An overlay places it in the
// module, so that it sees the module's packages and nothing is written here.
func TestReadmeCodeCompiles(t *testing.T) {
	p, err := takeApart("README.md", strings.Join(readme(t), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	programs := map[string]string{}
	for _, block := range p.fences {
		if block.language != "go" {
			continue
		}
		if !strings.Contains("\n"+block.text, "\npackage main\n") {
			t.Errorf("%s is not a complete program: it has no line \"package main\"", block.at(p))
		}
		programs[fmt.Sprint("readmecheck", len(programs))] = block.text
	}
	if len(programs) == 0 {
		t.Fatal("README.md has no ```go block")
	}
	compile(t, programs)
}

var mainPackage = regexp.MustCompile(`(?m)^package main( |$)`)

// compile builds the text of programs and packages, each under a name for its folder.
func compile(t *testing.T, sources map[string]string) {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	replace := map[string]string{}
	args := []string{"build", "-overlay", filepath.Join(folder, "overlay.json")}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		text := mainPackage.ReplaceAllString(sources[name], "package "+name+"$1") // so that no program is linked
		replace[filepath.Join(root, "internal", name, "main.go")] = write(name+".go", []byte(text))
		args = append(args, "./internal/"+name)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	write("overlay.json", overlay)
	if output, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Errorf("it does not compile: %v\n%s", err, output)
	}
}

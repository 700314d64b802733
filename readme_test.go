package senderlock_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	blocks, err := goBlocks(readme(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(blocks) == 0 {
		t.Fatal("README.md has no ```go block")
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range blocks {
		t.Run(fmt.Sprint("block ", i+1), func(t *testing.T) {
			folder := t.TempDir()
			write := func(name string, content []byte) string {
				file := filepath.Join(folder, name)
				if err := os.WriteFile(file, content, 0o600); err != nil {
					t.Fatal(err)
				}
				return file
			}
			overlay, err := json.Marshal(map[string]map[string]string{"Replace": {
				filepath.Join(root, "internal", "readmecheck", "main.go"): write("main.go", []byte(block)),
			}})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains("\n"+block, "\npackage main\n") {
				t.Error("the block is not a complete program: it has no line \"package main\"")
			}
			build := exec.Command("go", "build", "-overlay", write("overlay.json", overlay),
				"-o", filepath.Join(folder, "program"), "./internal/readmecheck")
			if output, err := build.CombinedOutput(); err != nil {
				t.Errorf("the block does not compile: %v\n%s", err, output)
			}
		})
	}
}

func TestGoBlocks(t *testing.T) {
	const text = "text\n```go\na\n\nb\n```\n```sh\nc\n```\n```\n```go\n```\n"
	got, err := goBlocks(strings.Split(text, "\n"))
	if err != nil || !slices.Equal(got, []string{"a\n\nb\n"}) {
		t.Errorf("goBlocks = %q, %v", got, err)
	}
	if _, err := goBlocks([]string{"```go", "a"}); err == nil {
		t.Error("a block without an end was accepted")
	}
}

// goBlocks are the contents of the fenced blocks marked as Go.
func goBlocks(lines []string) ([]string, error) {
	var blocks []string
	var block strings.Builder
	fence := "" // the marker that opened the block we are in
	for _, line := range lines {
		switch {
		case fence == "" && strings.HasPrefix(line, "```"):
			fence = strings.TrimSpace(line)
			block.Reset()
		case fence != "" && strings.TrimSpace(line) == "```":
			if fence == "```go" {
				blocks = append(blocks, block.String())
			}
			fence = ""
		case fence == "```go":
			block.WriteString(line + "\n")
		}
	}
	if fence != "" {
		return nil, fmt.Errorf("README.md: the block that %s opens has no end", fence)
	}
	return blocks, nil
}

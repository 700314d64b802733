package senderlock_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// A tag can be moved to other code; a commit cannot.
var pinned = regexp.MustCompile(`^[\w-]+(/[\w-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)

func TestActionsArePinned(t *testing.T) {
	uses := regexp.MustCompile(`(?m)^[ -]*uses: *(.*)$`)
	found := 0
	check := func(file string) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range uses.FindAllStringSubmatch(string(text), -1) {
			found++
			if !pinned.MatchString(use[1]) {
				t.Errorf("%s uses %s: put the commit's hash, and the version behind it", file, use[1])
			}
		}
	}
	check("action.yml")
	err := filepath.WalkDir(".github/workflows", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			check(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < 8 {
		t.Errorf("%d actions were found, want at least 8", found)
	}
	for use, want := range map[string]bool{
		"actions/checkout@v4":                                                false,
		"actions/checkout@11bd719 # v4.2.2":                                  false,
		"actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683":          false,
		"actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2": true,
	} {
		if pinned.MatchString(use) != want {
			t.Errorf("%s counts as pinned: %t", use, !want)
		}
	}
}

// The script of action.yml builds the suite and asks; a server that refuses everything cannot be judged.
func TestActionAsks(t *testing.T) {
	text, err := os.ReadFile("action.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, script, ok := strings.Cut(string(text), "run: |\n")
	if !ok {
		t.Fatal("action.yml has no script")
	}
	var asked atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Store(true)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	action := exec.CommandContext(t.Context(), "bash", "-e", "-c", script)
	action.Dir = folder
	action.Env = append(os.Environ(), "GITHUB_ACTION_PATH="+root, "RUNNER_TEMP="+folder, "URL="+server.URL+"/resource",
		"PROFILE=base", "ARGUMENTS=--issuer 127.0.0.1:0", "REPORTS=reports")
	output, err := action.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !asked.Load() {
		t.Errorf("the action ended with %v, asked: %t\n%s", err, asked.Load(), output)
	}
}

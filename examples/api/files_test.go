package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/settings"
)

func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// The README explains each variable that is read, and no other.
func TestReadmeHasEveryVariable(t *testing.T) {
	asked := map[string]bool{}
	reader := settings.NewReader(func(name string) string { asked[name] = true; return "" })
	_, _ = settings.Read(reader), readEvents(reader)
	explained := map[string]bool{}
	for line := range strings.Lines(text(t, "README.md")) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			for _, name := range regexp.MustCompile(`[A-Z]+(_[A-Z0-9]+)*`).FindAllString(strings.SplitN("`"+cell, "|", 2)[0], -1) {
				if name != "GET" && name != "POST" {
					explained[name] = true
				}
			}
		}
	}
	for name := range asked {
		if !explained[name] {
			t.Errorf("%s is read and not in the table", name)
		}
	}
	for name := range explained {
		if !asked[name] {
			t.Errorf("%s is in the table and not read", name)
		}
	}
	if len(asked) < 25 {
		t.Errorf("only %d variables", len(asked))
	}
}

// The image is built from what is there, for a user without rights.
func TestDockerfile(t *testing.T) {
	lines := strings.Split(text(t, "Dockerfile"), "\n")
	root := filepath.Join("..", "..")
	copied := 0
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) > 2 && fields[0] == "COPY" && !strings.HasPrefix(fields[1], "--") {
			for _, path := range fields[1 : len(fields)-1] {
				copied++
				if _, err := os.Stat(filepath.Join(root, path)); err != nil {
					t.Error(err)
				}
			}
		}
		if len(fields) > 1 && fields[0] == "RUN" && slices.Contains(fields, "build") {
			if _, err := os.Stat(filepath.Join(root, fields[len(fields)-1], "main.go")); err != nil {
				t.Error(err)
			}
		}
	}
	all := strings.Join(lines, "\n")
	if copied == 0 || !strings.Contains(all, "\nUSER 65532:65532\n") || !strings.Contains(all, "distroless/static") {
		t.Errorf("not as expected:\n%s", all)
	}
	if module := text(t, filepath.Join(root, "go.mod")); !strings.Contains(module, "\ngo "+regexp.MustCompile(`golang:([0-9.]+)`).FindStringSubmatch(all)[1]) {
		t.Error("the image is of another Go version than the module")
	}
}

// The unit leaves the program time to end.
func TestUnit(t *testing.T) {
	unit := text(t, "systemd/senderlock-api.service")
	for _, want := range []string{"DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=\n"} {
		if !strings.Contains(unit, want) {
			t.Errorf("no %s", want)
		}
	}
	found := regexp.MustCompile(`(?m)^TimeoutStopSec=(\w+)$`).FindStringSubmatch(unit)
	if found == nil {
		t.Fatal("no TimeoutStopSec")
	}
	waits, err := time.ParseDuration(found[1])
	if err != nil {
		t.Fatalf("give TimeoutStopSec with its unit: %v", err)
	}
	if longest := settings.MaxDrain + shutdownTimeout + logWait; waits < longest {
		t.Errorf("systemd kills the program after %v, and the end may take %v", waits, longest)
	}
}

package fetched_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/fetched"
)

// What is pinned is fetched once, in a folder that is there whole or not at all.
func TestFolder(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("HOME", t.TempDir())         // macOS
	t.Setenv("LocalAppData", t.TempDir()) // Windows
	pin := filepath.Join(t.TempDir(), "pins")
	fetch := func(what, command string) (string, error) {
		t.Helper()
		if err := os.WriteFile(pin, []byte(what), 0o600); err != nil {
			t.Fatal(err)
		}
		return fetched.Folder(t, "test", []string{pin}, fetched.Program(t, "sh"), "-c", command)
	}
	if _, err := fetch("one", "echo half >got; echo no network; exit 1"); err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("a command that fails: %v", err)
	}
	first, err := fetch("one", "cat pins >got")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(first, "got")); err != nil || string(got) != "one" {
		t.Errorf("fetched %q, %v", got, err)
	}
	if again, err := fetch("one", "exit 1"); err != nil || again != first {
		t.Errorf("fetched twice: %q, %v", again, err)
	}
	if other, err := fetch("two", "cat pins >got"); err != nil || other == first {
		t.Errorf("other pins: %q, %v", other, err)
	}
	if _, err := fetched.Folder(t, "test", []string{pin + "x"}, "sh"); err == nil {
		t.Error("a file of pins that is missing was not missed")
	}
}

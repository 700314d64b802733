package privatefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/senderlock/senderlock/internal/privatefile"
)

func TestWriteAndRead(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "secret")
	if err := privatefile.Create(path, []byte("first")); err != nil {
		t.Fatal(err)
	}
	if err := privatefile.Create(path, []byte("second")); !errors.Is(err, fs.ErrExist) {
		t.Errorf("created over a file: %v", err)
	}
	if got, err := privatefile.Read(path, 5); string(got) != "first" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := privatefile.Replace(path, []byte("another")); err != nil {
		t.Fatal(err)
	}
	if got, err := privatefile.Read(path, 100); string(got) != "another" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestReadRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	if _, err := privatefile.Read(path, 5); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := privatefile.Create(path, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	if got, err := privatefile.Read(path, 5); !errors.Is(err, privatefile.ErrTooLarge) {
		t.Errorf("one octet more than allowed: %q, %v", got, err)
	}
}

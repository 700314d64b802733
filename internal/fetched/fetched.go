// Package fetched keeps packages of other languages that tests need, in a folder of the user's cache for each set, so that
// they are fetched once.
package fetched

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program returns the path of a program that a test needs. Without it the test is skipped, but not in CI.
func Program(t testing.TB, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} { // not in every user's PATH
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	Missing(t, name+" is not installed: bash .ci/packages installs it")
	return ""
}

// Missing skips the test, but not in CI, where it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip("NOT TESTED: " + what)
}

// Folder returns a folder with copies of files that pin packages, in which a command has fetched them. It is named for what
// the files hold. The error has what the command printed.
func Folder(t testing.TB, name string, files []string, command ...string) (folder string, err error) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	hash, pins := sha256.New(), map[string][]byte{}
	for _, file := range files {
		pin, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		pins[filepath.Base(file)] = pin
		hash.Write(pin)
	}
	folder = filepath.Join(cache, fmt.Sprintf("senderlock-%s-%.6x", name, hash.Sum(nil)))
	if exists(folder) {
		return folder, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	fresh, err := os.MkdirTemp(cache, "senderlock-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(fresh)
	for name, pin := range pins {
		if err := os.WriteFile(filepath.Join(fresh, name), pin, 0o600); err != nil {
			return "", err
		}
	}
	fetch := exec.CommandContext(t.Context(), command[0], command[1:]...)
	fetch.Dir = fresh
	if out, err := fetch.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", command[0], err, out)
	}
	if err := os.Rename(fresh, folder); err != nil && !exists(folder) { // somebody else may have been faster
		return "", err
	}
	return folder, nil
}

func exists(folder string) bool {
	_, err := os.Stat(folder)
	return err == nil
}

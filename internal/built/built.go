// Package built builds programs of this repository for tests that run them as their users do.
package built

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

// Main is for TestMain of a program: it builds the program and runs the tests, and returns the exit code. With race the
// program has the race detector where the tests have it.
func Main(m *testing.M, program *string, race bool) int {
	folder, err := os.MkdirTemp("", "built")
	if err == nil {
		defer os.RemoveAll(folder)
		*program, err = Program(folder, race)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Program builds the program of the working directory, which is that of the test, and returns its path. It is named for
// its folder.
func Program(folder string, race bool) (string, error) {
	source, err := os.Getwd()
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, filepath.Base(source))
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	output, err := exec.Command("go", "build", fmt.Sprintf("-race=%t", race && Raced()), "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, output)
	}
	return path, nil
}

// Raced reports whether this test has the race detector.
func Raced() bool {
	info, _ := debug.ReadBuildInfo()
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

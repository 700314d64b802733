package main

import (
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

// A refresh token is not spent where the next one could not be kept, as on a disk that is full.
func TestRefreshOnAFullDisk(t *testing.T) {
	w := newWorld(t, shortLived)
	w.login()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 0, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	_, said, status := w.run("call", w.api+"/accounts")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	const want = "not refreshed, since the session cannot be saved"
	if status != 1 || !strings.Contains(said, want) || w.tokens.Load() != 1 {
		t.Errorf("%d %s after %d answers with tokens, want %q", status, said, w.tokens.Load(), want)
	}
	w.expect("accounts of alice", "200", 0, "call", w.api+"/accounts")
}

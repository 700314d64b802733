package main

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/redistest"
)

// The program starts itself for each process of the API; in a test that is the test's own binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "api" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		status := program{story.Program{Name: "cluster", Out: os.Stdout, Err: os.Stderr}}.run(ctx, os.Args[1:])
		stop()
		os.Exit(status)
	}
	os.Exit(m.Run())
}

func run(t *testing.T, args ...string) (out, errOut string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status = program{story.Program{Name: "cluster", Out: &stdout, Err: &stderr}}.run(t.Context(), args)
	return stdout.String(), stderr.String(), status
}

// RS-073, RS-164, RS-180: the story, and that each instance has its part in it.
func TestStory(t *testing.T) {
	redistest.Need(t)
	out, errOut, status := run(t)
	if status != 0 || errOut != "" {
		t.Fatalf("exit status %d, %s\n%s", status, errOut, out)
	}
	if !strings.HasSuffix(out, "23 answers: 9 accepted, 14 refused, all as expected.\n") {
		t.Errorf("the summary is missing:\n%s", out)
	}
	if strings.Count(out, " at one  ") != 8 || strings.Count(out, " at two  ") != 8 {
		t.Errorf("the instances do not take turns:\n%s", out)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"-h"}, {"api"}, {"play"}} {
		if out, errOut, status := run(t, args...); status != 2 || !strings.HasPrefix(errOut, "usage:") || out != "" {
			t.Errorf("%q: exit status %d, %q", args, status, errOut)
		}
	}
	if _, errOut, status := run(t, "api", "one", "http://127.0.0.1:1", "http://127.0.0.1:2", "redis://127.0.0.1:1"); status != 1 ||
		!strings.Contains(errOut, "connecting to [127.0.0.1:1]") {
		t.Errorf("without Redis: exit status %d, %q", status, errOut)
	}
}

// Without redis-server the program says what to install.
func TestNoRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, errOut, status := run(t); status != 1 || !strings.Contains(errOut, "redis-server is not installed: apt-get") {
		t.Errorf("exit status %d, %q", status, errOut)
	}
}

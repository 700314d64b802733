package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/internal/storytest"
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

func run(t *testing.T, args ...string) storytest.Result {
	return storytest.Run("cluster", func(p story.Program) int { return program{p}.run(t.Context(), args) })
}

// RS-073, RS-164, RS-180: the story, and that each instance has its part in it.
func TestStory(t *testing.T) {
	redistest.Need(t)
	r := run(t)
	_ = r.Steps(t)
	r.Ends(t, "23 answers: 9 accepted, 14 refused")
	if strings.Count(r.Out, " at one  ") != 8 || strings.Count(r.Out, " at two  ") != 8 {
		t.Errorf("the instances do not take turns:\n%s", r.Out)
	}
}

func TestArguments(t *testing.T) {
	storytest.Usage(t, "cluster", func(p story.Program, args ...string) int { return program{p}.run(t.Context(), args) })
	if r := run(t, "api", "one", "http://127.0.0.1:1", "http://127.0.0.1:2", "redis://127.0.0.1:1"); r.Status != 1 ||
		!strings.Contains(r.Err, "connecting to [127.0.0.1:1]") {
		t.Errorf("without Redis: exit status %d, %q", r.Status, r.Err)
	}
}

// Without redis-server the program says what to install.
func TestNoRedis(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if r := run(t); r.Status != 1 || !strings.Contains(r.Err, "redis-server is not installed: apt-get") {
		t.Errorf("exit status %d, %q", r.Status, r.Err)
	}
}

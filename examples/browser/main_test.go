package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/built"
)

func TestArguments(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":         {[]string{"-h"}, 0, "usage: go run ./examples/browser"},
		"unknown flag": {[]string{"-x"}, 2, "usage:"},
		"too many":     {[]string{"serve"}, 2, "usage:"},
		"no port":      {[]string{"-api", "-1"}, 2, "usage:"},
		"port too big": {[]string{"-api", "70000"}, 1, "browser: -api 70000: give a port that is free"},
		"page taken":   {[]string{"-page", port}, 1, "browser: -page " + port + ": give a port that is free"},
		"api taken":    {[]string{"-api", port}, 1, "browser: -api " + port + ": give a port that is free"},
		"issuer taken": {[]string{"-issuer", port}, 1, "browser: -issuer " + port + ": give a port that is free"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			stop()
			var out, errOut bytes.Buffer
			status := program{story.Program{Name: "browser", Out: &out, Err: &errOut}, newAPI}.run(ctx, test.args)
			if status != test.status || !strings.Contains(errOut.String(), test.says) || out.Len() != 0 {
				t.Errorf("exit status %d, %q, %q", status, &errOut, &out)
			}
		})
	}
}

// Fixed ports are taken, and free again at the end.
func TestPorts(t *testing.T) {
	first, err := start(program{story.Program{Name: "browser", Out: io.Discard, Err: t.Output()}, newAPI}, ports{})
	if err != nil {
		t.Fatal(err)
	}
	at := first.at
	first.close()
	second, err := start(program{story.Program{Name: "browser", Out: io.Discard, Err: t.Output()}, newAPI},
		ports{portOf(t, at.page), portOf(t, at.api), portOf(t, at.issuer)})
	if err != nil {
		t.Fatal(err)
	}
	defer second.close()
	if second.at != at {
		t.Errorf("at %v, want %v", second.at, at)
	}
}

// The program itself, as its users run it: it says where the page is, and Ctrl-C is a clean end.
func TestCtrlC(t *testing.T) {
	binary, err := built.Program(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary)
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	said := ""
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
		said += lines.Text() + "\n"
	}
	origin := regexp.MustCompile(`(?m)^ *page +(http://127\.0\.0\.1:\d+)$`).FindStringSubmatch(said)
	if origin == nil || !strings.Contains(said, `log in as alice with the password "not a secret"`) {
		t.Fatalf("said:\n%s", said)
	}
	answer, err := http.Get(origin[1])
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the page: %s", answer.Status)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to the end of its output
	}
	if err := command.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// run runs the program with its steps and returns what it prints and its exit status.
func run(t *testing.T, steps []step, args ...string) (out, errOut string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{story.Program{Name: "rollout", Out: &stdout, Err: &stderr}, steps}
	status = p.run(t.Context(), args)
	return stdout.String(), stderr.String(), status
}

// No good client is refused at any step.
func TestStory(t *testing.T) {
	out, errOut, status := run(t, steps())
	if status != 0 || errOut != "" {
		t.Fatalf("exit status %d, %s\n%s", status, errOut, out)
	}
	for _, text := range []string{
		"bound_token_as_bearer", "ALERT bound_token_as_bearer", "bearer_ended", "token_unbound", "nonce_missing",
		"\n17 answers: 15 accepted, 2 refused, all as expected.\n",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is missing:\n%s", text, out)
		}
	}
}

// Whatever of a step is left out, the program names the answer that shows it and ends with status 1.
func TestWrongStep(t *testing.T) {
	for name, test := range map[string]struct {
		step   int
		change func(*access.Config)
		named  string
	}{
		"no list":         {2, func(c *access.Config) { c.Bearer = nil }, "the first client: expected 200, got 401 invalid_token token_unbound"},
		"nothing is told": {2, func(c *access.Config) { c.ReportOnly = nil }, "what the operator is told: expected"},
		"no end": {4, func(c *access.Config) { c.Bearer = nil; c.InsecureAllowBearer = true },
			"a copy of the first client's old token: expected 401 invalid_token bearer_ended, got 200"},
		"the end comes first": {2, func(c *access.Config) { steps()[3].settings(c) },
			"the first client: expected 200, got 401 invalid_token bearer_ended"},
	} {
		t.Run(name, func(t *testing.T) {
			wrong := steps()
			right := wrong[test.step-1].settings
			wrong[test.step-1].settings = func(c *access.Config) { right(c); test.change(c) }
			out, errOut, status := run(t, wrong)
			if status != 1 || !strings.Contains(errOut, story.ErrUnexpected.Error()) || !strings.Contains(out, "\n  "+test.named) {
				t.Errorf("exit status %d, %s; %q is not named:\n%s", status, errOut, test.named, out)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		status int
	}{
		"help": {[]string{"-h"}, 0}, "unknown flag": {[]string{"-x"}, 2}, "too many": {[]string{"play"}, 2},
	} {
		if out, errOut, status := run(t, steps(), test.args...); status != test.status || !strings.Contains(errOut, "usage: go run ./examples/rollout") || out != "" {
			t.Errorf("%s: exit status %d, %q, %q", name, status, out, errOut)
		}
	}
}

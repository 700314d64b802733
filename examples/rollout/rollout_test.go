package main

import (
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/internal/storytest"
)

// run runs the program with its steps.
func run(t *testing.T, steps []step, args ...string) storytest.Result {
	return storytest.Run("rollout", func(p story.Program) int { return program{p, steps}.run(t.Context(), args) })
}

// No good client is refused at any step.
func TestStory(t *testing.T) {
	r := run(t, steps())
	_ = r.Steps(t)
	for _, text := range []string{
		"bound_token_as_bearer", "ALERT bound_token_as_bearer", "bearer_ended", "token_unbound", "nonce_missing",
	} {
		if !strings.Contains(r.Out, text) {
			t.Errorf("%q is missing:\n%s", text, r.Out)
		}
	}
	r.Ends(t, "17 answers: 15 accepted, 2 refused")
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
			run(t, wrong).Names(t, test.named)
		})
	}
}

func TestArguments(t *testing.T) {
	storytest.Usage(t, "rollout", func(p story.Program, args ...string) int { return program{p, steps()}.run(t.Context(), args) })
}

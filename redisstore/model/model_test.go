package model_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/built"
	"github.com/senderlock/senderlock/internal/spintest"
)

// check searches the model with some rules changed.
func check(t *testing.T, macros ...string) string {
	t.Helper()
	if os.Getenv("SENDERLOCK_MODEL") == "" && os.Getenv("CI") != "true" {
		t.Skip("SKIPPED, NOTHING WAS CHECKED: it takes minutes; set SENDERLOCK_MODEL=1")
	}
	if built.Raced() {
		t.Skip("SKIPPED: there is nothing for the race detector in a search; the tests without it make it")
	}
	return spintest.Compile(t, "epochs.pml", spintest.Large, macros...).Search(t)
}

var stored = regexp.MustCompile(`(\d+) states, stored`)

// Every state is visited, and no proof is accepted twice.
func TestNoProofIsAcceptedTwice(t *testing.T) {
	for name, macros := range map[string]string{
		"restart and failovers, two proofs": "PROOFS=2",
		"two regions, two proofs":           "PROOFS=2 REGIONS",
		"clocks are set":                    "PROOFS=1 CLOCKS",
		"keys are lost":                     "PROOFS=1 LOSSES",
		"local nonces":                      "PROOFS=1 FALLBACK",
		"two masters, with a wait":          "PROOFS=1 TWO_MASTERS WAIT",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := check(t, append([]string{"SIMPLE"}, strings.Fields(macros)...)...)
			if !strings.Contains(out, "errors: 0") || strings.Contains(out, "too small") || strings.Contains(out, "memory limit") {
				t.Fatalf("the model does not hold, or was not searched to its end:\n%s", out)
			}
			t.Logf("%s states", stored.FindStringSubmatch(out)[1])
		})
	}
}

// Each rule is needed: without it a proof is accepted twice. So it is if what is excluded happens.
func TestEachRuleIsNeeded(t *testing.T) {
	for name, macros := range map[string]string{
		"BOUND: any server with the marker answers":          "NO_BOUND",
		"JOIN: since is taken from the server":               "NO_OWN_START",
		"ADOPT: without having seen a renewal":               "NO_ADOPT",
		"RENEWAL: by one that does not vouch":                "NO_VOUCH",
		"DEADLINE: a late renewal counts":                    "NO_DEADLINE",
		"LEASE: it does not end":                             "NO_LEASE",
		"LEASE: not looked at after the answer":              "NO_LEASE_AFTER",
		"LEASE: a late answer to a founding counts":          "NO_LATE",
		"MOVED: Since is not looked at again":                "NO_MOVED",
		"ALONE: at another process":                          "NO_ALONE_SIGN",
		"ALONE: after the lease":                             "NO_ALONE_LEASE",
		"ALONE: whatever the marker is":                      "LOSSES NO_EXPECTED",
		"ATOMIC: the marker is read in a step before":        "LOSSES NO_ATOMIC",
		"OLDER: a smaller count is believed":                 "LOSSES NO_OLDER",
		"SIGN: evicted keys are not noticed":                 "LOSSES NO_SIGN",
		"CLOCK: a wrong clock decides":                       "CLOCKS NO_CLOCK",
		"WINDOW: a claim ends before its proof":              "CLOCKS NO_WINDOW",
		"WAIT: replicas need not have it":                    "TWO_MASTERS WAIT NO_WAIT",
		"LOCAL: others take a local nonce":                   "FALLBACK NO_LOCAL",
		"LOCAL: a nonce of the life before counts":           "FALLBACK NO_LIFE",
		"LOCAL: the own memory forgets":                      "FALLBACK NO_LOCAL_MEMORY",
		"REGIONS: a proof counts in another region":          "REGIONS NO_REGION",
		"excluded, X1: two masters at once without WAIT":     "TWO_MASTERS",
		"excluded, X4, X5: keys lost within the last second": "LOSSES X4",
		"excluded, X6: somebody deletes single keys of ours": "X6",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := check(t, append([]string{"PROOFS=1"}, strings.Fields(macros)...)...)
			if !regexp.MustCompile(`assertion violated.*accepted`).MatchString(out) {
				t.Errorf("there is no counterexample:\n%s", out)
			}
		})
	}
}

package poptest

import (
	"crypto/fips140"
	"crypto/rand"
	"testing"
)

// In FIPS 140-3 mode Go's random generator draws its seed from the jitter of the clock. The clock of a synctest bubble
// stands still, so the first reading happens here, before any bubble.
func init() { rand.Text() }

// NeedsTables skips a test of precomputed keys in FIPS 140-3 mode, where they are off whatever is configured.
func NeedsTables(t *testing.T) {
	t.Helper()
	if fips140.Enabled() {
		t.Skip("precomputed keys are off in FIPS 140-3 mode")
	}
}

// NeedsRetired skips a test where only the algorithms of FIPS 140 are allowed, and says what in it is none of them.
func NeedsRetired(t *testing.T, what string) {
	t.Helper()
	if fips140.Enforced() {
		t.Skip(what + " is not allowed by FIPS 140")
	}
}

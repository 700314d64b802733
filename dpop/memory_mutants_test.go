package dpop_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutantEnv marks the child processes of TestMemoryMutants, which must not start their own.
const mutantEnv = "SENDERLOCK_MUTANT"

// Each defence of the replay memory is taken away in a copy of memory.go, and the test that guards it must
// fail, by what it asserts. So none of these defences can be lost unnoticed, and none of these tests is idle.
func TestMemoryMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs the package once for each mutant")
	}
	if os.Getenv(mutantEnv) != "" {
		t.Skip("is a mutant itself")
	}
	cases := []struct {
		name     string
		old, new string
		test     string // which must fail
		says     string // in what it prints; anything, even a panic, if empty
	}{
		{"no second look", "if !s.holds(key) {", "if false {",
			"TestMemoryRefusesWhatItCannotRecord", "Claim = true, <nil>; want false, dpop: replay memory did not keep"},
		{"no wait", "s.cache.Wait()", "",
			"TestMemoryAcceptsOnce", "did not keep the entry"},
		{"get, then set", "s.cache.Wait()\n\tif !s.holds(key) {", "if false {",
			"TestMemoryRemembersUntilExpiry", "Claim = true, <nil>; want false, <nil>"},
		{"no lock", "stripe.Lock()\n\tdefer stripe.Unlock()", "_ = stripe",
			"TestMemoryAcceptsOnce", "was accepted"},
		{"no count", "m.live.Add(1) > m.maxEntries", "m.live.Add(1) < 0",
			"TestMemoryFullRefusesAndRecovers", "Claim = true, <nil>; want false, dpop: replay memory is full"},
		{"count and place apart", "if m.live.Add(1) > m.maxEntries {\n\t\tm.live.Add(-1)",
			"if m.live.Load() >= m.maxEntries {",
			"TestMemoryFullUnderConcurrency", "accepted"},
		{"eviction instead of refusal", "math.MaxInt64,\n\t\tBufferItems", "50,\n\t\tBufferItems",
			"TestMemoryFullRefusesAndRecovers", "Claim = "},
		{"failed claims keep their place",
			"m.live.Add(-1)\n\t\treturn false, ErrNotRecorded", "return false, ErrNotRecorded",
			"TestMemoryRefusesWhatItCannotRecord", "replay memory is full; want false, dpop: replay memory did not keep"},
		{"expired entries keep their place", "m.live.Add(-s.entries.Load())", "",
			"TestMemoryFullRefusesAndRecovers", "replay memory is full; want true"},
		{"newest forgotten not remembered", "m.forgotten = max(m.forgotten, s.slot)", "",
			"TestMemoryClockForwardAndBack", "want false, dpop: the clock went back"},
		{"forgotten with the clock", "max(m.forgotten, s.slot)", "s.slot - 1",
			"TestMemoryClockForwardAndBack", "want false, dpop: the clock went back"},
		{"slices dropped too early", "m.forget(now)", "m.forget(now + 1)",
			"TestMemoryRemembersUntilExpiry", "want "},
		{"expired claims recorded", "expiry.Before(now)", "false",
			"TestMemoryRemembersUntilExpiry", "want false, dpop: the proof expired"},
		{"last instant not counted", "expiry.Before(now)", "!expiry.After(now)",
			"TestMemoryRemembersUntilExpiry", "Claim = false, dpop: the proof expired before it was claimed; want"},
		{"only the claim's own slice looked at", "if m.holds(key[:]) {", "if s.holds(key[:]) {",
			"TestMemoryRemembersUntilExpiry", "Claim = true, <nil>; want false, <nil>"},
		{"window not kept", "max(slotOf(expiry), slotOf(now.Add(m.Window())))", "slotOf(expiry)",
			"TestMemoryRemembersForTheWindow", "Claim = true, <nil>; want false, <nil>"},
		{"widened without a new beginning", "m.since.Store(&again)", "_ = again",
			"TestWiderWindow", "want iat_before_start"},
		{"a new beginning before what was dated ahead", "m.now().Add(skew)", "m.now()",
			"TestWiderWindow", "was accepted again"},
		{"a wider window in words only", "m.window.Store(int64(window))", "",
			"TestWiderWindow", "dpop.Config: Replay has a Window of"},
		{"second hash may be 0", "max(1, binary.BigEndian.Uint64(key[8:]))", "binary.BigEndian.Uint64(key[8:])",
			"TestMemoryRefusesWhatItCannotRecord", "Claim = false, <nil>; want false, dpop: replay memory did not keep"},
		{"half of the hash", "max(1, binary.BigEndian.Uint64(key[8:]))", "0",
			"TestMemoryRefusesWhatItCannotRecord", "Claim = false, <nil>; want false, dpop: replay memory did not keep"},
		{"Close not remembered", "m.closed = true", "",
			"TestMemoryCloseDuringClaims", "want false, dpop: replay memory is closed"},
		{"caches never closed", "m.closing.Go(s.cache.Close)", "",
			"TestMemoryLeavesNoGoroutine", ""},
		{"caches closed in the hands of claims", "defer m.mu.RUnlock()", "m.mu.RUnlock()",
			"TestMemoryCloseDuringClaims", ""},
	}
	source, err := os.ReadFile("memory.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if n := strings.Count(string(source), c.old); n != 1 {
				t.Fatalf("memory.go holds %q %d times, want once", c.old, n)
			}
			binary := buildMutant(t, strings.Replace(string(source), c.old, c.new, 1))
			// A race may not show the first time.
			child := exec.CommandContext(t.Context(), binary, "-test.run=^"+c.test+"$", "-test.count=30", "-test.failfast", "-test.timeout=2m")
			child.Env = append(os.Environ(), mutantEnv+"=1")
			out, err := child.CombinedOutput()
			text := string(out)
			failed, panicked := strings.Contains(text, "--- FAIL: "+c.test), strings.Contains(text, "panic: ")
			switch {
			case err == nil:
				t.Errorf("%s passes:\n%s", c.test, text)
			case c.says == "" && (failed || panicked):
			case !failed || panicked:
				t.Errorf("%s does not fail by an assertion (%v):\n%s", c.test, err, text)
			case !strings.Contains(text, c.says):
				t.Errorf("%s fails without saying %q:\n%s", c.test, c.says, text)
			}
		})
	}
}

// buildMutant builds this package's tests with source in the place of memory.go. A mutant that does not
// compile proves nothing, and fails the test.
func buildMutant(t *testing.T, source string) (binary string) {
	t.Helper()
	dir := t.TempDir()
	original, err := filepath.Abs("memory.go")
	if err != nil {
		t.Fatal(err)
	}
	mutant, overlay := filepath.Join(dir, "memory.go"), filepath.Join(dir, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {original: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{mutant: []byte(source), overlay: replace} {
		if err := os.WriteFile(name, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary = filepath.Join(dir, "dpop.test.exe")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not build: %v\n%s", err, out)
	}
	return binary
}

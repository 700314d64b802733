package dpop_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// mutantEnv names the mutant that a child process of TestMemoryMutants is.
const mutantEnv = "SENDERLOCK_MUTANT"

// memoryMutants are the defences of the replay memory that are taken away, each with the test that guards it.
var memoryMutants = []struct {
	name string
	test string // which must fail
	says string // in what it prints; anything, even a panic or that it never returns, if empty
}{
	{"no second look", "TestMemoryRefusesWhatItCannotRecord",
		"Claim = true, <nil>; want false, dpop: replay memory did not keep"},
	{"no wait", "TestMemoryAcceptsOnce", "did not keep the entry"},
	{"get, then set", "TestMemoryRemembersUntilExpiry", "Claim = true, <nil>; want false, <nil>"},
	{"no lock", "TestMemoryAcceptsOnce", "was accepted"},
	{"no count", "TestMemoryFullRefusesAndRecovers",
		"Claim = true, <nil>; want false, dpop: replay memory is full"},
	{"count and place apart", "TestMemoryFullUnderConcurrency", "accepted"},
	{"eviction instead of refusal", "TestMemoryFullRefusesAndRecovers", "Claim = "},
	{"failed claims keep their place", "TestMemoryRefusesWhatItCannotRecord",
		"replay memory is full; want false, dpop: replay memory did not keep"},
	{"expired entries keep their place", "TestMemoryFullRefusesAndRecovers",
		"replay memory is full; want true"},
	{"newest forgotten not remembered", "TestMemoryClockForwardAndBack",
		"want false, dpop: the clock went back"},
	{"forgotten with the clock", "TestMemoryClockForwardAndBack", "want false, dpop: the clock went back"},
	{"slices dropped too early", "TestMemoryRemembersUntilExpiry", "want "},
	{"expired claims recorded", "TestMemoryRemembersUntilExpiry", "want false, dpop: the proof expired"},
	{"last instant not counted", "TestMemoryRemembersUntilExpiry",
		"Claim = false, dpop: the proof expired before it was claimed; want"},
	{"only the claim's own slice looked at", "TestMemoryRemembersUntilExpiry",
		"Claim = true, <nil>; want false, <nil>"},
	{"window not kept", "TestMemoryRemembersForTheWindow", "Claim = true, <nil>; want false, <nil>"},
	{"widened without a new beginning", "TestWiderWindow", "want iat_before_start"},
	{"a new beginning before what was dated ahead", "TestWiderWindow", "was accepted again"},
	{"a wider window in words only", "TestWiderWindow", "dpop.Config: Replay has a Window of"},
	{"second hash may be 0", "TestMemoryRefusesWhatItCannotRecord",
		"Claim = false, <nil>; want false, dpop: replay memory did not keep"},
	{"half of the hash", "TestMemoryRefusesWhatItCannotRecord",
		"Claim = false, <nil>; want false, dpop: replay memory did not keep"},
	{"Close not remembered", "TestMemoryCloseDuringClaims", ""}, // two closes at once may also panic
	{"caches never closed", "TestMemoryLeavesNoGoroutine", ""},
	{"caches closed in the hands of claims", "TestMemoryCloseDuringClaims", ""},
}

// memoryEdits plant all of them in one copy of memory.go, each behind its switch, so one build serves them all.
var memoryEdits = []struct{ old, new string }{
	{"\ts.cache.Wait()\n\tif !s.holds(key) {", `	if !on("no wait") && !on("get, then set") {
		s.cache.Wait()
	}
	if !s.holds(key) && !on("no second look") && !on("get, then set") {`},
	{"\tstripe.Lock()\n\tdefer stripe.Unlock()", `	if !on("no lock") {
		stripe.Lock()
		defer stripe.Unlock()
	}`},
	{"if m.live.Add(1) > m.maxEntries {", `if on("count and place apart") {
		if m.live.Load() >= m.maxEntries {
			return false, ErrStoreFull
		}
	} else if m.live.Add(1) > m.maxEntries && !on("no count") {`},
	{"MaxCost:            math.MaxInt64", `MaxCost: either[int64]("eviction instead of refusal", 50, math.MaxInt64)`},
	{"\t\tm.live.Add(-1)\n\t\treturn false, ErrNotRecorded", `		if !on("failed claims keep their place") {
			m.live.Add(-1)
		}
		return false, ErrNotRecorded`},
	{"m.live.Add(-s.entries.Load())", `if !on("expired entries keep their place") {
			m.live.Add(-s.entries.Load())
		}`},
	{"m.forgotten = max(m.forgotten, s.slot)", `if !on("newest forgotten not remembered") {
			m.forgotten = either("forgotten with the clock", s.slot-1, max(m.forgotten, s.slot))
		}`},
	{"m.forget(now)", `m.forget(either("slices dropped too early", now+1, now))`},
	{"case expiry.Before(now):", `case expiry.Before(now) && !on("expired claims recorded"),
		on("last instant not counted") && !expiry.After(now):`},
	{"if m.holds(key[:]) {", `if either("only the claim's own slice looked at", s.holds, m.holds)(key[:]) {`},
	{"slot := max(slotOf(expiry), slotOf(now.Add(m.Window())))",
		`slot := either("window not kept", slotOf(expiry), max(slotOf(expiry), slotOf(now.Add(m.Window()))))`},
	{"m.since.Store(&again)", `if !on("widened without a new beginning") {
			m.since.Store(&again)
		}`},
	{"m.now().Add(skew)", `m.now().Add(either("a new beginning before what was dated ahead", 0, skew))`},
	{"m.window.Store(int64(window))", `if !on("a wider window in words only") {
		m.window.Store(int64(window))
	}`},
	{"max(1, binary.BigEndian.Uint64(key[8:]))", `either("half of the hash", 0,
		max(either("second hash may be 0", uint64(0), 1), binary.BigEndian.Uint64(key[8:])))`},
	{"m.closed = true", `m.closed = !on("Close not remembered")`},
	{"m.closing.Go(s.cache.Close)", `if !on("caches never closed") {
			m.closing.Go(s.cache.Close)
		}`},
	{"defer m.mu.RUnlock()", `if on("caches closed in the hands of claims") {
		m.mu.RUnlock()
	} else {
		defer m.mu.RUnlock()
	}`},
}

// switchSource has the switches. It exists in the mutants' build alone.
const switchSource = `package dpop

import "os"

var mutant = os.Getenv("` + mutantEnv + `")

func on(name string) bool { return name == mutant }

func either[T any](name string, bad, good T) T {
	if on(name) {
		return bad
	}
	return good
}
`

// Each defence of the replay memory is taken away in a copy of memory.go, and the test that guards it must
// fail, by what it asserts. So none of these defences can be lost unnoticed, and none of these tests is idle.
func TestMemoryMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once more")
	}
	if os.Getenv(mutantEnv) != "" {
		t.Skip("is a mutant itself")
	}
	binary := buildMutants(t)
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		tests := map[string]bool{}
		for _, m := range memoryMutants {
			tests[m.test] = true
		}
		pattern := "^(" + strings.Join(slices.Sorted(maps.Keys(tests)), "|") + ")$"
		if out, err := runMutant(t, binary, "none", pattern, 1); err != nil {
			t.Errorf("the switches alone make a test fail (%v):\n%s", err, out)
		}
	})
	for _, m := range memoryMutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			// A race may not show the first time.
			text, err := runMutant(t, binary, m.name, "^"+m.test+"$", 30)
			failed, panicked := strings.Contains(text, "--- FAIL: "+m.test), strings.Contains(text, "panic: ")
			switch {
			case err == nil:
				t.Errorf("%s passes:\n%s", m.test, text)
			case m.says == "" && (failed || panicked):
			case !failed || panicked:
				t.Errorf("%s does not fail by an assertion (%v):\n%s", m.test, err, text)
			case !strings.Contains(text, m.says):
				t.Errorf("%s fails without saying %q:\n%s", m.test, m.says, text)
			}
		})
	}
}

// runMutant runs tests with one defence taken away, until one fails. What then never returns ends in a panic of the
// testing package, long after any of these tests is through on a slow machine.
func runMutant(t *testing.T, binary, name, tests string, count int) (printed string, err error) {
	t.Helper()
	child := exec.CommandContext(t.Context(), binary, "-test.run="+tests, fmt.Sprint("-test.count=", count),
		"-test.failfast", "-test.timeout=3m")
	child.Env = append(os.Environ(), mutantEnv+"="+name)
	out, err := child.CombinedOutput()
	return string(out), err
}

// buildMutants builds this package's tests with all mutants in memory.go. A mutant that does not compile proves
// nothing, and neither does one that no edit plants: they fail the test.
func buildMutants(t *testing.T) (binary string) {
	t.Helper()
	source, err := os.ReadFile("memory.go")
	if err != nil {
		t.Fatal(err)
	}
	text, planted := string(source), ""
	for _, e := range memoryEdits {
		if n := strings.Count(string(source), e.old); n != 1 {
			t.Errorf("memory.go holds %q %d times, want once", e.old, n)
		}
		text, planted = strings.Replace(text, e.old, e.new, 1), planted+e.new
	}
	for _, m := range memoryMutants {
		if !strings.Contains(planted, `"`+m.name+`"`) {
			t.Errorf("no edit plants %q", m.name)
		}
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, content string) (file string) {
		file = filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {
		filepath.Join(here, "memory.go"): write("memory.go", text),
		filepath.Join(here, "switch.go"): write("switch.go", switchSource),
	}})
	if err != nil {
		t.Fatal(err)
	}
	binary = filepath.Join(dir, "dpop.test.exe")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-vet=off", "-overlay",
		write("overlay.json", string(replace)), "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the mutants do not build: %v\n%s", err, out)
	}
	return binary
}

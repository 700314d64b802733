package dpop_test

import (
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/mutant"
)

// memoryMutants are the defences of the replay memory that are taken away, each with the test that guards it.
var memoryMutants = []struct {
	name string
	test string // which must fail
	says string // in what it prints; anything, even a panic, if empty
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
	{"keys without a mark", "TestMemoryRemembersUntilExpiry", "Claim = true, <nil>; want false, <nil>"},
	{"slices without a mark not looked at", "TestMemoryBoundsSlices", "Claim = true, <nil>; want false, <nil>"},
	{"marks of all slices cleared with one", "TestMemoryGivesMarksOn", "Claim = true, <nil>; want false, <nil>"},
	{"marks never cleared", "TestMemoryGivesMarksOn", "marks are left"},
	{"a mark given on before it is cleared", "TestMemoryGivesMarksOn", "Claim = true, <nil>; want false, <nil>"},
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
	{"caches closed in the hands of claims", "TestMemoryCloseWaitsForClaims", ""},
}

// memoryEdits plant all of them in one copy of memory.go, each behind its switch, so one build serves them all.
var memoryEdits = []mutant.Edit{
	{"dpop/memory.go", "\ts.cache.Wait()\n\tif !s.holds(key) {", `	if !on("no wait") && !on("get, then set") {
		s.cache.Wait()
	}
	if !s.holds(key) && !on("no second look") && !on("get, then set") {`},
	{"dpop/memory.go", "\tstripe.Lock()\n\tdefer stripe.Unlock()", `	if !on("no lock") {
		stripe.Lock()
		defer stripe.Unlock()
	}`},
	{"dpop/memory.go", "if m.live.Add(1) > m.maxEntries {", `if on("count and place apart") {
		if m.live.Load() >= m.maxEntries {
			return false, ErrStoreFull
		}
	} else if m.live.Add(1) > m.maxEntries && !on("no count") {`},
	{"dpop/memory.go", "MaxCost:                math.MaxInt64", `MaxCost: either("eviction instead of refusal", int64(50), math.MaxInt64)`},
	{"dpop/memory.go", "\t\tm.live.Add(-1)\n\t\treturn false, ErrNotRecorded", `		if !on("failed claims keep their place") {
			m.live.Add(-1)
		}
		return false, ErrNotRecorded`},
	{"dpop/memory.go", "m.live.Add(-s.entries.Load())", `if !on("expired entries keep their place") {
			m.live.Add(-s.entries.Load())
		}`},
	{"dpop/memory.go", "m.forgotten = max(m.forgotten, s.slot)", `if !on("newest forgotten not remembered") {
			m.forgotten = either("forgotten with the clock", s.slot-1, max(m.forgotten, s.slot))
		}`},
	{"dpop/memory.go", "m.forget(now)", `m.forget(either("slices dropped too early", now+1, now))`},
	{"dpop/memory.go", "case expiry.Before(now):", `case expiry.Before(now) && !on("expired claims recorded"),
		on("last instant not counted") && !expiry.After(now):`},
	{"dpop/memory.go", "if m.holds(*marked, stripe.key[:]) {",
		`if on("only the claim's own slice looked at") && s.holds(stripe.key[:]) ||
		!on("only the claim's own slice looked at") && m.holds(*marked, stripe.key[:]) {`},
	{"dpop/memory.go", "*marked |= s.mark", `if !on("keys without a mark") {
		*marked |= s.mark
	}`},
	{"dpop/memory.go", "(s.mark == 0 ||", `(s.mark == 0 && !on("slices without a mark not looked at") ||`},
	{"dpop/memory.go", "s.marks[i] &^= gone", `s.marks[i] &^= either("marks never cleared", 0,
		either("marks of all slices cleared with one", allMarks, gone))`},
	{"dpop/memory.go", "slot := max(slotOf(expiry), slotOf(now.Add(m.Window())))",
		`slot := either("window not kept", slotOf(expiry), max(slotOf(expiry), slotOf(now.Add(m.Window()))))`},
	{"dpop/memory.go", "m.since.Store(&again)", `if !on("widened without a new beginning") {
			m.since.Store(&again)
		}`},
	{"dpop/memory.go", "m.now().Add(skew)", `m.now().Add(either("a new beginning before what was dated ahead", 0, skew))`},
	{"dpop/memory.go", "m.window.Store(int64(window))", `if !on("a wider window in words only") {
		m.window.Store(int64(window))
	}`},
	{"dpop/memory.go", "max(1, binary.BigEndian.Uint64(key[8:]))", `either("half of the hash", 0,
		max(either("second hash may be 0", uint64(0), 1), binary.BigEndian.Uint64(key[8:])))`},
	{"dpop/memory.go", "m.closed = true", `m.closed = !on("Close not remembered")`},
	{"dpop/memory.go", "m.closing.Go(func() { m.clear(s) })", `if on("a mark given on before it is cleared") {
			m.free |= s.mark
		}
		if !on("caches never closed") {
			m.closing.Go(func() { m.clear(s) })
		}`},
	{"dpop/memory.go", "defer m.mu.RUnlock()", `if on("caches closed in the hands of claims") {
		m.mu.RUnlock()
	} else {
		defer m.mu.RUnlock()
	}`},
}

// Each defence of the replay memory is taken away in a copy of memory.go, and the test that guards it must
// fail, by what it asserts. So none of these defences can be lost unnoticed, and none of these tests is idle.
func TestMemoryMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package once more")
	}
	if mutant.Inside() {
		t.Skip("is a mutant itself")
	}
	var names, tests []string
	for _, m := range memoryMutants {
		names, tests = append(names, m.name), append(tests, m.test)
	}
	binary := mutant.Build(t, names, memoryEdits)
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		if out, err := mutant.Run(t, binary, "", "^("+strings.Join(tests, "|")+")$"); err != nil {
			t.Errorf("the switches alone make a test fail (%v):\n%s", err, out)
		}
	})
	for _, m := range memoryMutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			// A race may not show the first time.
			text, err := mutant.Run(t, binary, m.name, "^"+m.test+"$", "-test.count=30", "-test.failfast")
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

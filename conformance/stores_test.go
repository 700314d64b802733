package conformance_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// The contracts from where anybody can use them. Those of our own stores are also tested beside the stores.
func TestStoreContracts(t *testing.T) {
	clock := poptest.NewClock
	t.Run("replay", func(t *testing.T) {
		conformance.TestReplayStore(t, func(t *testing.T) conformance.ReplayUnderTest {
			c := clock()
			m, err := dpop.NewMemory(dpop.MemoryConfig{Now: c.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = m.Close() })
			return conformance.ReplayUnderTest{Store: m, Other: m, Now: c.Now, Advance: c.Advance, Break: func() { _ = m.Close() }}
		})
	})
	t.Run("revocation", func(t *testing.T) {
		conformance.TestRevocationStore(t, func(t *testing.T) conformance.RevocationUnderTest {
			c := clock()
			s := memory(t, c)
			return conformance.RevocationUnderTest{Store: s, Now: c.Now, Advance: c.Advance}
		})
	})
	t.Run("register", func(t *testing.T) {
		conformance.TestRegister(t, func(t *testing.T) conformance.RegisterUnderTest {
			c := clock()
			s := memory(t, c)
			return conformance.RegisterUnderTest{Register: s, Store: s, Now: c.Now, Advance: c.Advance}
		})
	})
}

func memory(t *testing.T, c *poptest.Clock) *revocation.Memory {
	t.Helper()
	s, err := revocation.NewMemory(revocation.Options{Now: c.Now, Retention: revocation.Retention{Lifetime: 10 * time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// badStore is a replay store with a defect.
type badStore struct {
	mu     sync.Mutex
	used   map[dpop.ReplayKey]time.Time
	now    func() time.Time
	defect string
}

func (b *badStore) Claim(ctx context.Context, k dpop.ReplayKey, expiry time.Time) (bool, error) {
	if b.defect != "ignores the context" && ctx.Err() != nil {
		return false, ctx.Err()
	}
	if b.defect == "looks before it locks" {
		b.mu.Lock()
		_, used := b.used[k]
		b.mu.Unlock()
		time.Sleep(time.Microsecond)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.used[k] = expiry
		return !used, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.defect == "one key for all" {
		k = dpop.ReplayKey{}
	}
	until, used := b.used[k]
	switch b.defect {
	case "forgets early":
		used = used && b.now().Before(until.Add(-5*time.Second))
	case "accepts the past":
		used = used && b.now().Before(until)
	case "never forgets":
	default:
		if !b.now().Before(expiry) {
			return false, dpop.ErrExpiryPast
		}
		used = used && b.now().Before(until)
	}
	if b.defect == "evicts" && len(b.used) >= 100 {
		clear(b.used)
	}
	if !used || b.defect == "shortens" {
		b.used[k] = expiry
	}
	return !used, nil
}

// badEnv names the defect of the store in a child process.
const badEnv = "SENDERLOCK_BAD_STORE"

// The contract finds what it is for: each defect fails in the test that is named.
func TestReplayContractCanFail(t *testing.T) {
	if defect := os.Getenv(badEnv); defect != "" {
		conformance.TestReplayStore(t, func(*testing.T) conformance.ReplayUnderTest {
			c := poptest.NewClock()
			s := &badStore{used: map[dpop.ReplayKey]time.Time{}, now: c.Now, defect: defect}
			return conformance.ReplayUnderTest{Store: s, Now: c.Now, Advance: c.Advance, Capacity: 200}
		})
		return
	}
	for defect, test := range map[string]string{
		"looks before it locks": "of_many_claims_at_once_one_is_fresh",
		"forgets early":         "a_key_is_kept_until_it_expires",
		"accepts the past":      "a_key_that_expired_long_ago_is_never_fresh",
		"never forgets":         "a_store_lives_on_when_keys_have_expired",
		"evicts":                "a_full_store_refuses_and_forgets_nothing",
		"shortens":              "a_later_claim_does_not_shorten_the_first",
		"one key for all":       "keys_of_another_namespace",
		"ignores the context":   "a_context_that_is_done_is_an_error",
	} {
		t.Run(defect, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReplayContractCanFail$")
			child.Env = append(os.Environ(), badEnv+"="+defect)
			out, err := child.CombinedOutput()
			failed := false
			for line := range strings.Lines(string(out)) {
				failed = failed || strings.Contains(line, "--- FAIL") && strings.Contains(line, test)
			}
			if err == nil || !failed {
				t.Errorf("%v, and %s does not fail:\n%s", err, test, out)
			}
		})
	}
}

package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/storetest"
)

// badStore is a replay store with a defect.
type badStore struct {
	mu      sync.Mutex
	used    map[dpop.ReplayKey]time.Time
	now     func() time.Time
	newest  time.Time // that was seen
	dropped time.Time // the newest end of what was forgotten
	defect  string
}

func (b *badStore) Since() time.Time      { return time.Time{} }
func (b *badStore) Window() time.Duration { return time.Minute }

func (b *badStore) Claim(ctx context.Context, k dpop.ReplayKey, expiry time.Time) (bool, error) {
	if b.defect != "ignores the context" && ctx.Err() != nil {
		return false, ctx.Err()
	}
	if b.defect == "looks before it locks" {
		b.mu.Lock()
		_, used := b.used[k]
		b.mu.Unlock()
		runtime.Gosched()
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
	now := b.now()
	if now.After(b.newest) {
		b.newest = now
	}
	if b.defect == "forgets early" {
		now = now.Add(5 * time.Second)
	}
	if b.defect != "accepts what is over" && now.After(expiry) {
		return false, dpop.ErrExpiryPast
	}
	for key, until := range b.used {
		if b.newest.After(until) {
			delete(b.used, key)
			if until.After(b.dropped) {
				b.dropped = until
			}
		}
	}
	if b.defect != "accepts the past" && b.defect != "accepts what is over" && !expiry.After(b.dropped) {
		return false, dpop.ErrClockBack
	}
	until, used := b.used[k]
	used = used && !now.After(until)
	if !used && len(b.used) >= 3000 && b.defect != "has no limit" {
		return false, dpop.ErrStoreFull
	}
	if b.defect == "evicts" && len(b.used) >= 2000 {
		clear(b.used)
	}
	if !used {
		if b.used[k] = expiry; b.now().Add(b.Window()).After(expiry) {
			b.used[k] = b.now().Add(b.Window())
		}
	}
	return !used, nil
}

// badEnv names the defect of the store in a child process.
const badEnv = "SENDERLOCK_BAD_STORE"

// The contract finds what it is for: each defect fails in the test that is named.
func TestReplayContractCanFail(t *testing.T) {
	if defect := os.Getenv(badEnv); defect != "" {
		storetest.TestReplayStore(t, func(*testing.T) storetest.Replay {
			c := poptest.NewClock()
			s := &badStore{used: map[dpop.ReplayKey]time.Time{}, now: c.Now, defect: defect}
			return storetest.Replay{Store: s, Now: c.Now, Set: c.Set, Capacity: 3000}
		})
		return
	}
	for defect, test := range map[string]string{
		"looks before it locks": "of_64_claims_at_once_one_is_fresh",
		"forgets early":         "a_key_is_remembered_until_its_expiry",
		"accepts the past":      "a_clock_set_forward_and_back_reopens_nothing",
		"accepts what is over":  "a_claim_that_has_expired_is_refused",
		"evicts":                "a_full_store_refuses_and_forgets_nothing",
		"has no limit":          "64_claims_at_once_do_not_overfill_a_store",
		"one key for all":       "keys_of_another_namespace",
		"ignores the context":   "a_claim_of_a_caller_who_has_gone_is_not_fresh",
	} {
		t.Run(defect, func(t *testing.T) {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestReplayContractCanFail$/"+test)
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

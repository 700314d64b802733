package dpop_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/precomputed"
	"github.com/senderlock/senderlock/reason"
)

// held checks how many tables there are and were, once the builder has nothing to do before time goes on.
func held(t *testing.T, v *dpop.Verifier, want dpop.PrecomputedStats) {
	t.Helper()
	synctest.Wait()
	if got := v.PrecomputedStats(); got != want {
		t.Errorf("PrecomputedStats = %+v, want %+v", got, want)
	}
}

// A key gets a table by four accepted proofs, and by nothing else.
func TestPrecomputedKeysAreThoseOfAcceptedProofs(t *testing.T) {
	poptest.NeedsTables(t)
	synctest.Test(t, func(t *testing.T) {
		v, _ := newServer(t, func(c *dpop.Config) { c.PrecomputedKeys = 10 })
		stranger := poptest.Keyed("ES256", "stranger")
		used := mint(poptest.Proof{})
		accepts(t, v, requestWith(used))
		for range 10 {
			refuses(t, v, requestWith(used), dpop.ErrReplayed)
			refuses(t, v, requestWith(mint(poptest.Proof{Signer: stranger})), dpop.ErrSignature)
			refuses(t, v, requestWith(claims(members{"htu": poptest.Audience + "/transfer"})), dpop.ErrTarget)
			if _, err := v.Read(requestWith(mint(poptest.Proof{})), accessToken); err != nil {
				t.Error(err)
			}
		}
		for range 2 {
			accepts(t, v, requestWith(mint(poptest.Proof{})))
		}
		held(t, v, dpop.PrecomputedStats{})
		accepts(t, v, requestWith(mint(poptest.Proof{})))
		held(t, v, dpop.PrecomputedStats{Held: 1, Built: 1})

		// With the table the same is accepted, and the same refused.
		again := mint(poptest.Proof{})
		accepts(t, v, requestWith(again))
		refuses(t, v, requestWith(again), dpop.ErrReplayed)
		refuses(t, v, requestWith(mint(poptest.Proof{Signer: stranger})), dpop.ErrSignature)
		held(t, v, dpop.PrecomputedStats{Held: 1, Built: 1})
	})
}

func TestPrecomputedKeysOfOtherKinds(t *testing.T) {
	for _, alg := range dpop.Algorithms() {
		if alg == "ES256" {
			continue
		}
		v, _ := newServer(t, func(c *dpop.Config) { c.PrecomputedKeys = 10 })
		for range 5 {
			accepts(t, v, requestWith(mint(poptest.Proof{Key: poptest.Keyed(alg, "a")})))
		}
		if got := v.PrecomputedStats(); got.Built != 0 {
			t.Errorf("%s: %+v, want no table", alg, got)
		}
	}
}

func TestPrecomputedKeysAreOffUnlessConfigured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, _ := newServer(t, nil)
		for range 20 {
			accepts(t, v, requestWith(mint(poptest.Proof{})))
		}
		time.Sleep(time.Minute)
		held(t, v, dpop.PrecomputedStats{})
	})
}

// A table that is wrong costs one proof, which was neither good nor bad, and the use of tables.
func TestPrecomputedKeyThatDisagrees(t *testing.T) {
	poptest.NeedsTables(t)
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(precomputed.MakeWrong())
		var log bytes.Buffer
		v, _ := newServer(t, func(c *dpop.Config) {
			c.PrecomputedKeys, c.Log = 10, slog.New(slog.NewTextHandler(&log, nil))
		})
		for range 4 {
			accepts(t, v, requestWith(mint(poptest.Proof{})))
		}
		held(t, v, dpop.PrecomputedStats{Held: 1, Built: 1})
		good := mint(poptest.Proof{})
		p, err := v.Verify(requestWith(good), accessToken)
		if p != nil || !errors.Is(err, dpop.ErrDisagreement) || reason.IsRefusal(err) || reason.Of(err) != "precomputed_keys_disagree" {
			t.Errorf("Verify = %v, %v (%s); want our own trouble", p, err, reason.Of(err))
		}
		if n := strings.Count(log.String(), "level=ERROR"); n != 1 {
			t.Errorf("logged %q, want one error", log.String())
		}
		accepts(t, v, requestWith(good)) // it was not used up
		for range 10 {
			accepts(t, v, requestWith(mint(poptest.Proof{Key: poptest.Keyed("ES256", "another")})))
		}
		held(t, v, dpop.PrecomputedStats{Held: 1, Built: 1, Disagreements: 1})
	})
}

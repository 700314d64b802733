package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
)

// claimers is how many goroutines claim at once.
const claimers = 64

// minute is an expiry about a minute from now.
func (r Replay) minute() time.Time { return r.Now().Add(time.Minute) }

// want claims a key and expects an answer without an error.
func (r Replay) want(t *testing.T, k dpop.ReplayKey, fresh bool) {
	t.Helper()
	got, err := r.Store.Claim(context.Background(), k, r.minute())
	if err != nil || got != fresh {
		t.Fatalf("Claim = %t, %v, want %t", got, err, fresh)
	}
}

// undecided claims a key about which the store cannot know.
func (r Replay) undecided(t *testing.T, name string) {
	t.Helper()
	if fresh, err := r.Store.Claim(context.Background(), replayKey(name), r.minute()); fresh || err == nil {
		t.Fatalf("Claim = %t, %v, want an error", fresh, err)
	}
}

// atOnce claims a key of each goroutine's own choice, all at once, and counts the fresh ones.
func (r Replay) atOnce(key func(i int) dpop.ReplayKey) (fresh int64) {
	var count atomic.Int64
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range claimers {
		done.Go(func() {
			<-start
			if ok, _ := r.Store.Claim(context.Background(), key(i), r.minute()); ok {
				count.Add(1)
			}
		})
	}
	close(start)
	done.Wait()
	return count.Load()
}

func testClaimers(t *testing.T, r Replay) {
	for round := range 20 {
		key := replayKey(fmt.Sprint("race ", round))
		if n := r.atOnce(func(int) dpop.ReplayKey { return key }); n != 1 {
			t.Fatalf("%d of %d claims of one key were fresh, want one", n, claimers)
		}
	}
}

func testNamespaces(t *testing.T, r Replay) {
	for _, k := range [][3]string{
		{"n", "k", "j"}, {"m", "k", "j"}, {"n", "l", "j"}, {"n", "k", "i"},
		{"", "nk", "j"}, {"nk", "", "j"}, {"n", "kj", ""}, {"", "", "nkj"},
	} {
		r.want(t, dpop.NewReplayKey(k[0], k[1], k[2]), true)
	}
	r.want(t, dpop.NewReplayKey("n", "k", "j"), false)
}

func testFull(t *testing.T, r Replay) {
	for i := range r.Capacity {
		r.want(t, replayKey(fmt.Sprint("full ", i)), true)
	}
	for i := range 10 {
		r.undecided(t, fmt.Sprint("beyond ", i))
	}
	for i := range r.Capacity {
		// Still used, or an error: a full store may be unable to say, but never calls a used key fresh.
		if fresh, _ := r.Store.Claim(context.Background(), replayKey(fmt.Sprint("full ", i)), r.minute()); fresh {
			t.Fatalf("key %d was forgotten to make room", i)
		}
	}
}

func testOverfill(t *testing.T, r Replay) {
	const room = 10
	for i := range r.Capacity - room {
		r.want(t, replayKey(fmt.Sprint("full ", i)), true)
	}
	if n := r.atOnce(func(i int) dpop.ReplayKey { return replayKey(fmt.Sprint("edge ", i)) }); n > room {
		t.Fatalf("%d keys were accepted, and there was room for %d", n, room)
	}
}

func testOutage(t *testing.T, r Replay) {
	r.want(t, replayKey("before"), true)
	r.Break()
	r.undecided(t, "before")
	r.undecided(t, "after")
}

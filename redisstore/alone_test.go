package redisstore_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
)

// watcher is an instance that watches an epoch for which nobody vouches any more, and is held in the moment before it
// goes on alone. Its clock for leases stands still.
type watcher struct {
	*instance
	passed  atomic.Int64
	release func()
}

func watch(t *testing.T, c redisstore.Config) *watcher {
	t.Helper()
	gone := open(t, c)
	mustClaim(t, gone, "any")
	_ = gone.Close()

	w := &watcher{}
	held, let := make(chan struct{}), make(chan struct{})
	w.release = sync.OnceFunc(func() { close(let) })
	t.Cleanup(func() { w.release() })
	var renewals atomic.Int64
	redisstore.WithLease(&c, time.Minute)
	redisstore.WithElapsed(&c, func() time.Duration { return time.Duration(w.passed.Load()) })
	redisstore.WithTrace(&c, func(s redisstore.Step) {
		if s.Rule != "RENEWAL" || s.Vouches {
			return
		}
		switch renewals.Add(1) {
		case 1: // as Open gives up watching
			w.passed.Store(int64(10 * time.Second))
		case 2:
			close(held)
			<-let
		}
	})
	w.instance = start(t, c, brief)
	<-held
	return w
}

// An instance goes on alone only at the process of its last renewal. A replica that took over in between has a copy of the
// marker, and not what was accepted since the copy was made.
func TestAloneAtAnotherProcess(t *testing.T) {
	t.Parallel()
	a := redistest.Start(t)
	b := redistest.Replica(t, a)
	c := redisstore.Config{
		Addresses: redistest.Sentinels(t, a, 3, 1), Master: "main", Timeout: 30 * time.Second, MaxSkew: time.Millisecond,
	}
	w := watch(t, c)
	one, client := w.socket(t), newClient(time.Now())
	redistest.Wait(t, "the replica has the marker", func() bool {
		return b.Do("GET", "senderlock:epoch") == a.Do("GET", "senderlock:epoch")
	})
	b.Cut(a)
	proofs := acceptedOnce(t, one, client) // which do not reach the replica
	a.Kill()
	b.Continue()
	redistest.Hasten(t, c.Addresses...)
	redistest.Wait(t, "the replica takes over", func() bool { return isMaster(b) })
	redistest.Wait(t, "the instance is led there", func() bool {
		return w.store.Record(t.Context(), tokenOf("anybody"), "") == nil
	})
	w.release()
	refusedEverywhere(t, client, proofs, one)
	eventually(t, one, client, "a proof is accepted at the new master")
	refusedEverywhere(t, client, proofs, one)
}

// Nor does it after its lease: another may have been in office meanwhile.
func TestAloneAfterTheLease(t *testing.T) {
	t.Parallel()
	a, b := redistest.Start(t), redistest.Start(t)
	c := redisstore.Config{Addresses: []string{a.Addr}, Timeout: patient, MaxSkew: time.Millisecond}
	w := watch(t, c)
	one, client := w.socket(t), newClient(time.Now())
	eventually(t, one, client, "a proof is accepted")
	two := start(t, redisstore.Config{Addresses: []string{b.Addr}, MaxSkew: time.Millisecond}, brief).socket(t)
	proofs := acceptedOnce(t, two, client) // in office while the other is not
	w.passed.Store(int64(time.Hour))
	w.release()
	refusedEverywhere(t, client, proofs, one)
	eventually(t, one, client, "a proof is accepted at the first again")
	refusedEverywhere(t, client, proofs, one)
}

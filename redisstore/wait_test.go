package redisstore_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// A master from which the replica was taken says of nothing that it has not been used, nor that it has not been revoked:
// neither of a request with a proof, nor of one without, nor of a token in use.
func TestWaitGuardsLookUps(t *testing.T) {
	t.Parallel()
	a := redistest.Start(t)
	b := redistest.Replica(t, a)
	s := open(t, redisstore.Config{Addresses: []string{a.Addr}, Wait: 1, Timeout: 20 * time.Second})
	if err := s.Record(t.Context(), tokenOf("alice"), ""); err != nil {
		t.Fatal(err)
	}
	b.Must("REPLICAOF", "NO", "ONE")
	other := open(t, redisstore.Config{Addresses: []string{b.Addr}})
	if err := other.Revoke(t.Context(), revocation.Entry{
		Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice",
	}); err != nil {
		t.Fatal(err)
	}
	end := a.GiveUp(t)
	if e, err := s.Revoked(t.Context(), tokenOf("alice")); e != nil || !errors.Is(err, redisstore.ErrReplicas) {
		t.Errorf("without a proof: Revoked = %v, %v, want ErrReplicas", e, err)
	}
	key := dpop.NewReplayKey("", "", "travels")
	fresh, e, err := s.ClaimUnlessRevoked(t.Context(), key, time.Now().Add(time.Minute), tokenOf("alice"))
	if fresh || e != nil || !errors.Is(err, redisstore.ErrReplicas) {
		t.Errorf("with a proof: ClaimUnlessRevoked = %t, %v, %v, want ErrReplicas", fresh, e, err)
	}
	if ok, err := s.Seen(t.Context(), tokenOf("alice"), ""); ok || !errors.Is(err, redisstore.ErrReplicas) {
		t.Errorf("Seen = %t, %v, want ErrReplicas", ok, err)
	}
	if ok, err := claim(s, "any"); ok || !errors.Is(err, redisstore.ErrReplicas) {
		t.Errorf("Claim = %t, %v, want ErrReplicas", ok, err)
	}
	end()
	host, port, _ := net.SplitHostPort(a.Addr)
	b.Must("REPLICAOF", host, port)
	redistest.Wait(t, "look-ups count again", func() bool {
		e, err := s.Revoked(t.Context(), tokenOf("alice"))
		return e == nil && err == nil
	})
}

// The write that fences a look-up is confirmed in the attempt that counts: what an earlier one left behind, over a
// connection that was closed before the answer came, confirms nothing.
func TestWaitGuardsRepeatedLookUp(t *testing.T) {
	t.Parallel()
	a := redistest.Start(t)
	b := redistest.Replica(t, a)
	relay := newRelay(t, a.Addr)
	c := redisstore.Config{Addresses: []string{relay.addr}, Wait: 1, Timeout: 4 * time.Second}
	redisstore.WithRenewal(&c, time.Hour) // what arrives at the server is the look-up
	redisstore.WithLease(&c, time.Hour)
	s := open(t, c)
	b.Must("REPLICAOF", "NO", "ONE")
	a.Must("CONFIG", "RESETSTAT")
	relay.set(true, false)
	answered := make(chan error)
	go func() {
		_, err := s.Revoked(t.Context(), tokenOf("alice"))
		answered <- err
	}()
	redistest.Wait(t, "the server was asked", func() bool { return strings.Contains(a.Do("INFO", "commandstats"), "cmdstat_evalsha:") })
	relay.set(true, true)
	relay.cut()
	if err := <-answered; err == nil {
		t.Error("it was answered, and no replica confirmed it")
	}
}

// A Wait that leaves out a replica which may be promoted is refused where Sentinels know of it; one that may not be
// promoted does not count.
func TestWaitCoversEveryReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	redistest.Replica(t, master)
	redistest.Replica(t, master)
	spare := redistest.Replica(t, master, "--replica-priority", "0")
	c := redisstore.Config{Addresses: redistest.Sentinels(t, master, 3, 3), Master: "main", Wait: 1, Timeout: patient}
	redistest.Wait(t, "the Sentinels know that one may not be promoted", func() bool {
		_, err := redisstore.Open(t.Context(), c)
		return err != nil && strings.Contains(err.Error(), "any of 2 replicas")
	})
	refusesToOpen(t, c, "Wait is 1", "raise Wait")
	c.Wait = 2
	works(t, open(t, c))
	if isMaster(spare) {
		t.Error("the spare one was promoted")
	}
	// A Sentinel that is down does not decide it.
	c.Wait, c.Addresses = 1, append([]string{"127.0.0.1:1"}, c.Addresses...)
	refusesToOpen(t, c, "any of 2 replicas")
}

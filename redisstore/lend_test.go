package redisstore_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// Callers who have gone wait for no connection that a halted server does not take, nor for one that others have, and leave
// no more behind than there may be connections.
func TestGoneCallersWaitForNoConnection(t *testing.T) {
	const callers, connections = 3000, 1024
	server := redistest.Start(t)
	redistest.Replica(t, server)
	c := redisstore.Config{Addresses: []string{server.Addr}, Wait: 1, Timeout: 30 * time.Second}
	redisstore.WithLease(&c, time.Hour)
	s := open(t, c)
	server.Stop()
	defer server.Continue()
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			if ok, err := s.Claim(ctx, dpop.NewReplayKey("", "", fmt.Sprint(i)), time.Now().Add(time.Minute)); ok || err == nil {
				t.Errorf("Claim = %t, %v", ok, err)
			}
		})
	}
	began := time.Now()
	cancel()
	all.Wait()
	if took := time.Since(began); took > c.Timeout {
		t.Errorf("it took %v", took)
	}
	if left := runtime.NumGoroutine() - before; left > connections+200 {
		t.Errorf("they left %d goroutines behind", left)
	}
}

// In a Cluster what is found on several servers needs no connection for all of it, with Wait either.
func TestSearchWithWait(t *testing.T) {
	t.Parallel()
	nodes, addresses := redistest.Cluster(t, 1)
	redistest.ClusterReplica(t, nodes, nodes[0])
	s := open(t, redisstore.Config{Addresses: addresses, Cluster: true, Wait: 1})
	for i := range 5 {
		token := tokenOf(fmt.Sprint("user", i))
		token.Client = "app"
		if err := s.Record(t.Context(), token, ""); err != nil {
			t.Fatal(err)
		}
	}
	found, err := s.Search(t.Context(), revocation.Search{Issuer: tokenOf("").Issuer, By: revocation.ByClient, Value: "app"})
	if err != nil || found.Total != 5 {
		t.Errorf("Search = %+v, %v", found, err)
	}
}

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
)

func TestMain(m *testing.M) { redistest.Main(m, 24) }

// patient is a time-out that a busy machine does not exceed.
const patient = 20 * time.Second

// soon is how often a store renews its lease at which others arrive: they watch it do so, as they would for a second.
const soon = 200 * time.Millisecond

func open(t testing.TB, c redisstore.Config) *redisstore.Store {
	t.Helper()
	if c.Timeout == 0 {
		c.Timeout = patient
	}
	if !redisstore.Leased(&c) {
		redisstore.WithLease(&c, time.Minute)
	}
	var s *redisstore.Store
	err := context.DeadlineExceeded
	for late := time.Now().Add(30 * time.Second); timedOut(err) && time.Now().Before(late); {
		s, err = redisstore.Open(t.Context(), c) // the timeout of a test may be shorter than a busy machine is
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// openBeside opens a store at the servers of another one, which lets itself be watched as it renews its lease.
func openBeside(t testing.TB, other *redisstore.Store, c redisstore.Config) *redisstore.Store {
	t.Helper()
	opened := make(chan struct{})
	var renewals sync.WaitGroup
	defer renewals.Wait()
	defer close(opened)
	renewals.Go(func() {
		for every := time.Tick(soon / 2); ; {
			select {
			case <-opened:
				return
			case <-every:
				_ = redisstore.Renew(other)
			}
		}
	})
	return open(t, c)
}

// timedOut says that nobody refused, and nobody answered either.
func timedOut(err error) bool {
	unanswered, ok := errors.AsType[net.Error](err)
	return errors.Is(err, context.DeadlineExceeded) || ok && unanswered.Timeout()
}

// openOn opens a store on one server.
func openOn(t testing.TB, server *redistest.Server, changes ...func(*redisstore.Config)) *redisstore.Store {
	t.Helper()
	c := redisstore.Config{Addresses: []string{server.Addr}}
	for _, change := range changes {
		change(&c)
	}
	return open(t, c)
}

var namespaces atomic.Int64

// fresh is a namespace that nobody has used.
func fresh() string { return fmt.Sprintf("test%d", namespaces.Add(1)) }

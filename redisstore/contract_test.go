package redisstore_test

import (
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/storetest"
)

// onEach runs a test with a single server and with a Cluster.
func onEach(t *testing.T, test func(t *testing.T, c redisstore.Config)) {
	t.Run("single", func(t *testing.T) {
		t.Parallel()
		test(t, redisstore.Config{Addresses: []string{redistest.Start(t).Addr}})
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		_, addresses := redistest.Cluster(t, 3)
		test(t, redisstore.Config{Addresses: addresses, Cluster: true})
	})
}

func TestReplayStore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, c redisstore.Config) {
		storetest.TestReplayStore(t, func(t *testing.T) storetest.Replay {
			clock := poptest.NewClock()
			redisstore.AtClock(&c, clock.Now)
			redisstore.WithRenewal(&c, 100*time.Millisecond)
			c.Namespace = fresh()
			return storetest.Replay{
				Store: open(t, c), Others: []dpop.ReplayStore{open(t, c)}, Now: clock.Now, Set: clock.Set,
			}
		})
	})
}

func TestRevocationStore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, c redisstore.Config) {
		empty := func(t *testing.T) storetest.Revocation {
			clock := poptest.NewClock()
			redisstore.AtClock(&c, clock.Now)
			c.Namespace = fresh()
			c.Retention = revocation.Retention{Lifetime: 10 * time.Minute}
			return storetest.Revocation{Store: open(t, c), Now: clock.Now, Advance: clock.Advance}
		}
		storetest.TestRevocationStore(t, empty)
		storetest.TestLifter(t, empty)
	})
}

func TestRegister(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, c redisstore.Config) {
		empty := func(t *testing.T) storetest.Register {
			clock := poptest.NewClock()
			redisstore.AtClock(&c, clock.Now)
			c.Namespace = fresh()
			s := open(t, c)
			return storetest.Register{Register: s, Store: s, Now: clock.Now, Advance: clock.Advance}
		}
		storetest.TestRegister(t, empty)
		storetest.TestSearcher(t, empty)
	})
}

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

// apart are the settings of an empty store with a clock of its own, for a part of a contract that runs beside the others.
func apart(t *testing.T, c redisstore.Config) (redisstore.Config, *poptest.Clock) {
	t.Parallel()
	clock := poptest.NewClock()
	redisstore.AtClock(&c, clock.Now)
	redisstore.WithRenewal(&c, time.Minute/3) // the leases last for a minute, and there are many stores
	c.Namespace = fresh()
	return c, clock
}

func TestReplayStore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, c redisstore.Config) {
		storetest.TestReplayStore(t, func(t *testing.T) storetest.Replay {
			c, clock := apart(t, c)
			first := open(t, c)
			return storetest.Replay{
				Store: first, Others: []dpop.ReplayStore{openBeside(t, first, c)}, Now: clock.Now, Set: clock.Set,
			}
		})
	})
}

func TestRevocationStore(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, c redisstore.Config) {
		empty := func(t *testing.T) storetest.Revocation {
			c, clock := apart(t, c)
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
			c, clock := apart(t, c)
			s := open(t, c)
			return storetest.Register{Register: s, Store: s, Now: clock.Now, Advance: clock.Advance}
		}
		storetest.TestRegister(t, empty)
		storetest.TestSearcher(t, empty)
	})
}

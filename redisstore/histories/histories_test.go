package histories_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

func TestMain(m *testing.M) { redistest.Main(m, 4) }

// A scene is servers, and the harm that they come to while instances work.
type scene struct {
	instances int
	keeps     bool // no revocation is lost by it
	defect    defect
	set       func(t *testing.T) (c redisstore.Config, harm func(f *fleet))
}

// The defects, one for each kind of harm.
type (
	// forgetful does not say since when it remembers.
	forgetful struct{ *redisstore.Store }
	// open takes a failure for a yes.
	open struct{ *redisstore.Store }
)

func (forgetful) Since() time.Time { return time.Time{} }

func (o open) Claim(ctx context.Context, key dpop.ReplayKey, expiry time.Time) (bool, error) {
	fresh, err := o.Store.Claim(ctx, key, expiry)
	return fresh || err != nil, nil
}

var (
	forgets     = defect{replay: func(s *redisstore.Store) dpop.ReplayStore { return forgetful{s} }}
	failsOpen   = defect{replay: func(s *redisstore.Store) dpop.ReplayStore { return open{s} }}
	doesNotWait = defect{config: func(c *redisstore.Config) { c.Wait = 0 }}
)

func single(args ...string) func(func(*fleet, *redistest.Server)) func(*testing.T) (redisstore.Config, func(*fleet)) {
	return func(harm func(*fleet, *redistest.Server)) func(*testing.T) (redisstore.Config, func(*fleet)) {
		return func(t *testing.T) (redisstore.Config, func(*fleet)) {
			server := redistest.Start(t, args...)
			return redisstore.Config{Addresses: []string{server.Addr}, Timeout: 500 * time.Millisecond},
				func(f *fleet) { harm(f, server) }
		}
	}
}

var scenes = map[string]scene{
	"halted and continued": {2, true, failsOpen, single()(func(f *fleet, s *redistest.Server) {
		s.Stop()
		time.Sleep(1500 * time.Millisecond)
		s.Continue()
	})},
	"killed, and back without data": {4, false, forgets, single()(func(f *fleet, s *redistest.Server) {
		s.Kill()
		s.Restart()
	})},
	"FLUSHALL": {3, false, forgets, single()(func(f *fleet, s *redistest.Server) { s.Must("FLUSHALL") })},
	"SWAPDB":   {3, false, forgets, single()(func(f *fleet, s *redistest.Server) { s.Must("SWAPDB", "0", "1") })},
	"an old snapshot": {2, false, forgets, single("--enable-debug-command", "yes")(func(f *fleet, s *redistest.Server) {
		s.Must("SAVE")
		time.Sleep(1500 * time.Millisecond)
		s.Must("DEBUG", "RELOAD", "NOSAVE")
	})},
	// What comes within the second in which nobody looks is not promised.
	"eviction": {2, false, forgets, single()(func(f *fleet, s *redistest.Server) {
		f.gate.Lock()
		defer f.gate.Unlock()
		before := map[*instance]time.Time{}
		for _, i := range f.instances {
			before[i] = i.store.Since()
		}
		s.Must("CONFIG", "SET", "maxmemory-policy", "allkeys-random", "maxmemory", "1")
		s.Do("SET", "x", "1")
		s.Must("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
		for i, since := range before {
			redistest.Wait(f.t, "the instance has noticed", func() bool { return !i.store.Since().Equal(since) })
		}
	})},
	"a clock is set": {3, true, failsOpen, single()(func(f *fleet, s *redistest.Server) {
		for _, ahead := range []time.Duration{30 * time.Second, -30 * time.Second, 0} {
			f.ahead.Store(int64(ahead))
			time.Sleep(500 * time.Millisecond)
		}
	})},
	"connections are cut": {2, true, failsOpen, single()(func(f *fleet, s *redistest.Server) {
		for range 20 {
			s.Do("CLIENT", "KILL", "TYPE", "normal")
			time.Sleep(20 * time.Millisecond)
		}
	})},
	"a slow network": {2, true, failsOpen, func(t *testing.T) (redisstore.Config, func(*fleet)) {
		r := newSlow(t, redistest.Start(t).Addr)
		return redisstore.Config{Addresses: []string{r.addr}, Timeout: 200 * time.Millisecond}, func(f *fleet) {
			for _, d := range []time.Duration{20, 400, 0} {
				r.delay.Store(int64(d * time.Millisecond))
				time.Sleep(1500 * time.Millisecond)
			}
		}
	}},
	// One instance reaches the old master alone, and the others the new one: until the old one follows.
	"two masters at once, with Wait": {3, true, doesNotWait, func(t *testing.T) (redisstore.Config, func(*fleet)) {
		a := redistest.Start(t)
		b := redistest.Replica(t, a)
		old, moves := newSlow(t, a.Addr), newSlow(t, a.Addr)
		c := redisstore.Config{Addresses: []string{old.addr, moves.addr}, Wait: 1, Timeout: time.Second}
		return c, func(f *fleet) {
			b.Must("REPLICAOF", "NO", "ONE")
			moves.lead(b.Addr)
			time.Sleep(3 * time.Second)
			host, port, _ := net.SplitHostPort(b.Addr)
			a.Must("REPLICAOF", host, port)
		}
	}},
	"failover of Sentinel, there and back": {2, false, forgets, func(t *testing.T) (redisstore.Config, func(*fleet)) {
		a := redistest.Start(t)
		b := redistest.Replica(t, a)
		c := redisstore.Config{Addresses: redistest.Sentinels(t, a, 3, 1), Master: "main", Timeout: 300 * time.Millisecond}
		return c, func(f *fleet) {
			a.Do("CLIENT", "KILL", "TYPE", "replica")
			a.Stop()
			redistest.Hasten(t, c.Addresses...)
			redistest.Wait(t, "the second is master", func() bool { return strings.HasPrefix(b.Do("ROLE"), "master") })
			f.accepts(50, "proofs are accepted at the second master")
			f.hold()
			b.Kill()
			a.Continue()
		}
	}},
	"failover of a Cluster": {2, false, forgets, func(t *testing.T) (redisstore.Config, func(*fleet)) {
		nodes, addresses := redistest.Cluster(t, 3)
		replica := redistest.ClusterReplica(t, nodes, nodes[0])
		c := redisstore.Config{Addresses: addresses, Cluster: true, Timeout: 300 * time.Millisecond}
		return c, func(f *fleet) {
			replica.Cut(nodes[0])
			f.accepts(100, "proofs are accepted that the replica does not have")
			f.hold()
			nodes[0].Kill()
			replica.Continue()
			redistest.Hasten(t, nodes[1].Addr, nodes[2].Addr, replica.Addr)
			redistest.Wait(t, "the replica takes over", func() bool { return strings.HasPrefix(replica.Do("ROLE"), "master") })
		}
	}},
	"slots are taken by another node": {2, false, forgets, func(t *testing.T) (redisstore.Config, func(*fleet)) {
		nodes, addresses := redistest.Cluster(t, 3)
		c := redisstore.Config{Addresses: addresses, Cluster: true, Timeout: 300 * time.Millisecond}
		return c, func(f *fleet) {
			moveSlots(t, nodes)
		}
	}},
}

// moveSlots gives the slots of the first node to the second, without their keys.
func moveSlots(t *testing.T, nodes []*redistest.Server) {
	t.Helper()
	nodes[0].Do("FLUSHALL") // a node with keys in a slot would not give it away
	for slot := range 5461 {
		if slot%1000 != 0 {
			continue
		}
		first, last := fmt.Sprint(slot), fmt.Sprint(min(slot+999, 5460))
		for _, n := range nodes {
			n.Do("CLUSTER", "DELSLOTSRANGE", first, last)
		}
		nodes[1].Must("CLUSTER", "ADDSLOTSRANGE", first, last)
	}
	nodes[1].Do("CLUSTER", "BUMPEPOCH")
}

// Whatever happens to the servers, the history is one of a set that may only refuse.
func TestHistories(t *testing.T) {
	t.Parallel()
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, harm := s.set(t)
			f := newFleet(t, s.instances, c, defect{})
			f.keeps = s.keeps
			if !f.run(callCount(t), false, func() { harm(f) }) {
				t.Error("a proof was accepted twice, or a revocation missed")
			}
		})
	}
}

// A defect of each kind is found.
func TestPlantedDefects(t *testing.T) {
	t.Parallel()
	for name, s := range scenes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, harm := s.set(t)
			f := newFleet(t, s.instances, c, s.defect)
			if f.run(0, true, func() { harm(f) }) {
				t.Error("the defect was not found")
			}
		})
	}
}

// The checker at servers of one's own, which come to whatever harm one does them meanwhile.
func TestYourServers(t *testing.T) {
	url, minutes := os.Getenv("SENDERLOCK_HISTORIES_URL"), os.Getenv("SENDERLOCK_HISTORIES_FOR")
	if url == "" {
		t.Skip("SKIPPED, NOTHING WAS CHECKED: give SENDERLOCK_HISTORIES_URL, and for how long in SENDERLOCK_HISTORIES_FOR (5m)")
	}
	c, err := redisstore.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	long, err := time.ParseDuration(minutes)
	if err != nil {
		t.Fatalf("SENDERLOCK_HISTORIES_FOR: %v", err)
	}
	f := newFleet(t, 3, c, defect{})
	f.keeps = os.Getenv("SENDERLOCK_HISTORIES_KEPT") != ""
	if !f.run(0, false, func() { time.Sleep(long) }) {
		t.Error("a proof was accepted twice, or a revocation missed")
	}
}

// forgetsToAsk remembers for a while that somebody was not revoked.
type forgetsToAsk struct {
	*redisstore.Store
	known sync.Map
}

func (f *forgetsToAsk) Revoked(ctx context.Context, t revocation.Token) (*revocation.Entry, error) {
	if _, known := f.known.Load(t.Subject); known {
		return nil, nil
	}
	e, err := f.Store.Revoked(ctx, t)
	if e == nil && err == nil {
		f.known.Store(t.Subject, true)
	}
	return e, err
}

// A look-up that is answered from a cache is found.
func TestPlantedCache(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, redisstore.Config{Addresses: []string{redistest.Start(t).Addr}}, defect{})
	f.keeps = true
	for _, i := range f.instances {
		i.revoked = (&forgetsToAsk{Store: i.store}).Revoked
	}
	if f.run(callCount(t), false, func() {}) {
		t.Error("the defect was not found")
	}
}

package redisstore_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// acceptedOnce sends proofs that are accepted, and looks whether they are refused as long as everything is well.
func acceptedOnce(t *testing.T, s *socket, c *client) (proofs []string) {
	t.Helper()
	for range 5 {
		proofs = append(proofs, eventually(t, s, c, "a proof is accepted"))
	}
	refusedEverywhere(t, c, proofs, s)
	return proofs
}

// brief makes the least of what clocks may differ by, so that a proof is refused for having been used, or because it was
// made before the memory began, and not because that was a moment ago.
func brief(c *access.Config) { c.Skew = time.Millisecond }

func isMaster(s *redistest.Server) bool { return strings.HasPrefix(s.Do("ROLE"), "master") }

// RS-073: a master that is cut off, another that takes over and dies, and the first comes back as it was: the same
// process, with the identity of before. What the second accepted is refused, by an instance that has seen it all and by
// one that is started then.
func TestSentinelThereAndBack(t *testing.T) {
	t.Parallel()
	a := redistest.Start(t)
	b := redistest.Replica(t, a)
	c := redisstore.Config{
		Addresses: redistest.Sentinels(t, a, 3, 1), Master: "main", Timeout: 300 * time.Millisecond, MaxSkew: time.Millisecond,
	}
	one := start(t, c, brief).socket(t)
	client := newClient(time.Now())
	eventually(t, one, client, "a proof is accepted at the first master")
	a.Do("CLIENT", "KILL", "TYPE", "replica")
	a.Stop()
	redistest.Hasten(t, c.Addresses...)
	eventually(t, one, client, "a proof is accepted at the second")
	if !isMaster(b) {
		t.Fatal("the second is no master")
	}
	proofs := acceptedOnce(t, one, client)
	b.Kill()
	a.Continue()
	eventually(t, one, client, "a proof is accepted at the first again")
	two := start(t, c, brief).socket(t)
	refusedEverywhere(t, client, proofs, one, two)
	eventually(t, two, client, "a proof is accepted by the new instance")
	refusedEverywhere(t, client, proofs, one, two)
}

// The same with one name, and an instance that slept through it: its clock for leases shows that time has passed, and
// what it knew before does not count.
func TestSleptThrough(t *testing.T) {
	t.Parallel()
	a, b := redistest.Start(t), redistest.Start(t)
	var slept atomic.Int64
	sleeper := redisstore.Config{Addresses: []string{a.Addr}, MaxSkew: time.Millisecond, Timeout: patient}
	redisstore.WithElapsed(&sleeper, func() time.Duration { return redisstore.Elapsed() + time.Duration(slept.Load()) })
	relay := newRelay(t, a.Addr)
	awake := redisstore.Config{Addresses: []string{relay.addr}, MaxSkew: time.Millisecond, Timeout: patient}
	one, two := start(t, sleeper, brief).socket(t), start(t, awake, brief).socket(t)
	client := newClient(time.Now())
	eventually(t, one, client, "a proof is accepted")
	relay.lead(b.Addr)
	relay.cut()
	eventually(t, two, client, "a proof is accepted at the second server")
	proofs := acceptedOnce(t, two, client)
	since := one.to.store.Since()
	slept.Store(int64(time.Hour))
	if ok, err := claim(one.to.store, "the first after waking"); !ok || err != nil || !one.to.store.Since().After(since) {
		t.Errorf("Claim = %t, %v, and Since moved from %v to %v", ok, err, since, one.to.store.Since())
	}
	slept.Store(int64(2 * time.Hour))
	refusedEverywhere(t, client, proofs, one)
	eventually(t, one, client, "a proof is accepted by the one that slept")
	refusedEverywhere(t, client, proofs, one)
}

// A claim whose answer takes longer than the lease: it may come from a server that is out of office.
func TestAnswerAfterTheLease(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	relay := newRelay(t, server.Addr)
	var passed atomic.Int64
	s := open(t, configured(redisstore.Config{Addresses: []string{relay.addr}, Timeout: 20 * time.Second}, func(c *redisstore.Config) {
		redisstore.WithElapsed(c, func() time.Duration { return redisstore.Elapsed() + time.Duration(passed.Load()) })
	}))
	since := s.Since()
	answered := make(chan error, 1)
	// The client may be at a PING, behind which a claim waits.
	var name string
	redistest.Wait(t, "a claim is made, and not answered", func() bool {
		name = time.Now().String()
		relay.hold(&relay.down)
		go func() {
			ok, err := claim(s, name)
			if ok {
				err = errors.New("it counts")
			}
			answered <- err
		}()
		for range 20 {
			if recorded(server, name) {
				return true
			}
		}
		relay.hold(nil)
		<-answered
		return false
	})
	passed.Store(int64(2 * time.Minute))
	relay.hold(nil)
	if err := <-answered; err == nil || !strings.Contains(err.Error(), "began anew meanwhile") {
		t.Errorf("a claim that was answered after the lease: %v", err)
	}
	if !s.Since().After(since) {
		t.Error("Since did not move")
	}
	redistest.Wait(t, "claims are made again", func() bool { ok, _ := claim(s, time.Now().String()); return ok })
}

func configured(c redisstore.Config, change func(*redisstore.Config)) redisstore.Config {
	change(&c)
	return c
}

// RS-073: whatever takes keys from a running server, what was used before is refused by the instance that was there, and
// by a new one.
func TestLostKeys(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, s *redistest.Server){
		"FLUSHALL": func(_ *testing.T, s *redistest.Server) { s.Must("FLUSHALL") },
		"SWAPDB":   func(_ *testing.T, s *redistest.Server) { s.Must("SWAPDB", "0", "1") },
		"an old snapshot in the same process": func(_ *testing.T, s *redistest.Server) {
			s.Must("DEBUG", "RELOAD", "NOSAVE")
		},
		"an old snapshot in another process": func(_ *testing.T, s *redistest.Server) {
			s.Kill()
			s.Restart()
		},
		"keys are evicted for a moment": evict,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, "--enable-debug-command", "yes")
			c := redisstore.Config{Addresses: []string{server.Addr}, Timeout: time.Second, MaxSkew: time.Millisecond}
			redisstore.WithRenewal(&c, soon)
			i := start(t, c, brief)
			one := i.socket(t)
			client := newClient(time.Now())
			eventually(t, one, client, "a proof is accepted")
			server.Must("SAVE")
			redistest.Wait(t, "the marker is newer than the snapshot", renewed(server))
			proofs := acceptedOnce(t, one, client)
			since := i.store.Since()
			lose(t, server)
			redistest.Wait(t, "the instance notices", func() bool {
				if !strings.HasPrefix(name, "keys are evicted") { // those are counted, and the count is looked at by renewals
					_, _ = claim(i.store, time.Now().String())
				}
				return !i.store.Since().Equal(since)
			})
			two := start(t, c, brief).socket(t)
			refusedEverywhere(t, client, proofs, one, two)
			eventually(t, one, client, "a proof is accepted")
			eventually(t, two, client, "a proof is accepted")
			refusedEverywhere(t, client, proofs, one, two)
		})
	}
}

// renewed reports whether the marker has been renewed since.
func renewed(s *redistest.Server) func() bool {
	before := s.Do("GET", "senderlock:epoch")
	return func() bool { return s.Do("GET", "senderlock:epoch") != before }
}

// Where the loss shows in the same step as the claim, there is no moment in which a used proof is fresh.
func TestLossIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *redistest.Server){
		"FLUSHALL": func(_ *testing.T, s *redistest.Server) { s.Must("FLUSHALL") },
		"SWAPDB":   func(_ *testing.T, s *redistest.Server) { s.Must("SWAPDB", "0", "1") },
		"an older copy of the marker": func(t *testing.T, s *redistest.Server) {
			marker := s.Do("GET", "senderlock:epoch")
			redistest.Wait(t, "it is renewed", renewed(s))
			s.Must("FLUSHALL")
			s.Must("SET", "senderlock:epoch", marker)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			i := start(t, redisstore.Config{Addresses: []string{server.Addr}, MaxSkew: time.Millisecond}, brief)
			one, client := i.socket(t), newClient(time.Now())
			proofs := acceptedOnce(t, one, client)
			lose(t, server)
			refusedEverywhere(t, client, proofs, one)
		})
	}
}

// A Cluster's master dies, and another that all know takes its slots, without its keys.
func TestClusterSlotsTakenOver(t *testing.T) {
	t.Parallel()
	nodes, addresses := redistest.Cluster(t, 3)
	c := redisstore.Config{Addresses: addresses, Cluster: true, Timeout: time.Second, MaxSkew: time.Millisecond}
	one := start(t, c, brief).socket(t)
	client := newClient(time.Now())
	var proofs []string
	for range 30 {
		proofs = append(proofs, eventually(t, one, client, "a proof is accepted"))
	}
	id := nodes[0].Do("CLUSTER", "MYID")
	nodes[0].Kill()
	for _, n := range nodes[1:] {
		redistest.Wait(t, "it is forgotten", func() bool { return n.Do("CLUSTER", "FORGET", id) == "OK" })
	}
	for slot := range 5461 {
		if slot%1000 == 0 {
			last := min(slot+999, 5460)
			nodes[1].Do("CLUSTER", "DELSLOTSRANGE", fmt.Sprint(slot), fmt.Sprint(last))
			nodes[2].Do("CLUSTER", "DELSLOTSRANGE", fmt.Sprint(slot), fmt.Sprint(last))
			nodes[1].Must("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(slot), fmt.Sprint(last))
		}
	}
	c.Addresses = addresses[1:]
	redistest.Wait(t, "all slots are served", func() bool {
		return strings.Contains(nodes[1].Do("CLUSTER", "INFO"), "cluster_slots_ok:16384") &&
			strings.Contains(nodes[2].Do("CLUSTER", "INFO"), "cluster_slots_ok:16384")
	})
	replayed := func(sockets ...*socket) {
		for range 3 {
			refusedEverywhere(t, client, proofs, sockets...)
		}
	}
	replayed(one)
	for range 20 {
		eventually(t, one, client, "a proof is accepted")
	}
	two := start(t, c, brief).socket(t)
	eventually(t, two, client, "a proof is accepted by a new instance")
	replayed(one, two)
}

// The memory of a new instance begins with it, however old the server is: what was used before may have been
// remembered elsewhere.
func TestSinceIsOnesOwnStart(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	redistest.Wait(t, "the server is a while old", func() bool {
		return !strings.Contains(server.Do("INFO", "server"), "uptime_in_seconds:0")
	})
	verifier := func(replay dpop.ReplayStore) *dpop.Verifier {
		v, err := dpop.New(dpop.Config{
			Origins: []string{"https://api.example.com"}, Replay: replay, InsecureForgetAtStart: replay == nil,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = v.Close() })
		return v
	}
	old := verifier(nil) // remembers in its process
	proof := newClient(time.Now()).proof(time.Now())
	r, _ := http.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
	r.Host, r.RequestURI = "api.example.com", "/accounts"
	r.Header.Set("DPoP", proof)
	if _, err := old.Verify(r, ""); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	const skew = 3 * time.Second
	s := openOn(t, server, func(c *redisstore.Config) { c.MaxSkew = skew })
	if since := s.Since(); since.Before(began.Add(skew)) || since.After(time.Now().Add(skew)) {
		t.Errorf("Since is %v, want MaxSkew after the start at %v", since, began)
	}
	if _, err := verifier(s).Verify(r, ""); !errors.Is(err, dpop.ErrRestart) {
		t.Errorf("a proof of before got %v, want ErrRestart", err)
	}
}

// A rolling deployment: the new instance has watched the old one renew the epoch, and takes its beginning over. Clients
// that know no nonces notice nothing.
func TestRollingDeployment(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, c redisstore.Config) {
		c.MaxSkew = time.Millisecond
		redisstore.WithRenewal(&c, soon)
		old := start(t, c, brief)
		client, first := newClient(time.Now()), old.socket(t)
		redistest.Wait(t, "the memory is old enough", func() bool {
			client.nonce = ""
			return first.send(t, client, client.proof(time.Now())).status == http.StatusOK
		})
		proofs := acceptedOnce(t, old.socket(t), client)
		for range 3 {
			next := start(t, c, brief)
			if !next.store.Since().Equal(old.store.Since()) {
				t.Errorf("Since is %v, that of the old instance %v", next.store.Since(), old.store.Since())
			}
			client.nonce = ""
			socket := next.socket(t)
			if a := socket.send(t, client, client.proof(time.Now())); a.status != http.StatusOK {
				t.Errorf("the first request got %s", a)
			}
			refusedEverywhere(t, client, proofs, socket)
			_ = old.store.Close()
			old = next
		}
	})
}

// A fleet that is started as a whole, at a server where another has been: they agree upon one beginning, after all of
// them began.
func TestFleetStarts(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := redisstore.Config{Addresses: []string{server.Addr}}
	gone := open(t, c)
	mustClaim(t, gone, "any")
	_ = gone.Close()
	began := time.Now()
	stores := make([]*redisstore.Store, 4)
	var all sync.WaitGroup
	for i := range stores {
		all.Go(func() { stores[i] = open(t, c) })
	}
	all.Wait()
	redistest.Wait(t, "they agree", func() bool {
		for _, s := range stores {
			if !s.Since().Equal(stores[0].Since()) {
				return false
			}
		}
		return true
	})
	if since := stores[0].Since(); since.Before(began.Add(redisstore.DefaultMaxSkew)) {
		t.Errorf("Since is %v, before the start at %v", since, began)
	}
}

// One name that leads to another server, where the old one lives on as a replica with its connections open. Claims are
// made at the new one, without a restart, and a revocation that was acknowledged there is seen, also by an instance that
// makes no claims, and also if the old one hears nothing of the new one.
func TestNameMoves(t *testing.T) {
	t.Parallel()
	for _, follows := range []bool{true, false} {
		t.Run(fmt.Sprintf("the old one follows: %t", follows), func(t *testing.T) {
			t.Parallel()
			a := redistest.Start(t)
			b := redistest.Replica(t, a)
			relay := newRelay(t, a.Addr)
			c := redisstore.Config{Addresses: []string{relay.addr}, Timeout: patient, MaxSkew: time.Millisecond}
			i, looker := start(t, c, brief), open(t, c)
			one, client := i.socket(t), newClient(time.Now())
			eventually(t, one, client, "a proof is accepted")
			proofs := acceptedOnce(t, one, client)
			if e, err := looker.Revoked(t.Context(), tokenOf("alice")); e != nil || err != nil {
				t.Fatalf("Revoked = %v, %v", e, err)
			}
			b.Must("REPLICAOF", "NO", "ONE")
			relay.lead(b.Addr)
			host, port, _ := net.SplitHostPort(b.Addr)
			if !follows {
				port = "1"
			}
			a.Must("REPLICAOF", host, port)
			other := open(t, redisstore.Config{Addresses: []string{b.Addr}})
			if err := other.Revoke(t.Context(), revocation.Entry{
				Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice",
			}); err != nil {
				t.Fatal(err)
			}
			redistest.Wait(t, "the revocation is seen", func() bool {
				e, err := looker.Revoked(t.Context(), tokenOf("alice"))
				if e == nil && err == nil {
					t.Fatal("a revocation that was acknowledged is not seen")
				}
				return e != nil
			})
			eventually(t, one, client, "a proof is accepted at the new server")
			refusedEverywhere(t, client, proofs, one)
		})
	}
}

// What a server loses while an instance only watches it counts too: the instance has not taken a beginning over, and
// its own is no longer true.
func TestEvictedWhileWatching(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := redisstore.Config{Addresses: []string{server.Addr}}
	gone := open(t, c)
	mustClaim(t, gone, "any")
	_ = gone.Close()
	var joins atomic.Int64
	redisstore.WithTrace(&c, func(s redisstore.Step) {
		if s.Rule == "JOIN" && joins.Add(1) == 1 {
			evict(t, server)
		}
	})
	open(t, c)
	if joins.Load() < 2 {
		t.Error("keys were evicted, and the instance stayed in the epoch")
	}
}

func evict(t *testing.T, s *redistest.Server) {
	s.Must("CONFIG", "SET", "maxmemory-policy", "volatile-random", "maxmemory", "1")
	s.Do("SET", "x", "1")
	s.Must("CONFIG", "SET", "maxmemory", "0", "maxmemory-policy", "noeviction")
	if strings.Contains(s.Do("INFO", "stats"), "evicted_keys:0") {
		t.Error("nothing was evicted")
	}
}

// A replica that takes over has a copy of the marker, and says nothing of a second history: a new instance takes nothing
// over from there, nor does a running one.
func TestPromotedCopy(t *testing.T) {
	t.Parallel()
	a := redistest.Start(t)
	b := redistest.Replica(t, a, "--repl-backlog-ttl", "1")
	relay := newRelay(t, a.Addr)
	c := redisstore.Config{Addresses: []string{relay.addr}, Timeout: time.Second, MaxSkew: time.Millisecond}
	one := start(t, c, brief).socket(t)
	client := newClient(time.Now())
	eventually(t, one, client, "a proof is accepted")
	redistest.Wait(t, "the replica has the marker", func() bool {
		return b.Do("GET", "senderlock:epoch") == a.Do("GET", "senderlock:epoch")
	})
	b.Cut(a)
	proofs := acceptedOnce(t, one, client) // which do not reach the replica
	a.Kill()
	b.Continue()
	b.Must("REPLICAOF", "NO", "ONE")
	redistest.Wait(t, "the replica has forgotten whose it was", func() bool {
		return strings.Contains(b.Do("INFO", "replication"), "master_replid2:0000000000")
	})
	relay.lead(b.Addr)
	two := start(t, c, brief).socket(t)
	refusedEverywhere(t, client, proofs, one, two)
	eventually(t, one, client, "a proof is accepted")
	eventually(t, two, client, "a proof is accepted")
	refusedEverywhere(t, client, proofs, one, two)
}

// Nobody takes over what nobody vouches for: a renewal that lay in some buffer while its sender's lease ran out renews
// nothing.
func TestLateRenewal(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, redistest.Start(t).Addr)
	var passed atomic.Int64
	var mu sync.Mutex
	var steps []redisstore.Step
	since := func(n int) []redisstore.Step {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(steps[n:])
	}
	c := redisstore.Config{Addresses: []string{relay.addr}, Timeout: 20 * time.Second}
	const lease = 500 * time.Millisecond // by the server's clock; that of the instance stands still
	redisstore.WithLease(&c, lease)
	redisstore.WithRenewal(&c, lease/5)
	redisstore.WithElapsed(&c, func() time.Duration { return time.Duration(passed.Load()) })
	redisstore.WithTrace(&c, func(s redisstore.Step) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, s)
	})
	open(t, c)
	redistest.Wait(t, "it is renewed", func() bool { return last(since(0)).Rule == "RENEWAL" })
	relay.hold(&relay.up)
	held := time.Now()
	redistest.Wait(t, "a renewal has waited for longer than the lease", func() bool {
		return time.Since(held) > 2*lease
	})
	passed.Store(int64(time.Hour))
	before := since(0)
	relay.hold(nil)
	redistest.Wait(t, "it enters anew", func() bool { return last(since(len(before))).Rule == "JOIN" })
	if count := last(since(0)).Count; count != last(before).Count {
		t.Errorf("the count went from %s to %s while nobody held the lease", last(before).Count, count)
	}
}

func last(steps []redisstore.Step) (s redisstore.Step) {
	if len(steps) > 0 {
		s = steps[len(steps)-1]
	}
	return s
}

package redisstore_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
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

// eventually sends new proofs until one is accepted, and returns it.
func eventually(t *testing.T, s *socket, c *client, what string) (proof string) {
	t.Helper()
	redistest.Wait(t, what, func() bool {
		a, p := s.call(t, c, time.Now())
		proof = p
		return a.status == http.StatusOK
	})
	return proof
}

// refusedEverywhere expects that proofs which were accepted are accepted by nobody any more.
func refusedEverywhere(t *testing.T, c *client, proofs []string, sockets ...*socket) {
	t.Helper()
	for _, p := range proofs {
		for _, s := range sockets {
			if a := s.send(t, c, p); a.status == http.StatusOK {
				t.Errorf("a proof was accepted twice")
			}
		}
	}
}

// RS-073: a master that is killed takes its newest claims with it, because replication is asynchronous. Nothing that
// it accepted is accepted by the replica that takes over.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.Replica(t, master)
	sentinels := redistest.Sentinels(t, master, 3, 1)
	c := redisstore.Config{Addresses: sentinels, Master: "main", Timeout: patient, MaxSkew: time.Second}
	one, two := start(t, c).socket(t), start(t, c).socket(t)
	client := newClient(time.Now())
	if err := one.to.store.Revoke(t.Context(), revocation.Entry{
		Issuer: poptest.Issuer, By: revocation.BySubject, Value: "mallory",
	}); err != nil {
		t.Fatal(err)
	}
	redistest.Wait(t, "the replica has the revocation", func() bool { return strings.Contains(replica.Do("KEYS", "*"), ":r:") })
	var proofs []string
	accept := func() {
		for range 20 {
			proofs = append(proofs, eventually(t, one, client, "a proof is accepted"))
		}
	}
	accept()
	replica.Cut(master)
	accept()
	master.Kill()
	replica.Continue()
	redistest.Hasten(t, sentinels...)

	eventually(t, one, client, "the first instance goes on with the new master")
	eventually(t, two, client, "the second instance goes on with the new master")
	if role := replica.Do("ROLE"); !strings.HasPrefix(role, "master") {
		t.Errorf("the replica's role is %s", role)
	}
	refusedEverywhere(t, client, proofs, one, two)
	if e, err := two.to.store.Revoked(t.Context(), tokenOf("mallory")); e == nil || err != nil {
		t.Errorf("a revocation that was replicated is gone: %v, %v", e, err)
	}
	accept()
	refusedEverywhere(t, client, proofs, one, two)
}

// RS-073: a replica of a Cluster takes over from its master, without the newest claims and over connections that were
// made while it was a replica. Replays that come in the same instant are not accepted.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	nodes, addresses := redistest.Cluster(t, 3, "--enable-debug-command", "yes")
	master := nodes[0]
	replica := redistest.ClusterReplica(t, nodes, master)
	c := redisstore.Config{Addresses: addresses, Cluster: true, Timeout: 300 * time.Millisecond, MaxSkew: time.Second}
	one := start(t, c).socket(t)
	client := newClient(time.Now())
	// What comes now does not reach the replica: it would need everything anew, and that is put off.
	before := one.to.store.Since()
	master.Must("CONFIG", "SET", "repl-diskless-sync-delay", "1000")
	master.Must("DEBUG", "CHANGE-REPL-ID")
	master.Do("CLIENT", "KILL", "TYPE", "replica")
	redistest.Wait(t, "the store has seen it", func() bool { return one.to.store.Since().After(before) })
	var proofs []string
	for known := claimsAt(master); len(proofs) < 10; known = claimsAt(master) {
		if proof := eventually(t, one, client, "a proof is accepted"); claimsAt(master) > known {
			proofs = append(proofs, proof)
		}
	}
	before = one.to.store.Since()
	id := master.Do("CLUSTER", "MYID")
	master.Kill()
	redistest.Hasten(t, nodes[1].Addr, nodes[2].Addr, replica.Addr)
	redistest.Wait(t, "it is given up, and the replica may take over any moment", func() bool {
		return nodes[1].GivenUp(id)
	})

	var replays sync.WaitGroup
	for range 8 {
		s := one.to.socket(t)
		replays.Go(func() {
			for deadline := time.Now().Add(30 * time.Second); !s.to.store.Since().After(before); {
				refusedEverywhere(t, client, proofs, s)
				if time.Now().After(deadline) {
					t.Error("the store has not seen that the replica took over")
					return
				}
			}
		})
	}
	replays.Wait()
	if role := replica.Do("ROLE"); !strings.HasPrefix(role, "master") {
		t.Errorf("the replica's role is %s", role)
	}
	for range 10 {
		eventually(t, one, client, "the instance goes on with the new master")
	}
	refusedEverywhere(t, client, proofs, one)
}

// claimsAt is how many claims lie at a server.
func claimsAt(s *redistest.Server) int { return len(strings.Fields(s.Do("KEYS", "senderlock:p:*"))) }

// A node of a Cluster dies: proofs whose keys lie there are refused, others accepted; back again, and empty, it gives
// nothing away.
func TestClusterNodeDies(t *testing.T) {
	t.Parallel()
	nodes, addresses := redistest.Cluster(t, 3)
	c := redisstore.Config{Addresses: addresses, Cluster: true, Timeout: 300 * time.Millisecond, MaxSkew: time.Second}
	one, two := start(t, c).socket(t), start(t, c).socket(t)
	client := newClient(time.Now())
	var proofs []string
	for range 30 {
		proofs = append(proofs, eventually(t, one, client, "a proof is accepted"))
	}
	refusedEverywhere(t, client, proofs, one, two)
	nodes[1].Kill()
	redistest.Wait(t, "with one node of three dead some claims fail, and others are fresh", func() bool {
		var failed, fresh atomic.Int64
		var claims sync.WaitGroup
		for i := range 60 {
			claims.Go(func() {
				switch ok, err := claim(one.to.store, fmt.Sprint(i, time.Now())); {
				case err != nil:
					failed.Add(1)
				case ok:
					fresh.Add(1)
				}
			})
		}
		claims.Wait()
		return failed.Load() > 0 && fresh.Load() > 0
	})
	nodes[1].Restart()
	for range 20 {
		eventually(t, one, client, "a proof is accepted")
		eventually(t, two, client, "a proof is accepted")
	}
	refusedEverywhere(t, client, proofs, one, two)
}

// RS-073: a server that keeps nothing on disk is started anew: what it accepted before is not accepted again, by old
// instances and by new ones; and clients go on after one more round trip.
func TestRestartedEmpty(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := redisstore.Config{Addresses: []string{server.Addr}, MaxSkew: time.Second}
	one := start(t, c).socket(t)
	client := newClient(time.Now())
	var proofs []string
	for range 10 {
		proofs = append(proofs, one.expect(t, client, time.Now(), http.StatusOK))
	}
	before := one.to.store.Since()
	server.Kill()
	server.Restart()
	two := start(t, c).socket(t)
	refusedEverywhere(t, client, proofs, one, two)
	redistest.Wait(t, "the old instance knows", func() bool {
		_, _ = claim(one.to.store, "any"+time.Now().String())
		return one.to.store.Since().After(before)
	})
	eventually(t, one, client, "a proof with a nonce is accepted")
	eventually(t, two, client, "a proof with a nonce is accepted")
	refusedEverywhere(t, client, proofs, one, two)
}

// Wait: a claim counts only when the replica has it.
func TestWait(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.Replica(t, master)
	s := open(t, redisstore.Config{Addresses: []string{master.Addr}, Wait: 1, Timeout: 20 * time.Second})
	works(t, s)
	replica.Stop()
	end := master.GiveUp(t)
	if ok, err := claim(s, "alone"); ok || !errors.Is(err, redisstore.ErrReplicas) {
		t.Errorf("Claim = %t, %v, want ErrReplicas", ok, err)
	}
	if ok, err := claim(s, "alone"); ok || err != nil {
		t.Errorf("the same again = %t, %v; the master has it", ok, err)
	}
	e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice"}
	if err := s.Revoke(t.Context(), e); !errors.Is(err, redisstore.ErrReplicas) {
		t.Errorf("Revoke = %v, want ErrReplicas", err)
	}
	end()
	replica.Continue()
	redistest.Wait(t, "claims count again", func() bool {
		ok, _ := claim(s, time.Now().String())
		return ok
	})
}

// Two instances rotate the secrets of their nonces, each at its own time: clients notice nothing.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	config := redisstore.Config{Addresses: []string{server.Addr}}
	redisstore.WithRenewal(&config, 100*time.Millisecond)
	a, b := []byte("the old secret of all instances, 32 octets"), []byte("the new secret of all instances, 32 octets")
	with := func(list ...[]byte) *socket {
		return start(t, config, func(v *access.Config) {
			v.Nonces.Secrets, v.RequireNonce, v.InsecureForgetAtStart = list, true, true
		}).socket(t)
	}
	client := newClient(time.Now())
	steps := [][2]*socket{
		{with(a), with(a)},
		{with(a, b), with(a)}, {with(a, b), with(a, b)}, // the new one is known everywhere, and signs nowhere
		{with(b, a), with(a, b)}, {with(b, a), with(b, a)}, // it signs
		{with(b), with(b, a)}, {with(b), with(b)}, // two periods later the old one is dropped
	}
	for i, pair := range steps {
		for from := range pair {
			if i == 5 { // the nonces of the old secret are over by then
				client.nonce = ""
			}
			a, _ := pair[from].call(t, client, time.Now()) // may fetch a nonce, the first time
			nonce := client.nonce
			if a.status != http.StatusOK || nonce == "" {
				t.Fatalf("step %d: got %s", i, a)
			}
			for to := range pair {
				proof := client.proof(time.Now())
				if a := pair[to].send(t, client, proof); a.status != http.StatusOK {
					t.Errorf("step %d: a nonce of instance %d got %s at instance %d", i, from, a, to)
				}
				if a := pair[1-to].send(t, client, proof); a.status != http.StatusUnauthorized {
					t.Errorf("step %d: a replay got %s", i, a)
				}
			}
			client.nonce = ""
		}
	}
}

// The claim of a request goes with its look-up: when that has been answered, the server is not needed again. A revoked
// token's proof is used up.
func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	i := start(t, redisstore.Config{Addresses: []string{server.Addr}}, func(v *access.Config) { v.InsecureForgetAtStart = true })
	client, socket := newClient(time.Now()), i.socket(t)
	socket.expect(t, client, time.Now(), http.StatusOK)
	server.Must("CONFIG", "RESETSTAT")
	for range 10 {
		socket.expect(t, client, time.Now(), http.StatusOK)
	}
	// A renewal of the lease is another, with an INFO in it.
	if n := calls(server); n["mget"] != 10 || n["evalsha"]-n["info"] != 10 || n["get"] != n["evalsha"] {
		t.Errorf("10 requests: %v", n)
	}
	key, expiry := dpop.NewReplayKey("", "travels", "with a look-up"), time.Now().Add(time.Minute)
	if fresh, entry, err := i.store.ClaimUnlessRevoked(t.Context(), key, expiry, tokenOf("alice")); !fresh || entry != nil || err != nil {
		t.Fatal(fresh, entry, err)
	}
	if fresh, err := i.store.Claim(t.Context(), key, expiry); fresh || err != nil {
		t.Errorf("a claim that travelled with a look-up is still free: %t, %v", fresh, err)
	}
	e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "user-1"}
	if err := i.store.Revoke(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	before := strings.Fields(server.Do("KEYS", "*")) // of which some may end meanwhile
	socket.expect(t, client, time.Now(), http.StatusUnauthorized)
	isNew := func(key string) bool { return !slices.Contains(before, key) }
	if !slices.ContainsFunc(strings.Fields(server.Do("KEYS", "*")), isNew) {
		t.Error("the proof of the revoked token was not claimed")
	}
}

// calls returns how often each command was executed since the statistics were reset, in scripts too.
func calls(server *redistest.Server) map[string]int {
	n := map[string]int{}
	for _, line := range strings.Split(server.Do("INFO", "commandstats"), "\n") {
		name, stats, _ := strings.Cut(strings.TrimPrefix(line, "cmdstat_"), ":calls=")
		count, _, _ := strings.Cut(stats, ",")
		n[name], _ = strconv.Atoi(count)
	}
	return n
}

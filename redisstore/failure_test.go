package redisstore_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// RS-180: whatever is wrong with the server, a request is refused with 503 and Retry-After, does not hang, and when
// the server is well again, requests are accepted without anybody's help.
func TestFailures(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ harm, heal func(*redistest.Server) }{
		"down":              {(*redistest.Server).Kill, (*redistest.Server).Restart},
		"halted":            {(*redistest.Server).Stop, (*redistest.Server).Continue},
		"paused":            {do("CLIENT", "PAUSE", "60000"), func(s *redistest.Server) { s.Kill(); s.Restart() }}, // it takes no UNPAUSE either
		"writes are paused": {do("CLIENT", "PAUSE", "60000", "WRITE"), do("CLIENT", "UNPAUSE")},
		"read-only":         {do("REPLICAOF", "127.0.0.1", "1"), do("REPLICAOF", "NO", "ONE")},
		"full":              {do("CONFIG", "SET", "maxmemory", "1"), do("CONFIG", "SET", "maxmemory", "0")},
		"too few replicas to write": {
			do("CONFIG", "SET", "min-replicas-to-write", "1"), do("CONFIG", "SET", "min-replicas-to-write", "0")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			i := start(t, redisstore.Config{Addresses: []string{server.Addr}, Timeout: 300 * time.Millisecond})
			client, socket := newClient(time.Now()), i.socket(t)
			redistest.Wait(t, "a request is accepted", func() bool {
				a, _ := socket.call(t, client, time.Now())
				return a.status == http.StatusOK
			})
			c.harm(server)
			for range 3 {
				began := time.Now()
				a, _ := socket.call(t, client, time.Now())
				if a.status != http.StatusServiceUnavailable || a.retryAfter == "" {
					t.Errorf("got %s, want 503 with Retry-After", a)
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v", took)
				}
			}
			c.heal(server)
			redistest.Wait(t, "a request is accepted again", func() bool {
				a, _ := socket.call(t, client, time.Now())
				return a.status == http.StatusOK
			})
		})
	}
}

func do(command ...string) func(*redistest.Server) {
	return func(s *redistest.Server) { s.Do(command...) }
}

// warm uses every connection of a store.
func warm(s *redisstore.Store) error {
	for range 50 {
		if _, err := claim(s, "any"+time.Now().String()); err != nil {
			return err
		}
	}
	return nil
}

// recorded reports whether the server has a claim.
func recorded(server *redistest.Server, name string) bool {
	key := dpop.NewReplayKey("", "", name)
	return server.Do("EXISTS", "senderlock:p:"+base64.RawURLEncoding.EncodeToString(key[:])) == "1"
}

// A half-open connection, and one that lost the answer: the claim fails, and what was recorded is refused.
func TestHalfOpen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ up, down bool }{
		"nothing arrives":      {false, true},
		"no answer comes back": {true, false},
		"neither gets through": {false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			relay := newRelay(t, server.Addr)
			s := open(t, redisstore.Config{Addresses: []string{relay.addr}, Timeout: 5 * time.Second}) // which one claim takes
			redistest.Wait(t, "all connections are good", func() bool { return warm(s) == nil })
			relay.set(c.up, c.down)
			if ok, err := claim(s, name); ok || err == nil {
				t.Fatalf("Claim = %t, %v, want an error", ok, err)
			}
			there := recorded(server, name)
			if there && !c.up {
				t.Error("it was recorded although nothing arrived")
			}
			relay.set(true, true)
			redistest.Wait(t, "all connections are good again", func() bool { return warm(s) == nil })
			if ok, err := claim(s, name); ok == there || err != nil {
				t.Errorf("the same claim = %t, %v; it was recorded: %t", ok, err, there)
			}
		})
	}
}

// Connections that the server closed while they were idle do not fail a call: it is made again. If the first attempt
// was recorded, the second does not take it for somebody else's.
func TestClosedConnections(t *testing.T) {
	server := redistest.Start(t)
	relay := newRelay(t, server.Addr)
	s := open(t, redisstore.Config{Addresses: []string{relay.addr}, Timeout: patient})
	if err := warm(s); err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		relay.cut()
		name := fmt.Sprint(i)
		mustClaim(t, s, name)
		if ok, err := claim(s, name); ok { // over a closed connection nobody knows whose claim it was
			t.Errorf("again: %t, %v", ok, err)
		}
		if err := warm(s); err != nil {
			t.Error(err)
		}
		relay.cut()
		if e, err := s.Revoked(t.Context(), tokenOf("alice")); e != nil || err != nil {
			t.Errorf("Revoked = %v, %v", e, err)
		}
	}
	if err := warm(s); err != nil {
		t.Fatal(err)
	}
	relay.set(true, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if ok, err := claim(s, "lost"); ok || err == nil || !strings.Contains(err.Error(), "closed before the answer") {
			t.Errorf("a claim whose answer was lost = %t, %v", ok, err)
		}
	}()
	redistest.Wait(t, "the server has it", func() bool { return recorded(server, "lost") })
	relay.set(true, true)
	relay.cut()
	<-done
	if err := warm(s); err != nil {
		t.Fatal(err)
	}
	if ok, err := claim(s, "lost"); ok || err != nil {
		t.Errorf("again: %t, %v", ok, err)
	}
}

// A caller who has gone does not start an outage.
func TestGoneCallerIsNoOutage(t *testing.T) {
	s := openOn(t, redistest.Start(t), func(c *redisstore.Config) { c.Fallback = redisstore.FallbackNonce })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := s.Claim(ctx, dpop.ReplayKey{}, time.Now().Add(time.Minute)); ok || err == nil || s.Down() {
		t.Errorf("Claim = %t, %v, down %t", ok, err, s.Down())
	}
}

// With Fallback an instance goes on alone, with nonces of its own, and comes back.
func TestFallback(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	c := redisstore.Config{
		Addresses: []string{server.Addr}, Timeout: patient, MaxSkew: time.Second,
		Fallback: redisstore.FallbackNonce,
	}
	brief := func(c *access.Config) { c.Skew = time.Second }
	one, two := start(t, c, brief).socket(t), start(t, c, brief).socket(t)
	client := newClient(time.Now())
	one.expect(t, client, time.Now(), http.StatusOK)
	two.expect(t, client, time.Now(), http.StatusOK)
	server.Kill()
	redistest.Wait(t, "the instance knows", func() bool {
		one.call(t, client, time.Now())
		return one.to.store.Down()
	})
	for range 5 {
		proof := one.expect(t, client, time.Now(), http.StatusOK)
		for _, s := range []*socket{one, two} {
			if a := s.send(t, client, proof); a.status != http.StatusUnauthorized {
				t.Errorf("a replay got %s", a)
			}
		}
	}
	redistest.Wait(t, "the other goes on too", func() bool {
		a, _ := two.call(t, client, time.Now())
		return a.status == http.StatusOK
	})
	server.Restart()
	redistest.Wait(t, "both are back", func() bool { return !one.to.store.Down() && !two.to.store.Down() })
	one.call(t, client, time.Now()) // leads away from the nonce of this instance
	proof := two.expect(t, client, time.Now(), http.StatusOK)
	if a := one.send(t, client, proof); a.status != http.StatusUnauthorized {
		t.Errorf("a replay got %s", a)
	}
	redistest.Wait(t, "a nonce is good at both", func() bool {
		a, _ := two.call(t, client, time.Now())
		return a.status == http.StatusOK && one.send(t, client, client.proof(time.Now())).status == http.StatusOK
	})
}

// RS-180: revocations that cannot be looked up refuse.
func TestRevocationsWhenDown(t *testing.T) {
	server := redistest.Start(t)
	s := openOn(t, server, func(c *redisstore.Config) { c.Timeout = 200 * time.Millisecond })
	server.Kill()
	if e, err := s.Revoked(t.Context(), tokenOf("alice")); e != nil || err == nil {
		t.Errorf("Revoked = %v, %v", e, err)
	}
	e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice"}
	if err := s.Revoke(t.Context(), e); err == nil {
		t.Error("Revoke succeeded")
	}
}

func TestRevokeWhenFull(t *testing.T) {
	server := redistest.Start(t)
	s := openOn(t, server)
	server.Must("CONFIG", "SET", "maxmemory", "1")
	e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice"}
	if err := s.Revoke(t.Context(), e); !errors.Is(err, revocation.ErrFull) {
		t.Errorf("Revoke = %v, want ErrFull", err)
	}
}

// What another writer left under a key of ours is no answer.
func TestDamage(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openOn(t, server, func(c *redisstore.Config) { c.Namespace = "shop" })
	e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice"}
	if err := s.Revoke(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	key := ""
	for _, k := range strings.Fields(server.Do("KEYS", "shop:r:*")) {
		key = k
	}
	for _, value := range []string{"x", "a", "a\x02", "b\x02\x05", "t\x02\x00", "a\x02\x01x", "nonsense"} {
		server.Do("SET", key, value)
		if e, err := s.Revoked(t.Context(), tokenOf("alice")); e != nil || !errors.Is(err, redisstore.ErrDamaged) {
			t.Errorf("%q: Revoked = %v, %v", value, e, err)
		}
		if err := s.Revoke(t.Context(), e); !errors.Is(err, redisstore.ErrDamaged) {
			t.Errorf("%q: Revoke = %v", value, err)
		}
	}
}

// An answer that is not of the kind that was asked for is none: neither a time alone where values belong before it, nor
// fewer or more values than keys, nor what is no value.
func TestAnswersOfAnotherKind(t *testing.T) {
	t.Parallel()
	relay := newRelay(t, redistest.Start(t).Addr)
	c := redisstore.Config{Addresses: []string{relay.addr}, MaxSkew: 10 * time.Minute}
	redisstore.WithRenewal(&c, time.Hour)
	redisstore.WithLease(&c, time.Hour)
	s := open(t, c)
	redistest.Wait(t, "all connections are good", func() bool { return warm(s) == nil })
	alice := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice"}
	at := fmt.Sprintf(":%d\r\n", 2*time.Now().UnixMicro())
	for name, answer := range map[string]string{
		"a time": at, "nothing": "*0\r\n", "a time in a list": "*1\r\n" + at, "too many values": "*5\r\n_\r\n_\r\n_\r\n_\r\n" + at,
		"a number for a value": "*3\r\n_\r\n:1\r\n" + at, "a list for a value": "*3\r\n_\r\n*0\r\n" + at, "no time": "*3\r\n_\r\n_\r\n_\r\n",
	} {
		relay.say(answer)
		if e, err := s.Revoked(t.Context(), tokenOf("alice")); e != nil || err == nil {
			t.Errorf("%s: Revoked = %v, %v", name, e, err)
		}
		fresh, e, err := s.ClaimUnlessRevoked(t.Context(), dpop.ReplayKey{}, time.Now().Add(time.Minute), tokenOf("alice"))
		if fresh || e != nil || err == nil {
			t.Errorf("%s: ClaimUnlessRevoked = %t, %v, %v", name, fresh, e, err)
		}
		if err := s.Revoke(t.Context(), alice); err == nil {
			t.Errorf("%s: Revoke succeeded", name)
		}
		if err := s.Lift(t.Context(), alice); err == nil {
			t.Errorf("%s: Lift succeeded", name)
		}
		if entries, err := s.InForce(t.Context(), alice); entries != nil || err == nil {
			t.Errorf("%s: InForce = %v, %v", name, entries, err)
		}
	}
	relay.say("")
	works(t, s)
}

func TestClosed(t *testing.T) {
	s := openOn(t, redistest.Start(t), func(c *redisstore.Config) { c.Fallback = redisstore.FallbackNonce })
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if ok, err := claim(s, "a"); ok || !errors.Is(err, dpop.ErrStoreClosed) {
		t.Errorf("Claim = %t, %v", ok, err)
	}
	ok, err := s.Local().Claim(t.Context(), dpop.ReplayKey{}, time.Now().Add(time.Minute))
	if ok || !errors.Is(err, dpop.ErrStoreClosed) {
		t.Errorf("Local Claim = %t, %v", ok, err)
	}
	if _, err := s.Revoked(t.Context(), tokenOf("alice")); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("Revoked = %v", err)
	}
	if err := s.Revoke(t.Context(), revocation.Entry{}); !errors.Is(err, revocation.ErrClosed) {
		t.Errorf("Revoke = %v", err)
	}
}

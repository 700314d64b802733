package redisstore_test

import (
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// offClock opens a store whose clock shows another time than the server's.
func offClock(t *testing.T, server *redistest.Server, ahead time.Duration) (s *redisstore.Store, set func(time.Duration)) {
	var offset atomic.Int64
	offset.Store(int64(ahead))
	s = openOn(t, server, func(c *redisstore.Config) {
		c.Namespace, c.Now = fresh(), func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	})
	return s, func(d time.Duration) { offset.Store(int64(d)) }
}

// An instance whose clock is further from the server's than MaxSkew decides nothing, and says so. As soon as the clock
// is right it works, whatever it showed before.
func TestClockOff(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		off  time.Duration
		want string
	}{
		"ahead":  {time.Hour, "59m59."},
		"behind": {-time.Hour, "59m59."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, set := offClock(t, server, 0)
			mustClaim(t, s, name+" before")
			set(c.off)
			key := dpop.NewReplayKey("", "", name)
			refused := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, redisstore.ErrClock) || !strings.Contains(err.Error(), " "+name) {
					t.Errorf("%s = %v, want ErrClock and that it is %s", what, err, name)
				}
			}
			ok, err := s.Claim(t.Context(), key, time.Now().Add(2*time.Hour))
			if ok {
				t.Error("a claim is fresh")
			}
			refused("Claim", err)
			tok := tokenOf("alice")
			_, err = s.Revoked(t.Context(), tok)
			refused("Revoked", err)
			refused("Revoke", s.Revoke(t.Context(), revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: name}))
			set(0)
			mustClaim(t, s, name+" after")
			if e, err := s.Revoked(t.Context(), tok); e != nil || err != nil {
				t.Errorf("with the right clock Revoked = %v, %v", e, err)
			}
		})
	}
}

// A clock that is set back by less than MaxSkew costs nothing.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s, set := offClock(t, server, 4*time.Second)
	expiry := time.Now().Add(time.Minute)
	claimed := func(name string, want bool) {
		t.Helper()
		if ok, err := s.Claim(t.Context(), dpop.NewReplayKey("", "", name), expiry); ok != want || err != nil {
			t.Errorf("Claim(%s) = %t, %v", name, ok, err)
		}
	}
	claimed("a", true)
	set(-3 * time.Second)
	claimed("a", false)
	claimed("b", true)
	if e, err := s.Revoked(t.Context(), tokenOf("alice")); e != nil || err != nil {
		t.Errorf("Revoked = %v, %v", e, err)
	}
}

// life returns for how long the only key that matches lives.
func life(t *testing.T, server *redistest.Server, pattern string) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(server.Do("PTTL", strings.TrimSpace(server.Do("KEYS", pattern))) + "ms")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A claim lives for the whole window from when the server takes it, whatever expiry it has and whatever the clock of the
// instance says: longer only if it expires later.
func TestClaimLivesForTheWindow(t *testing.T) {
	t.Parallel()
	const window, skew, slow = 3 * time.Minute, 30 * time.Second, 30 * time.Second
	for name, c := range map[string]struct{ ahead, expires, want time.Duration }{
		"a proof that ends soon":           {0, 10 * time.Second, window},
		"with a clock that is ahead":       {4 * time.Second, 10 * time.Second, window},
		"with a clock that is behind":      {-4 * time.Second, window - time.Second, window},
		"a proof that ends after a window": {0, 10 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := openOn(t, server, func(co *redisstore.Config) {
				co.Now = func() time.Time { return time.Now().Add(c.ahead) }
				co.Window, co.MaxSkew = window, skew
			})
			began := time.Now()
			key := dpop.NewReplayKey("", "", name)
			if ok, err := s.Claim(t.Context(), key, time.Now().Add(c.ahead+c.expires)); !ok || err != nil {
				t.Fatalf("Claim = %t, %v", ok, err)
			}
			got := life(t, server, "senderlock:p:*")
			// An instance may be as far behind the server as this one is ahead of it.
			least := c.want + 2*skew - time.Since(began)
			if got < least || got > least+slow {
				t.Errorf("it lives for %v, want %v and a little", got, least)
			}
			if s.Window() != window {
				t.Errorf("Window is %v", s.Window())
			}
		})
	}
}

// A revocation ends when the last token has that it denies, by the server's clock, not some time from now by a clock
// that may be ahead.
func TestRevocationOutlivesTheClock(t *testing.T) {
	t.Parallel()
	const skew = 30 * time.Second
	keep := revocation.Retention{Lifetime: 15 * time.Minute, Leeway: 10 * time.Second}
	for _, ahead := range []time.Duration{-4 * time.Second, 0, 4 * time.Second} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			s := openOn(t, server, func(c *redisstore.Config) {
				c.Now = func() time.Time { return time.Now().Add(ahead) }
				c.Retention, c.MaxSkew = keep, skew
			})
			before := time.Now().Truncate(time.Second)
			e := revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "alice", Before: before}
			if err := s.Revoke(t.Context(), e); err != nil {
				t.Fatal(err)
			}
			until, err := keep.Until(&e, before)
			if err != nil {
				t.Fatal(err)
			}
			ms, err := strconv.ParseInt(server.Do("PEXPIRETIME", strings.TrimSpace(server.Do("KEYS", "senderlock:r:*"))), 10, 64)
			if end := time.UnixMilli(ms); err != nil || end.Before(until.Add(2*skew)) {
				t.Errorf("it ends at %v (%v), want %v after %v", end, err, 2*skew, until)
			}
		})
	}
}

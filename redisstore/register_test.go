package redisstore_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// listOf returns the key under which the tokens of the only subject are listed.
func listOf(t *testing.T, server *redistest.Server) string {
	t.Helper()
	for _, key := range strings.Fields(server.Do("KEYS", "senderlock:u:*")) {
		if server.Do("TYPE", key) == "zset" {
			return key
		}
	}
	t.Fatal("there is no list")
	return ""
}

func useOf(id string, expiry time.Time) revocation.Token {
	return revocation.Token{Issuer: poptest.Issuer, Subject: "machine", ID: id, IssuedAt: expiry.Add(-time.Minute), Expiry: expiry}
}

// A subject that gets a new token every minute does not leave the old ones behind: its list is as long as the tokens are
// that may be in use, for however long that goes on.
func TestRegisterIsTrimmed(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	clock := poptest.NewClock()
	s := openOn(t, server, func(c *redisstore.Config) { redisstore.AtClock(c, clock.Now) })
	for i := range 300 {
		if err := s.Record(t.Context(), useOf(fmt.Sprint(i), clock.Now().Add(time.Minute)), ""); err != nil {
			t.Fatal(err)
		}
		clock.Advance(10 * time.Second)
	}
	n, err := strconv.Atoi(server.Do("ZCARD", listOf(t, server)))
	if err != nil || n > 20 {
		t.Errorf("300 tokens, of which 12 may be in use, left %d in the list (%v)", n, err)
	}
	uses, err := s.Uses(t.Context(), poptest.Issuer, "machine")
	if err != nil || len(uses) != 11 {
		t.Errorf("Uses lists %d, %v, want those of two minutes", len(uses), err)
	}
}

// A list that was left full of tokens that are over holds nobody up: they are not read, and they go bit by bit.
func TestRegisterFullOfTheOld(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openOn(t, server)
	if err := s.Record(t.Context(), useOf("live", time.Now().Add(time.Minute)), "192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	list := listOf(t, server)
	const old = 20_000
	server.Do("EVAL", `for i = 1, ARGV[1] do redis.call('ZADD', KEYS[1], i, 'old' .. i) end`, "1", list, fmt.Sprint(old))
	server.Must("CONFIG", "RESETSTAT")
	uses, err := s.Uses(t.Context(), poptest.Issuer, "machine")
	if err != nil || len(uses) != 1 || uses[0].ID != "live" {
		t.Errorf("Uses = %v, %v", uses, err)
	}
	if n := calls(server); n["zrange"] != 1 || n["mget"] != 1 {
		t.Errorf("the list was read by %v", n)
	}
	for i := range 3 {
		if err := s.Record(t.Context(), useOf(fmt.Sprint(i), time.Now().Add(time.Minute)), ""); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := strconv.Atoi(server.Do("ZCARD", list)); err != nil || n > old-3*30 || n < old/2 {
		t.Errorf("three more tokens left %d in the list (%v), want some less than %d", n, err, old)
	}
}

// More tokens than are read at once.
func TestRegisterInPages(t *testing.T) {
	t.Parallel()
	s := openOn(t, redistest.Start(t))
	const tokens = 1001
	for i := range tokens {
		if err := s.Record(t.Context(), useOf(fmt.Sprint(i), time.Now().Add(time.Hour)), ""); err != nil {
			t.Fatal(err)
		}
	}
	uses, err := s.Uses(t.Context(), poptest.Issuer, "machine")
	seen := map[string]bool{}
	for _, u := range uses {
		seen[u.ID] = true
	}
	if err != nil || len(uses) != tokens || len(seen) != tokens {
		t.Errorf("Uses lists %d tokens, %d different ones, %v; want %d", len(uses), len(seen), err, tokens)
	}
}

// A token that ends sooner does not shorten the life of the list that a longer one is on.
func TestRegisterOutlivesTheShort(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openOn(t, server)
	for _, expiry := range []time.Duration{time.Hour, time.Minute} {
		if err := s.Record(t.Context(), useOf(expiry.String(), time.Now().Add(expiry)), ""); err != nil {
			t.Fatal(err)
		}
	}
	ms, err := strconv.ParseInt(server.Do("PTTL", listOf(t, server)), 10, 64)
	if left := time.Duration(ms) * time.Millisecond; err != nil || left < 59*time.Minute {
		t.Errorf("the list lives for %v (%v), and a token on it for an hour", left, err)
	}
}

package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/redistest"
	"github.com/senderlock/senderlock/redisstore"
	"github.com/senderlock/senderlock/revocation"
)

// regions are the settings of two regions, each with a server of its own. What one tells the other goes through a relay.
type regions struct {
	servers  map[string]*redistest.Server
	relays   map[string]*relay // into the region
	settings map[string]redisstore.Config
}

func twoRegions(t *testing.T) regions {
	r := regions{map[string]*redistest.Server{}, map[string]*relay{}, map[string]redisstore.Config{}}
	names := []string{"west", "east"}
	for _, name := range names {
		r.servers[name] = redistest.Start(t)
		r.relays[name] = newRelay(t, r.servers[name].Addr)
	}
	for i, name := range names {
		other := redisstore.Config{Region: names[1-i], Addresses: []string{r.relays[names[1-i]].addr}, Timeout: patient}
		redisstore.WithLease(&other, time.Minute)
		r.settings[name] = redisstore.Config{
			Addresses: []string{r.servers[name].Addr}, Timeout: patient, MaxSkew: time.Millisecond, Region: name,
			Elsewhere: []redisstore.Config{other},
		}
	}
	return r
}

func (r regions) start(t *testing.T, name string) *socket {
	return start(t, r.settings[name], brief, func(c *access.Config) { c.Nonces.Region = name }).socket(t)
}

func mallory() revocation.Entry {
	return revocation.Entry{Issuer: poptest.Issuer, By: revocation.BySubject, Value: "mallory"}
}

// denied reports whether mallory is, in the region of a store.
func denied(t *testing.T, s *redisstore.Store) bool {
	t.Helper()
	e, err := s.Revoked(t.Context(), tokenOf("mallory"))
	if err != nil {
		t.Fatal(err)
	}
	return e != nil
}

// A proof that one region accepted counts in no other, which asks for a new one with a nonce of its own.
func TestProofCountsInOneRegion(t *testing.T) {
	t.Parallel()
	r := twoRegions(t)
	west, east := r.start(t, "west"), r.start(t, "east")
	client := newClient(time.Now())
	if a := west.send(t, client, client.proof(time.Now())); a.status != http.StatusUnauthorized || a.nonce == "" {
		t.Errorf("a proof without a nonce got %s", a)
	}
	for from, to := range map[*socket]*socket{west: east, east: west} {
		proof := eventually(t, from, client, "a proof is accepted")
		a := to.send(t, client, proof)
		if a.status != http.StatusUnauthorized || a.nonce == "" {
			t.Fatalf("a proof for another region got %s, want a new nonce", a)
		}
		if a := to.send(t, client, client.proof(time.Now())); a.status != http.StatusOK {
			t.Errorf("a new proof with that nonce got %s", a)
		}
		refusedEverywhere(t, client, []string{proof}, west, east)
	}
}

// A revocation is confirmed when it holds in every region, however slow the way there is, and says since when it does in
// each.
func TestRevocationGoesToAllRegions(t *testing.T) {
	t.Parallel()
	r := twoRegions(t)
	west, east := open(t, r.settings["west"]), open(t, r.settings["east"])
	r.relays["east"].hold(&r.relays["east"].up)
	answer, began := make(chan []redisstore.Held, 1), time.Now()
	go func() { answer <- west.RevokeEverywhere(t.Context(), mallory()) }()
	redistest.Wait(t, "it holds in the region where it was made", func() bool { return denied(t, west) })
	if denied(t, east) {
		t.Error("it holds in the other already")
	}
	select {
	case held := <-answer:
		t.Fatalf("it is confirmed before it holds everywhere: %v", held)
	default:
	}
	released := time.Now()
	r.relays["east"].hold(nil)
	held := <-answer
	if !denied(t, east) {
		t.Error("it was confirmed, and does not hold in the other")
	}
	for i, since := range map[int]time.Time{0: began, 1: released} {
		if h := held[i]; h.Region != []string{"west", "east"}[i] || h.Err != nil || h.Since.Before(since) {
			t.Errorf("%+v, want no time before %v", h, since)
		}
	}
}

// A region that cannot be reached keeps nobody from starting. A revocation holds where it can, and its error names where
// it may not, until it is made again.
func TestRegionOutOfReach(t *testing.T) {
	t.Parallel()
	r := twoRegions(t)
	r.servers["east"].Kill()
	west := open(t, r.settings["west"])
	err := west.Revoke(t.Context(), mallory())
	if err == nil || !strings.Contains(err.Error(), "in region east") || strings.Contains(err.Error(), "in region west") {
		t.Errorf("Revoke = %v, want the name of the other region", err)
	}
	if !denied(t, west) {
		t.Error("it does not hold in this region")
	}
	r.servers["east"].Restart()
	redistest.Wait(t, "it can be made again", func() bool { return west.Revoke(t.Context(), mallory()) == nil })
	if !denied(t, open(t, r.settings["east"])) {
		t.Error("it does not hold in the other")
	}
}

// A region that takes connections and does not answer holds up nobody for longer than they want to wait, however many
// wait for it already.
func TestRegionThatIsSilent(t *testing.T) {
	t.Parallel()
	server, east := redistest.Start(t), silent(t)
	other := redisstore.Config{Region: "east", Addresses: []string{east.addr}, Timeout: 30 * time.Second}
	west := open(t, redisstore.Config{
		Addresses: []string{server.Addr}, Timeout: patient, Region: "west", Elsewhere: []redisstore.Config{other},
	})
	first := make(chan error, 1)
	go func() { first <- west.Revoke(t.Context(), mallory()) }()
	<-east.taken
	gone, leave := context.WithCancel(t.Context())
	leave()
	if held := west.RevokeEverywhere(gone, mallory()); !errors.Is(held[1].Err, context.Canceled) {
		t.Errorf("who does not wait is told %v, want that it did not", held[1].Err)
	}
	select {
	case err := <-first:
		t.Fatalf("it waited for the attempt of another: %v", err)
	default:
	}
	east.end()
	if err := <-first; err == nil || !strings.Contains(err.Error(), "in region east") {
		t.Errorf("Revoke = %v, want the name of the region", err)
	}
	if !denied(t, west) {
		t.Error("it does not hold in this region")
	}
	if err := west.Close(); err != nil {
		t.Error(err)
	}
	if held := west.RevokeEverywhere(t.Context(), mallory()); !errors.Is(held[1].Err, revocation.ErrClosed) {
		t.Errorf("after Close the other region is told: %v", held[1].Err)
	}
}

// What is left for a revocation in a region is what the way there has left of its Timeout, and of what the caller wants to
// wait.
func TestOneDeadlineForARegion(t *testing.T) {
	t.Parallel()
	r := twoRegions(t)
	west := open(t, r.settings["west"])
	hurried, cancel := context.WithTimeout(t.Context(), patient/2)
	defer cancel()
	for name, test := range map[string]struct {
		ctx   context.Context
		limit time.Duration
	}{
		"Timeout":    {t.Context(), patient},
		"the caller": {hurried, patient / 2},
	} {
		for _, h := range redisstore.TellEverywhere(west, test.ctx, func(region string, ctx context.Context) error {
			if end, bounded := ctx.Deadline(); !bounded || time.Until(end) > test.limit {
				return fmt.Errorf("region %s may take until %v (%v)", region, end, bounded)
			}
			return nil
		}) {
			if h.Err != nil {
				t.Errorf("%s: %v", name, h.Err)
			}
		}
	}
}

// mute is a server that takes connections and says nothing.
type mute struct {
	addr  string
	taken chan struct{} // one for each connection
	end   func()        // closes all of it
}

func silent(t *testing.T) mute {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	m := mute{l.Addr().String(), make(chan struct{}, 100), sync.OnceFunc(func() { close(over); _ = l.Close() })}
	t.Cleanup(m.end)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				<-over
				_ = conn.Close()
			}()
			m.taken <- struct{}{}
		}
	}()
	return m
}

// What was revoked everywhere is lifted everywhere, or the error says where it may not be.
func TestLiftGoesToAllRegions(t *testing.T) {
	t.Parallel()
	r := twoRegions(t)
	west, east := open(t, r.settings["west"]), open(t, r.settings["east"])
	if err := west.Revoke(t.Context(), mallory()); err != nil || !denied(t, east) {
		t.Fatal(err)
	}
	for _, h := range west.LiftEverywhere(t.Context(), mallory()) {
		if h.Err != nil || h.Since.IsZero() {
			t.Errorf("%+v", h)
		}
	}
	if denied(t, west) || denied(t, east) {
		t.Errorf("denied in west: %t, in east: %t", denied(t, west), denied(t, east))
	}
	r.servers["east"].Kill()
	if err := west.Lift(t.Context(), mallory()); err == nil || !strings.Contains(err.Error(), "in region east") {
		t.Errorf("Lift = %v, want the name of the other region", err)
	}
}

func TestRegionSettings(t *testing.T) {
	at := []string{net.JoinHostPort("127.0.0.1", "1")}
	other := redisstore.Config{Addresses: at, Region: "east"}
	for name, c := range map[string]struct {
		config redisstore.Config
		want   string
	}{
		"no name of its own": {redisstore.Config{Addresses: at, Elsewhere: []redisstore.Config{other}}, "Elsewhere is set without Region"},
		"no name of the other": {
			redisstore.Config{Addresses: at, Region: "west", Elsewhere: []redisstore.Config{{Addresses: at}}}, `Elsewhere[0].Region is ""`},
		"the same name":  {redisstore.Config{Addresses: at, Region: "east", Elsewhere: []redisstore.Config{other}}, `Elsewhere[0].Region is "east"`},
		"a name twice":   {redisstore.Config{Addresses: at, Region: "west", Elsewhere: []redisstore.Config{other, other}}, `Elsewhere[1].Region is "east"`},
		"no address":     {redisstore.Config{Addresses: at, Region: "west", Elsewhere: []redisstore.Config{{Region: "east"}}}, "Elsewhere[0].Addresses is empty"},
		"regions nested": {redisstore.Config{Addresses: at, Region: "west", Elsewhere: []redisstore.Config{{Region: "east", Addresses: at, Elsewhere: []redisstore.Config{other}}}}, "Elsewhere[0] has Elsewhere"},
	} {
		t.Run(name, func(t *testing.T) { refusesToOpen(t, c.config, "redisstore.Config: ", c.want) })
	}
}

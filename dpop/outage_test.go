package dpop_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// shared is the memory that several instances share over a network. It keeps keys by its own clock and loses them
// all now and then.
type shared struct {
	now  func() time.Time
	keys map[dpop.ReplayKey]time.Time // until when, by its own clock
	life int                          // counts the losses
}

// link is one instance's way to the shared memory: its replay store.
type link struct {
	*shared
	clock func() time.Time // the instance's
	skew  time.Duration    // how far any two instances' clocks may differ
	local *dpop.Memory     // nil: no way to do without
	cut   bool             // nothing comes through
	deaf  bool             // what is sent arrives, but no answer comes back
	down  bool             // as far as the instance knows
	known int              // the life that it has seen
	since time.Time
}

func (l *link) Down() bool { return l.local != nil && l.down }

func (l *link) Local() dpop.ReplayStore {
	if l.local == nil {
		return nil
	}
	return l.local
}

func (l *link) Since() time.Time { return l.since.Add(l.skew) }

// meet is the first look at the memory after it was lost.
func (l *link) meet() {
	if l.known != l.life {
		l.known = l.life
		if l.since = l.since.Add(1); l.since.Before(l.clock()) {
			l.since = l.clock()
		}
	}
}

func (l *link) Claim(_ context.Context, key dpop.ReplayKey, expiry time.Time) (bool, error) {
	if l.cut {
		l.down = true
		return false, errors.New("no way through")
	}
	l.meet()
	if !expiry.After(l.clock()) {
		return false, dpop.ErrExpiryPast
	}
	until, used := l.keys[key]
	fresh := !used || !l.now().Before(until)
	if fresh {
		l.keys[key] = l.now().Add(expiry.Sub(l.clock()) + l.skew)
	}
	if l.deaf {
		l.down = true
		return false, errors.New("no answer")
	}
	l.down = false
	return fresh, nil
}

// fleet is several instances behind one address.
type fleet struct {
	*rand.Rand
	t        *testing.T
	clock    *poptest.Clock
	memory   *shared
	links    []*link
	servers  []*dpop.Verifier
	offsets  []time.Duration
	skew     time.Duration
	fallback bool
	nonces   []string
	proofs   []string
	accepted map[string]int
	alone    int // accepted while the shared memory was out of reach
}

func newFleet(t *testing.T, seed uint64, fallback bool) *fleet {
	f := &fleet{
		Rand: rand.New(rand.NewPCG(seed, 1)), t: t, clock: poptest.NewClock(), skew: 3 * time.Second,
		fallback: fallback, accepted: map[string]int{}, links: make([]*link, 3), servers: make([]*dpop.Verifier, 3),
	}
	f.memory = &shared{now: f.clock.Now, keys: map[dpop.ReplayKey]time.Time{}}
	for i := range f.servers {
		f.offsets = append(f.offsets, time.Duration(f.Int64N(int64(f.skew)))) // no two further apart than skew
		f.start(i)
	}
	return f
}

// start starts an instance, in place of one that is gone with all it knew.
func (f *fleet) start(i int) {
	now := func() time.Time { return f.clock.Now().Add(f.offsets[i]) }
	l := &link{shared: f.memory, clock: now, skew: f.skew, known: f.memory.life, since: now()}
	if f.fallback {
		l.local = newMemory(f.t, dpop.MemoryConfig{Now: now})
	}
	f.links[i] = l
	f.servers[i] = life(f.t, f.clock, func(v *dpop.Verifier) { v.Now, v.Replay = now, l })
}

func (f *fleet) send(proof string, i int) {
	_, err := f.servers[i].Verify(requestWith(proof), accessToken)
	if dpop.NeedsNonce(err) {
		f.nonces = append(f.nonces, f.servers[i].Nonce())
	}
	if err != nil {
		return
	}
	if f.accepted[proof]++; f.accepted[proof] > 1 {
		f.t.Fatalf("accepted twice, the second time by instance %d at %v", i, f.clock.Now())
	}
	if f.links[i].cut || f.links[i].deaf {
		f.alone++
	}
}

func (f *fleet) mint() string {
	c := members{"iat": numericDate(f.clock.Now().Add(time.Duration(f.Int64N(int64(70*time.Second))) - 58*time.Second))}
	if f.IntN(3) > 0 && len(f.nonces) > 0 {
		c["nonce"] = f.nonces[max(0, len(f.nonces)-1-f.IntN(4))]
	}
	proof := claims(c)
	f.proofs = append(f.proofs, proof)
	return proof
}

func (f *fleet) step() {
	i := f.IntN(len(f.servers))
	switch f.IntN(20) {
	case 0, 1:
		f.links[i].cut = !f.links[i].cut
	case 2:
		f.links[i].deaf = !f.links[i].deaf
	case 3:
		f.links[i].down = false // found to be back, rightly or not
	case 4: // out of reach for everybody, and back
		for _, l := range f.links {
			l.cut = f.links[i].cut
		}
	case 5:
		f.memory.keys, f.memory.life = map[dpop.ReplayKey]time.Time{}, f.memory.life+1
	case 6:
		f.start(i)
	case 7, 8:
		f.clock.Advance(time.Duration(f.Int64N(int64(15 * time.Second))))
	case 9:
		f.nonces = append(f.nonces, f.servers[i].Nonce())
	case 10, 11, 12, 13: // everywhere at once
		proof := f.mint()
		for _, i := range f.Perm(len(f.servers)) {
			f.send(proof, i)
		}
	default:
		if len(f.proofs) > 0 {
			f.send(f.proofs[max(0, len(f.proofs)-1-f.IntN(12))], i)
		}
	}
}

// RS-073: several instances, a memory between them that comes, goes and forgets, instances that start anew: whatever
// happens, no proof is accepted twice.
func TestNoProofIsAcceptedTwiceThroughOutages(t *testing.T) {
	walks, steps := 30, 250
	if testing.Short() {
		walks = 10
	}
	for name, fallback := range map[string]bool{"refusing": false, "fallback": true} {
		t.Run(name, func(t *testing.T) {
			total, alone := 0, 0
			for seed := range walks {
				f := newFleet(t, uint64(seed), fallback)
				for range steps {
					f.step()
				}
				total, alone = total+len(f.accepted), alone+f.alone
			}
			t.Logf("%d accepted, %d of them without the shared memory", total, alone)
			if total < 5*walks || (alone > walks) != fallback {
				t.Errorf("only %d accepted, %d of them without the shared memory", total, alone)
			}
		})
	}
}

// pair is a fleet that has run for a while.
func pair(t *testing.T) *fleet {
	f := newFleet(t, 0, true)
	f.clock.Advance(time.Minute)
	return f
}

func (f *fleet) verify(i int, p poptest.Proof, want *dpop.Error) {
	f.t.Helper()
	p.IssuedAt = f.clock.Now()
	if want == nil {
		accepts(f.t, f.servers[i], requestWith(mint(p)))
	} else {
		refuses(f.t, f.servers[i], requestWith(mint(p)), want)
	}
}

// What clients are told in an outage, and after it.
func TestOutage(t *testing.T) {
	f := pair(t)
	f.verify(0, poptest.Proof{}, nil)
	common := f.servers[0].Nonce()
	f.verify(1, poptest.Proof{Nonce: common}, nil)

	f.links[0].cut = true
	for range 2 { // the first finds out, the second knows
		f.verify(0, poptest.Proof{}, dpop.ErrOutage)
	}
	f.verify(0, poptest.Proof{Nonce: common}, dpop.ErrOutage)
	f.links[0].cut = false // until it is found to be back, nobody waits for it
	f.verify(0, poptest.Proof{}, dpop.ErrOutage)
	f.links[0].cut = true
	f.verify(1, poptest.Proof{Nonce: common}, nil)
	own := f.servers[0].Nonce()
	once := mint(poptest.Proof{Nonce: own, IssuedAt: f.clock.Now()})
	p := accepts(t, f.servers[0], requestWith(once))
	if next := f.servers[0].NextNonce(p); next != "" {
		t.Errorf("a client with the right nonce gets another: %q", next)
	}
	refuses(t, f.servers[0], requestWith(once), dpop.ErrReplayed)
	refuses(t, f.servers[1], requestWith(once), dpop.ErrNonceElsewhere)
	f.verify(1, poptest.Proof{Nonce: own}, dpop.ErrNonceElsewhere)

	// Back again: the nonce still counts at its instance alone, and the client gets one for all.
	f.links[0].cut, f.links[0].down = false, false
	p = accepts(t, f.servers[0], requestWith(mint(poptest.Proof{Nonce: own, IssuedAt: f.clock.Now()})))
	refuses(t, f.servers[0], requestWith(once), dpop.ErrReplayed)
	refuses(t, f.servers[1], requestWith(once), dpop.ErrNonceElsewhere)
	f.verify(1, poptest.Proof{Nonce: f.servers[0].NextNonce(p)}, nil)
	f.verify(0, poptest.Proof{}, nil)

	// Its instance is gone, and with it what it remembered.
	f.start(0)
	refuses(t, f.servers[0], requestWith(once), dpop.ErrNonceElsewhere)

	for _, cause := range []error{dpop.ErrOutage, dpop.ErrNonceElsewhere} {
		if !dpop.NeedsNonce(cause) {
			t.Errorf("%v is not answered with a nonce", cause)
		}
	}
}

// Without a way to do without, an outage is the server's own trouble; and nobody accepts another's nonce.
func TestOutageWithoutFallback(t *testing.T) {
	f := newFleet(t, 0, false)
	f.clock.Advance(time.Minute)
	f.links[0].cut = true
	_, err := f.servers[0].Verify(requestWith(mint(poptest.Proof{IssuedAt: f.clock.Now()})), accessToken)
	if !errors.Is(err, dpop.ErrStore) || dpop.NeedsNonce(err) {
		t.Errorf("got %v, want ErrStore", err)
	}
	other := pair(t)
	other.links[0].down = true
	f.verify(1, poptest.Proof{Nonce: other.servers[0].Nonce()}, dpop.ErrNonceElsewhere)
}

// The memory is lost between the reading of a proof and its claim, or long before: nothing from before is accepted.
func TestMemoryLostWhileRunning(t *testing.T) {
	f := pair(t)
	old := f.servers[0].Nonce()
	used := mint(poptest.Proof{IssuedAt: f.clock.Now()})
	usedWithNonce := mint(poptest.Proof{Nonce: old, IssuedAt: f.clock.Now()})
	accepts(t, f.servers[0], requestWith(used))
	accepts(t, f.servers[0], requestWith(usedWithNonce))

	f.memory.keys, f.memory.life = map[dpop.ReplayKey]time.Time{}, 1
	refuses(t, f.servers[0], requestWith(used), dpop.ErrRestart)
	refuses(t, f.servers[1], requestWith(usedWithNonce), dpop.ErrRestart)
	refuses(t, f.servers[2], requestWith(mint(poptest.Proof{Nonce: old, IssuedAt: f.clock.Now()})), dpop.ErrRestart)
	f.verify(0, poptest.Proof{Nonce: old}, dpop.ErrRestart)
	f.verify(0, poptest.Proof{Nonce: f.servers[0].Nonce()}, nil)
	f.clock.Advance(dpop.DefaultSkew + 2*f.skew)
	f.verify(0, poptest.Proof{}, nil)
}

// settling is a store that settles announced claims.
type settling struct{ *link }

func (settling) Together() {}

// A claim that was announced and settled is not made again, and its answer is good once.
func TestAnnouncedClaim(t *testing.T) {
	f := pair(t)
	store := settling{f.links[0]}
	v := life(t, f.clock, func(v *dpop.Verifier) { v.Replay, v.InsecureForgetAtStart = store, true })
	read := func() *dpop.Proof {
		p, err := v.Read(requestWith(mint(poptest.Proof{IssuedAt: f.clock.Now()})), accessToken)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := read()
	if dpop.Announced(v.Announce(t.Context(), p), store) != nil {
		t.Error("a proof whose signature was not verified was announced")
	}
	if err := p.VerifySignature(); err != nil {
		t.Fatal(err)
	}
	ctx := v.Announce(t.Context(), p)
	if dpop.Announced(ctx, settling{f.links[1]}) != nil {
		t.Error("another store may settle the claim")
	}
	a := dpop.Announced(ctx, store)
	f.links[0].cut = true
	a.Settle(true, nil)
	if err := v.Remember(ctx, p); err != nil {
		t.Errorf("settled as fresh: %v", err)
	}
	if err := v.Remember(ctx, p); err == nil {
		t.Error("one settled claim was good twice")
	}
	f.links[0].cut, f.links[0].down = false, false
	other := read()
	if err := other.VerifySignature(); err != nil {
		t.Fatal(err)
	}
	ctx = v.Announce(t.Context(), p)
	dpop.Announced(ctx, store).Settle(false, nil)
	if err := v.Remember(ctx, other); err != nil {
		t.Errorf("a claim settled for one proof counts for another: %v", err)
	}
	for want, settle := range map[error]func(*dpop.Announcement){
		dpop.ErrReplayed: func(a *dpop.Announcement) { a.Settle(false, nil) },
		dpop.ErrStore:    func(a *dpop.Announcement) { a.Settle(true, errors.New("too few replicas")) },
		nil:              func(*dpop.Announcement) {}, // not settled: claimed as ever
	} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			p := read()
			if err := p.VerifySignature(); err != nil {
				t.Fatal(err)
			}
			ctx := v.Announce(t.Context(), p)
			settle(dpop.Announced(ctx, store))
			if err := v.Remember(ctx, p); !errors.Is(err, want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

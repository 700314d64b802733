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
	"github.com/senderlock/senderlock/reason"
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

func (l *link) Down() bool { return l.down }

func (l *link) Local() dpop.ReplayStore { return l.local }

func (l *link) Since() time.Time { return l.since.Add(l.skew) }

func (l *link) Window() time.Duration { return window }

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
		l.local = newMemory(f.t, dpop.MemoryConfig{MaxEntries: 1000, Now: now})
	}
	f.links[i] = l
	f.servers[i] = life(f.t, f.clock, func(s *dpop.Config) {
		s.Now, s.Replay = now, l
		if l.local != nil {
			s.Fallback = l
		}
	})
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
	collectSeldom(t)
	walks, steps := poptest.Walks(30), 250
	for name, fallback := range map[string]bool{"refusing": false, "fallback": true} {
		t.Run(name, func(t *testing.T) {
			total, alone := 0, 0
			for seed := range walks {
				t.Run(fmt.Sprint(seed), func(t *testing.T) {
					f := newFleet(t, uint64(seed), fallback)
					for range steps {
						f.step()
					}
					total, alone = total+len(f.accepted), alone+f.alone
				})
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

func (f *fleet) verify(i int, p poptest.Proof, want *reason.Error) {
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
	next := f.servers[0].NextNonce(p)
	if next == "" {
		t.Error("a client whose nonce counts at one instance alone gets no other")
	}
	f.verify(1, poptest.Proof{Nonce: next}, nil)
	f.verify(0, poptest.Proof{}, nil)

	// The memory that the instances share was lost meanwhile, which is none of its business: this instance has its own.
	f.links[0].since = f.clock.Now().Add(f.skew)
	accepts(t, f.servers[0], requestWith(mint(poptest.Proof{Nonce: own, IssuedAt: f.clock.Now()})))
	refuses(t, f.servers[0], requestWith(once), dpop.ErrReplayed)

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

// What another way to the store answers counts as the store's own answer, for the proof that it was asked about.
func TestRememberBy(t *testing.T) {
	type call struct {
		key    dpop.ReplayKey
		expiry time.Time
	}
	f := pair(t)
	var calls []call
	answer := func(fresh bool, err error) func(context.Context, dpop.ReplayKey, time.Time) (bool, error) {
		return func(_ context.Context, key dpop.ReplayKey, expiry time.Time) (bool, error) {
			calls = append(calls, call{key, expiry})
			return fresh, err
		}
	}
	v := f.servers[0]
	read := func(p poptest.Proof) *dpop.Proof {
		t.Helper()
		p.IssuedAt = f.clock.Now()
		proof, err := v.Read(requestWith(mint(p)), accessToken)
		if err != nil {
			t.Fatal(err)
		}
		return proof
	}
	signed := func(p poptest.Proof) *dpop.Proof {
		t.Helper()
		proof := read(p)
		if err := proof.VerifySignature(); err != nil {
			t.Fatal(err)
		}
		return proof
	}

	if err := v.RememberBy(t.Context(), read(poptest.Proof{}), answer(true, nil)); !errors.Is(err, dpop.ErrUnsigned) || len(calls) != 0 {
		t.Errorf("a proof whose signature was not verified: %v, claimed %d times", err, len(calls))
	}
	for _, c := range []struct {
		name  string
		fresh bool
		err   error
		want  error
	}{
		{"fresh", true, nil, nil},
		{"used", false, nil, dpop.ErrReplayed},
		{"trouble", false, errors.New("too few replicas"), dpop.ErrStore},
		{"trouble that says fresh", true, errors.New("too few replicas"), dpop.ErrStore},
	} {
		calls = nil
		p := signed(poptest.Proof{JTI: c.name})
		if err := v.RememberBy(t.Context(), p, answer(c.fresh, c.err)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		want := call{dpop.NewReplayKey("", p.Thumbprint(), c.name), f.clock.Now().Add(f.offsets[0]).Add(dpop.DefaultMaxAge)}
		if len(calls) != 1 || calls[0].key != want.key || calls[0].expiry.Sub(want.expiry).Abs() > f.skew {
			t.Errorf("%s: claimed %v, want once as %v", c.name, calls, want)
		}
	}

	// An answer counts once: the next claim of the proof is asked anew, by either way.
	p := signed(poptest.Proof{})
	if err := v.RememberBy(t.Context(), p, f.links[0].Claim); err != nil {
		t.Error(err)
	}
	isReason(t, v.RememberBy(t.Context(), p, f.links[0].Claim), dpop.ErrReplayed)
	isReason(t, v.Remember(t.Context(), p), dpop.ErrReplayed)

	// And for one proof: another is claimed by itself.
	if err := v.Remember(t.Context(), signed(poptest.Proof{})); err != nil {
		t.Errorf("another proof: %v", err)
	}

	// A proof that counts for this instance alone goes to its own memory.
	f.links[0].cut = true
	f.verify(0, poptest.Proof{}, dpop.ErrOutage)
	calls = nil
	own := signed(poptest.Proof{Nonce: v.Nonce()})
	if err := v.RememberBy(t.Context(), own, answer(false, nil)); err != nil || len(calls) != 0 {
		t.Errorf("a local proof: %v, claimed %d times the other way", err, len(calls))
	}
	isReason(t, v.RememberBy(t.Context(), own, answer(true, nil)), dpop.ErrReplayed)

	// An outage that another claim has found meanwhile does not hide that the proof was used.
	f.links[0].cut, f.links[0].down = false, false
	used := signed(poptest.Proof{})
	isReason(t, v.RememberBy(t.Context(), used, func(context.Context, dpop.ReplayKey, time.Time) (bool, error) {
		f.links[0].down = true
		return false, nil
	}), dpop.ErrReplayed)
	f.links[0].down = false

	// One that this very claim finds is told as one.
	lost := signed(poptest.Proof{})
	isReason(t, v.RememberBy(t.Context(), lost, func(context.Context, dpop.ReplayKey, time.Time) (bool, error) {
		f.links[0].down = true
		return false, errors.New("no way through")
	}), dpop.ErrOutage)
	f.links[0].down = false

	// So is a memory that was lost meanwhile: what its new one calls fresh may be used.
	lost = signed(poptest.Proof{})
	isReason(t, v.RememberBy(t.Context(), lost, func(context.Context, dpop.ReplayKey, time.Time) (bool, error) {
		f.memory.life++
		f.links[0].meet()
		return true, nil
	}), dpop.ErrRestart)
}

// In an outage a claim that the local memory cannot make is our own trouble: another nonce would not help the client.
func TestLocalMemoryFails(t *testing.T) {
	f := pair(t)
	f.links[0].cut = true
	f.verify(0, poptest.Proof{}, dpop.ErrOutage)
	own := f.servers[0].Nonce()
	f.verify(0, poptest.Proof{Nonce: own}, nil)
	if err := f.links[0].local.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := f.servers[0].Verify(requestWith(mint(poptest.Proof{Nonce: own, IssuedAt: f.clock.Now()})), accessToken)
	if !errors.Is(err, dpop.ErrStore) || !errors.Is(err, dpop.ErrStoreClosed) {
		t.Errorf("got %v, want ErrStore", err)
	}
}

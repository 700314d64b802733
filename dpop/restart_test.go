package dpop_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// forgetful is the harshest store that the contract of ReplayStore allows: it forgets a key at the very instant
// of its expiry or of the end of its window, whichever is later, and with everything when its process ends.
type forgetful struct {
	mu      sync.Mutex
	window  time.Duration
	now     func() time.Time
	since   time.Time
	entries map[dpop.ReplayKey]time.Time
	dropped time.Time // newest expiry that was forgotten
	expiry  time.Time // of the last claim
}

func newForgetful(now func() time.Time) *forgetful {
	return &forgetful{window: window, now: now, since: now(), entries: map[dpop.ReplayKey]time.Time{}}
}

func (s *forgetful) Since() time.Time { return s.since }

func (s *forgetful) Window() time.Duration { return s.window }

// window is for how long the stores of these tests say that they remember: enough for all settings.
const window = 80 * time.Minute

func (s *forgetful) Claim(_ context.Context, key dpop.ReplayKey, expiry time.Time) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for k, e := range s.entries {
		if !now.Before(e) {
			delete(s.entries, k)
			if e.After(s.dropped) {
				s.dropped = e
			}
		}
	}
	if !expiry.After(s.dropped) {
		return false, errors.New("forgotten")
	}
	if _, used := s.entries[key]; used {
		return false, nil
	}
	if s.entries[key], s.expiry = expiry, expiry; now.Add(s.window).After(expiry) {
		s.entries[key] = now.Add(s.window)
	}
	return true, nil
}

// life is one run of a server process: a new store, with the secrets of the one before.
func life(t testing.TB, clock *poptest.Clock, change func(*dpop.Config)) *dpop.Verifier {
	t.Helper()
	v, _ := newServer(t, func(s *dpop.Config) {
		s.Now, s.InsecureForgetAtStart = clock.Now, false
		s.Nonces.Secrets = [][]byte{secret(7)}
		if change != nil {
			change(s)
		}
	})
	return v
}

// RS-073: nothing that was accepted before a restart is accepted after it, by the store of the package and by the
// harshest one.
func TestRestart(t *testing.T) {
	stores := map[string]func(*poptest.Clock) dpop.ReplayStore{
		"memory":    func(*poptest.Clock) dpop.ReplayStore { return nil },
		"forgetful": func(c *poptest.Clock) dpop.ReplayStore { return newForgetful(c.Now) },
	}
	for name, store := range stores {
		t.Run(name, func(t *testing.T) {
			clock := poptest.NewClock()
			start := func() *dpop.Verifier { return life(t, clock, func(s *dpop.Config) { s.Replay = store(clock) }) }

			first := start()
			clock.Advance(time.Hour)
			var used []string
			use := func(p poptest.Proof) {
				proof := mint(p)
				accepts(t, first, requestWith(proof))
				used = append(used, proof)
			}
			for _, ahead := range []time.Duration{-60, -59, -30, -1, 0, 1, 5, 9, 10} {
				use(poptest.Proof{IssuedAt: clock.Now().Add(ahead * time.Second)})
			}
			use(poptest.Proof{Nonce: first.Nonce()})
			clock.Advance(time.Second)
			use(poptest.Proof{Nonce: first.Nonce(), IssuedAt: clock.Now().Add(10 * time.Second)})
			use(poptest.Proof{IssuedAt: clock.Now().Add(10 * time.Second)})

			clock.Advance(1)
			second := start()
			for step := range 140 {
				for i, proof := range used {
					_, err := second.Verify(requestWith(proof), accessToken)
					if _, refused := errors.AsType[*reason.Error](err); !refused {
						t.Fatalf("%d s after the restart: proof %d: %v", step, i, err)
					}
				}
				clock.Advance(time.Second)
			}
		})
	}
}

// After a restart: who gets in, when, and what the others are told.
func TestAfterRestart(t *testing.T) {
	clock := poptest.NewClock()
	first := life(t, clock, nil)
	clock.Advance(30 * time.Second)
	old := first.Nonce()
	clock.Advance(time.Second)
	second := life(t, clock, nil)

	// An honest client learns that it needs a nonce, and gets in at the second try, in the middle of a period.
	cause := refuses(t, second, requestWith(mint(poptest.Proof{IssuedAt: clock.Now()})), dpop.ErrRestart)
	if !dpop.NeedsNonce(cause) || cause.Difference != 10*time.Second {
		t.Errorf("off by %v; answered with a nonce: %v", cause.Difference, dpop.NeedsNonce(cause))
	}
	cause = refuses(t, second, requestWith(mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: old})), dpop.ErrRestart)
	if !dpop.NeedsNonce(cause) {
		t.Error("an old nonce is not answered with a new one")
	}
	fresh := second.Nonce()
	accepts(t, second, requestWith(mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: fresh})))

	// Its next requests use the nonce, on into the next period.
	clock.Advance(58 * time.Second)
	p := accepts(t, second, requestWith(mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: fresh})))
	if next := second.NextNonce(p); next != second.Nonce() {
		t.Errorf("NextNonce() = %q", next)
	}
}

// Without a nonce a client waits for Skew, to the nanosecond.
func TestRestartWaits(t *testing.T) {
	clock := poptest.NewClock()
	v := life(t, clock, func(s *dpop.Config) { s.Skew = 3 * time.Second })
	for _, c := range []struct {
		age time.Duration // of the server, and the proof is made now
		ok  bool
	}{{0, false}, {time.Second, false}, {3*time.Second - time.Microsecond, false}, {3 * time.Second, true}, {time.Minute, true}} {
		clock.Set(poptest.Now.Add(c.age))
		r := requestWith(claims(members{"iat": numericDate(clock.Now())}))
		if c.ok {
			accepts(t, v, r)
		} else {
			refuses(t, v, r, dpop.ErrRestart)
		}
	}
	// A proof from before stays out for as long as it lives.
	clock.Set(poptest.Now.Add(time.Minute))
	refuses(t, v, requestWith(mint(poptest.Proof{IssuedAt: poptest.Now.Add(2 * time.Second)})), dpop.ErrRestart)
	clock.Advance(time.Hour)
	refuses(t, v, requestWith(mint(poptest.Proof{IssuedAt: poptest.Now.Add(2 * time.Second)})), dpop.ErrStale)
}

// Another instance whose clock is ahead issues nonces that seem to be later than the restart.
func TestRestartBesideAnInstanceAhead(t *testing.T) {
	clock, ahead := poptest.NewClock(), poptest.NewClock()
	ahead.Advance(8 * time.Second)
	first := life(t, clock, nil)
	neighbour := life(t, ahead, nil)
	clock.Advance(time.Minute)
	ahead.Advance(time.Minute)

	proof := mint(poptest.Proof{Nonce: neighbour.Nonce()})
	accepts(t, first, requestWith(proof))
	clock.Advance(2 * time.Second)
	second := life(t, clock, nil)
	refuses(t, second, requestWith(proof), dpop.ErrRestart)

	// Later nonces of the neighbour are good, and the neighbour takes those of the restarted server.
	accepts(t, neighbour, requestWith(mint(poptest.Proof{Nonce: second.Nonce()})))
	clock.Advance(12 * time.Second)
	ahead.Advance(12 * time.Second)
	accepts(t, second, requestWith(mint(poptest.Proof{Nonce: neighbour.Nonce()})))
	refuses(t, second, requestWith(proof), dpop.ErrRestart)
}

// When the clock is set back after the start, clients get in with a nonce.
func TestClockSetBackAfterStart(t *testing.T) {
	clock := poptest.NewClock()
	v := life(t, clock, nil)
	clock.Advance(-time.Hour)
	refuses(t, v, requestWith(mint(poptest.Proof{IssuedAt: clock.Now()})), dpop.ErrRestart)
	accepts(t, v, requestWith(mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: v.Nonce()})))
}

// durable is a store that forgets nothing when a process ends.
type durable struct{ dpop.ReplayStore }

func (durable) Since() time.Time { return time.Time{} }

// The rule does not hold up a server whose store outlives it, nor one that gives it up by name.
func TestRestartRuleIsForStoresThatForget(t *testing.T) {
	clock := poptest.NewClock()
	store := newForgetful(clock.Now)
	for name, c := range map[string]struct {
		change func(*dpop.Config)
		want   *reason.Error
	}{
		"forgets":                 {func(s *dpop.Config) { s.Replay = store }, dpop.ErrRestart},
		"own memory":              {nil, dpop.ErrRestart},
		"outlives the process":    {func(s *dpop.Config) { s.Replay = durable{store} }, nil},
		"InsecureForgetAtStart":   {func(s *dpop.Config) { s.Replay, s.InsecureForgetAtStart = store, true }, nil},
		"own memory, InsecureFor": {func(s *dpop.Config) { s.InsecureForgetAtStart = true }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			v := life(t, clock, c.change)
			if c.want == nil {
				accepts(t, v, requestWith(mint(poptest.Proof{})))
			} else {
				refuses(t, v, requestWith(mint(poptest.Proof{})), c.want)
			}
		})
	}
}

// A walk is a random history of a server: its clock goes forward and back, it is started anew, and clients make
// proofs, use them and use them again.
type walk struct {
	*rand.Rand
	t        *testing.T
	settings dpop.Config // MaxAge, Skew, Period and so on
	clock    *poptest.Clock
	latest   time.Time // that the clock has ever shown
	server   *dpop.Verifier
	store    *forgetful

	neighbour *dpop.Verifier // shares the first secret; its clock is off
	secret    byte           // of the server, other than that of the process before it at times
	nonces    []string
	proofs    []*past
	accepted  int
}

type past struct {
	proof    string
	accepted int
	iat      time.Time
	expiry   time.Time
}

func (w *walk) start() {
	w.secret = 7 + byte(w.IntN(4)/3)
	w.store = newForgetful(w.clock.Now)
	// The least that the settings allow, so that it forgets often.
	w.store.window = max(w.settings.MaxAge, 2*w.settings.Nonces.Period) + w.settings.Skew
	w.server = life(w.t, w.clock, func(s *dpop.Config) {
		w.apply(s)
		s.Replay, s.Nonces.Secrets = w.store, [][]byte{secret(w.secret)}
	})
}

func (w *walk) apply(s *dpop.Config) {
	s.MaxAge, s.Skew, s.RequireNonce = w.settings.MaxAge, w.settings.Skew, w.settings.RequireNonce
	s.Nonces.Period = w.settings.Nonces.Period
}

func (w *walk) between(least, most time.Duration) time.Duration {
	return least + time.Duration(w.Int64N(int64(most-least)+1))
}

// move sets the clock: a little, by a life of a proof, or exactly to the edge of one.
func (w *walk) move() {
	longest := max(w.settings.MaxAge+w.settings.Skew, 2*w.settings.Nonces.Period)
	switch w.IntN(7) {
	case 6: // the time has come of a proof that was made ahead of it
		if p := w.any(); p != nil && p.iat.After(w.clock.Now()) {
			w.clock.Set(p.iat)
		}
	case 0:
		w.clock.Advance(w.between(0, longest))
	case 1:
		w.clock.Advance(-w.between(0, longest))
	case 2, 3:
		if p := w.any(); p != nil && !p.expiry.IsZero() {
			w.clock.Set(p.expiry.Add(time.Duration(w.IntN(3) - 1)))
		}
	default:
		w.clock.Advance(w.between(0, time.Second))
	}
	if now := w.clock.Now(); now.After(w.latest) {
		w.latest = now
	}
}

func (w *walk) any() *past {
	if len(w.proofs) == 0 {
		return nil
	}
	return w.proofs[w.IntN(len(w.proofs))]
}

func (w *walk) mint() *past {
	s := &w.settings
	edges := []time.Duration{-s.MaxAge, s.Skew, 0, w.between(-s.MaxAge, s.Skew), w.between(-2*s.MaxAge, 2*s.Skew)}
	iat := w.clock.Now().Add(edges[w.IntN(len(edges))])
	c := members{"iat": numericDate(iat)}
	switch w.IntN(4) {
	case 0:
		w.nonces = append(w.nonces, w.server.Nonce())
	case 1:
		w.nonces = append(w.nonces, w.neighbour.Nonce())
	case 2:
		w.nonces = append(w.nonces, "of another server")
	}
	if w.IntN(2) == 0 && len(w.nonces) > 0 {
		c["nonce"] = w.nonces[max(0, len(w.nonces)-1-w.IntN(4))]
		if w.IntN(4) == 0 {
			iat = w.clock.Now().Add(w.between(0, 24*time.Hour))
			c["iat"] = numericDate(iat)
		}
	}
	p := &past{proof: claims(c), iat: iat}
	w.proofs = append(w.proofs, p)
	return p
}

func (w *walk) use(p *past) {
	now := w.clock.Now()
	proof, err := w.server.Verify(requestWith(p.proof), accessToken)
	if err != nil {
		return
	}
	p.accepted++
	w.accepted++
	p.expiry = w.store.expiry
	if iat := proof.IssuedAt(); !proof.HasNonce() && iat.After(now) { // for others, by the Window from iat on
		if p.expiry = iat.Add(w.settings.MaxAge + 1); !w.store.expiry.Equal(iat.Add(w.store.window)) {
			w.t.Fatalf("dated ahead to %v, remembered until %v", iat, w.store.expiry)
		}
	}
	if p.accepted > 1 {
		w.t.Fatalf("accepted twice, now at %v", now)
	}
	if !p.expiry.After(now) {
		w.t.Fatalf("remembered until %v, accepted at %v", p.expiry, now)
	}
	// The memory is exact: the instant before expiry is the last at which the proof could be accepted.
	defer w.clock.Set(now)
	for _, probe := range []struct {
		after time.Duration
		ok    bool
	}{{-1, true}, {0, false}, {1, false}, {w.settings.MaxAge, false}, {time.Hour, false}} {
		w.clock.Set(p.expiry.Add(probe.after))
		if _, err := w.server.Read(requestWith(p.proof), accessToken); (err == nil) != probe.ok {
			w.t.Fatalf("%v after expiry: %v", probe.after, err)
		}
	}
}

func TestNoProofIsAcceptedTwice(t *testing.T) {
	collectSeldom(t)
	walks, steps := poptest.Walks(60), 80
	total := 0
	for seed := range walks {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := &walk{Rand: rand.New(rand.NewPCG(uint64(seed), 0)), t: t, clock: poptest.NewClock()}
			w.settings.MaxAge = w.between(time.Second, 10*time.Minute)
			w.settings.Skew = w.between(1, 5*time.Minute)
			if w.IntN(2) == 0 {
				w.settings.MaxAge, w.settings.Skew = w.between(time.Second, time.Minute), w.between(1, 10*time.Second)
			}
			w.settings.Nonces.Period = w.between(time.Second, 30*time.Minute)
			w.settings.RequireNonce = w.IntN(4) == 0
			off := w.between(-w.settings.Skew, w.settings.Skew)
			w.neighbour = life(t, w.clock, func(s *dpop.Config) {
				w.apply(s)
				s.Now = func() time.Time { return w.clock.Now().Add(off) }
			})
			w.start()
			for range steps {
				w.move()
				switch w.IntN(12) {
				case 0: // a restart: the clock is not set back while no process is there to see it
					w.clock.Set(w.latest.Add(1 + w.between(0, time.Second)))
					w.latest = w.clock.Now()
					w.start()
					for _, p := range w.proofs {
						w.use(p)
					}
				case 1, 2, 3, 4, 5, 6:
					w.use(w.mint())
				default:
					if p := w.any(); p != nil {
						w.use(p)
					}
				}
			}
			total += w.accepted
		})
	}
	if total < 5*walks {
		t.Errorf("only %d proofs were accepted in %d walks", total, walks)
	}
}

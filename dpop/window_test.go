package dpop_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// remembering is a store that remembers for so long, and never speaks otherwise.
type remembering struct {
	storeFunc
	window time.Duration
}

func (r remembering) Window() time.Duration { return r.window }

// alone is a Fallback with its own memory, or without one.
type alone struct{ local dpop.ReplayStore }

func (alone) Down() bool { return false }

func (a alone) Local() dpop.ReplayStore { return a.local }

// No Verifier accepts a proof for longer than its store remembers.
func TestWindowIsWideEnough(t *testing.T) {
	for _, c := range []struct {
		name           string
		maxAge, period time.Duration
		skew           time.Duration
		life           time.Duration
	}{
		{"defaults: two periods and Skew", 0, 0, 0, 130 * time.Second},
		{"MaxAge and Skew", 5 * time.Minute, time.Minute, 7 * time.Second, 307 * time.Second},
		{"two periods and Skew", time.Minute, 5 * time.Minute, 3 * time.Second, 603 * time.Second},
		{"the greatest", 10 * time.Minute, 30 * time.Minute, 5 * time.Minute, 65 * time.Minute},
		{"the least", time.Second, time.Second, time.Millisecond, 2*time.Second + time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			settings := dpop.Config{Origins: []string{poptest.Audience}, MaxAge: c.maxAge, Skew: c.skew}
			settings.Nonces.Period = c.period
			store := func(window time.Duration) dpop.ReplayStore { return remembering{alwaysFresh, window} }
			for _, try := range []struct {
				what string
				set  func(*dpop.Config)
				says []string // of the error; none: accepted
			}{
				{"exactly", func(s *dpop.Config) { s.Replay = store(c.life) }, nil},
				{"too narrow", func(s *dpop.Config) { s.Replay = store(c.life - 1) },
					[]string{"dpop.Config: Replay has a Window of " + (c.life - 1).String(), c.life.String(), "raise the Window"}},
				{"no window", func(s *dpop.Config) { s.Replay = store(0) }, []string{"dpop.Config: Replay has a Window of 0s"}},
				{"fallback exactly", func(s *dpop.Config) { s.Replay, s.Fallback = store(window), alone{store(c.life)} }, nil},
				{"fallback too narrow", func(s *dpop.Config) { s.Replay, s.Fallback = store(window), alone{store(c.life - 1)} },
					[]string{"dpop.Config: Fallback.Local has a Window of " + (c.life - 1).String(), c.life.String(), "raise it"}},
				{"fallback without a memory", func(s *dpop.Config) { s.Replay, s.Fallback = store(window), alone{} },
					[]string{"dpop.Config: Fallback.Local returns nil", "give the memory"}},
				{"a memory of its own", func(s *dpop.Config) { s.Now = poptest.NewClock().Now }, nil},
			} {
				s := settings
				try.set(&s)
				v, err := dpop.New(s)
				switch {
				case len(try.says) == 0 && err != nil:
					t.Errorf("%s: refused: %v", try.what, err)
				case len(try.says) == 0:
					_ = v.Close()
				case err == nil:
					t.Errorf("%s: accepted", try.what)
				default:
					for _, part := range try.says {
						if !strings.Contains(err.Error(), part) {
							t.Errorf("%s: %v; want %q in it", try.what, err, part)
						}
					}
				}
			}
		})
	}
}

// crowd is several Verifiers of different settings that share one memory.
type crowd struct {
	*rand.Rand
	t        *testing.T
	now      func() time.Time
	advance  func(time.Duration)
	start    func(*crowd) // adds a server
	settings []dpop.Config
	servers  []*dpop.Verifier
	proofs   []string
	nonces   []string
	accepted map[string]string // by which settings
}

func (c *crowd) between(least, most time.Duration) time.Duration {
	return least + time.Duration(c.Int64N(int64(most-least)+1))
}

// config are random settings under which a proof is accepted for no longer than window.
func (c *crowd) config(window time.Duration) dpop.Config {
	s := dpop.Config{Origins: []string{poptest.Audience}, KnownKeys: 1000}
	s.Skew = c.between(time.Millisecond, min(5*time.Minute, window-2*time.Second))
	s.MaxAge = c.between(time.Second, min(10*time.Minute, window-s.Skew))
	s.Nonces.Period = c.between(time.Second, min(30*time.Minute, (window-s.Skew)/2))
	if c.IntN(2) == 0 {
		s.Nonces.Period = time.Second
	}
	s.Nonces.Secrets = [][]byte{secret(byte(1 + c.IntN(2)))}
	return s
}

func (c *crowd) add(s dpop.Config) {
	v, err := dpop.New(s)
	if err != nil {
		c.t.Fatal(err)
	}
	c.settings, c.servers = append(c.settings, s), append(c.servers, v)
}

func (c *crowd) close() {
	for _, v := range c.servers {
		if err := v.Close(); err != nil {
			c.t.Error(err)
		}
	}
}

func (c *crowd) send(proof string) {
	i := c.IntN(len(c.servers))
	if _, err := c.servers[i].Verify(requestWith(proof), accessToken); err != nil {
		if dpop.NeedsNonce(err) {
			c.nonces = append(c.nonces, c.servers[i].Nonce())
		}
		return
	}
	s := &c.settings[i]
	who := fmt.Sprintf("MaxAge %v, Skew %v, Period %v at %v", s.MaxAge, s.Skew, s.Nonces.Period, c.now())
	if first, again := c.accepted[proof]; again {
		c.t.Fatalf("%s\naccepted with %s\nand again with %s", payload(proof), first, who)
	}
	c.accepted[proof] = who
}

// payload shows what a proof says.
func payload(proof string) []byte {
	raw, _ := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[1])
	return raw
}

func (c *crowd) mint() string {
	s := c.settings[c.IntN(len(c.settings))]
	edges := []time.Duration{0, s.Skew, -s.MaxAge, c.between(-s.MaxAge, s.Skew), c.between(0, s.Skew)}
	m := members{"iat": numericDate(c.now().Add(edges[c.IntN(len(edges))]))}
	if c.IntN(4) == 0 && len(c.nonces) > 0 {
		m["nonce"] = c.nonces[max(0, len(c.nonces)-1-c.IntN(4))]
		if c.IntN(4) == 0 {
			m["iat"] = numericDate(c.now().Add(c.between(0, time.Hour)))
		}
	} else if c.IntN(8) == 0 {
		m["nonce"] = "of another server"
	}
	c.proofs = append(c.proofs, claims(m))
	return c.proofs[len(c.proofs)-1]
}

func (c *crowd) step() {
	switch c.IntN(24) {
	case 0:
		if len(c.servers) < 6 {
			c.start(c)
		}
	case 1:
		c.advance(c.between(0, time.Second))
	case 2, 3:
		c.advance(c.between(0, 20*time.Second))
	case 4:
		s := c.settings[c.IntN(len(c.settings))]
		c.advance(c.between(0, s.MaxAge+s.Skew))
	case 5, 6, 7, 8:
		c.send(c.mint())
	default:
		if len(c.proofs) > 0 {
			c.send(c.proofs[max(0, len(c.proofs)-1-c.IntN(20))])
		}
	}
}

// walk walks at random for so many steps, and returns how many proofs were accepted.
func (c *crowd) walk(steps int) int {
	defer c.close()
	c.accepted = map[string]string{}
	c.start(c)
	for range steps {
		c.step()
	}
	return len(c.accepted)
}

// collectSeldom is for walks, which leave a thousand Verifiers behind: to collect them costs as much as to use them.
func collectSeldom(t *testing.T) {
	before := debug.SetGCPercent(400)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

// RS-073: Verifiers of any settings share one memory, or one is followed by another of other settings: none accepts what
// another has accepted, be it after the first one's time.
func TestNoProofIsAcceptedTwiceUnderOtherSettings(t *testing.T) {
	collectSeldom(t)
	walks, steps, total := poptest.Walks(150), 300, 0
	for seed := range walks {
		t.Run(fmt.Sprint("one memory ", seed), func(t *testing.T) {
			clock := poptest.NewClock()
			c := &crowd{Rand: rand.New(rand.NewPCG(uint64(seed), 2)), t: t, now: clock.Now}
			window := c.between(4*time.Second, 65*time.Minute)
			if c.IntN(2) == 0 {
				window = c.between(4*time.Second, 5*time.Minute)
			}
			memory := newMemory(t, dpop.MemoryConfig{MaxEntries: 2 * steps, Window: window, Now: clock.Now})
			c.advance = func(d time.Duration) {
				if c.IntN(8) == 0 {
					d = -d // the clock is set back
				}
				clock.Advance(d)
			}
			c.start = func(c *crowd) {
				s := c.config(window)
				s.Replay, s.Now = memory, clock.Now
				c.add(s)
			}
			total += c.walk(steps)
		})
		t.Run(fmt.Sprint("own memory ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crowd{Rand: rand.New(rand.NewPCG(uint64(seed), 3)), t: t, now: time.Now, advance: time.Sleep}
				c.start = func(c *crowd) {
					s := c.config(c.between(4*time.Second, 10*time.Minute))
					s.Namespace = t.Name()
					c.add(s)
				}
				total += c.walk(steps)
			})
		})
	}
	if total < 20*walks {
		t.Errorf("only %d proofs were accepted in twice %d walks", total, walks)
	}
	t.Logf("%d accepted", total)
}

// What a longer MaxAge did once: a proof that was used, and whose time was over, came back.
func TestLongerMaxAgeBringsNothingBack(t *testing.T) {
	clock := poptest.NewClock()
	memory := newMemory(t, dpop.MemoryConfig{Window: 310 * time.Second, Now: clock.Now})
	with := func(maxAge, skew time.Duration) *dpop.Verifier {
		return life(t, clock, func(s *dpop.Config) {
			s.Replay, s.MaxAge, s.Skew, s.Nonces.Period = memory, maxAge, skew, time.Second
		})
	}
	short := with(time.Minute, 0)
	ahead := with(time.Second, 300*time.Second)
	clock.Advance(time.Hour)
	used := mint(poptest.Proof{IssuedAt: clock.Now()})
	accepts(t, short, requestWith(used))
	usedAhead := mint(poptest.Proof{IssuedAt: clock.Now().Add(300 * time.Second)})
	accepts(t, ahead, requestWith(usedAhead))

	long := with(5*time.Minute, 10*time.Second)
	clock.Advance(61 * time.Second)
	refuses(t, short, requestWith(used), dpop.ErrStale)
	refuses(t, long, requestWith(used), dpop.ErrReplayed)
	clock.Advance(239 * time.Second)
	refuses(t, long, requestWith(used), dpop.ErrReplayed)
	clock.Advance(1)
	refuses(t, long, requestWith(used), dpop.ErrStale)
	for range 30 {
		refuses(t, long, requestWith(usedAhead), dpop.ErrReplayed)
		clock.Advance(10*time.Second - 1)
	}
	clock.Advance(time.Second)
	refuses(t, long, requestWith(usedAhead), dpop.ErrStale)
}

// counted is an ordinary decorator of a store.
type counted struct {
	dpop.ReplayStore
	name string
}

// A decorator passes on what a Verifier must know of a store, without a word about it.
func TestDecoratedMemory(t *testing.T) {
	clock := poptest.NewClock()
	start := func() *dpop.Verifier {
		memory := newMemory(t, dpop.MemoryConfig{Now: clock.Now})
		return life(t, clock, func(s *dpop.Config) { s.Replay = &counted{memory, "proofs"} })
	}
	first := start()
	clock.Advance(time.Minute)
	used := mint(poptest.Proof{IssuedAt: clock.Now()})
	usedWithNonce := mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: first.Nonce()})
	accepts(t, first, requestWith(used))
	accepts(t, first, requestWith(usedWithNonce))
	clock.Advance(time.Second)
	second := start()
	refuses(t, second, requestWith(used), dpop.ErrRestart)
	refuses(t, second, requestWith(usedWithNonce), dpop.ErrRestart)
	accepts(t, second, requestWith(mint(poptest.Proof{IssuedAt: clock.Now(), Nonce: second.Nonce()})))

	narrow := &counted{newMemory(t, dpop.MemoryConfig{Window: time.Second, Now: clock.Now}), "proofs"}
	if _, err := dpop.New(dpop.Config{Origins: []string{poptest.Audience}, Replay: narrow}); err == nil {
		t.Error("a decorator hides a Window that is too narrow")
	}
}

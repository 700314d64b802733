package dpop_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// ordinary returns a Verifier on the system's clock without a replay store of its own.
func ordinary(t testing.TB, namespace string, change func(*dpop.Config)) *dpop.Verifier {
	t.Helper()
	s := dpop.Config{Origins: []string{poptest.Audience}, Namespace: namespace, KnownKeys: 1000}
	s.Nonces.Secrets = [][]byte{secret(7)}
	if change != nil {
		change(&s)
	}
	v, err := dpop.New(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closes(t, v) })
	return v
}

func closes(t testing.TB, v *dpop.Verifier) {
	t.Helper()
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}

// fresh is a new proof of this moment, by the system's clock.
func fresh() string { return mint(poptest.Proof{IssuedAt: time.Now()}) }

// RS-073: two Verifiers of one process and namespace answer for the same URIs.
func TestVerifiersShareOneMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two, other := ordinary(t, t.Name(), nil), ordinary(t, t.Name(), nil), ordinary(t, t.Name()+"/other", nil)
		time.Sleep(time.Minute)
		proof := fresh()
		accepts(t, one, requestWith(proof))
		refuses(t, two, requestWith(proof), dpop.ErrReplayed)
		accepts(t, other, requestWith(proof))

		// It joins a memory that has been there for long, so it needs no time of its own.
		late := ordinary(t, t.Name(), nil)
		refuses(t, late, requestWith(proof), dpop.ErrReplayed)
		accepts(t, late, requestWith(fresh()))
		// That of another namespace begins with it, however long others have been there.
		refuses(t, ordinary(t, t.Name()+"/late", nil), requestWith(fresh()), dpop.ErrRestart)
	})
}

// With clocks of their own they have memories of their own: no memory can be right by two clocks.
func TestOwnClockOwnMemory(t *testing.T) {
	one, _ := newServer(t, nil)
	two, _ := newServer(t, nil)
	proof := mint(poptest.Proof{})
	for _, v := range []*dpop.Verifier{one, two} {
		accepts(t, v, requestWith(proof))
		refuses(t, v, requestWith(proof), dpop.ErrReplayed)
	}
}

func TestSharedMemoryIsGoneWithTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := ordinary(t, t.Name(), nil), ordinary(t, t.Name(), nil)
		time.Sleep(time.Minute)
		proof := fresh()
		accepts(t, one, requestWith(proof))
		for range 3 { // each gives back its own share, once
			closes(t, one)
		}
		refuses(t, two, requestWith(proof), dpop.ErrReplayed)
		accepts(t, two, requestWith(fresh()))
		if _, err := one.Verify(requestWith(fresh()), accessToken); !errors.Is(err, dpop.ErrStore) {
			t.Errorf("a closed Verifier: got %v", err)
		}
		closes(t, two)

		next := ordinary(t, t.Name(), nil)
		refuses(t, next, requestWith(proof), dpop.ErrRestart)
		refuses(t, next, requestWith(fresh()), dpop.ErrRestart)
		time.Sleep(dpop.DefaultSkew)
		accepts(t, next, requestWith(fresh()))
	})
}

// Settings that are refused leave no memory behind: the next one begins anew.
func TestRefusedSettingsHoldNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := dpop.New(dpop.Config{Origins: []string{poptest.Audience}, Namespace: t.Name(), Fallback: alone{}}); err == nil {
			t.Fatal("accepted")
		}
		time.Sleep(time.Minute)
		refuses(t, ordinary(t, t.Name(), nil), requestWith(fresh()), dpop.ErrRestart)
	})
}

// A Verifier that accepts proofs for longer widens the window. What was claimed under the old one is forgotten sooner than
// it accepts, so the memory begins anew.
func TestWiderWindow(t *testing.T) {
	for name, c := range map[string]struct{ old, wider func(*dpop.Config) }{
		"MaxAge":  {nil, func(s *dpop.Config) { s.MaxAge = 5 * time.Minute }},
		"Skew":    {nil, func(s *dpop.Config) { s.MaxAge, s.Skew = 2*time.Minute, time.Minute }},
		"Period":  {nil, func(s *dpop.Config) { s.MaxAge, s.Nonces.Period = 2*time.Minute, 5*time.Minute }},
		"smaller": {func(s *dpop.Config) { s.MaxAge, s.Skew = time.Second, 5*time.Minute }, func(s *dpop.Config) { s.MaxAge, s.Skew = 10*time.Minute, time.Millisecond }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old := ordinary(t, t.Name(), c.old)
				skew, life := dpop.DefaultSkew, 130*time.Second
				if name == "smaller" {
					skew, life = 5*time.Minute, 10*time.Minute+time.Millisecond
				}
				time.Sleep(10 * time.Minute)
				nonce := old.Nonce()
				used := []string{fresh(), mint(poptest.Proof{IssuedAt: time.Now().Add(skew)}), mint(poptest.Proof{Nonce: nonce})}
				for _, proof := range used {
					accepts(t, old, requestWith(proof))
				}
				wider := ordinary(t, t.Name(), c.wider)
				for wait := time.Duration(0); wait < life+skew; wait += 5 * time.Second {
					for i, proof := range used {
						if _, err := wider.Verify(requestWith(proof), accessToken); err == nil {
							t.Fatalf("proof %d was accepted again, %v later", i, wait)
						}
						if _, err := old.Verify(requestWith(proof), accessToken); err == nil {
							t.Fatalf("proof %d was accepted again by the same Verifier, %v later", i, wait)
						}
					}
					if wait == 0 {
						refuses(t, wider, requestWith(used[0]), dpop.ErrRestart)
						refuses(t, old, requestWith(used[0]), dpop.ErrRestart)
						accepts(t, wider, requestWith(mint(poptest.Proof{Nonce: wider.Nonce()})))
						accepts(t, old, requestWith(mint(poptest.Proof{Nonce: old.Nonce()})))
					}
					time.Sleep(5 * time.Second)
				}
				proof := fresh()
				accepts(t, old, requestWith(proof))
				time.Sleep(time.Minute)
				if _, err := wider.Verify(requestWith(proof), accessToken); !errors.Is(err, dpop.ErrReplayed) {
					t.Errorf("one minute later: got %v", err)
				}
			})
		})
	}
}

// A memory in which nothing was ever claimed has nothing to forget: it is widened without a new beginning.
func TestWiderWindowOfAnUnusedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ordinary(t, t.Name(), nil)
		time.Sleep(time.Minute)
		wider := ordinary(t, t.Name(), func(s *dpop.Config) { s.MaxAge = 5 * time.Minute })
		accepts(t, wider, requestWith(fresh()))
	})
}

// Verifiers come and go, all at once, and share what they accepted for as long as one is there.
func TestVerifiersComeAndGo(t *testing.T) {
	const comers, rounds = 6, 15
	var mu sync.Mutex
	accepted, shown := map[string]int{}, []string{}
	atOnce(comers, func(comer int) {
		for range rounds {
			s := dpop.Config{Origins: []string{poptest.Audience}, Namespace: t.Name(), Skew: time.Millisecond, KnownKeys: 1000}
			s.Nonces.Secrets = [][]byte{secret(7)}
			if comer%2 == 0 {
				s.MaxAge = 5 * time.Minute // wider than the others
			}
			v, err := dpop.New(s)
			if err != nil {
				t.Error(err)
				return
			}
			mine := mint(poptest.Proof{Nonce: v.Nonce()})
			mu.Lock()
			shown = append(shown, mine)
			tries := append([]string{mine}, shown[max(0, len(shown)-8):]...)
			mu.Unlock()
			for _, proof := range tries {
				_, err := v.Verify(requestWith(proof), accessToken)
				if _, refused := errors.AsType[*reason.Error](err); err != nil && !refused {
					t.Errorf("an open Verifier: %v", err)
				}
				if err == nil {
					mu.Lock()
					accepted[proof]++
					mu.Unlock()
				}
			}
			closes(t, v)
		}
	})
	for _, n := range accepted {
		if n > 1 {
			t.Errorf("a proof was accepted %d times", n)
		}
	}
	if len(accepted) < comers*rounds/4 {
		t.Errorf("only %d proofs were accepted", len(accepted))
	}
}

// A memory that has forgotten all it had is no unused one: what it forgot, a wider Verifier would accept again.
func TestWiderWindowOfAMemoryThatForgot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		old := ordinary(t, t.Name(), nil)
		time.Sleep(time.Minute)
		proof := fresh()
		accepts(t, old, requestWith(proof))
		time.Sleep(4 * time.Minute)
		dpop.SharedLen(t.Name()) // as a metric that is read makes it forget
		wider := ordinary(t, t.Name(), func(s *dpop.Config) { s.MaxAge = 8 * time.Minute })
		refuses(t, wider, requestWith(proof), dpop.ErrRestart)
	})
}

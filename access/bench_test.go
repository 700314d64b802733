package access_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// BenchmarkRequest is a whole request through a Handler, without a socket, in multiples of one bare ECDSA verification:
// accepted ones with keys precomputed and without, and refused ones.
func BenchmarkRequest(b *testing.B) {
	token := bound()
	for _, precomputed := range []int{0, 4} {
		settings := func(s *setup) { s.PrecomputedKeys, s.PrecomputedIssuerKeys = precomputed, precomputed }
		suffix := fmt.Sprintf(", precomputed=%d", precomputed)
		b.Run("token known"+suffix, func(b *testing.B) {
			compareRequests(b, settings, token, http.StatusOK, func() *http.Request { return owner(token) })
		})
		b.Run("token new"+suffix, func(b *testing.B) {
			compareRequests(b, settings, token, http.StatusOK, func() *http.Request { return owner(bound()) })
		})
	}
	for name, proof := range poptest.HostileProofs(token) {
		b.Run("refused, "+name, func(b *testing.B) {
			compareRequests(b, func(*setup) {}, token, http.StatusUnauthorized, func() *http.Request { return get("DPoP "+token, proof()) })
		})
	}
}

// BenchmarkFlood is a refused request of a flood, with alerts and a reaction to them, beside one of which nobody hears:
// garbage, a stranger's token, and one stolen token over and over.
func BenchmarkFlood(b *testing.B) {
	token := bound(named...)
	strangers := bound(func(t *poptest.Token) { t.Key = poptest.Keyed("ES256", "thief") })
	proof := thiefProof(token)
	for name, request := range map[string]func() *http.Request{
		"garbage":              func() *http.Request { return get("Bearer x.y.z", "") },
		"garbage, proof":       func() *http.Request { return get("DPoP "+token, "x.y.z") },
		"a stranger's token":   func() *http.Request { return get("Bearer "+strangers, "") },
		"stolen, as Bearer":    func() *http.Request { return get("Bearer "+token, "") },
		"stolen, no proof":     func() *http.Request { return get("DPoP "+token, "") },
		"stolen, another key":  func() *http.Request { return get("DPoP "+token, proof) },
		"stolen, from cookies": func() *http.Request { return inCookie(token) },
	} {
		b.Run(name, func(b *testing.B) {
			compareRequests(b, func(s *setup) {
				store := newRevocations(b, s)
				s.OnAlert, _ = access.React{By: revocation.ByKey, Store: store, Log: s.Log}.OnAlert()
				takes(readsElsewhere())(s)
			}, token, http.StatusUnauthorized, request)
		})
	}
}

// A flood of one stolen token costs one alert and one reaction within a minute, and no signature of a token that is
// known; a flood of what nobody has verified costs neither.
func TestFloodIsBounded(t *testing.T) {
	var a alerts
	store, asked := new(counting), 0
	s := newGuard(t, a.install, func(s *setup) {
		react, err := access.React{By: revocation.ByKey, Store: store, Log: s.Log}.OnAlert()
		if err != nil {
			t.Fatal(err)
		}
		told := s.OnAlert
		s.OnAlert = func(ctx context.Context, alert access.Alert) { told(ctx, alert); react(ctx, alert) }
		s.Wrap = func(next access.Validator) access.Validator {
			return access.ValidatorFunc(func(ctx context.Context, token string) (*access.Token, error) {
				asked++
				return next.ValidateToken(ctx, token)
			})
		}
	})
	token := bound(named...)
	flood := func(r func() *http.Request) {
		for range 1000 {
			if _, err := s.Check(r()); err == nil {
				t.Fatal("accepted")
			}
		}
	}
	flood(func() *http.Request { return get("DPoP "+token, "") })
	flood(func() *http.Request { return get("DPoP x.y.z", "x.y.z") })
	if asked != 0 || len(a.heard) != 0 || len(store.entries) != 0 {
		t.Errorf("before anybody has verified it: asked %d times, %d alerts, %d reactions", asked, len(a.heard), len(store.entries))
	}
	if _, err := s.Check(owner(token)); err != nil {
		t.Fatal(err)
	}
	s.WaitForCache()
	for _, r := range []*http.Request{get("DPoP "+token, ""), get("Bearer "+token, ""), get("DPoP "+token, thiefProof(token))} {
		flood(func() *http.Request { return r })
	}
	if asked != 1 || len(a.heard) != 3 || len(store.entries) != 3 {
		t.Errorf("asked %d times, %d alerts, %d reactions", asked, len(a.heard), len(store.entries))
	}
}

// compareRequests compares requests to a Guard that knows poptest's client, the issuer and a token.
func compareRequests(b *testing.B, settings func(*setup), token string, status int, request func() *http.Request) {
	s := newGuard(b, settings)
	h := s.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
		access.Requirement{Scopes: []string{"accounts:read"}})
	w := poptest.NewSink()
	for range 4 {
		if h.ServeHTTP(w, owner(token)); w.Status != http.StatusOK {
			b.Fatalf("status %d, %v", w.Status, w.Fields)
		}
	}
	s.WaitForCache()
	for s.PrecomputedStats().Held < min(1, s.PrecomputedKeys) {
		runtime.Gosched()
	}
	poptest.ComparePrepared(b, func() func() {
		r := request()
		return func() {
			clear(w.Fields)
			if h.ServeHTTP(w, r); w.Status != status {
				b.Fatalf("status %d, want %d: %v", w.Status, status, w.Fields)
			}
		}
	})
}

// BenchmarkClients is a request whose token is known, of so many clients that are busy by Zipf's law, each with a key
// and a token of its own, all of which were seen.
func BenchmarkClients(b *testing.B) {
	for _, clients := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			const long = 24 * time.Hour // a cache goes by the clock on the wall, and the first of many must not expire meanwhile
			s := newGuard(b, func(s *setup) { s.PrecomputedKeys, s.MaxTokenLifetime = *precomputedClients, long })
			keys, tokens := make([]*poptest.Key, clients), make([]string, clients)
			request := func(i int) *http.Request {
				return get("DPoP "+tokens[i], poptest.Proof{Key: keys[i], Token: tokens[i]}.String())
			}
			for i := range clients {
				keys[i] = poptest.NewKey("ES256")
				tokens[i] = poptest.Token{JKT: keys[i].Thumbprint(), Lifetime: long}.String()
				if _, err := s.Check(request(i)); err != nil {
					b.Fatal(err)
				}
			}
			s.WaitForCache()
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(clients-1))
			asked, known := 0, 0
			poptest.ComparePrepared(b, func() func() {
				r := request(int(zipf.Uint64()))
				return func() {
					grant, err := s.Check(r)
					if err != nil {
						b.Fatal(err)
					}
					asked++
					known += map[bool]int{true: 1}[grant.TokenKnown()]
				}
			})
			b.ReportMetric(float64(known)/float64(asked), "known")
		})
	}
}

var precomputedClients = flag.Int("precomputed", 0, "Config.PrecomputedKeys of BenchmarkClients")

// BenchmarkRevocation is what a request pays in the Guard for tokens that can be taken back, by the number of
// entries: the question to the store alone. The aim is 1 µs. x-bare-verify is its cost as a multiple of one bare
// ECDSA verification in the same run.
func BenchmarkRevocation(b *testing.B) {
	for _, entries := range []int{-1, 0, 10_000, 1_000_000} {
		name := fmt.Sprintf("entries=%d", entries)
		if entries < 0 {
			name = "no store"
		}
		b.Run(name, func(b *testing.B) {
			s := newGuard(b, func(s *setup) {
				if entries >= 0 {
					s.Revocation = filled(b, s, entries)
				}
			})
			tokens := make([]*access.Token, 4096) // so that the processor's cache does not help
			for i := range tokens {
				name := func(what string) string { return fmt.Sprintf("%s-%030d", what, i) }
				tokens[i] = &access.Token{
					Issuer: poptest.Issuer, ID: name("jti"), Session: name("sid"), Subject: name("sub"), ClientID: name("client"),
					Confirmation: access.Confirmation{JKT: name("jkt")}, IssuedAt: poptest.Now, Expiry: poptest.Now.Add(5 * time.Minute),
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := s.Revoked(b.Context(), tokens[i%len(tokens)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			poptest.ReportRatio(b)
		})
	}
}

func filled(b *testing.B, s *setup, entries int) *revocation.Memory {
	store := newRevocations(b, s)
	for i := range entries {
		entry := revocation.Entry{Issuer: poptest.Issuer, By: revocation.By(1 + i%6), Value: fmt.Sprintf("%036d", i)}
		if err := store.Revoke(b.Context(), entry); err != nil {
			b.Fatal(err)
		}
	}
	return store
}

// BenchmarkRecheck is what a request pays when its token need not be looked up again.
func BenchmarkRecheck(b *testing.B) {
	u := &users{}
	policy, err := access.Recheck{Lookup: u.lookup, Percent: 10, Requests: 1 << 30}.Policy()
	if err != nil {
		b.Fatal(err)
	}
	s := newGuard(b, func(s *setup) { s.Policies = []access.Policy{policy} })
	r := owner(bound())
	grant, err := s.Check(r)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := policy(r, grant); err != nil {
			b.Fatal(err)
		}
	}
	if u.asked > 1 && b.Elapsed() < 30*time.Second {
		b.Errorf("%d look-ups", u.asked)
	}
}

package keyset_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/poptest"
)

// rotating is an issuer inside the process, for synctest.
type rotating struct {
	set     atomic.Pointer[[]byte]
	control []string // Cache-Control
	down    atomic.Bool
	fetches atomic.Int32
}

func newRotating(set []byte) *rotating {
	r := &rotating{}
	r.publish(set)
	return r
}

func (r *rotating) publish(set []byte) { r.set.Store(&set) }

func (r *rotating) RoundTrip(*http.Request) (*http.Response, error) {
	r.fetches.Add(1)
	if r.down.Load() {
		return nil, errors.New("connection refused")
	}
	a := answer(http.StatusOK, *r.set.Load())
	a.Header["Cache-Control"] = r.control
	return a, nil
}

func (r *rotating) config() keyset.Config {
	return keyset.Config{JWKSURL: "https://login.example.com/keys", HTTPClient: &http.Client{Transport: r}}
}

func (r *rotating) fetched(t testing.TB, want int) {
	t.Helper()
	if got := int(r.fetches.Load()); got != want {
		t.Fatalf("%d fetches, want %d", got, want)
	}
}

var oldKey, newKey = poptest.Keyed("ES256", "old"), poptest.Keyed("ES256", "new")

func only(kid string, k *poptest.Key) []byte {
	return poptest.JWKS(map[string]*poptest.Key{kid: k})
}

// longest is more than any wait for the background refresh, and less than any two.
const longest = keyset.DefaultRefresh + time.Second

func TestUnknownKid(t *testing.T) {
	i, clock := poptest.NewIssuerServer(t), poptest.NewClock()
	s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), Now: clock.Now})
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
	i.SetKeys(map[string]*poptest.Key{"k2": newKey})
	fetched := func(want int) {
		t.Helper()
		if got := i.Fetches(); got != want {
			t.Fatalf("%d fetches, want %d", got, want)
		}
	}

	clock.Advance(keyset.DefaultCooldown - 1)
	refused(t, s, "k2", "ES256", keyset.ErrUnknownKey)
	fetched(1) // none within the cooldown
	clock.Advance(1)
	found(t, s, "k2", "ES256", newKey)
	fetched(2)
	refused(t, s, poptest.KeyID, "ES256", keyset.ErrUnknownKey)
	for n := range 100 {
		refused(t, s, "random-"+strconv.Itoa(n), "ES256", keyset.ErrUnknownKey)
	}
	fetched(2)

	// The issuer goes down: whether a kid exists cannot be known, and known ones are not touched.
	i.SetFailing(true)
	clock.Advance(keyset.DefaultCooldown)
	for range 100 {
		refused(t, s, "k3", "ES256", keyset.ErrUnavailable, keyset.ErrFetch)
		found(t, s, "k2", "ES256", newKey)
	}
	if got := i.FetchesOf(poptest.MetadataPath); got != 3 {
		t.Fatalf("%d fetches of metadata, want 3", got)
	}

	// It comes back; within the cooldown of the failure it is not asked.
	i.SetFailing(false)
	i.SetKeys(map[string]*poptest.Key{"k3": oldKey})
	refused(t, s, "k3", "ES256", keyset.ErrUnavailable, keyset.ErrFetch)
	clock.Advance(keyset.DefaultCooldown)
	found(t, s, "k3", "ES256", oldKey)
	fetched(3)

	// A clock that was set back does not stop fetches for as long.
	clock.Advance(-24 * time.Hour)
	refused(t, s, "k4", "ES256", keyset.ErrUnknownKey)
	fetched(4)
}

// A token without kid looks for a key of its kind as one with an unknown kid does.
func TestNewKindWithoutKid(t *testing.T) {
	r, clock := newRotating(only("k1", oldKey)), poptest.NewClock()
	c := r.config()
	c.Now = clock.Now
	s := open(t, c)
	refused(t, s, "", "EdDSA", keyset.ErrUnknownKey)
	k := poptest.Keyed("EdDSA", "new")
	r.publish(only("k2", k))
	clock.Advance(keyset.DefaultCooldown)
	found(t, s, "", "EdDSA", k)
}

// A set that is not usable, or none, does not take the place of the last good one.
func TestLastGoodSetStays(t *testing.T) {
	for _, c := range []struct {
		name    string
		breakIt func(*poptest.IssuerServer)
		cause   error
	}{
		{"down", (*poptest.IssuerServer).Close, keyset.ErrFetch},
		{"too large", func(i *poptest.IssuerServer) { i.SetPadding(1 << 20) }, keyset.ErrTooLarge},
		{"another issuer's metadata", func(i *poptest.IssuerServer) {
			i.SetMetadata(map[string]any{"issuer": "https://login.example.com"})
		}, keyset.ErrMetadata},
		{"no JSON", func(i *poptest.IssuerServer) { i.SetRawJWKS([]byte("{")) }, keyset.ErrSet},
		{"no key", func(i *poptest.IssuerServer) { i.SetRawJWKS([]byte(`{"keys":[]}`)) }, keyset.ErrSet},
		{"no usable key", func(i *poptest.IssuerServer) { i.SetRawJWKS([]byte(`{"keys":[{"kty":"oct"}]}`)) }, keyset.ErrSet},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, clock := poptest.NewIssuerServer(t), poptest.NewClock()
			s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), Now: clock.Now})
			key := found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())[0]
			c.breakIt(i)
			clock.Advance(keyset.DefaultCooldown)
			refused(t, s, "k9", "ES256", keyset.ErrUnavailable, c.cause)
			found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
			if !s.Has(key) {
				t.Fatal("the key is gone")
			}
		})
	}
}

func TestJWKSURIMoves(t *testing.T) {
	i, clock := poptest.NewIssuerServer(t), poptest.NewClock()
	s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), Now: clock.Now})
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
	i.Handle("/jwks2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(only("k2", newKey))
	}))
	i.SetMetadata(map[string]any{"jwks_uri": i.URL() + "/jwks2"})
	clock.Advance(keyset.DefaultCooldown)
	found(t, s, "k2", "ES256", newKey)
}

func TestOneFetchForAll(t *testing.T) {
	i, clock := poptest.NewIssuerServer(t), poptest.NewClock()
	s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), Now: clock.Now})
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
	clock.Advance(keyset.DefaultCooldown)
	var group sync.WaitGroup
	for n := range 32 {
		group.Go(func() {
			if _, err := s.Keys(t.Context(), "k"+strconv.Itoa(n+100), "ES256"); !errors.Is(err, keyset.ErrUnknownKey) {
				t.Errorf("%v, want %v", err, keyset.ErrUnknownKey)
			}
			if _, err := s.Keys(t.Context(), poptest.KeyID, "ES256"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := i.Fetches(); n != 2 {
		t.Fatalf("%d fetches, want the first and one more", n)
	}
}

// A fetch runs apart from the request, where a panic would end the process.
func TestPanicOfTheClient(t *testing.T) {
	i, clock := poptest.NewIssuerServer(t), poptest.NewClock()
	broken := true
	client := &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		if broken {
			panic("no more handles")
		}
		return i.Client().Transport.RoundTrip(r)
	})}
	s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: client, Now: clock.Now})
	_, err := s.Keys(t.Context(), poptest.KeyID, "ES256")
	if !errors.Is(err, keyset.ErrUnavailable) || !errors.Is(err, keyset.ErrFetch) || !strings.Contains(err.Error(), "no more handles") {
		t.Fatalf("got %v, want %v that says why", err, keyset.ErrUnavailable)
	}
	broken = false
	clock.Advance(keyset.DefaultCooldown)
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
}

// A caller that gives up leaves the fetch to the others, and a hanging issuer does not hold up known kids.
func TestCallerGivesUp(t *testing.T) {
	i, clock := poptest.NewIssuerServer(t), poptest.NewClock()
	s := open(t, keyset.Config{Issuer: i.URL(), HTTPClient: i.Client(), Now: clock.Now})
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
	clock.Advance(keyset.DefaultCooldown)
	i.SetKeys(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey(), "k2": newKey})
	i.Hang()
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(gone)
	for range 2 {
		if _, err := s.Keys(ctx, "k2", "ES256"); !errors.Is(err, keyset.ErrUnavailable) || !errors.Is(err, gone) {
			t.Fatalf("%v, want %v", err, keyset.ErrUnavailable)
		}
	}
	found(t, s, poptest.KeyID, "ES256", poptest.IssuerKey())
	i.Release()
	found(t, s, "k2", "ES256", newKey)
	if n := i.Fetches(); n != 2 {
		t.Fatalf("%d fetches, want 2", n)
	}
}

// A process that sees only cached tokens learns that a key was removed.
func TestBackgroundRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotating(only("k1", oldKey))
		s := open(t, r.config())
		time.Sleep(longest)
		r.fetched(t, 0) // nothing was asked for yet
		key := found(t, s, "k1", "ES256", oldKey)[0]

		time.Sleep(longest)
		r.fetched(t, 2)
		if !s.Has(key) {
			t.Fatal("a refresh without a change lost the key")
		}
		r.publish(only("k2", newKey))
		if !s.Has(key) {
			t.Fatal("removed before the refresh")
		}
		time.Sleep(longest)
		if s.Has(key) {
			t.Fatal("a removed key is still in the set")
		}
		found(t, s, "k2", "ES256", newKey)
		r.fetched(t, 3)
		refused(t, s, "k1", "ES256", keyset.ErrUnknownKey)
	})
}

// The waits are at most Refresh, at most a tenth less, and not all the same.
func TestJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRotating(only("k1", oldKey))
		var at []time.Time
		c := r.config()
		c.HTTPClient.Transport = transport(func(q *http.Request) (*http.Response, error) {
			at = append(at, time.Now())
			return r.RoundTrip(q)
		})
		s := open(t, c)
		found(t, s, "k1", "ES256", oldKey)
		time.Sleep(20 * longest)
		s.Close()
		waits := map[time.Duration]bool{}
		for n := range len(at) - 1 {
			wait := at[n+1].Sub(at[n])
			if wait > keyset.DefaultRefresh || wait < keyset.DefaultRefresh*9/10-1 {
				t.Errorf("waited %v", wait)
			}
			waits[wait] = true
		}
		if len(waits) < 10 {
			t.Fatalf("%d different waits", len(waits))
		}
	})
}

// RFC 9111 §5.2.2: the issuer says for how long its key set is good, within a minute and Refresh.
func TestCacheControl(t *testing.T) {
	const minute = time.Minute
	for _, c := range []struct {
		name              string
		control           []string
		refresh, cooldown time.Duration
		want              time.Duration
	}{
		{"nothing", nil, 0, 0, keyset.DefaultRefresh},
		{"Refresh", nil, 3 * minute, 0, 3 * minute},
		{"max-age", []string{"max-age=300"}, 0, 0, 5 * minute},
		{"max-age among others", []string{`public, max-age=300, must-revalidate, stale-while-revalidate=86400, private="x"`}, 0, 0, 5 * minute},
		{"max-age in a second field", []string{"public", "max-age=300"}, 0, 0, 5 * minute},
		{"Max-Age", []string{"Max-Age=300"}, 0, 0, 5 * minute},
		{"max-age of a day", []string{"max-age=86400"}, 0, 0, keyset.DefaultRefresh},
		{"max-age of a day, Refresh of two", []string{"max-age=86400"}, 48 * time.Hour, 0, 24 * time.Hour},
		{"max-age of all time", []string{"max-age=9223372037"}, 0, 0, keyset.DefaultRefresh},
		{"max-age of a second", []string{"max-age=1"}, 0, 0, minute},
		{"max-age of nothing", []string{"max-age=0"}, 0, 0, minute},
		{"max-age below nothing", []string{"max-age=-1"}, 0, 0, minute},
		{"no-cache", []string{"no-cache, max-age=300"}, 0, 0, minute},
		{"no-store", []string{"no-store"}, 0, 0, minute},
		{"a Refresh that is shorter than a minute", []string{"no-store"}, 30 * time.Second, 0, 30 * time.Second},
		{"a Cooldown that is longer than a minute", []string{"no-store"}, 0, 2 * minute, 2 * minute},
		{"max-age of another kind", []string{"max-age=soon"}, 0, 0, keyset.DefaultRefresh},
		{"for shared caches", []string{"s-maxage=300"}, 0, 0, keyset.DefaultRefresh},
		{"not understood", []string{"max-age=300,,"}, 0, 0, keyset.DefaultRefresh},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRotating(only("k1", oldKey))
				r.control = c.control
				settings := r.config()
				settings.Refresh, settings.Cooldown = c.refresh, c.cooldown
				s := open(t, settings)
				found(t, s, "k1", "ES256", oldKey)
				time.Sleep(max(c.want*9/10, c.cooldown) - time.Second)
				r.fetched(t, 1) // the first wait is by the first answer
				time.Sleep(c.want - max(c.want*9/10, c.cooldown) + 2*time.Second)
				r.fetched(t, 2)
			})
		})
	}
}

func TestBackgroundFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, log := newRotating(only("k1", oldKey)), &logged{}
		c := r.config()
		c.Log = log.logger()
		s := open(t, c)
		key := found(t, s, "k1", "ES256", oldKey)[0]
		r.down.Store(true)
		time.Sleep(longest)
		if log.count("level=WARN") == 0 || log.count("connection refused") == 0 {
			t.Fatalf("no word of the failure:\n%s", log.b.String())
		}
		if !s.Has(key) {
			t.Fatal("the last good set is gone")
		}
		// Retries begin with the cooldown and double, up to the refresh: in a day no more than two hundred.
		time.Sleep(24 * time.Hour)
		if n := r.fetches.Load(); n < 90 || n > 200 {
			t.Fatalf("%d fetches in a day", n)
		}
		r.down.Store(false)
		r.publish(only("k2", newKey))
		time.Sleep(longest)
		if s.Has(key) {
			t.Fatal("no refresh after the failures")
		}
		// From now on it is quiet, and the next failure is retried soon again.
		before := r.fetches.Load()
		r.down.Store(true)
		time.Sleep(longest + 3*keyset.DefaultCooldown)
		if n := r.fetches.Load() - before; n < 3 {
			t.Fatalf("%d tries", n)
		}
	})
}

// An attacker with random kids causes one fetch per cooldown, whether the issuer is up or down.
func TestFlood(t *testing.T) {
	for _, down := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRotating(only("k1", oldKey))
			s := open(t, r.config())
			found(t, s, "k1", "ES256", oldKey)
			r.down.Store(down)
			for range 600 { // ten minutes, short of the background refresh
				time.Sleep(time.Second)
				for n := range 10 {
					if _, err := s.Keys(t.Context(), strconv.Itoa(n), "ES256"); err == nil {
						t.Fatal("a key for a random kid")
					}
				}
				found(t, s, "k1", "ES256", oldKey)
			}
			r.fetched(t, 61)
		})
	}
}

// What is skipped is said once, not with every refresh, and again when it changes.
func TestSkippedIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		with := func(pub string) []byte {
			return jwks(t, map[string]any{"kty": "AKP", "alg": "ML-DSA-44", "kid": pub}, jwk(oldKey, nil))
		}
		r, log := newRotating(with("pq1")), &logged{}
		c := r.config()
		c.Log = log.logger()
		s := open(t, c)
		found(t, s, "", "ES256", oldKey)
		time.Sleep(3 * longest)
		if n := log.count("keys skipped"); n != 1 || log.count("pq1") != 1 {
			t.Fatalf("said %d times", n)
		}
		r.publish(with("pq2"))
		time.Sleep(2 * longest)
		if n := log.count("keys skipped"); n != 2 || log.count("pq2") != 1 {
			t.Fatalf("said %d times", n)
		}
	})
}

// slow is a log that takes an hour.
type slow struct{ written atomic.Bool }

func (s *slow) Write(p []byte) (int, error) {
	time.Sleep(time.Hour)
	s.written.Store(true)
	return len(p), nil
}

// Synctest fails a test that leaves a goroutine behind.
func TestClose(t *testing.T) {
	t.Run("never used", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := open(t, newRotating(nil).config())
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			refused(t, s, "k1", "ES256", keyset.ErrUnavailable, context.Canceled)
		})
	})
	t.Run("never used and never closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			if _, err := keyset.New(newRotating(nil).config()); err != nil {
				t.Fatal(err)
			}
		})
	})
	t.Run("static, never closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, err := keyset.New(keyset.Config{JWKS: only("k1", oldKey)})
			if err != nil {
				t.Fatal(err)
			}
			found(t, s, "k1", "ES256", oldKey)
		})
	})
	t.Run("in use", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRotating(only("k1", oldKey))
			s := open(t, r.config())
			key := found(t, s, "k1", "ES256", oldKey)[0]
			if err := errors.Join(s.Close(), s.Close()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * longest)
			found(t, s, "k1", "ES256", oldKey)
			if !s.Has(key) {
				t.Fatal("the key is gone")
			}
			refused(t, s, "k2", "ES256", keyset.ErrUnavailable, context.Canceled)
			r.fetched(t, 1)
		})
	})
	t.Run("while a failure is logged", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r, log := newRotating(only("k1", oldKey)), &slow{}
			c := r.config()
			c.Log = slog.New(slog.NewTextHandler(log, nil))
			s := open(t, c)
			found(t, s, "k1", "ES256", oldKey)
			r.down.Store(true)
			for r.fetches.Load() < 2 {
				time.Sleep(time.Second)
			}
			s.Close()
			if !log.written.Load() {
				t.Fatal("closed while the background work still wrote")
			}
		})
	})
	t.Run("while a fetch hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			over := false
			c := newRotating(nil).config()
			c.HTTPClient.Transport = transport(func(q *http.Request) (*http.Response, error) {
				<-q.Context().Done()
				time.Sleep(time.Second)
				over = true
				return nil, q.Context().Err()
			})
			s := open(t, c)
			ended := make(chan error)
			go func() {
				_, err := s.Keys(t.Context(), "k1", "ES256")
				ended <- err
			}()
			synctest.Wait()
			start := time.Now()
			s.Close()
			if took := time.Since(start); took != time.Second || !over {
				t.Fatalf("closed after %v, fetch over: %v", took, over)
			}
			if err := <-ended; !errors.Is(err, keyset.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Fatalf("%v, want %v", err, keyset.ErrUnavailable)
			}
		})
	})
}

// Readers, seekers and refreshes at once, for the race detector.
func TestConcurrentUse(t *testing.T) {
	r := newRotating(only("k1", oldKey))
	c := r.config()
	c.Refresh, c.Cooldown = time.Microsecond, 1
	s := open(t, c)
	key := found(t, s, "k1", "ES256", oldKey)[0]
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			for range 200 {
				if keys, err := s.Keys(t.Context(), "k1", "ES256"); err != nil || len(keys) != 1 || !s.Has(key) {
					t.Error(keys, err)
				}
				_, _ = s.Keys(t.Context(), strconv.Itoa(n+100), "ES256")
			}
		})
	}
	group.Wait()
	s.Close()
}

// BenchmarkUnknownKid is a flood of made-up kids between two fetches.
func BenchmarkUnknownKid(b *testing.B) {
	r := newRotating(only("k1", oldKey))
	c := r.config()
	c.Now = poptest.NewClock().Now
	s := open(b, c)
	found(b, s, "k1", "ES256", oldKey)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Keys(context.Background(), "made-up", "ES256"); !errors.Is(err, keyset.ErrUnknownKey) {
			b.Fatal(err)
		}
	}
	r.fetched(b, 1)
}

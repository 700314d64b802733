package precomputed_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senderlock/senderlock/internal/precomputed"
)

// A client has a key and one signature by it.
type client struct {
	*precomputed.Key
	digest, signature []byte
}

func newClient(t testing.TB) client {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	key, err := precomputed.ParseKey(point)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return client{key, digest[:], append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)}
}

func clients(t testing.TB, n int) []client {
	t.Helper()
	all := make([]client, n)
	for i := range all {
		all[i] = newClient(t)
	}
	return all
}

func newKeys(t testing.TB, c precomputed.Config) *precomputed.Keys {
	t.Helper()
	k, err := precomputed.New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// verdict checks that a good signature is accepted and a bad one refused.
func verdict(t *testing.T, k *precomputed.Keys, c client) {
	t.Helper()
	if ok, err := k.Verify(c.Key, c.digest, c.signature); !ok || err != nil {
		t.Errorf("Verify = %t, %v; want true, nil", ok, err)
	}
	bad := slices.Clone(c.digest)
	bad[0] ^= 1
	if ok, err := k.Verify(c.Key, bad, c.signature); ok || err != nil {
		t.Errorf("Verify of another digest = %t, %v; want false, nil", ok, err)
	}
	r, s := c.signature[:32], c.signature[32:]
	for _, other := range [][]byte{nil, r, c.signature[:63], slices.Concat(r, []byte{0}, s)} {
		if ok, err := k.Verify(c.Key, c.digest, other); ok || err != nil {
			t.Errorf("Verify of %d octets = %t, %v; want false, nil", len(other), ok, err)
		}
	}
}

func accept(k *precomputed.Keys, times int, clients ...client) {
	for range times {
		for _, c := range clients {
			k.Accepted(c.Key)
		}
	}
}

// holds checks how many tables there are and were, once the builder has nothing to do before time goes on.
func holds(t *testing.T, k *precomputed.Keys, want precomputed.Stats) {
	t.Helper()
	synctest.Wait()
	if got := k.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}

func TestWithoutTables(t *testing.T) {
	c := newClient(t)
	for name, k := range map[string]*precomputed.Keys{
		"nil": nil, "zero": newKeys(t, precomputed.Config{}), "zero, at once": newKeys(t, precomputed.Config{After: 1}),
	} {
		t.Run(name, func(t *testing.T) {
			accept(k, 1000, c)
			k.Adopt(c.Key)
			verdict(t, k, c)
			if got := k.Stats(); got != (precomputed.Stats{}) {
				t.Errorf("Stats = %+v, want none", got)
			}
			if n := k.Waiting(); n != 0 {
				t.Errorf("%d keys wait for a table, want none", n)
			}
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Only accepted signatures count, and only when there were enough of them.
func TestTableComesWithTheKthAcceptance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, c := newKeys(t, precomputed.Config{Keys: 10, After: 3}), newClient(t)
		for range 100 {
			verdict(t, k, c)
		}
		holds(t, k, precomputed.Stats{})
		accept(k, 2, c)
		time.Sleep(time.Minute)
		holds(t, k, precomputed.Stats{})
		accept(k, 1, c)
		holds(t, k, precomputed.Stats{Held: 1, Built: 1})
		verdict(t, k, c)
		accept(k, 100, c)
		time.Sleep(time.Minute)
		holds(t, k, precomputed.Stats{Held: 1, Built: 1})
		if n := k.Counted(); n != 0 {
			t.Errorf("%d keys are still counted, want none", n)
		}
	})
}

func TestTablesAreBuiltAtARate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(t, precomputed.Config{Keys: 100, After: 1, Rate: 5})
		many := clients(t, 20)
		accept(k, 3, many...)
		for built := 1; built <= 5; built++ { // the queue takes those of one second
			holds(t, k, precomputed.Stats{Held: built, Built: uint64(built)})
			time.Sleep(199 * time.Millisecond)
			holds(t, k, precomputed.Stats{Held: built, Built: uint64(built)})
			time.Sleep(time.Millisecond)
		}
		// Those that found it full are queued when they are accepted again.
		for range 4 {
			accept(k, 1, many...)
			time.Sleep(time.Second)
		}
		holds(t, k, precomputed.Stats{Held: 20, Built: 20})
	})
}

func TestLeastRecentlyAcceptedGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(t, precomputed.Config{Keys: 2, After: 1, Recheck: 1})
		all := clients(t, 4)
		one, two, three, stranger := all[0], all[1], all[2], all[3]
		build := func(c client) {
			accept(k, 1, c)
			time.Sleep(time.Second)
		}
		build(one)
		build(two)
		holds(t, k, precomputed.Stats{Held: 2, Built: 2})
		accept(k, 1, one)
		for range 10 {
			verdict(t, k, two) // which anybody may cause
		}
		build(three)
		holds(t, k, precomputed.Stats{Held: 2, Built: 3, Dropped: 1})
		for name, test := range map[string]struct {
			c    client
			held bool
		}{"accepted again": {one, true}, "only verified": {two, false}, "new": {three, true}, "never accepted": {stranger, false}} {
			if got := k.Has(test.c.Key); got != test.held {
				t.Errorf("%s: has a table: %t, want %t", name, got, test.held)
			}
		}
	})
}

// A flood of accepted new keys takes the tables of others at the stated rate, and of none that is accepted meanwhile.
func TestFloodOfNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeys(t, precomputed.Config{Keys: 20, After: 2, Rate: 5})
		busy, idle := clients(t, 5), clients(t, 15)
		for _, c := range slices.Concat(idle, busy) {
			accept(k, 2, c)
			time.Sleep(time.Second)
		}
		holds(t, k, precomputed.Stats{Held: 20, Built: 20})
		flood := clients(t, 300)
		for second := range 3 {
			for i, c := range flood[100*second : 100*(second+1)] {
				accept(k, 4, c)
				accept(k, 1, busy[i%len(busy)])
				time.Sleep(10 * time.Millisecond)
			}
			synctest.Wait()
			if dropped, most := k.Stats().Dropped, uint64(5*(second+1)+1); dropped > most {
				t.Errorf("%d tables dropped after %d s, want at most %d", dropped, second+1, most)
			}
		}
		for i, c := range busy {
			if !k.Has(c.Key) {
				t.Errorf("busy key %d lost its table", i)
			}
		}
		if s := k.Stats(); s.Held != 20 || s.Dropped == 0 {
			t.Errorf("Stats = %+v, want 20 held and some dropped", s)
		}
	})
}

func TestCountsAreBounded(t *testing.T) {
	k := newKeys(t, precomputed.Config{Keys: 10, After: 2})
	first, others := newClient(t), clients(t, 30)
	accept(k, 1, first)
	accept(k, 1, others...)
	if n := k.Counted(); n != 10 {
		t.Errorf("%d keys are counted, want 10", n)
	}
	accept(k, 1, first) // forgotten by now
	if got := k.Stats(); got.Built != 0 {
		t.Errorf("Stats = %+v, want nothing built", got)
	}
}

func TestAdopt(t *testing.T) {
	k := newKeys(t, precomputed.Config{Keys: 3})
	all := clients(t, 5)
	check := func(want precomputed.Stats, held ...bool) {
		t.Helper()
		if got := k.Stats(); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
		for i, want := range held {
			verdict(t, k, all[i])
			if got := k.Has(all[i].Key); got != want {
				t.Errorf("key %d has a table: %t, want %t", i, got, want)
			}
		}
	}
	k.Adopt(all[0].Key, all[1].Key)
	check(precomputed.Stats{Held: 2, Built: 2}, true, true, false, false, false)
	k.Adopt(all[1].Key, all[2].Key)
	check(precomputed.Stats{Held: 2, Built: 3}, false, true, true, false, false)
	k.Adopt(all[0].Key, all[1].Key, all[2].Key, all[3].Key, all[4].Key)
	check(precomputed.Stats{Held: 3, Built: 4}, true, true, true, false, false)
	k.Adopt()
	check(precomputed.Stats{Held: 0, Built: 4}, false, false, false, false, false)
}

// A table that is wrong costs one refusal, in either direction, and the use of tables in the whole process.
func TestDisagreement(t *testing.T) {
	owner, other := newClient(t), newClient(t)
	for name, signer := range map[string]client{
		"a good signature refused": owner,
		"a bad one accepted":       other,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(precomputed.Trust)
				var log bytes.Buffer
				k := newKeys(t, precomputed.Config{
					Keys: 10, After: 1, Recheck: 1, Log: slog.New(slog.NewTextHandler(&log, nil)),
				})
				elsewhere := newKeys(t, precomputed.Config{Keys: 10, After: 1})
				k.Plant(owner.Key, other.Key)
				elsewhere.Plant(owner.Key, other.Key)

				ok, err := k.Verify(owner.Key, signer.digest, signer.signature)
				if ok || !errors.Is(err, precomputed.ErrDisagreement) {
					t.Errorf("Verify = %t, %v; want false, %v", ok, err, precomputed.ErrDisagreement)
				}
				if n := precomputed.Disagreements(); n != 1 {
					t.Errorf("Disagreements = %d, want 1", n)
				}
				if n := strings.Count(log.String(), "level=ERROR"); n != 1 || !strings.Contains(log.String(), "disagree") {
					t.Errorf("logged %q, want one error", log.String())
				}
				verdict(t, k, owner)
				verdict(t, elsewhere, owner)
				accept(k, 10, other)
				k.Adopt(other.Key)
				holds(t, k, precomputed.Stats{Held: 1, Built: 1})
			})
		})
	}
}

// What waits in the queue when tables are given up is not built.
func TestBuilderStopsAtDisagreement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(precomputed.Trust)
		k := newKeys(t, precomputed.Config{Keys: 10, After: 1, Rate: 5, Log: slog.New(slog.DiscardHandler)})
		owner, other := newClient(t), newClient(t)
		accept(k, 1, clients(t, 3)...)
		holds(t, k, precomputed.Stats{Held: 1, Built: 1})
		k.Plant(owner.Key, other.Key)
		if _, err := k.Verify(owner.Key, owner.digest, owner.signature); err == nil {
			t.Error("Verify = nil, want an error")
		}
		time.Sleep(time.Minute)
		holds(t, k, precomputed.Stats{Held: 2, Built: 2})
	})
}

// One in so many acceptances is verified again: a table that accepts too much is found after so many, on average.
func TestRecheckIsRandom(t *testing.T) {
	t.Cleanup(precomputed.Trust)
	owner, other := newClient(t), newClient(t)
	for _, test := range []struct{ setting, least, most int }{{1, 1, 1}, {8, 4, 16}, {0, 32, 128}} {
		k := newKeys(t, precomputed.Config{Keys: 1, Recheck: test.setting, Log: slog.New(slog.DiscardHandler)})
		k.Plant(owner.Key, other.Key)
		const runs = 100 // so that the mean is off by a factor of two once in 10⁸ times
		total := 0
		for range runs {
			precomputed.Trust()
			for err := error(nil); err == nil; total++ {
				_, err = k.Verify(owner.Key, other.digest, other.signature)
			}
		}
		if mean := total / runs; mean < test.least || mean > test.most {
			t.Errorf("Recheck %d: found after %d acceptances on average, want %d to %d", test.setting, mean, test.least, test.most)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		config precomputed.Config
		says   string
	}{
		"negative":          {precomputed.Config{Keys: -1}, "Keys is -1: give"},
		"too many":          {precomputed.Config{Keys: 1<<20 + 1}, "Keys is 1048577: give"},
		"never":             {precomputed.Config{Keys: 1, After: -1}, "After is -1: give"},
		"no rate":           {precomputed.Config{Keys: 1, Rate: -1}, "Rate is -1: give"},
		"all at once":       {precomputed.Config{Keys: 1, Rate: 1001}, "Rate is 1001: give"},
		"never checked":     {precomputed.Config{Keys: 1, Recheck: -1}, "Recheck is -1: give"},
		"even without keys": {precomputed.Config{Recheck: -1}, "Recheck is -1: give"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := precomputed.New(test.config); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("New = %v, want an error with %q", err, test.says)
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	wide, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ofP384, err := wide.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	compressed := append([]byte{2}, make([]byte, 32)...)
	for name, point := range map[string][]byte{
		"nothing": nil, "infinity": {0}, "compressed": compressed, "of P-384": ofP384,
		"off the curve": append([]byte{4}, make([]byte, 64)...),
	} {
		if key, err := precomputed.ParseKey(point); err == nil || key != nil {
			t.Errorf("%s: ParseKey = %v, %v, want an error", name, key, err)
		}
	}
}

// The bubble of synctest fails the test if the builder is still there when it ends, and Close waits for it even
// while it pauses.
func TestCloseEndsTheBuilder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, err := precomputed.New(precomputed.Config{Keys: 10, After: 1, Rate: 1})
		if err != nil {
			t.Fatal(err)
		}
		c, later := newClient(t), newClient(t)
		accept(k, 1, c, later)
		synctest.Wait()
		start := time.Now()
		for range 2 {
			if err := k.Close(); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
		accept(k, 100, newClient(t), later)
		verdict(t, k, c)
		holds(t, k, precomputed.Stats{Held: 1, Built: 1})
	})
}

func TestMemory(t *testing.T) {
	const n = 400
	tables, counted := clients(t, n), clients(t, n)
	k := newKeys(t, precomputed.Config{Keys: n, After: 100})
	heap := func() uint64 {
		runtime.GC()
		runtime.GC() // what the first one only found
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for _, c := range tables {
		k.Plant(c.Key, c.Key)
	}
	accept(k, 1, counted...)
	if each := (heap() - before) / n; each > precomputed.Memory {
		t.Errorf("a key takes %d octets, want at most %d", each, precomputed.Memory)
	} else {
		t.Logf("a key takes %d octets", each)
	}
	runtime.KeepAlive([]any{k, tables, counted})
}

func TestConcurrentUse(t *testing.T) {
	k := newKeys(t, precomputed.Config{Keys: 4, After: 1, Rate: 1000})
	all := clients(t, 8)
	var group sync.WaitGroup
	for _, c := range all {
		group.Go(func() {
			for range 20 {
				verdict(t, k, c)
				accept(k, 1, c)
				k.Stats()
			}
		})
	}
	group.Go(func() { k.Adopt(all[0].Key, all[1].Key) })
	group.Wait()
	if held := k.Stats().Held; held > 4 {
		t.Errorf("%d tables held, want at most 4", held)
	}
}

// In FIPS 140-3 mode there are no tables and a warning says so; the mode is chosen when a process starts.
func TestOffInFIPSMode(t *testing.T) {
	if os.Getenv("SENDERLOCK_FIPS_CHILD") == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestOffInFIPSMode$", "-test.v")
		child.Env = append(os.Environ(), "GODEBUG=fips140=on", "SENDERLOCK_FIPS_CHILD=1")
		if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Errorf("in FIPS mode: %v\n%s", err, out)
		}
		return
	}
	var log bytes.Buffer
	k := newKeys(t, precomputed.Config{Keys: 10, After: 1, Log: slog.New(slog.NewTextHandler(&log, nil))})
	c := newClient(t)
	k.Adopt(c.Key)
	accept(k, 10, c)
	verdict(t, k, c)
	if got := k.Stats(); got.Held != 0 {
		t.Errorf("Stats = %+v, want none held", got)
	}
	if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), "FIPS 140-3") {
		t.Errorf("logged %q, want a warning", log.String())
	}
}

package revocation_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/storetest"
)

const issuer = "https://login.example.com"

// store is what Memory and File have in common.
type store interface {
	revocation.Store
	revocation.Register
	Close() error
}

func newMemory(t testing.TB, o revocation.Options) *revocation.Memory {
	t.Helper()
	m, err := revocation.NewMemory(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// bothStores runs a test with each store of this package.
func bothStores(t *testing.T, test func(t *testing.T, open func(revocation.Options) store)) {
	t.Run("memory", func(t *testing.T) {
		test(t, func(o revocation.Options) store { return newMemory(t, o) })
	})
	t.Run("file", func(t *testing.T) {
		test(t, func(o revocation.Options) store { return openFile(t, filepathOf(t), o) })
	})
}

func TestStore(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		fresh := func(*testing.T) storetest.Revocation {
			clock := poptest.NewClock()
			s := open(revocation.Options{Now: clock.Now, Retention: revocation.Retention{Lifetime: 10 * time.Minute}})
			return storetest.Revocation{Store: s, Now: clock.Now, Advance: clock.Advance}
		}
		storetest.TestRevocationStore(t, fresh)
		storetest.TestLifter(t, fresh)
	})
}

func TestRegister(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		fresh := func(*testing.T) storetest.Register {
			clock := poptest.NewClock()
			s := open(revocation.Options{Now: clock.Now})
			return storetest.Register{Register: s, Store: s, Now: clock.Now, Advance: clock.Advance}
		}
		storetest.TestRegister(t, fresh)
		storetest.TestSearcher(t, fresh)
	})
}

func subject(name string) revocation.Entry {
	return revocation.Entry{Issuer: issuer, By: revocation.BySubject, Value: name}
}

func before(name string, at time.Time) revocation.Entry {
	e := subject(name)
	e.Before = at
	return e
}

func tokenOf(name string) revocation.Token {
	return revocation.Token{
		Issuer: issuer, ID: "token of " + name, Subject: name,
		IssuedAt: poptest.Now, Expiry: poptest.Now.Add(5 * time.Minute),
	}
}

func mustRevoke(t testing.TB, s revocation.Store, e revocation.Entry) {
	t.Helper()
	if err := s.Revoke(context.Background(), e); err != nil {
		t.Fatalf("Revoke(%+v): %v", e, err)
	}
}

func expect(t testing.TB, s revocation.Store, tok revocation.Token, denied bool) {
	t.Helper()
	e, err := s.Revoked(context.Background(), tok)
	if err != nil || (e != nil) != denied {
		t.Fatalf("Revoked(%s) = %+v, %v, want denied %t", tok.Subject, e, err, denied)
	}
}

// A full store refuses the call, keeps what it has, and makes room only by expiry.
func TestFull(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		clock := poptest.NewClock()
		s := open(revocation.Options{Capacity: 3, Now: clock.Now})
		for _, name := range []string{"a", "b", "c"} {
			mustRevoke(t, s, before(name, clock.Now()))
		}
		err := s.Revoke(context.Background(), subject("d"))
		if !errors.Is(err, revocation.ErrFull) {
			t.Fatalf("Revoke = %v, want ErrFull", err)
		}
		expect(t, s, tokenOf("d"), false)
		mustRevoke(t, s, subject("a")) // needs no room
		for _, name := range []string{"a", "b", "c"} {
			expect(t, s, tokenOf(name), true)
		}

		clock.Advance(time.Hour + time.Minute + time.Second) // a is kept for longer
		for _, name := range []string{"d", "e"} {
			mustRevoke(t, s, subject(name))
		}
		if err := s.Revoke(context.Background(), subject("f")); !errors.Is(err, revocation.ErrFull) {
			t.Fatalf("Revoke = %v, want ErrFull", err)
		}
	})
}

func TestRegisterFull(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		clock := poptest.NewClock()
		s := open(revocation.Options{UseCapacity: 1, Now: clock.Now})
		record := func(name string) error { return s.Record(context.Background(), tokenOf(name), "") }
		if err := record("a"); err != nil {
			t.Fatal(err)
		}
		if err := record("a"); err != nil { // needs no room
			t.Fatal(err)
		}
		if err := record("b"); !errors.Is(err, revocation.ErrFull) {
			t.Fatalf("Record = %v, want ErrFull", err)
		}
		if seen, err := s.Seen(context.Background(), tokenOf("b"), ""); seen || err != nil {
			t.Fatalf("Seen = %t, %v after ErrFull, want false", seen, err)
		}
		clock.Advance(6 * time.Minute)
		if err := record("b"); err != nil {
			t.Fatalf("Record = %v after the other expired", err)
		}
		gone := revocation.Use{Issuer: issuer, Subject: "b", ID: "token of b"}
		if err := s.Forget(context.Background(), gone); err != nil {
			t.Fatal(err)
		}
		if err := record("c"); err != nil {
			t.Fatalf("Record = %v after the other was forgotten", err)
		}
	})
}

// Each entry leaves when its own time has come, in whatever order the ends were given.
func TestPurge(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		const n = 500
		clock := poptest.NewClock()
		s := open(revocation.Options{Capacity: n, Now: clock.Now})
		revoke := func(name string, after time.Duration) error {
			e := subject(name)
			e.Expiry = clock.Now().Add(after)
			return s.Revoke(context.Background(), e)
		}
		each := func(do func(i int) error) (failed int64) {
			var wg sync.WaitGroup
			var count atomic.Int64
			for i := range n {
				wg.Go(func() {
					if do(i) != nil {
						count.Add(1)
					}
				})
			}
			wg.Wait()
			return count.Load()
		}
		at := func(i int) time.Duration { return time.Duration(i*7919%n+1) * time.Minute }
		each(func(i int) error { return revoke(fmt.Sprint(i), time.Minute) })
		if failed := each(func(i int) error { return revoke(fmt.Sprint(i), at(i)) }); failed != 0 {
			t.Fatalf("%d of %d calls failed", failed, n)
		}
		clock.Advance((n/2 + 1) * time.Minute) // with the leeway, one half has ended
		if failed := each(func(i int) error { return revoke(fmt.Sprintf("new %d", i), time.Hour) }); failed != n/2 {
			t.Fatalf("%d of %d new entries found no room, want one half", failed, n)
		}
		for i := range n {
			tok := tokenOf(fmt.Sprint(i))
			tok.IssuedAt, tok.Expiry = clock.Now(), clock.Now().Add(time.Minute)
			expect(t, s, tok, at(i) > n/2*time.Minute)
		}
	})
}

// A clock that steps forward and back must not give back what was revoked.
func TestClockGoesBack(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		clock := poptest.NewClock()
		s := open(revocation.Options{Now: clock.Now})
		mustRevoke(t, s, before("alice", clock.Now()))
		expect(t, s, tokenOf("alice"), true)

		clock.Advance(24 * time.Hour)
		mustRevoke(t, s, before("bob", clock.Now())) // drops alice's entry
		expect(t, s, tokenOf("alice"), false)        // it has expired anyhow
		clock.Advance(-24 * time.Hour)

		if e, err := s.Revoked(context.Background(), tokenOf("alice")); !errors.Is(err, revocation.ErrClock) {
			t.Fatalf("Revoked = %+v, %v, want ErrClock", e, err)
		}
		expect(t, s, tokenOf("bob"), true)
		fresh := tokenOf("carol")
		fresh.IssuedAt, fresh.Expiry = fresh.IssuedAt.Add(2*time.Hour), fresh.Expiry.Add(2*time.Hour)
		expect(t, s, fresh, false) // nothing that was dropped could have covered it
	})
}

func TestClose(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		s := open(revocation.Options{})
		mustRevoke(t, s, subject("alice"))
		for range 2 {
			if err := s.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
		}
		ctx := context.Background()
		_, errRevoked := s.Revoked(ctx, tokenOf("alice"))
		_, errSeen := s.Seen(ctx, tokenOf("alice"), "")
		_, errUses := s.Uses(ctx, issuer, "alice")
		for name, err := range map[string]error{
			"Revoke":  s.Revoke(ctx, subject("bob")),
			"Revoked": errRevoked,
			"Record":  s.Record(ctx, tokenOf("alice"), ""),
			"Seen":    errSeen,
			"Uses":    errUses,
			"Forget":  s.Forget(ctx, revocation.Use{}),
		} {
			if !errors.Is(err, revocation.ErrClosed) {
				t.Errorf("%s = %v after Close, want ErrClosed", name, err)
			}
		}
	})
}

func TestOptions(t *testing.T) {
	for _, o := range []revocation.Options{
		{Capacity: -1},
		{UseCapacity: -1},
		{SaveEvery: -1},
		{SaveEvery: 30}, // nanoseconds
		{Retention: revocation.Retention{Lifetime: -1}},
		{Retention: revocation.Retention{Leeway: -1}},
	} {
		if _, err := revocation.NewMemory(o); err == nil || !strings.Contains(err.Error(), "give positive") {
			t.Errorf("NewMemory(%+v) = %v, want a refusal that says what to give", o, err)
		}
		if _, err := revocation.Open(filepathOf(t), o); err == nil || !strings.Contains(err.Error(), "give positive") {
			t.Errorf("Open(%+v) = %v, want a refusal that says what to give", o, err)
		}
	}
	want := revocation.Retention{Lifetime: time.Hour, Leeway: time.Minute}
	if got := newMemory(t, revocation.Options{}).Retention(); got != want {
		t.Errorf("Retention() = %+v by default, want %+v", got, want)
	}
}

func TestCause(t *testing.T) {
	for by, want := range map[revocation.By]string{
		revocation.ByToken:       "token_revoked",
		revocation.BySession:     "session_revoked",
		revocation.BySubject:     "subject_revoked",
		revocation.ByClient:      "client_revoked",
		revocation.ByKey:         "key_revoked",
		revocation.ByCertificate: "certificate_revoked",
	} {
		err := (&revocation.Entry{Issuer: issuer, By: by, Value: "x"}).Cause()
		if got := reason.Of(err); got != want || !errors.Is(err, revocation.ErrRevoked) {
			t.Errorf("Cause of an entry by %s is named %q, want %q", by, got, want)
		}
	}
}

// Instants at the ends of time must not overflow into an entry that is dropped too early.
func TestFarTimes(t *testing.T) {
	const huge = 1<<63 - 1
	for name, e := range map[string]revocation.Entry{
		"expiry":    {Issuer: issuer, By: revocation.BySubject, Value: "alice", Expiry: time.Unix(huge, 0)},
		"before":    {Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: time.Unix(huge, 0)},
		"year 9999": {Issuer: issuer, By: revocation.BySubject, Value: "alice", Before: time.Unix(253402300799, 0)},
		"milliseconds": {Issuer: issuer, By: revocation.BySubject, Value: "alice",
			Before: time.Unix(poptest.Now.UnixMilli(), 0)},
		"expiry in 9999": {Issuer: issuer, By: revocation.BySubject, Value: "alice", Expiry: time.Unix(253402300799, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			clock := poptest.NewClock()
			s := newMemory(t, revocation.Options{Now: clock.Now,
				Retention: revocation.Retention{Lifetime: 1<<63 - 1, Leeway: 1<<63 - 1}})
			mustRevoke(t, s, e)
			expect(t, s, tokenOf("alice"), true)
			clock.Advance(1000 * time.Hour)
			mustRevoke(t, s, subject("bob"))
			expect(t, s, tokenOf("alice"), true)
		})
	}
}

// A look-up that denies nothing allocates nothing.
func TestNoAllocation(t *testing.T) {
	s := newMemory(t, revocation.Options{})
	for i := range 1000 {
		for by := revocation.ByToken; by <= revocation.ByCertificate; by++ {
			mustRevoke(t, s, revocation.Entry{Issuer: issuer, By: by, Value: fmt.Sprint(i)})
		}
	}
	tok := fullToken()
	if n := testing.AllocsPerRun(100, func() { _, _ = s.Revoked(context.Background(), tok) }); n != 0 {
		t.Errorf("Revoked allocates %v times", n)
	}
}

func fullToken() revocation.Token {
	return revocation.Token{
		Issuer: issuer, ID: "5b0a4b1e-7a39-4a0e-9d5f-1f3a7a6a9c11", Session: "08a5019c-17e1-4977-8f42-65a12843ea02",
		Subject: "248289761001", Client: "s6BhdRkqt3", KeyThumbprint: "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
		CertThumbprint: "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2",
		IssuedAt:       poptest.Now, Expiry: poptest.Now.Add(5 * time.Minute),
	}
}

// A clock that jumps ahead while the store works, and is set right: nothing was dropped, so no token has to be refused
// for want of knowledge.
func TestClockJumps(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		clock := poptest.NewClock()
		s := open(revocation.Options{Now: clock.Now, Capacity: 2, Retention: revocation.Retention{Lifetime: 10 * time.Minute}})
		var run time.Duration
		revocation.SetMonotonic(s, func() time.Duration { return run })
		pass := func(d time.Duration) {
			run += d
			clock.Advance(d)
		}
		ctx := context.Background()
		mustRevoke(t, s, before("alice", clock.Now()))
		pass(9 * time.Minute)
		clock.Advance(time.Hour) // a mistake
		for _, name := range []string{"bob", "carol"} {
			err := s.Revoke(ctx, subject(name))
			if want := name == "carol"; errors.Is(err, revocation.ErrFull) != want || !want && err != nil {
				t.Fatalf("Revoke(%s) = %v: room was made by a clock that is ahead", name, err)
			}
		}
		clock.Advance(-time.Hour)
		tok := tokenOf("alice")
		tok.IssuedAt, tok.Expiry = clock.Now().Add(-9*time.Minute), clock.Now().Add(time.Minute)
		expect(t, s, tok, true)
		tok.Subject = "dave"
		expect(t, s, tok, false)
	})
}

// A clock that stays ahead was behind before. It is believed when all is over that mattered then.
func TestClockIsSetRight(t *testing.T) {
	bothStores(t, func(t *testing.T, open func(revocation.Options) store) {
		clock := poptest.NewClock()
		s := open(revocation.Options{Now: clock.Now, Capacity: 1, Retention: revocation.Retention{Lifetime: 10 * time.Minute}})
		var run time.Duration
		revocation.SetMonotonic(s, func() time.Duration { return run })
		mustRevoke(t, s, revocation.Entry{
			Issuer: issuer, By: revocation.BySubject, Value: "alice", Expiry: clock.Now().Add(40 * time.Minute),
		})
		clock.Advance(time.Hour)
		if err := s.Revoke(context.Background(), subject("bob")); !errors.Is(err, revocation.ErrFull) {
			t.Fatalf("Revoke = %v: the clock was believed at once", err)
		}
		run += 13 * time.Minute
		clock.Advance(13 * time.Minute)
		mustRevoke(t, s, subject("bob"))
	})
}

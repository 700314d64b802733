package revocation_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/revocation"
)

// filled returns a store with n entries, of every kind.
func filled(b *testing.B, n int) *revocation.Memory {
	s := newMemory(b, revocation.Options{Now: poptest.NewClock().Now})
	for i := range n {
		e := revocation.Entry{Issuer: issuer, By: revocation.By(1 + i%6), Value: fmt.Sprintf("%036d", i)}
		if e.By != revocation.ByToken && i%2 == 0 {
			e.Before = poptest.Now
		}
		mustRevoke(b, s, e)
	}
	return s
}

// BenchmarkRevoked is the cost that every request pays: a token with all six properties that nothing denies,
// whose values differ from call to call, so that the processor's cache does not help. The aim is 1 µs.
func BenchmarkRevoked(b *testing.B) {
	ctx := context.Background()
	for _, n := range []int{0, 10_000, 1_000_000} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		s := filled(b, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		tokens := make([]revocation.Token, 4096)
		for i := range tokens {
			name := func(what string) string { return fmt.Sprintf("%s-%030d", what, i) }
			tokens[i] = revocation.Token{
				Issuer: issuer, ID: name("token"), Session: name("session"), Subject: name("subject"), Client: name("client"),
				KeyThumbprint: name("jkt"), CertThumbprint: name("x5t"),
				IssuedAt: poptest.Now, Expiry: poptest.Now.Add(5 * time.Minute),
			}
		}
		b.Run(fmt.Sprintf("entries=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if e, err := s.Revoked(ctx, tokens[i%len(tokens)]); e != nil || err != nil {
					b.Fatal(e, err)
				}
				i++
			}
			perOp := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			b.ReportMetric(perOp/bareVerify(), "of-a-verify")
			if n > 0 {
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/entry")
			}
		})
		b.Run(fmt.Sprintf("entries=%d/parallel", n), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					if e, err := s.Revoked(ctx, tokens[i%len(tokens)]); e != nil || err != nil {
						b.Error(e, err)
					}
				}
			})
		})
	}
}

// bareVerify returns the nanoseconds that one bare signature check takes here and now.
func bareVerify() float64 {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	hash := sha256.Sum256([]byte("message"))
	signature, _ := ecdsa.SignASN1(rand.Reader, key, hash[:])
	start := time.Now()
	const times = 200
	for range times {
		ecdsa.VerifyASN1(&key.PublicKey, hash[:], signature)
	}
	return float64(time.Since(start).Nanoseconds()) / times
}

// BenchmarkDenied is the cost of a token that is denied.
func BenchmarkDenied(b *testing.B) {
	s := filled(b, 1000)
	mustRevoke(b, s, before("alice", poptest.Now))
	tok := tokenOf("alice")
	b.ReportAllocs()
	for b.Loop() {
		if e, _ := s.Revoked(context.Background(), tok); e == nil {
			b.Fatal("not denied")
		}
	}
}

// BenchmarkRevoke is the cost of a revocation, alone and with others at the same time.
func BenchmarkRevoke(b *testing.B) {
	for name, open := range map[string]func() store{
		"memory": func() store { return newMemory(b, revocation.Options{Capacity: 1 << 30}) },
		"file":   func() store { return openFile(b, filepathOf(b), revocation.Options{Capacity: 1 << 30}) },
	} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", name, callers), func(b *testing.B) {
				s := open()
				var n atomic.Int64
				b.SetParallelism(callers / runtime.GOMAXPROCS(0))
				if callers == 1 {
					for b.Loop() {
						mustRevoke(b, s, before(fmt.Sprint(n.Add(1)), time.Now()))
					}
					return
				}
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := s.Revoke(context.Background(), before(fmt.Sprint(n.Add(1)), time.Now())); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}

// BenchmarkSeen is the cost of noting a use, for stores that keep the register.
func BenchmarkSeen(b *testing.B) {
	f := openFile(b, filepathOf(b), revocation.Options{})
	tok := tokenOf("alice")
	tok.Expiry = time.Now().Add(time.Hour)
	if err := f.Record(context.Background(), tok, "192.0.2.1"); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := f.Seen(context.Background(), tok, "192.0.2.1"); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkOpen is the time a restart takes with 100 thousand entries.
func BenchmarkOpen(b *testing.B) {
	path := filepathOf(b)
	f := openFile(b, path, revocation.Options{})
	done := make(chan struct{}, 1000)
	for i := range 100_000 {
		done <- struct{}{}
		go func() {
			_ = f.Revoke(context.Background(), subject(fmt.Sprint(i)))
			<-done
		}()
	}
	for range cap(done) {
		done <- struct{}{}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f := openFile(b, path, revocation.Options{})
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

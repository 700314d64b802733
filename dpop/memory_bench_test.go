package dpop_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// proofLife is how long a proof is remembered under the default settings, the default of MemoryConfig.Window. The
// clocks of these benchmarks stand still, so that the slices are filled by expiry and Window is set to its least.
const proofLife = 130 * time.Second

// numberedKey is the key of the n-th proof.
func numberedKey(n uint64) dpop.ReplayKey {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
}

// spreadExpiry lets the expiries of consecutive proofs fall into every slice of proofLife.
func spreadExpiry(n uint64) time.Time {
	return poptest.Now.Add(time.Second + time.Duration(n)*time.Second%proofLife)
}

// BenchmarkReplayClaim claims unused keys of a store with five or six live slices, the default life of a proof, and so many
// live entries. Run it with -cpu 1 for the figure of one core.
func BenchmarkReplayClaim(b *testing.B) {
	for _, live := range []uint64{0, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			m := newMemory(b, dpop.MemoryConfig{MaxEntries: 2_000_000, Window: time.Second, Now: poptest.NewClock().Now})
			var n uint64
			for range live {
				n++
				mustClaim(b, m, numberedKey(n), spreadExpiry(n))
			}
			poptest.ComparePrepared(b, func() func() {
				n++
				key, expiry := numberedKey(n), spreadExpiry(n)
				return func() {
					if fresh, err := m.Claim(b.Context(), key, expiry); !fresh || err != nil {
						b.Fatal(fresh, err)
					}
				}
			})
		})
	}
}

// BenchmarkReplayClaimParallel is BenchmarkReplayClaim on all cores at once.
func BenchmarkReplayClaimParallel(b *testing.B) {
	m := newMemory(b, dpop.MemoryConfig{MaxEntries: 50_000_000, Window: time.Second, Now: poptest.NewClock().Now})
	var n atomic.Uint64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			mustClaim(b, m, numberedKey(i), spreadExpiry(i))
		}
	})
}

// BenchmarkReplayMemory fills a store with a million live entries and reports the octets of heap for each.
func BenchmarkReplayMemory(b *testing.B) {
	const entries, limit = 1_000_000, 200
	for b.Loop() {
		before := heapInUse()
		m := newMemory(b, dpop.MemoryConfig{Window: time.Second, Now: poptest.NewClock().Now})
		for n := range uint64(entries) {
			mustClaim(b, m, numberedKey(n), spreadExpiry(n))
		}
		each := float64(heapInUse()-before) / entries
		b.ReportMetric(each, "B/entry")
		if each > limit {
			b.Errorf("%.0f octets an entry, more than %d", each, limit)
		}
		runtime.KeepAlive(m)
	}
}

func heapInUse() int64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

package poptest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"slices"
	"testing"
	"time"
)

// BareVerify returns what no acceptance of a proof can do without: the hash of one proof and one
// ecdsa.VerifyASN1 over P-256. Benchmarks are compared with it.
func BareVerify(t testing.TB) func() {
	t.Helper()
	key := ClientKey().Private.(*ecdsa.PrivateKey)
	input := []byte(Proof{}.String())
	digest := sha256.Sum256(input)
	signature, err := ecdsa.SignASN1(nil, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		digest := sha256.Sum256(input)
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
			t.Fatal("the bare signature does not verify")
		}
	}
}

// ReportRatio reports what an operation of a benchmark cost as a multiple of BareVerify, which it times in the
// same run: machines differ and are noisy, ratios hold. Call it last.
func ReportRatio(b *testing.B) {
	b.Helper()
	b.StopTimer()
	const rounds, batch = 10, 50
	verify := BareVerify(b)
	best := time.Duration(1<<63 - 1)
	for range rounds {
		begin := time.Now()
		for range batch {
			verify()
		}
		best = min(best, time.Since(begin)/batch)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(best), "x-bare-verify")
}

// CompareInTurn runs an operation and BareVerify in turn and reports the shortest time of each, and their ratio. On a
// machine that others use it is the one figure that holds, where ReportRatio compares a mean with a minimum. What an
// operation does now and then only, such as a miss of a cache, shows in the ratio of the medians.
func CompareInTurn(b *testing.B, op func()) {
	b.Helper()
	ComparePrepared(b, func() func() { return op })
}

// ComparePrepared is CompareInTurn for an operation that is made ready anew each time, which does not count. It also
// reports the allocations of the operation alone.
func ComparePrepared(b *testing.B, prepare func() (op func())) {
	b.Helper()
	verify := BareVerify(b)
	ready := make([]func(), 21) // AllocsPerRun runs the operation once more than it is told to
	for i := range ready {
		ready[i] = prepare()
	}
	i := 0
	allocs := testing.AllocsPerRun(len(ready)-1, func() { ready[i](); i++ })
	var ours, bare []time.Duration
	for b.Loop() {
		op := prepare()
		start := time.Now()
		op()
		between := time.Now()
		verify()
		ours, bare = append(ours, between.Sub(start)), append(bare, time.Since(between))
	}
	slices.Sort(ours)
	slices.Sort(bare)
	b.ReportMetric(float64(ours[0]), "ns/op")
	b.ReportMetric(allocs, "allocs")
	b.ReportMetric(float64(ours[0])/float64(bare[0]), "x-bare-verify")
	b.ReportMetric(float64(ours[len(ours)/2])/float64(bare[len(bare)/2]), "x-median")
}

package poptest

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"
	"time"
)

// ReportRatio reports what an operation of a benchmark cost as a multiple of one bare ecdsa.VerifyASN1 over
// P-256, which it measures in the same run: machines differ and are noisy, ratios hold. Call it last.
func ReportRatio(b *testing.B) {
	b.Helper()
	b.StopTimer()
	key := ClientKey().Private.(*ecdsa.PrivateKey)
	digest := sha256.Sum256([]byte(Proof{}.String()))
	signature, err := ecdsa.SignASN1(nil, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	const rounds, batch = 10, 50
	best := time.Duration(1<<63 - 1)
	for range rounds {
		begin := time.Now()
		for range batch {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				b.Fatal("the bare signature does not verify")
			}
		}
		best = min(best, time.Since(begin)/batch)
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(best), "x-bare-verify")
}

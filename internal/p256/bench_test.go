package p256_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"

	"github.com/senderlock/senderlock/internal/p256"
	"github.com/senderlock/senderlock/internal/poptest"
)

// What a table saves and what it costs, as multiples of one verification by crypto/ecdsa.
func BenchmarkTable(b *testing.B) {
	private := poptest.ClientKey().Private.(*ecdsa.PrivateKey)
	table, err := p256.New(&private.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	message := []byte(poptest.Proof{}.String())
	digest := sha256.Sum256(message)
	r, s, err := ecdsa.Sign(nil, private, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	signature := raw(r, s)
	b.Run("Verify", func(b *testing.B) {
		poptest.CompareInTurn(b, func() {
			digest := sha256.Sum256(message)
			if !table.Verify(digest[:], signature) {
				b.Fatal("refused")
			}
		})
	})
	b.Run("New", func(b *testing.B) {
		poptest.CompareInTurn(b, func() {
			if _, err := p256.New(&private.PublicKey); err != nil {
				b.Fatal(err)
			}
		})
	})
}

func TestVerifyAllocatesLittle(t *testing.T) {
	q := times(nil, keys[len(keys)-1])
	table, err := p256.New(public(t, q))
	if err != nil {
		t.Fatal(err)
	}
	good, _ := withScalars(q, two, half)
	if got := testing.AllocsPerRun(100, func() { table.Verify(good.digest, good.signature) }); got > 4 {
		t.Errorf("%v allocations, want at most 4", got)
	}
}

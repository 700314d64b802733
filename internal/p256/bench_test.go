package p256_test

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"testing"

	"github.com/senderlock/senderlock/internal/p256"
	"github.com/senderlock/senderlock/internal/poptest"
)

// What a table saves and what it costs, as multiples of one verification by crypto/ecdsa. The signatures are many, for
// with one the processor learns its branches by heart.
func BenchmarkTable(b *testing.B) {
	private := poptest.ClientKey().Private.(*ecdsa.PrivateKey)
	table, err := p256.New(&private.PublicKey)
	if err != nil {
		b.Fatal(err)
	}
	digests, signatures := make([][32]byte, 256), make([][]byte, 256)
	for i := range signatures {
		digests[i] = sha256.Sum256([]byte(poptest.Proof{}.String()))
		r, s, err := ecdsa.Sign(nil, private, digests[i][:])
		if err != nil {
			b.Fatal(err)
		}
		signatures[i] = raw(r, s)
	}
	b.Run("Verify", func(b *testing.B) {
		i := 0
		poptest.CompareInTurn(b, func() {
			if i++; !table.Verify(digests[i%len(digests)][:], signatures[i%len(signatures)]) {
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

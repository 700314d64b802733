package precomputed_test

import (
	"slices"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/precomputed"
)

// A request's share, with and without a table, and for a signature that is refused: each as a multiple of one
// verification by crypto/ecdsa.
func BenchmarkVerify(b *testing.B) {
	k := newKeys(b, precomputed.Config{Keys: 10})
	known, unknown := newClient(b), newClient(b)
	k.Adopt(known.Key)
	bad := slices.Clone(known.digest)
	bad[0] ^= 1
	for _, test := range []struct {
		name   string
		client client
		digest []byte
		want   bool
	}{
		{"known", known, known.digest, true},
		{"unknown", unknown, unknown.digest, true},
		{"refused", known, bad, false},
	} {
		b.Run(test.name, func(b *testing.B) {
			poptest.CompareInTurn(b, func() {
				ok, err := k.Verify(test.client.Key, test.digest, test.client.signature)
				if ok != test.want || err != nil {
					b.Fatal(ok, err)
				}
				if ok && test.client.Key == known.Key {
					k.Accepted(known.Key)
				}
			})
		})
	}
}

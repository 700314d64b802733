package precomputed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"sync/atomic"

	"github.com/senderlock/senderlock/internal/p256"
)

// wrong is the table that every key gets, in tests.
var wrong atomic.Pointer[p256.Table]

// MakeWrong gives every key whose table is made from now on that of the base point, and returns what ends this and takes
// all disagreements back. It is for the tests of packages that use this one: what they do about a table that is wrong
// cannot be seen otherwise.
func MakeWrong() (end func()) {
	params := elliptic.P256().Params()
	//lint:ignore SA1019 There is no other way to a key of given coordinates.
	table, err := p256.New(&ecdsa.PublicKey{Curve: elliptic.P256(), X: params.Gx, Y: params.Gy})
	if err != nil {
		panic(err) // a constant
	}
	wrong.Store(table)
	return func() {
		wrong.Store(nil)
		disagreements.Store(0)
	}
}

// Package storetest has the contracts of stores as tests: of the memory of proofs, of revocations and of the register
// of tokens in use. This module's own stores pass them, and anybody's own has to:
//
//	func TestMyStore(t *testing.T) {
//		storetest.TestReplayStore(t, func(t *testing.T) storetest.Replay {
//			store := open(t)
//			return storetest.Replay{Store: store, Now: time.Now}
//		})
//	}
//
// They say what the documentation of [dpop.ReplayStore], [revocation.Store] and [revocation.Register] promises, and
// nothing of how a store keeps it. The more of a store they can reach, its clock, its other instances, its end, the
// more they ask. What stores are for is in RFC 9449 §11.1 (single use of proofs) and RFC 7009 (taking tokens back).
package storetest

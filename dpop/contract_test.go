package dpop_test

import (
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/storecontract"
)

// The memory keeps the contract that every replay store has to keep.
func TestMemoryContract(t *testing.T) {
	storecontract.TestReplayStore(t, func(t *testing.T) storecontract.Replay {
		clock := poptest.NewClock()
		m := newMemory(t, dpop.MemoryConfig{Now: clock.Now, MaxEntries: 5000})
		return storecontract.Replay{
			Store: m, Now: clock.Now, Advance: clock.Advance, Capacity: 5000,
			Break: func() {
				if err := m.Close(); err != nil {
					t.Error(err)
				}
			},
		}
	})
}

package dpop_test

import (
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/storecontract"
)

// In trouble the memory keeps the contract that every replay store has to keep.
func TestMemoryContractInTrouble(t *testing.T) {
	storecontract.TestReplayTrouble(t, func(t *testing.T) storecontract.Trouble {
		m := newMemory(t, dpop.MemoryConfig{Now: poptest.NewClock().Now, MaxEntries: 5000})
		return storecontract.Trouble{Store: m, Now: poptest.NewClock().Now, Capacity: 5000, Break: func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}}
	})
}

package precomputed

import "github.com/senderlock/senderlock/internal/p256"

// Plant gives a key the table of another.
func (k *Keys) Plant(key, other *Key) {
	table, err := p256.New(other.standard())
	if err != nil {
		panic(err)
	}
	k.hold(key, table)
}

// Counted returns how many keys are counted.
func (k *Keys) Counted() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.counts.Len()
}

// Waiting returns how many keys wait for their table.
func (k *Keys) Waiting() int {
	if k == nil {
		return 0
	}
	return len(k.queue)
}

// Trust takes all disagreements back.
func Trust() { disagreements.Store(0) }

// Has reports whether a key has a table.
func (k *Keys) Has(key *Key) bool { return k.table(key) != nil }

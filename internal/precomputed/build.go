package precomputed

import (
	"time"

	"github.com/senderlock/senderlock/internal/p256"
)

// build is the one goroutine that builds tables for accepted keys, and with its pauses the bound on how many.
func (k *Keys) build() {
	for {
		select {
		case <-k.closing:
			return
		case key := <-k.queue:
			if k.off() || k.table(key) != nil {
				continue
			}
			k.hold(key, compute(key))
		}
		select {
		case <-k.closing:
			return
		case <-time.After(time.Second / time.Duration(k.Rate)):
		}
	}
}

func (k *Keys) hold(key *Key, table *p256.Table) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.built++
	if k.tables.Add(key.point, table) {
		k.dropped++
	}
}

// compute returns nil, which is no table, for a key that NewKey would have refused and that was changed since.
func compute(key *Key) *p256.Table {
	if table := wrong.Load(); table != nil {
		return table
	}
	public := key.standard()
	if public == nil {
		return nil
	}
	table, err := p256.New(public)
	if err != nil {
		return nil
	}
	return table
}

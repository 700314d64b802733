// Package cache is a bounded cache that may lose an entry at any time, over dgraph-io/ristretto: for what can be
// computed again, never for what must be remembered. It adds what ristretto leaves to its users: an exact
// comparison of keys, which ristretto knows by hash alone, and a Close that may run beside other calls. And every entry
// has a life: ristretto keeps what was in demand rather than what is new, so a cache of tokens without ends would
// fill with those of yesterday, and let those of today in no more.
package cache

import (
	"strings"
	"sync"
	"time"

	"github.com/dgraph-io/ristretto/v2"
)

// Cache maps strings to values. It is safe for concurrent use. The zero Cache is not usable.
type Cache[V any] struct {
	mu     sync.RWMutex // closing: ristretto must not be used while it closes
	closed bool
	store  *ristretto.Cache[string, entry[V]]
}

type entry[V any] struct {
	key   string
	value V
}

// usualKey is up to how many octets a key has for one entry. A longer one takes the room of several, so that whoever
// chooses keys does not choose how much memory the cache takes.
const usualKey = 512

// New returns a cache of about so many entries; it must be positive.
func New[V any](entries int64) (*Cache[V], error) {
	store, err := ristretto.NewCache(&ristretto.Config[string, entry[V]]{
		NumCounters: 10 * entries, MaxCost: entries, BufferItems: 64, IgnoreInternalCost: true,
	})
	return &Cache[V]{store: store}, err
}

// Get returns the value of a key, if the cache still holds it.
func (c *Cache[V]) Get(key string) (value V, ok bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return value, false
	}
	e, ok := c.store.Get(key)
	if !ok || e.key != key {
		return value, false
	}
	return e.value, true
}

// Add offers an entry, which the cache may decline and drops once its life is over, within seconds. The cache keeps a
// copy of the key, so that a key cut from a longer string does not hold on to it.
func (c *Cache[V]) Add(key string, value V, life time.Duration) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed || life <= 0 {
		return
	}
	key = strings.Clone(key)
	c.store.SetWithTTL(key, entry[V]{key, value}, 1+int64(len(key))/usualKey, life)
}

// Wait returns when all that was added before can be found or has been declined. It is for tests.
func (c *Cache[V]) Wait() {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if !c.closed {
		c.store.Wait()
	}
}

// Close releases the cache; it is empty from then on. It may be called more than once.
func (c *Cache[V]) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.store.Close()
	}
}

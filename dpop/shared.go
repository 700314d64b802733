package dpop

import (
	"sync"
	"time"
)

// memories are those of the Verifiers without a replay store of their own, by namespace. Two Verifiers that live side by
// side in one process answer for the same URIs, as far as anybody can tell, so a proof that one accepted is used up for
// the other.
var memories = struct {
	sync.Mutex
	of map[string]*sharedMemory
}{of: map[string]*sharedMemory{}}

type sharedMemory struct {
	*Memory
	users int
	skew  time.Duration // the greatest of all users there were
}

// ownMemory returns the memory of c's namespace in this process, wide enough for window, and what gives it back. A clock
// that is not the system's has a memory of its own.
func ownMemory(c Config, window time.Duration) (*Memory, func() error, error) {
	if c.Now != nil {
		m, err := NewMemory(MemoryConfig{Window: window, Now: c.Now})
		if err != nil {
			return nil, nil, err
		}
		return m, m.Close, nil
	}
	memories.Lock()
	defer memories.Unlock()
	shared := memories.of[c.Namespace]
	if shared == nil {
		m, err := NewMemory(MemoryConfig{Window: window})
		if err != nil {
			return nil, nil, err
		}
		shared = &sharedMemory{Memory: m}
		memories.of[c.Namespace] = shared
	}
	shared.widen(window, shared.skew)
	shared.skew = max(shared.skew, c.Skew)
	shared.users++
	return shared.Memory, func() error { return leave(c.Namespace, shared) }, nil
}

func leave(namespace string, shared *sharedMemory) error {
	memories.Lock()
	defer memories.Unlock()
	if shared.users--; shared.users > 0 {
		return nil
	}
	delete(memories.of, namespace)
	return shared.Close()
}

package dpop

// HeaderCached reports whether the cache holds the header part of a proof, once all that was added has arrived.
func (v *Verifier) HeaderCached(header string) bool {
	v.headers.Wait()
	_, ok := v.headers.Get(header)
	return ok
}

// PrecomputedKeys returns how many keys may have a table.
func (v *Verifier) PrecomputedKeys() int { return v.config.PrecomputedKeys }

// DefaultMaxSize is the default of Config.MaxSize.
const DefaultMaxSize = defaultMaxSize

// SharedLen is the length of the memory that the Verifiers of a namespace share.
func SharedLen(namespace string) int { return memories.of[namespace].Len() }

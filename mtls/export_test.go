package mtls

import (
	"encoding/binary"
	"errors"
)

// MaxVerdicts is how many acceptances, and how many refusals, are remembered at most.
const MaxVerdicts = maxVerdicts

// Remember lets a new memory have n acceptances and n refusals, and returns how many of each it keeps.
func Remember(n int) (accepted, refused int) {
	known := newVerdicts()
	for i := range n {
		var id fingerprint
		binary.BigEndian.PutUint64(id[:], uint64(i))
		known.add(id, verdict{})
		id[31] = 1
		known.add(id, verdict{err: errors.New("refused")})
	}
	return known.accepted.Len(), known.refused.Len()
}

// DefaultMaxSize is the default of Proxy.MaxSize.
const DefaultMaxSize = defaultMaxSize

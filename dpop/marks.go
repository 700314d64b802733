package dpop

import (
	"encoding/binary"
	"math/bits"
)

// marks spare a claim the look into slices where its key is not: a look is a walk through memory that is in no cache of the
// processor, and the marks of all slices are in one place. A key has the mark of each slice into which it was ever written,
// or another key of its place. So marks are never wrong about a key that is in a slice; and whoever makes keys that share
// a place makes looks, and no more.
type marks []mark

// mark is a set of slices. Where more slices live than it has bits for, some have none, and are always looked into.
type mark uint16

const (
	allMarks mark = 1<<16 - 1
	// marksPerEntry is the number of places for each entry, of which there may be more than maxMarkedEntries: then more
	// looks are in vain.
	marksPerEntry    = 2
	maxMarkedEntries = 1 << 24
)

// newMarks makes the marks of one stripe of a memory of so many entries.
func newMarks(entries int64) marks {
	return make(marks, 1+min(entries, maxMarkedEntries)*marksPerEntry/stripeCount)
}

// of returns the place of a key. It goes by octets of which ristretto and the stripes know nothing.
func (m marks) of(key *ReplayKey) *mark {
	i, _ := bits.Mul64(binary.BigEndian.Uint64(key[16:]), uint64(len(m)))
	return &m[i]
}

// first returns one of the set, or none.
func (m mark) first() mark { return m & -m }

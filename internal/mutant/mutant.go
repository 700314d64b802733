// Package mutant plants defects in copies of the product's sources, so that tests can show which test misses a defence
// that is taken away. The defects of a test are built into one binary, each behind a switch.
//
// The product imports this package in such a binary alone, where the overlay of [Build] says so.
package mutant

import (
	"os"
	"sync"
)

// variable names the defect that is on when a binary starts.
const variable = "SENDERLOCK_MUTANT"

var (
	mu   sync.RWMutex
	name = os.Getenv(variable)
	seen = map[string]bool{}
)

// Inside reports whether this process was started by [Run].
func Inside() bool { return os.Getenv(variable) != "" }

// Set turns one defect on and the others off.
func Set(defect string) {
	mu.Lock()
	defer mu.Unlock()
	name = defect
	clear(seen)
}

// On reports whether a defect is on.
func On(defect string) bool {
	mu.RLock()
	defer mu.RUnlock()
	return name == defect
}

// Either returns bad while a defect is on.
func Either[T any](defect string, bad, good T) T {
	if On(defect) {
		return bad
	}
	return good
}

// Again reports whether it was asked about s since the defect was turned on.
func Again(s string) bool {
	mu.Lock()
	defer mu.Unlock()
	again := seen[s]
	seen[s] = true
	return again
}

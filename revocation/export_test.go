package revocation

import "time"

// SetMonotonic gives a store a monotonic clock of the test's, beside the wall clock of its options.
func SetMonotonic(s any, monotonic func() time.Duration) {
	switch s := s.(type) {
	case *Memory:
		s.clock.monotonic = monotonic
	case *File:
		s.mem.clock.monotonic = monotonic
	}
}

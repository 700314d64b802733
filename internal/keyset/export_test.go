package keyset

import "net/netip"

// Parse is parse, for the fuzz test.
func Parse(raw []byte) ([]*Key, error) {
	keys, _, err := parse(raw, 0, nil)
	return keys, err
}

// Precomputed returns how many keys of the set have tables, and how many were ever made.
func (s *Set) Precomputed() (held int, built uint64) {
	stats := s.tables.Stats()
	return stats.Held, stats.Built
}

// Public is public.
func Public(ip netip.Addr) bool { return public(ip) }

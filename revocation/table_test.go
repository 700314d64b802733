package revocation

import "testing"

// Keys whose hashes meet are still told apart.
func TestSameHash(t *testing.T) {
	const hash = 7
	s := &shard{nodes: make(map[uint64]*node)}
	keys := []key{{"i", "a", BySubject}, {"i", "b", BySubject}, {"i", "a", ByClient}, {"j", "a", BySubject}}
	table := newTable(Retention{}, 10)
	for _, k := range keys {
		table.insert(s, k, hash)
	}
	for gone, k := range keys {
		for i, other := range keys {
			if n := s.find(other, hash); (n != nil) != (i >= gone) || n != nil && n.key != other {
				t.Fatalf("with the first %d removed, find(%v) = %v", gone, other, n)
			}
		}
		s.remove(s.find(k, hash))
	}
	if len(s.nodes) != 0 {
		t.Errorf("%d nodes are left", len(s.nodes))
	}
}

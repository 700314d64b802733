package revocation

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

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

// Union denies what its parts deny, in every order and however it is put together.
func TestUnion(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(names ...string) string { return names[rnd.IntN(len(names))] }
	at := func() time.Time { return time.Unix(1_700_000_000+rnd.Int64N(10), 0) }
	for range 2000 {
		var all, union []Entry
		for range 1 + rnd.IntN(8) {
			e := Entry{Issuer: "i", By: BySubject, Value: "v", Before: at()}
			switch rnd.IntN(5) {
			case 0:
				e.Before, e.Expiry = time.Time{}, at()
			case 1, 2:
				e.ExceptToken = pick("a", "b", "c", "d")
			case 3:
				e.ExceptSession = pick("a", "b", "c", "d")
			}
			all = append(all, e)
			union = Union(append(union, e)...)
			if len(union) > 4 {
				t.Fatalf("%d entries", len(union))
			}
		}
		for range 20 {
			tok := Token{Issuer: "i", Subject: "v", ID: pick("a", "b", "c", "d", ""), Session: pick("a", "b", "c", "d", ""), IssuedAt: at()}
			denied := func(entries []Entry) bool {
				return slices.ContainsFunc(entries, func(e Entry) bool { return e.Denies(&tok) })
			}
			if want, got := denied(all), denied(union); got != want {
				t.Fatalf("%+v: %+v denies: %t, its union %+v: %t", tok, all, want, union, got)
			}
		}
	}
	if Union() != nil {
		t.Error("the union of nothing is something")
	}
}

package recent_test

import (
	"slices"
	"testing"

	"github.com/senderlock/senderlock/internal/recent"
)

// Of four keys in a map for three, the one that was used least recently goes.
func TestLeastRecentlyUsedGoes(t *testing.T) {
	for name, test := range map[string]struct {
		use  func(*recent.Map[string, int])
		left []string
	}{
		"the first":                  {func(*recent.Map[string, int]) {}, []string{"b", "c", "d"}},
		"not one that was got":       {func(m *recent.Map[string, int]) { m.Get("a") }, []string{"a", "c", "d"}},
		"not one that was set again": {func(m *recent.Map[string, int]) { m.Add("a", 9) }, []string{"a", "c", "d"}},
		"one that was peeked at":     {func(m *recent.Map[string, int]) { m.Peek("a") }, []string{"b", "c", "d"}},
		"none, if one was removed":   {func(m *recent.Map[string, int]) { m.Remove("c") }, []string{"a", "b", "d"}},
		"what is unknown is nothing": {func(m *recent.Map[string, int]) { m.Get("x"); m.Remove("x") }, []string{"b", "c", "d"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := recent.New[string, int](3)
			for i, key := range []string{"a", "b", "c"} {
				if m.Add(key, i) {
					t.Fatalf("%s pushed another out", key)
				}
			}
			test.use(m)
			full := m.Len() == 3
			if dropped := m.Add("d", 3); dropped != full || m.Len() != 3 {
				t.Errorf("dropped: %t, and %d are left", dropped, m.Len())
			}
			var left []string
			for _, key := range []string{"a", "b", "c", "d", "x"} {
				if _, ok := m.Peek(key); ok {
					left = append(left, key)
				}
			}
			if !slices.Equal(left, test.left) {
				t.Errorf("%v are left, want %v", left, test.left)
			}
		})
	}
}

func TestValues(t *testing.T) {
	m := recent.New[string, int](2)
	m.Add("a", 1)
	m.Add("a", 2)
	if v, ok := m.Get("a"); v != 2 || !ok {
		t.Errorf("Get = %d, %t, want 2", v, ok)
	}
	if v, ok := m.Get("b"); v != 0 || ok {
		t.Errorf("Get of nothing = %d, %t", v, ok)
	}
}

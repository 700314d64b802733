// Package recent is a bounded map that forgets what was used least recently: for what can be computed again, but
// should stay while it is used. Where a lossy cache will do, and many goroutines use it, see package cache.
package recent

import "container/list"

// Map maps keys to values, no more than so many: to make room it forgets what was used least recently. It is not safe
// for concurrent use; only Peek and Len may run beside others of their kind. Make one with [New].
type Map[K comparable, V any] struct {
	limit int
	order *list.List // of *item[K, V], the most recent first
	index map[K]*list.Element
}

type item[K comparable, V any] struct {
	key   K
	value V
}

// New makes a map for so many entries; it must be positive.
func New[K comparable, V any](limit int) *Map[K, V] {
	return &Map[K, V]{limit, list.New(), map[K]*list.Element{}}
}

// Len is how many entries there are.
func (m *Map[K, V]) Len() int { return len(m.index) }

// Peek returns a value and leaves it where it is.
func (m *Map[K, V]) Peek(key K) (value V, ok bool) {
	e, ok := m.index[key]
	if !ok {
		return value, false
	}
	return e.Value.(*item[K, V]).value, true
}

// Get returns a value and makes it the most recent.
func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	if e, ok := m.index[key]; ok {
		m.order.MoveToFront(e)
	}
	return m.Peek(key)
}

// Add sets a value, makes it the most recent, and reports whether another had to go.
func (m *Map[K, V]) Add(key K, value V) (dropped bool) {
	if e, ok := m.index[key]; ok {
		e.Value.(*item[K, V]).value = value
		m.order.MoveToFront(e)
		return false
	}
	m.index[key] = m.order.PushFront(&item[K, V]{key, value})
	if len(m.index) <= m.limit {
		return false
	}
	m.Remove(m.order.Back().Value.(*item[K, V]).key)
	return true
}

// Oldest returns the entry that was used least recently, and leaves it there.
func (m *Map[K, V]) Oldest() (key K, value V, ok bool) {
	e := m.order.Back()
	if e == nil {
		return key, value, false
	}
	it := e.Value.(*item[K, V])
	return it.key, it.value, true
}

// Remove forgets an entry, if there is one.
func (m *Map[K, V]) Remove(key K) {
	if e, ok := m.index[key]; ok {
		m.order.Remove(e)
		delete(m.index, key)
	}
}

package precomputed

import "container/list"

// recent maps points to values, no more than so many: to make room it forgets what was used least recently. It is not
// safe for concurrent use; only peek may run beside another peek.
type recent[V any] struct {
	limit int
	order *list.List // of item[V], the most recent first
	index map[point]*list.Element
}

type item[V any] struct {
	key   point
	value V
}

func newRecent[V any](limit int) recent[V] {
	return recent[V]{limit, list.New(), map[point]*list.Element{}}
}

func (r *recent[V]) len() int { return len(r.index) }

// peek returns a value and leaves it where it is.
func (r *recent[V]) peek(key point) (value V, ok bool) {
	e, ok := r.index[key]
	if !ok {
		return value, false
	}
	return e.Value.(*item[V]).value, true
}

// get returns a value and makes it the most recent.
func (r *recent[V]) get(key point) (value V, ok bool) {
	if e, ok := r.index[key]; ok {
		r.order.MoveToFront(e)
	}
	return r.peek(key)
}

// add sets a value, makes it the most recent, and reports whether another had to go.
func (r *recent[V]) add(key point, value V) (dropped bool) {
	if e, ok := r.index[key]; ok {
		e.Value.(*item[V]).value = value
		r.order.MoveToFront(e)
		return false
	}
	r.index[key] = r.order.PushFront(&item[V]{key, value})
	if len(r.index) <= r.limit {
		return false
	}
	r.remove(r.order.Back().Value.(*item[V]).key)
	return true
}

func (r *recent[V]) remove(key point) {
	if e, ok := r.index[key]; ok {
		r.order.Remove(e)
		delete(r.index, key)
	}
}

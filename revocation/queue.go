package revocation

import "container/heap"

// item is what a queue holds. It keeps its position, so that it can be moved when its end changes.
type item interface {
	end() int64 // seconds of Unix time
	position(at int)
}

// queue orders items by their end, for [heap].
type queue[T item] []T

var _ heap.Interface = (*queue[*node])(nil)

// ended reports whether the first item has ended.
func (q queue[T]) ended(now int64) bool { return len(q) > 0 && q[0].end() <= now }

// Len implements [heap.Interface].
func (q queue[T]) Len() int { return len(q) }

// Less implements [heap.Interface].
func (q queue[T]) Less(i, j int) bool { return q[i].end() < q[j].end() }

// Swap implements [heap.Interface].
func (q queue[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].position(i)
	q[j].position(j)
}

// Push implements [heap.Interface].
func (q *queue[T]) Push(x any) {
	x.(T).position(len(*q))
	*q = append(*q, x.(T))
}

// Pop implements [heap.Interface].
func (q *queue[T]) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	clear((*q)[last:])
	*q = (*q)[:last]
	return x
}

// sweepStep bounds what is dropped under one lock, so that look-ups do not wait for long.
const sweepStep = 64

// sweep calls drop for one shard after the other, in small steps, until limit items are dropped or none is left
// to drop. It returns the keys of what was dropped.
func sweep[K any](shards, limit int, drop func(shard, limit int) []K) []K {
	var dropped []K
	for i := range shards {
		for len(dropped) < limit {
			keys := drop(i, min(sweepStep, limit-len(dropped)))
			if len(keys) == 0 {
				break
			}
			dropped = append(dropped, keys...)
		}
	}
	return dropped
}

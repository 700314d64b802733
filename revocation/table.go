package revocation

import (
	"container/heap"
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// key is what entries are looked up by.
type key struct {
	issuer, value string
	by            By
}

// table holds the records of a store in memory, in shards so that a change holds up few look-ups.
type table struct {
	span     span
	capacity int64
	issuers  maphash.Seed
	values   [endBy]maphash.Seed
	shards   [64]shard

	size    atomic.Int64
	byKind  [endBy]atomic.Int64 // a property nobody is denied by costs no look-up
	horizon atomic.Int64        // the newest instant at which a dropped record ended
}

type shard struct {
	mu    sync.RWMutex
	nodes map[uint64]*node // by the hash of the key
	queue queue[*node]     // the record that ends first is on top
}

type node struct {
	key    key
	hash   uint64
	next   *node // of the same hash
	record record
	until  int64
	index  int // in the queue
}

func (n *node) end() int64      { return n.until }
func (n *node) position(at int) { n.index = at }

func newTable(r Retention, capacity int) *table {
	t := &table{span: r.seconds(), capacity: int64(capacity), issuers: maphash.MakeSeed()}
	for i := range t.values {
		t.values[i] = maphash.MakeSeed()
	}
	for i := range t.shards {
		t.shards[i].nodes = make(map[uint64]*node)
	}
	t.horizon.Store(-farthest)
	return t
}

// hash hashes a key in parts, so that a look-up hashes the issuer once for all properties.
func (t *table) hash(k key) uint64 { return t.hashIssuer(k.issuer) ^ t.hashValue(k.by, k.value) }

func (t *table) hashIssuer(issuer string) uint64 { return maphash.String(t.issuers, issuer) }

func (t *table) hashValue(by By, value string) uint64 { return maphash.String(t.values[by], value) }

func (t *table) shard(hash uint64) *shard { return &t.shards[hash%uint64(len(t.shards))] }

// find returns the node of k, or nil.
func (s *shard) find(k key, hash uint64) *node {
	n := s.nodes[hash]
	for n != nil && n.key != k {
		n = n.next
	}
	return n
}

// remove takes away a node that is no longer in the queue.
func (s *shard) remove(n *node) {
	var rest *node // of the same hash, in any order
	for other := s.nodes[n.hash]; other != nil; {
		next := other.next
		if other != n {
			other.next, rest = rest, other
		}
		other = next
	}
	if rest == nil {
		delete(s.nodes, n.hash)
	} else {
		s.nodes[n.hash] = rest
	}
}

// add puts the entry under k in force. It reports false if the table is full.
func (t *table) add(k key, e *Entry, expiry int64) bool {
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.find(k, hash)
	if n == nil {
		if t.size.Add(1) > t.capacity {
			t.size.Add(-1)
			return false
		}
		n = t.insert(s, k, hash)
	}
	if e.Before.IsZero() {
		n.record.expiry = max(n.record.expiry, expiry)
	} else {
		m := e.mark()
		m.except.value = strings.Clone(m.except.value)
		n.record.marks = n.record.marks.with(m)
	}
	n.until = n.record.until(t.span)
	heap.Fix(&s.queue, n.index)
	return true
}

// restore puts back what was saved, whatever the capacity: a live entry is never left out.
func (t *table) restore(k key, r record) {
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.size.Add(1)
	n := t.insert(s, k, hash)
	n.record, n.until = r, r.until(t.span)
	heap.Fix(&s.queue, n.index)
}

// insert adds an empty node. The caller has counted it.
func (t *table) insert(s *shard, k key, hash uint64) *node {
	// A substring would keep the caller's whole request alive; the few issuers are shared by all entries.
	k.issuer, k.value = unique.Make(k.issuer).Value(), strings.Clone(k.value)
	n := &node{key: k, hash: hash, next: s.nodes[hash]}
	s.nodes[hash] = n
	heap.Push(&s.queue, n)
	t.byKind[k.by].Add(1)
	return n
}

// find returns the entry that denies tok. The clock is read only when something is found.
func (t *table) find(tok *Token, now func() time.Time) *Entry {
	issuer := t.hashIssuer(tok.Issuer)
	for by := ByToken; by < endBy; by++ {
		value := tok.value(by)
		if value == "" || t.byKind[by].Load() == 0 {
			continue
		}
		k := key{tok.Issuer, value, by}
		r, ok := t.get(k, issuer^t.hashValue(by, value))
		if !ok {
			continue
		}
		if e := r.denies(tok, t.span, floor(now())); e != nil {
			e.Issuer, e.By, e.Value = strings.Clone(k.issuer), k.by, strings.Clone(k.value)
			return e
		}
	}
	return nil
}

// get returns the record of k.
func (t *table) get(k key, hash uint64) (record, bool) {
	s := t.shard(hash)
	s.mu.RLock()
	defer s.mu.RUnlock()
	if n := s.find(k, hash); n != nil {
		return n.record, true
	}
	return record{}, false
}

// forgotten reports whether an entry that denies tok may have been dropped although tok can still be accepted,
// because the clock has gone back since.
func (t *table) forgotten(tok *Token, now func() time.Time) bool {
	horizon := t.horizon.Load()
	return t.span.all(ceil(tok.Expiry)) <= horizon && floor(now()) < horizon
}

// purge drops records that have ended, at most limit, and returns their keys.
func (t *table) purge(now int64, limit int) []key {
	return sweep(len(t.shards), limit, func(i, limit int) (dropped []key) {
		s := &t.shards[i]
		s.mu.Lock()
		defer s.mu.Unlock()
		for len(dropped) < limit && s.queue.ended(now) {
			n := heap.Pop(&s.queue).(*node)
			// Before the record is gone, so that no look-up finds neither.
			raise(&t.horizon, n.until)
			t.forget(s, n)
			dropped = append(dropped, n.key)
		}
		return dropped
	})
}

// lift takes off all that is in force under k. Nothing was dropped that had ended, so the horizon stays.
func (t *table) lift(k key) {
	hash := t.hash(k)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.find(k, hash); n != nil {
		heap.Remove(&s.queue, n.index)
		t.forget(s, n)
	}
}

// forget takes away a node that is no longer in the queue, and counts it off.
func (t *table) forget(s *shard, n *node) {
	s.remove(n)
	t.byKind[n.key.by].Add(-1)
	t.size.Add(-1)
}

// raise sets v to at least to.
func raise(v *atomic.Int64, to int64) {
	for old := v.Load(); old < to && !v.CompareAndSwap(old, to); old = v.Load() {
	}
}

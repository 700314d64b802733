package revocation

import (
	"container/heap"
	"hash/maphash"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// owner is whose tokens are listed together.
type owner struct{ issuer, subject string }

// useKey is what a token is recorded under.
type useKey struct {
	owner
	id string
}

func (t *Token) useKey() useKey { return useKey{owner{t.Issuer, t.Subject}, t.ID} }
func (u *Use) useKey() useKey   { return useKey{owner{u.Issuer, u.Subject}, u.ID} }

// uses holds the tokens in use in memory, in shards by owner.
type uses struct {
	span     span
	capacity int64
	seed     maphash.Seed
	size     atomic.Int64
	shards   [64]useShard
}

type useShard struct {
	mu     sync.Mutex
	owners map[owner]map[string]*useNode
	queue  queue[*useNode] // the token that expires first is on top
}

type useNode struct {
	use    Use
	until  int64
	index  int  // in the queue
	saved  bool // is on disk, in an earlier state perhaps
	behind bool // is on disk in an earlier state
}

func (n *useNode) end() int64      { return n.until }
func (n *useNode) position(at int) { n.index = at }

func newUses(r Retention, capacity int) *uses {
	u := &uses{span: r.seconds(), capacity: int64(capacity), seed: maphash.MakeSeed()}
	for i := range u.shards {
		u.shards[i].owners = make(map[owner]map[string]*useNode)
	}
	return u
}

// lock returns the shard of o, locked.
func (u *uses) lock(o owner) *useShard {
	s := &u.shards[maphash.Comparable(u.seed, o)%uint64(len(u.shards))]
	s.mu.Lock()
	return s
}

func (s *useShard) get(k useKey) *useNode { return s.owners[k.owner][k.id] }

// sight is what is known of a token after it was seen.
type sight struct {
	onRecord bool
	saved    bool // is on disk, in an earlier state perhaps
	changed  bool // for the first time since it was saved
}

// add puts t on record if it is not, and notes that it is used. There is no room if it is not on record after.
func (u *uses) add(t *Token, address string, now int64) sight {
	k := t.useKey()
	s := u.lock(k.owner)
	defer s.mu.Unlock()
	n := s.get(k)
	if n == nil {
		if u.size.Add(1) > u.capacity {
			u.size.Add(-1)
			return sight{}
		}
		n = u.insert(s, Use{
			Issuer:         t.Issuer,
			ID:             t.ID,
			Subject:        t.Subject,
			Session:        t.Session,
			Client:         t.Client,
			KeyThumbprint:  t.KeyThumbprint,
			CertThumbprint: t.CertThumbprint,
			FirstSeen:      time.Unix(now, 0),
			Expiry:         time.Unix(ceil(t.Expiry), 0),
		})
	}
	return n.seen(address, now)
}

// restore puts back what was saved, whatever the capacity.
func (u *uses) restore(use Use) {
	s := u.lock(use.useKey().owner)
	defer s.mu.Unlock()
	u.size.Add(1)
	u.insert(s, use).saved = true
}

// insert adds a node. The caller has counted it.
func (u *uses) insert(s *useShard, use Use) *useNode {
	// A substring would keep the caller's whole request alive.
	use.Issuer = unique.Make(use.Issuer).Value()
	for _, v := range []*string{&use.ID, &use.Subject, &use.Session, &use.Client, &use.KeyThumbprint, &use.CertThumbprint, &use.Address} {
		*v = strings.Clone(*v)
	}
	n := &useNode{use: use, until: u.span.all(floor(use.Expiry))}
	k := use.useKey()
	if s.owners[k.owner] == nil {
		s.owners[k.owner] = make(map[string]*useNode)
	}
	s.owners[k.owner][k.id] = n
	heap.Push(&s.queue, n)
	return n
}

func (n *useNode) seen(address string, now int64) sight {
	at := time.Unix(now, 0)
	changed := at.After(n.use.LastSeen) || address != n.use.Address
	if changed {
		n.use.LastSeen = at
	}
	if address != n.use.Address {
		n.use.Address = strings.Clone(address)
	}
	first := changed && !n.behind
	n.behind = n.behind || changed
	return sight{onRecord: true, saved: n.saved, changed: first}
}

// seen notes that the token under k is used, if it is on record.
func (u *uses) seen(k useKey, address string, now int64) sight {
	s := u.lock(k.owner)
	defer s.mu.Unlock()
	n := s.get(k)
	if n == nil || n.until <= now {
		return sight{}
	}
	return n.seen(address, now)
}

// snapshot returns what is recorded under k, to be saved.
func (u *uses) snapshot(k useKey) (Use, bool) {
	s := u.lock(k.owner)
	defer s.mu.Unlock()
	n := s.get(k)
	if n == nil {
		return Use{}, false
	}
	n.behind = false
	return n.use, true
}

// saved notes that the record under k is on disk.
func (u *uses) saved(k useKey) {
	s := u.lock(k.owner)
	defer s.mu.Unlock()
	if n := s.get(k); n != nil {
		n.saved = true
	}
}

// remove takes the record under k away, or only if it was never saved.
func (u *uses) remove(k useKey, onlyUnsaved bool) {
	s := u.lock(k.owner)
	defer s.mu.Unlock()
	if n := s.get(k); n != nil && !(onlyUnsaved && n.saved) {
		heap.Remove(&s.queue, n.index)
		u.unlink(s, k)
	}
}

// unlink forgets a record that is no longer in the queue.
func (u *uses) unlink(s *useShard, k useKey) {
	ids := s.owners[k.owner]
	delete(ids, k.id)
	if len(ids) == 0 {
		delete(s.owners, k.owner)
	}
	u.size.Add(-1)
}

// list returns what is on record of one owner, the last used first.
func (u *uses) list(o owner, now int64) []Use {
	s := u.lock(o)
	var out []Use
	for _, n := range s.owners[o] {
		if now < n.until {
			out = append(out, n.use)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(out, lastUsedFirst)
	return out
}

// all goes through what is on record. The shard that is being gone through is locked.
func (u *uses) all(now int64) iter.Seq[Use] {
	return func(yield func(Use) bool) {
		for i := range u.shards {
			if !u.shards[i].each(now, yield) {
				return
			}
		}
	}
}

func (s *useShard) each(now int64, yield func(Use) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.queue {
		if now < n.until && !yield(n.use) {
			return false
		}
	}
	return true
}

// purge drops records of expired tokens, at most limit, and returns their keys.
func (u *uses) purge(now int64, limit int) []useKey {
	return sweep(len(u.shards), limit, func(i, limit int) (dropped []useKey) {
		s := &u.shards[i]
		s.mu.Lock()
		defer s.mu.Unlock()
		for len(dropped) < limit && s.queue.ended(now) {
			k := heap.Pop(&s.queue).(*useNode).use.useKey()
			u.unlink(s, k)
			dropped = append(dropped, k)
		}
		return dropped
	})
}

package revocation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// File is a [Store] and [Register] that survives: checks read memory only, and changes are also written to a
// file. What a call promised by returning nil is there after a crash of the process or the machine, as far as
// the disk keeps its own promise on fsync; changes made at the same time share one fsync.
//
// A change comes into force in memory first and is written then. If the writing fails, the call returns
// [ErrDisk] and a revocation nevertheless stays in force in this process: the failure leaves too much revoked,
// not too little. It is written again with the next tidying, but until a call returns nil a restart may
// forget it. Calling again is safe. Calls ignore their context, because what has begun is better finished.
//
// A file that was removed, or that another has taken the place of, is an [ErrDisk] until it is back. Damage
// that shows only when it is written to is one for this call and all later ones. What is in memory stays in force.
//
// Only the last-seen time and address of tokens in use are not written at once: a crash loses those of the
// last [Options.SaveEvery]. A File is safe for concurrent use by one process; a second cannot open it.
type File struct {
	mem  *Memory
	db   *bolt.DB
	file *os.File // that of db
	path string   // absolute

	mu             sync.Mutex // guards what is written with the next tidying, and next
	pendingEntries map[key]struct{}
	pendingUses    map[useKey]struct{}
	next           *batch // what is written after that which is being written; nil: nothing

	writing sync.Mutex
	damage  error // found while writing; nothing more is written

	stop      chan struct{}
	stopped   sync.WaitGroup
	closeOnce sync.Once
	closeErr  error
}

var (
	_ Store    = (*File)(nil)
	_ Register = (*File)(nil)
)

// changes are keys whose state in memory is to be written.
type changes struct {
	entries []key
	uses    []useKey
}

// Revoke implements [Store]. It returns when e is on disk.
func (f *File) Revoke(_ context.Context, e Entry) error {
	changed, err := f.mem.revoke(&e)
	if err != nil {
		f.later(changes{entries: changed})
		return err
	}
	return f.save(changes{entries: changed})
}

// Revoked implements [Store]. It reads memory only and does not allocate unless t is denied.
func (f *File) Revoked(ctx context.Context, t Token) (*Entry, error) { return f.mem.Revoked(ctx, t) }

// Retention implements [Store].
func (f *File) Retention() Retention { return f.mem.Retention() }

// Record implements [Register]. It returns when the record of a new token is on disk; if it returns an error,
// the token is not on record.
func (f *File) Record(_ context.Context, t Token, address string) error {
	seen, dropped, err := f.mem.record(&t, address)
	k := t.useKey()
	if err != nil || seen.saved {
		if seen.changed {
			dropped = append(dropped, k)
		}
		f.later(changes{uses: dropped})
		return err
	}
	if err := f.save(changes{uses: append(dropped, k)}); err != nil {
		f.mem.uses.remove(k, true)
		return err
	}
	f.mem.uses.saved(k)
	return nil
}

// Seen implements [Register]. It does not wait for the disk.
func (f *File) Seen(_ context.Context, t Token, address string) (bool, error) {
	seen, err := f.mem.seen(&t, address)
	if seen.changed {
		f.later(changes{uses: []useKey{t.useKey()}})
	}
	return seen.onRecord, err
}

// Uses implements [Register].
func (f *File) Uses(ctx context.Context, issuer, subject string) ([]Use, error) {
	return f.mem.Uses(ctx, issuer, subject)
}

// Forget implements [Register]. It returns when u is off the file. If it returns [ErrDisk], u is off the record
// in this process, but may be back after a restart.
func (f *File) Forget(ctx context.Context, u Use) error {
	if err := f.mem.Forget(ctx, u); err != nil {
		return err
	}
	return f.save(changes{uses: []useKey{u.useKey()}})
}

// Close writes what is not yet written, and closes the file. Later calls of other methods return [ErrClosed];
// calling Close again returns the same as the first time: nil, or [ErrDisk].
func (f *File) Close() error {
	f.closeOnce.Do(func() {
		f.mem.closed.Store(true)
		close(f.stop)
		f.stopped.Wait()
		f.closeErr = f.tidy()
		if err := f.release(); err != nil && f.closeErr == nil {
			f.closeErr = ErrDisk.Because(err)
		}
	})
	return f.closeErr
}

// later notes changes to be written with the next tidying.
func (f *File) later(c changes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range c.entries {
		f.pendingEntries[k] = struct{}{}
	}
	for _, k := range c.uses {
		f.pendingUses[k] = struct{}{}
	}
}

// batch is what several calls write together.
type batch struct {
	changes
	written chan struct{}
	err     error
}

// save writes changes together with those that other calls make while another batch is written, and returns when they
// are on disk.
func (f *File) save(c changes) error {
	f.mu.Lock()
	b, first := f.next, f.next == nil
	if first {
		b = &batch{written: make(chan struct{})}
		f.next = b
	}
	b.entries, b.uses = append(b.entries, c.entries...), append(b.uses, c.uses...)
	f.mu.Unlock()
	if first {
		f.writing.Lock()
		f.mu.Lock()
		f.next = nil
		f.mu.Unlock()
		b.err = f.update(b.changes)
		f.writing.Unlock()
		close(b.written)
	}
	<-b.written
	return f.saved(c, b.err)
}

// update writes changes in one transaction. The caller holds f.writing. Damage makes bbolt panic, or the memory map fault:
// what it knows of free pages may be wrong then.
func (f *File) update(c changes) (err error) {
	if f.damage != nil {
		return f.damage
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			f.damage = ErrFile.Because(fmt.Errorf("%v", p))
			err = f.damage
		}
	}()
	return errors.Join(f.db.Update(func(tx *bolt.Tx) error { return f.write(tx, c) }), f.named())
}

// named refuses a file that its path no longer leads to: nobody would find there what was saved.
func (f *File) named() error {
	there, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	ours, err := f.file.Stat()
	if err == nil && !os.SameFile(there, ours) {
		err = errors.New("another file has taken its place")
	}
	return err
}

// release closes the file. After a panic bbolt cannot: it may hold its own locks. Its memory map then stays.
func (f *File) release() error {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.db != nil && f.damage == nil {
		return f.db.Close()
	}
	if f.file == nil {
		return nil
	}
	return errors.Join(unlock(f.file), f.file.Close())
}

func (f *File) saved(c changes, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	}
	f.later(c)
	return ErrDisk.Because(err)
}

// write brings the file to the state of memory, for the changed keys. Changes of one key may be written in any
// order, and more than once: each change in memory is followed by a write, and writes come one at a time, so
// the last of them finds the latest state.
func (f *File) write(tx *bolt.Tx, c changes) error {
	for _, k := range c.entries {
		name := k.encode()
		r, ok := f.mem.table.get(k, f.mem.table.hash(k))
		if err := put(tx.Bucket(bucketEntries), name, ok, func() []byte { return r.encode(name) }); err != nil {
			return err
		}
	}
	for _, k := range c.uses {
		name := k.encode()
		u, ok := f.mem.uses.snapshot(k)
		if err := put(tx.Bucket(bucketUses), name, ok, func() []byte { return u.encode(name) }); err != nil {
			return err
		}
	}
	return f.writeTimes(tx)
}

// put writes or deletes one record. The bucket's sequence counts the records, so that a damaged page which hides
// some of them is noticed.
func put(b *bolt.Bucket, name []byte, present bool, value func() []byte) error {
	count := b.Sequence()
	if b.Get(name) != nil {
		count--
	}
	if !present {
		return errors.Join(b.Delete(name), b.SetSequence(count))
	}
	return errors.Join(b.Put(name, value()), b.SetSequence(count+1))
}

// tidyEvery loops until Close.
func (f *File) tidyEvery(d time.Duration) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			return
		case <-ticker.C:
			_ = f.tidy() // what failed stays pending; calls that matter report their own failure
		}
	}
}

// tidyStep bounds the changes of one transaction, so that revocations do not wait for long.
const tidyStep = 1000

// tidy drops what has expired, and writes what is pending.
func (f *File) tidy() error {
	now := f.mem.clock.over()
	for {
		c := f.takePending()
		c.entries = append(c.entries, f.mem.table.purge(now, tidyStep)...)
		c.uses = append(c.uses, f.mem.uses.purge(now, tidyStep)...)
		if len(c.entries)+len(c.uses) == 0 {
			return nil
		}
		f.writing.Lock()
		err := f.update(c)
		f.writing.Unlock()
		if err := f.saved(c, err); err != nil {
			return err
		}
	}
}

// takePending returns some of what is pending.
func (f *File) takePending() (c changes) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.entries = take(f.pendingEntries, tidyStep)
	c.uses = take(f.pendingUses, tidyStep)
	return c
}

// take removes at most n keys and returns them.
func take[K comparable](from map[K]struct{}, n int) []K {
	var taken []K
	for k := range from {
		if len(taken) == n {
			break
		}
		taken = append(taken, k)
		delete(from, k)
	}
	return taken
}

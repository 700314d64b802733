package revocation

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/senderlock/senderlock/internal/packed"
	"github.com/senderlock/senderlock/internal/privatefile"
)

// What the file holds: in meta its format, the newest end of a dropped entry and when it was last written, and the records.
var (
	bucketMeta    = []byte("senderlock.revocation")
	bucketEntries = []byte("entries")
	bucketUses    = []byte("uses")
	keyFormat     = []byte("format")
	keyHorizon    = []byte("horizon")
	keyClock      = []byte("clock")
	format        = []byte("1")
)

// lockWait is how long Open waits for another process to let go of the file, as in a restart.
const lockWait = time.Second

// Open opens the file at path, or makes it with mode 0600, and reads all of it into memory. Whoever can write
// the file can undo revocations; its directory must exist and belong to the server alone. Copy it only while
// it is closed.
//
// Errors are [ErrExposed] if others may write the file or put another in its place (not judged on Windows),
// [ErrLocked] if another process keeps the file open for longer than a second, [ErrFile] if it is damaged or not
// one of this package (it is left as it is), [ErrDisk] if it cannot be
// written, an error of the operating system, or a description of what is wrong with o. Entries beyond [Options.Capacity] are all read, none is dropped.
func Open(path string, o Options) (*File, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if path == "" {
		return nil, errors.New("revocation: path is empty: give that of the file, such as /var/lib/api/revocations.db")
	}
	f := &File{
		mem:            newMemory(o),
		pendingEntries: make(map[key]struct{}),
		pendingUses:    make(map[useKey]struct{}),
		stop:           make(chan struct{}),
	}
	if err := f.open(path); err != nil {
		return nil, err
	}
	if err := errors.Join(f.tidy(), syncFolder(path)); err != nil {
		return nil, errors.Join(err, f.release())
	}
	f.stopped.Go(func() { f.tidyEvery(o.SaveEvery) })
	return f, nil
}

// open opens and reads the file. A damaged one makes bbolt panic, or the memory map fault; both are errors here.
func (f *File) open(path string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s", ErrFile.Because(fmt.Errorf("%v", p)), path)
		}
		if err != nil {
			_ = f.release()
		}
	}()
	if f.path, err = filepath.Abs(path); err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	f.db, err = bolt.Open(path, 0o600, &bolt.Options{
		OpenFile:     f.openGuarded,
		Timeout:      lockWait,
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
	})
	if err != nil {
		return openError(path, err)
	}
	return f.load()
}

// openGuarded opens the file, unless others may change it: what is in it counts as ours.
func (f *File) openGuarded(path string, flag int, mode fs.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path, flag, mode)
	if err != nil {
		return nil, err
	}
	if err := privatefile.Guarded(file); err != nil {
		return nil, errors.Join(ErrExposed.Because(err), file.Close())
	}
	f.file = file
	return file, nil
}

func openError(path string, err error) error {
	if errors.Is(err, ErrExposed) {
		return fmt.Errorf("%w: %s", err, path)
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("%w: %s", ErrLocked, path)
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("revocation: %w", err) // which names the path
	}
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return fmt.Errorf("revocation: open %s: %w", path, err)
	}
	return fmt.Errorf("%w: %s", ErrFile.Because(err), path)
}

// load reads the file into memory. It writes only to a file that is new.
func (f *File) load() error {
	known, err := f.known()
	if err != nil {
		return err
	}
	if !known {
		if err := f.db.Update(initialize); err != nil {
			return ErrDisk.Because(err)
		}
		return nil
	}
	return f.db.View(func(tx *bolt.Tx) error {
		return errors.Join(f.loadTimes(tx), f.loadEntries(tx), f.loadUses(tx))
	})
}

// known reports whether the file is one of ours, or else new and empty.
func (f *File) known() (known bool, err error) {
	err = f.db.View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(bucketMeta)
		if meta == nil {
			if first, _ := tx.Cursor().First(); first != nil {
				return ErrFile.With("bucket "+string(bucketMeta), string(first))
			}
			return nil
		}
		known = true
		if got := meta.Get(keyFormat); string(got) != string(format) {
			return ErrFile.With("format "+string(format), string(got))
		}
		if tx.Bucket(bucketEntries) == nil || tx.Bucket(bucketUses) == nil {
			return ErrFile.With("buckets entries and uses", "one is missing")
		}
		return nil
	})
	return known, err
}

func initialize(tx *bolt.Tx) error {
	for _, name := range [...][]byte{bucketEntries, bucketUses, bucketMeta} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyFormat, format)
}

func (f *File) loadEntries(tx *bolt.Tx) error {
	return load(tx.Bucket(bucketEntries), func(name, value []byte) bool {
		k, ok1 := decodeKey(name)
		r, ok2 := decodeRecord(name, value)
		if ok1 && ok2 {
			f.mem.table.restore(k, r)
		}
		return ok1 && ok2
	})
}

func (f *File) loadUses(tx *bolt.Tx) error {
	return load(tx.Bucket(bucketUses), func(name, value []byte) bool {
		u, ok := decodeUse(name, value)
		if ok {
			f.mem.uses.restore(u)
		}
		return ok
	})
}

// load calls restore for each record of a bucket. Damage can hide a record, or show another in its place, so
// their order and number are checked as well.
func load(b *bolt.Bucket, restore func(name, value []byte) (ok bool)) error {
	var count uint64
	var last []byte
	err := b.ForEach(func(name, value []byte) error {
		if bytes.Compare(last, name) >= 0 || !restore(name, value) {
			return ErrFile.With("an intact record", string(name))
		}
		last = name
		count++
		return nil
	})
	if err == nil && count != b.Sequence() {
		err = ErrFile.With(fmt.Sprintf("%d records", b.Sequence()), fmt.Sprint(count))
	}
	return err
}

func (f *File) loadTimes(tx *bolt.Tx) error {
	horizon, known, err := loadTime(tx, keyHorizon)
	if err == nil && known {
		raise(&f.mem.table.horizon, horizon)
	}
	last, known, err2 := loadTime(tx, keyClock)
	if err2 == nil && known {
		f.mem.clock.resume(last)
	}
	return errors.Join(err, err2)
}

func loadTime(tx *bolt.Tx, key []byte) (second int64, known bool, err error) {
	value := tx.Bucket(bucketMeta).Get(key)
	if value == nil {
		return 0, false, nil
	}
	r := unseal(key, value)
	second = r.Int()
	if r.Failed() {
		return 0, false, ErrFile.With("an intact "+string(key), string(value))
	}
	return second, true, nil
}

// writeTimes saves the newest end of a dropped entry, so that [ErrClock] holds across a restart, and what time it was, so
// that a clock that is ahead after a restart drops nothing.
func (f *File) writeTimes(tx *bolt.Tx) error {
	return errors.Join(
		writeTime(tx, keyHorizon, f.mem.table.horizon.Load()),
		writeTime(tx, keyClock, f.mem.clock.reading()),
	)
}

func writeTime(tx *bolt.Tx, key []byte, second int64) error {
	value := seal(key, packed.AppendInt(nil, second))
	meta := tx.Bucket(bucketMeta)
	if string(meta.Get(key)) == string(value) {
		return nil
	}
	return meta.Put(key, value)
}

// syncFolder makes the file's name as durable as its contents.
func syncFolder(path string) error {
	if err := privatefile.SyncFolder(filepath.Dir(path)); err != nil {
		return ErrDisk.Because(err)
	}
	return nil
}

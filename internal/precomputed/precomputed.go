// Package precomputed keeps tables of multiples for the P-256 keys that sign again and again, and verifies with them at
// less than half the price. The arithmetic is in package p256; here is which keys get a table, what it may cost, and
// what happens if a table should ever be wrong.
//
// A key gets a table after some accepted signatures, so by nothing that anybody can send without credentials. One
// goroutine builds, so many a second and no more. The number of tables is bounded, and the key that was accepted least
// recently loses its own: whoever floods the server with accepted keys of their own pushes others out no faster than
// tables are built, and none that was accepted more recently than theirs.
//
// Every refusal by a table, and of the acceptances one in so many at random, is repeated by crypto/ecdsa. If the two
// disagree, the request is refused as the server's own trouble, and no table is used in this process any more.
package precomputed

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/senderlock/senderlock/internal/p256"
	"github.com/senderlock/senderlock/internal/recent"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/reason"
)

// ErrDisagreement means that a table and crypto/ecdsa judged one signature differently: the server's own trouble. It
// is returned once for each request that met it; later ones are verified by crypto/ecdsa alone.
var ErrDisagreement = reason.NewTrouble("precomputed_keys_disagree", "a precomputed key and crypto/ecdsa disagree about a signature")

// disagreements counts them. The first one ends the use of tables in this process: code or memory is at fault, and
// neither belongs to one [Keys].
var disagreements atomic.Uint64

// Disagreements returns how often a table and crypto/ecdsa disagreed in this process. Anything but 0 is a fault in
// this program or its machine, and means that tables are off.
func Disagreements() uint64 { return disagreements.Load() }

// The values of zero fields of [Config].
const (
	DefaultAfter   = 4
	DefaultRate    = 50
	DefaultRecheck = 64
)

// Memory is what a key may take, in octets: its table, its place among the others and that of one key that is counted.
const Memory = p256.Size + 1024

// Config says how many keys get tables, and which.
type Config struct {
	// Keys is how many keys have a table at most, and how many others are counted; each takes up to [Memory] octets.
	// Zero means none: everything is verified by crypto/ecdsa.
	Keys int
	// After is how many signatures of a key must be accepted before it gets a table, while no more than Keys other
	// keys come in between. Zero means [DefaultAfter].
	After int
	// Rate is how many tables are built a second at most, each in the time of two or three verifications, and with
	// that how many others can lose theirs. Zero means [DefaultRate].
	Rate int
	// Recheck says that one in so many acceptances, chosen at random, is verified again by crypto/ecdsa; 1 means
	// every one. Zero means [DefaultRecheck].
	Recheck int
	// Log hears of a disagreement, and that tables are off in FIPS 140-3 mode. Nil means [slog.Default].
	Log *slog.Logger
}

func (c *Config) complete() error {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Keys < 0 || c.Keys > 1<<20 {
		return fmt.Errorf("Keys is %d: give a number up to %d, or zero for no tables", c.Keys, 1<<20)
	}
	return errors.Join(
		setting.Between("After", &c.After, DefaultAfter, 1, 1<<20),
		setting.Between("Rate", &c.Rate, DefaultRate, 1, 1000),
		setting.Between("Recheck", &c.Recheck, DefaultRecheck, 1, 1<<20),
	)
}

// Key is a P-256 key that may get a table. It is immutable and safe for concurrent use.
type Key struct {
	point  point
	once   sync.Once // of public, which a request that is refused for something else never wants
	public *ecdsa.PublicKey
}

// A point is the coordinates of a key, 32 octets each. Two keys share a table only if these are the same.
type point [64]byte

// ParseKey reads a key as an uncompressed point (SEC 1 §2.3.3): an octet 4 and the two coordinates. It returns an error
// for what is no point on P-256.
func ParseKey(uncompressed []byte) (*Key, error) {
	if !p256.OnCurve(uncompressed) {
		return nil, errors.New("precomputed: not an uncompressed point on P-256")
	}
	return &Key{point: point(uncompressed[1:])}, nil
}

// standard returns the key as crypto/ecdsa has it, which checks once more that it is on the curve; else nil.
func (k *Key) standard() *ecdsa.PublicKey {
	k.once.Do(func() {
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, k.point[:]...))
		if err == nil {
			k.public = public
		}
	})
	return k.public
}

// Keys verifies signatures, with tables for the keys that deserve one. A nil Keys has no tables. It is safe for
// concurrent use.
type Keys struct {
	Config
	mu     sync.RWMutex
	tables *recent.Map[point, *p256.Table]
	counts *recent.Map[point, int] // accepted signatures of keys without a table

	built, dropped uint64

	queue   chan *Key
	closing chan struct{}
	close   sync.Once
	builder sync.WaitGroup
}

// New checks the settings, returns an error that names the field at fault, and starts the builder, if there is anything
// to build. In FIPS 140-3 mode there is not, whatever the settings: the arithmetic of tables is outside the module that
// was validated. The log is told so.
func New(c Config) (*Keys, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	if c.Keys > 0 && fips140.Enabled() {
		c.Log.Warn("precomputed keys are off: their arithmetic is not part of the FIPS 140-3 module")
		c.Keys = 0
	}
	k := &Keys{
		Config: c, tables: recent.New[point, *p256.Table](c.Keys), counts: recent.New[point, int](c.Keys),
		queue: make(chan *Key, c.Rate), closing: make(chan struct{}),
	}
	if c.Keys > 0 {
		k.builder.Go(k.build)
	}
	return k, nil
}

// Verify reports whether a signature, r and s of 32 octets each, is one of the digest under the key. Anybody may cause
// a call: it changes nothing. The error is [ErrDisagreement], and the signature must then be taken for neither good nor
// bad.
func (k *Keys) Verify(key *Key, digest, signature []byte) (bool, error) {
	table := k.table(key)
	if table == nil {
		return Standard(key.standard(), digest, signature), nil
	}
	ok := table.Verify(digest, signature)
	if ok && rand.IntN(k.Recheck) != 0 {
		return true, nil
	}
	if Standard(key.standard(), digest, signature) != ok {
		disagreements.Add(1)
		k.Log.Error("a precomputed key and crypto/ecdsa disagree: precomputed keys are off until the process is restarted",
			"key", fmt.Sprintf("%x", key.point), "digest", fmt.Sprintf("%x", digest),
			"signature", fmt.Sprintf("%x", signature), "table_says", ok)
		return false, ErrDisagreement
	}
	return ok, nil
}

// table returns the table of a key, or nil where there is none or none is trusted.
func (k *Keys) table(key *Key) *p256.Table {
	if k.off() {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	table, _ := k.tables.Peek(key.point)
	return table
}

func (k *Keys) off() bool { return k == nil || k.Keys == 0 || disagreements.Load() > 0 }

// Accepted counts a signature of a key; nil is one that never gets a table. The caller calls it last, for a request that
// passed everything.
func (k *Keys) Accepted(key *Key) {
	if key == nil || k.off() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.tables.Get(key.point); ok {
		return
	}
	count, _ := k.counts.Get(key.point)
	if count++; count >= k.After {
		select {
		case k.queue <- key:
			k.counts.Remove(key.point)
			return
		default: // the queue is full; the next acceptance tries again
		}
	}
	k.counts.Add(key.point, count)
}

// Adopt builds tables for these keys at once and drops all others, as when an issuer's key set was fetched. The first
// [Config].Keys of them count.
func (k *Keys) Adopt(keys ...*Key) {
	if k.off() {
		return
	}
	adopted, built := recent.New[point, *p256.Table](k.Keys), uint64(0)
	for _, key := range keys[:min(len(keys), k.Keys)] {
		table := k.table(key)
		if table == nil {
			table = compute(key)
			built++
		}
		adopted.Add(key.point, table)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tables = adopted
	k.built += built
}

// Close ends the building and waits for it. Tables that are there still serve. It may be called more than once and
// always returns nil.
func (k *Keys) Close() error {
	if k == nil {
		return nil
	}
	k.close.Do(func() { close(k.closing) })
	k.builder.Wait()
	return nil
}

// Stats are what an operator sizes [Config].Keys by.
type Stats struct {
	Held    int    // tables in memory now
	Built   uint64 // since the start
	Dropped uint64 // to make room for others
}

// Stats returns the figures of now.
func (k *Keys) Stats() Stats {
	if k == nil {
		return Stats{}
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return Stats{Held: k.tables.Len(), Built: k.built, Dropped: k.dropped}
}

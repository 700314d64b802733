package redisstore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/revocation"
)

// The ways in which a server is unfit. A call that fails with one of them decided nothing.
var (
	// ErrEviction means that the server may drop live keys to make room.
	ErrEviction = errors.New("redisstore: the server evicts keys when its memory is full: set maxmemory-policy to noeviction")
	// ErrReplicas means that fewer replicas than Wait have what was written.
	ErrReplicas = errors.New("redisstore: too few replicas have it")
	// ErrDamaged means that a key of ours holds what no Store wrote.
	ErrDamaged = errors.New("redisstore: a key holds something else than expected")
)

// Store is a [dpop.ReplayStore], a [revocation.Store] and a [revocation.Register] on Redis or Valkey, for any number of
// instances. Its methods are safe for concurrent use. Make one with [Open], and close it when the server has stopped.
// Give the same one as both memories, and the two questions of a request cost one round trip.
//
// An ACL user needs the commands +info +set +get +mget +watch +unwatch +multi +exec, further +select for another DB than
// 0, +wait for Wait, +cluster|slots +cluster|shards +asking for a Cluster, and +del +zadd +zrem +zrange +pexpire for the
// Register. HELLO, AUTH and PING are open to all.
type Store struct {
	config Config
	client rueidis.Client
	memory memory
	local  *dpop.Memory // nil without Fallback
	latest atomic.Int64 // the newest instant that the clock has shown, in nanoseconds of Unix time
	unfit  atomic.Pointer[error]

	down   atomic.Bool
	wake   chan struct{}
	stop   context.CancelFunc
	ended  sync.WaitGroup
	closed atomic.Bool
}

var (
	_ dpop.ReplayStore = (*Store)(nil)
	_ revocation.Store = (*Store)(nil)
)

// OpenURL is [Open] with the settings of [ParseURL].
func OpenURL(ctx context.Context, url string) (*Store, error) {
	c, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	return Open(ctx, c)
}

// Open connects to the servers and checks that they are fit: reachable, masters, and not evicting keys. Its error
// names the setting, or the fault of the server, and what to do. The servers must show their state by INFO, as managed
// ones do; CONFIG is not used.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("redisstore.Config: %w", err)
	}
	s := &Store{config: c, wake: make(chan struct{}, 1)}
	s.memory.known, s.memory.below = map[string]bool{}, map[string]bool{}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context) (err error) {
	if s.config.Fallback == FallbackNonce {
		if s.local, err = dpop.NewMemory(dpop.MemoryConfig{Now: s.config.Now}); err != nil {
			return err
		}
	}
	s.now()
	options := s.config.options()
	options.DialCtxFn = s.dial
	if s.client, err = rueidis.NewClient(options); err == nil {
		err = s.check(ctx)
	}
	if err != nil {
		_ = s.Close()
		if s.config.TLS != nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer in time, as from a port without TLS: %w", err)
		}
		return fmt.Errorf("connecting to %v: %w", s.config.Addresses, err)
	}
	ctx, s.stop = context.WithCancel(context.Background())
	s.ended.Go(func() { s.watch(ctx) })
	return nil
}

// check is what Open demands of the servers.
func (s *Store) check(ctx context.Context) error {
	if err := s.inspect(ctx); err != nil {
		return err
	}
	if !s.memory.begin() {
		return errors.New("no master answers: give the address of a master, or of Sentinels with the name of theirs in Master")
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.try(ctx)
}

// Close ends the connections. Later calls fail. It returns nil, and may be called more than once.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	if s.stop != nil {
		s.stop()
		s.ended.Wait()
	}
	if s.client != nil {
		s.client.Close()
	}
	if s.local != nil {
		return s.local.Close()
	}
	return nil
}

// within bounds a call.
func (s *Store) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.config.Timeout)
}

// now reads the clock and notes how far it has come.
func (s *Store) now() time.Time {
	now := s.config.Now().Round(0) // without the monotonic reading: expiries are wall clock time
	for n := now.UnixNano(); ; {
		old := s.latest.Load()
		if old >= n || s.latest.CompareAndSwap(old, n) {
			return now
		}
	}
}

// shown is the newest instant that the clock has shown.
func (s *Store) shown() time.Time { return time.Unix(0, s.latest.Load()) }

// fit returns why no call can be answered, or nil.
func (s *Store) fit() error {
	if err := s.unfit.Load(); err != nil {
		return *err
	}
	return nil
}

// lifetime is for how long a key must live that matters until an instant. It counts from when the server executes the
// command, so the server's clock does not matter.
func (s *Store) lifetime(until, now time.Time) time.Duration {
	const farthest = 100 * 365 * 24 * time.Hour
	left := min(until.Sub(now), farthest) + s.config.MaxSkew
	return (left + time.Millisecond - 1).Truncate(time.Millisecond)
}

// key names a key: for what use, and which.
func (s *Store) key(use string, hash dpop.ReplayKey) string {
	return s.config.Namespace + ":" + use + ":" + encodeHash(hash)
}

func encodeHash(hash dpop.ReplayKey) string { return base64.RawURLEncoding.EncodeToString(hash[:]) }

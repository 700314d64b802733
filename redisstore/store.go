package redisstore

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

// The ways in which a server is unfit, or this instance is. A call that fails with one of them decided nothing. Each is a
// [reason.Trouble] with a name for logs and metrics.
var (
	// ErrEviction means that the server may drop live keys to make room.
	ErrEviction error = reason.NewTrouble("redis_eviction", "redisstore: the server evicts keys when its memory is full: set maxmemory-policy to noeviction")
	// ErrReplicas means that fewer replicas than Wait have what was written.
	ErrReplicas error = reason.NewTrouble("redis_replicas", "redisstore: too few replicas have it")
	// ErrDamaged means that a key of ours holds what no Store wrote.
	ErrDamaged error = reason.NewTrouble("redis_damaged", "redisstore: a key holds something else than expected")
	// ErrClock means that the clock of this instance and the server's differ by more than MaxSkew. The error says by
	// how much. It ends when the clock is right.
	ErrClock error = reason.NewTrouble("redis_clock", "redisstore: the clock of this instance is not the server's")
)

// Store is a [dpop.ReplayStore], a [revocation.Store] and a [revocation.Register] on Redis 7 or later, or Valkey, for any
// number of instances. Its methods are safe for concurrent use. Make one with [Open], and close it when the server has
// stopped. As access.Config.Shared it answers the two questions of a request on one round trip.
//
// An ACL user needs the commands +info +get +set +mget +time +eval +evalsha, further +select for another DB than 0, +wait
// for Wait, +cluster|slots +cluster|shards +cluster|info +asking for a Cluster, and +del +zadd +zrem +zrange
// +pexpire for the Register, +scan for Search; at Sentinels, with Wait, +sentinel|replicas. HELLO, AUTH and PING are open to all.
type Store struct {
	config  Config
	client  rueidis.Client
	conns   connections
	lent    chan struct{} // an element for each connection that is
	buckets []*bucket
	local   *dpop.Memory // nil without Fallback

	elsewhere []*remote

	down   atomic.Bool
	wake   chan struct{}
	stop   context.CancelFunc
	ended  sync.WaitGroup
	closed atomic.Bool
}

var (
	_ dpop.Regional    = (*Store)(nil)
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
//
// It takes up to a second where other instances are at work, because it watches whether they are, and some three seconds
// where others have been: see [Store.Since].
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.settle(); err != nil {
		return nil, fmt.Errorf("redisstore.Config: %w", err)
	}
	s := newStore(c)
	for _, other := range c.Elsewhere {
		s.elsewhere = append(s.elsewhere, &remote{config: other})
	}
	if err := s.open(ctx); err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	return s, nil
}

// newStore makes a store that has no connections yet.
func newStore(c Config) *Store {
	s := &Store{config: c, wake: make(chan struct{}, 1), lent: make(chan struct{}, mostLent)}
	if !c.Cluster {
		s.buckets = []*bucket{s.newBucket("")}
		return s
	}
	for i := range clusterBuckets {
		s.buckets = append(s.buckets, s.newBucket(fmt.Sprintf("{%d}:", i)))
	}
	return s
}

// clusterBuckets is how many parts the keys have in a Cluster. Their numbers as hash tags lie evenly among the slots.
const clusterBuckets = 64

func (s *Store) open(ctx context.Context) (err error) {
	if s.config.Fallback == FallbackNonce {
		if s.local, err = dpop.NewMemory(dpop.MemoryConfig{Now: s.config.Now}); err != nil {
			return err
		}
	}
	options := s.config.options()
	options.DialCtxFn = s.conns.dial
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
	if err := s.covers(ctx); err != nil {
		return err
	}
	if err := s.arrive(ctx); err != nil {
		return err
	}
	ctx, cancel := s.within(ctx)
	defer cancel()
	return s.try(ctx)
}

// inspect asks all servers whether they are such as can be used.
func (s *Store) inspect(ctx context.Context) (err error) {
	masters := 0
	for addr, node := range s.client.Nodes() {
		role, e := s.roleOf(ctx, node)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", addr, e))
		} else if role == "master" {
			masters++
		}
	}
	if err == nil && masters == 0 {
		err = errors.New("no master answers: give the address of a master, or of Sentinels with the name of theirs in Master")
	}
	return err
}

// roleOf says whether a server is a master or a replica, and refuses one that cannot be used.
func (s *Store) roleOf(ctx context.Context, client rueidis.Client) (role string, err error) {
	ctx, cancel := s.within(ctx)
	defer cancel()
	text, err := client.Do(ctx, client.B().Info().Build()).ToString()
	if err != nil {
		return "", err
	}
	info := parseInfo(text)
	mode := cmp.Or(info["redis_mode"], info["server_mode"]) // Valkey 8 calls it so
	major, _, _ := strings.Cut(info["redis_version"], ".")
	version, _ := strconv.Atoi(major)
	switch {
	case mode == "sentinel":
		return "", errors.New("this is a Sentinel: set Master to the name of the master it watches")
	case (mode == "cluster") != s.config.Cluster:
		return "", fmt.Errorf("the server's mode is %q: set Cluster for those of a Cluster, and only for them", mode)
	case version < 7:
		return "", fmt.Errorf("the server is of version %q: use Redis 7 or later, or Valkey", info["redis_version"])
	}
	return info["role"], nil
}

// covers refuses a Wait that leaves out a replica which may be promoted, where that can be known: Sentinels say how many
// there are.
func (s *Store) covers(ctx context.Context) (err error) {
	if s.config.Wait == 0 || s.config.Master == "" {
		return nil
	}
	for _, address := range s.config.Addresses {
		replicas, e := s.promotable(ctx, address)
		switch {
		case e != nil:
			err = errors.Join(err, fmt.Errorf("asking the Sentinel at %s for replicas: %w", address, e))
		case replicas > s.config.Wait:
			return fmt.Errorf("Wait is %d, and the Sentinel at %s may promote any of %d replicas, so one that has not got a claim: "+
				"raise Wait, give the others replica-priority 0, or have the Sentinels forget those that are gone (SENTINEL RESET)",
				s.config.Wait, address, replicas)
		default:
			return nil
		}
	}
	return err
}

// promotable asks a Sentinel how many replicas there are that may be promoted.
func (s *Store) promotable(ctx context.Context, address string) (n int, err error) {
	sentinel, err := rueidis.NewClient(s.config.sentinelOptions(address))
	if err != nil {
		return 0, err
	}
	defer sentinel.Close()
	ctx, cancel := s.within(ctx)
	defer cancel()
	replicas, err := sentinel.Do(ctx, sentinel.B().SentinelReplicas().Master(s.config.Master).Build()).ToArray()
	if err != nil {
		return 0, err
	}
	for _, r := range replicas {
		about, err := r.AsStrMap()
		if err != nil {
			return 0, err
		}
		if about["slave-priority"] != "0" {
			n++
		}
	}
	return n, nil
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok {
			info[name] = value
		}
	}
	return info
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
	for _, other := range s.elsewhere {
		_ = other.close()
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

// now reads the clock.
func (s *Store) now() time.Time { return s.config.Now().Round(0) } // wall clock time, as expiries are

// slack is how much longer than for one clock something is kept, so that it is there for all of them: an instance may be
// as far ahead of the server as another is behind it, and a call takes its time.
func (s *Store) slack() time.Duration { return 2*s.config.MaxSkew + s.config.Timeout }

// bucketOf returns the bucket of a key, and its name there: for what use, and which.
func (s *Store) bucketOf(use string, hash dpop.ReplayKey) (*bucket, string) {
	b := s.buckets[int(hash[0])%len(s.buckets)]
	var encoded [43]byte
	base64.RawURLEncoding.Encode(encoded[:], hash[:])
	return b, s.config.Namespace + ":" + use + ":" + b.tag + string(encoded[:])
}

func encodeHash(hash dpop.ReplayKey) string { return base64.RawURLEncoding.EncodeToString(hash[:]) }

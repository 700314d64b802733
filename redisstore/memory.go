package redisstore

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
)

// memory knows since when the servers remember everything. A server that was restarted, or took over from another,
// may have lost the newest claims, whatever was said of persistence and replication. It shows by the identity of its
// process and of its replication history, which is looked at before a connection is used.
type memory struct {
	mu    sync.Mutex
	known map[string]bool // identities of masters
	below map[string]bool // addresses of servers that were replicas when last asked
	open  bool            // all further identities are new ones
	since atomic.Int64    // nanoseconds of Unix time
}

// note takes what INFO says of a server.
func (m *memory) note(info map[string]string, now time.Time) error {
	id := info["run_id"] + " " + info["master_replid"]
	switch {
	case info["redis_mode"] == "sentinel":
		return errors.New("this is a Sentinel: set Master to the name of the master it watches")
	case info["role"] != "master":
		return nil // it takes no claims
	case info["run_id"] == "":
		return errors.New("INFO does not show run_id, without which a restart would go unnoticed")
	case info["maxmemory_policy"] != "noeviction":
		return fmt.Errorf("%w (it is %q)", ErrEviction, info["maxmemory_policy"])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[id] {
		return nil
	}
	m.known[id] = true
	// It moves even if the clock was set back or stands still, so that nonces of before are told apart.
	m.since.Store(max(m.since.Load()+1, m.began(info, now).UnixNano()))
	return nil
}

// place takes the role that a server was found in, after note.
func (m *memory) place(addr, role string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if role == "master" {
		delete(m.below, addr)
	} else {
		m.below[addr] = true
	}
}

func (m *memory) isBelow(addr string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.below[addr]
}

// never is how INFO says that a master has always been one.
const never = "0000000000000000000000000000000000000000"

// began returns since when a server remembers everything that it and those before it were told.
func (m *memory) began(info map[string]string, now time.Time) time.Time {
	uptime, err := strconv.Atoi(info["uptime_in_seconds"])
	if m.open || err != nil || uptime < 1 || info["master_replid2"] != never {
		return now
	}
	return now.Add(time.Second - time.Duration(uptime)*time.Second) // both seconds were cut
}

// begin ends the first look, and reports whether a master was seen.
func (m *memory) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = true
	return len(m.known) > 0
}

// Since returns the instant from which the servers remember every claim, on the clock of any instance. It moves when
// a server was restarted or took over. The [dpop.Verifier] then accepts no proof that may have been used before.
func (s *Store) Since() time.Time {
	return time.Unix(0, s.memory.since.Load()).Add(s.config.MaxSkew)
}

// dial makes a connection. Nothing is sent over it before the server behind it is known.
func (s *Store) dial(ctx context.Context, addr string, d *net.Dialer, conf *tls.Config) (net.Conn, error) {
	conn, err := connect(ctx, addr, d, conf)
	if err != nil || d.FallbackDelay == sentinelMark {
		return conn, err
	}
	if err := s.examine(ctx, addr); err != nil {
		_ = conn.Close()
		err = fmt.Errorf("%s: %w", addr, err)
		if errors.Is(err, ErrEviction) {
			s.unfit.Store(&err) // those over open connections are refused too
		}
		return nil, err
	}
	return &watched{conn, s, addr}, nil
}

// watched is a connection that may outlive the role of its server: a replica that takes over goes on with those that
// it has. What a replica answers is believed when it has been asked again whether it still is one.
type watched struct {
	net.Conn
	store *Store
	addr  string
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if err != nil || !w.store.memory.isBelow(w.addr) {
		return n, err
	}
	ctx, cancel := w.store.within(context.Background())
	defer cancel()
	if err := w.store.examine(ctx, w.addr); err != nil {
		return 0, fmt.Errorf("%s: %w", w.addr, err)
	}
	return n, nil
}

func connect(ctx context.Context, addr string, d *net.Dialer, conf *tls.Config) (net.Conn, error) {
	if conf == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: d, Config: conf}).DialContext(ctx, "tcp", addr)
}

// examine asks the server by a connection of its own. If another process has taken the address meanwhile, the
// connection that is to be used is dead.
func (s *Store) examine(ctx context.Context, addr string) error {
	options := s.config.options()
	options.InitAddress, options.ForceSingleClient = []string{addr}, true
	options.Sentinel = rueidis.SentinelOption{}
	options.SelectDB = 0
	if deadline, ok := ctx.Deadline(); ok {
		options.Dialer.Timeout = max(time.Millisecond, min(options.Dialer.Timeout, time.Until(deadline)))
	}
	client, err := rueidis.NewClient(options)
	if err != nil {
		return err
	}
	defer client.Close()
	return s.ask(ctx, addr, client)
}

func (s *Store) ask(ctx context.Context, addr string, client rueidis.Client) error {
	ctx, cancel := s.within(ctx)
	defer cancel()
	text, err := client.Do(ctx, client.B().Info().Build()).ToString()
	if err != nil {
		return err
	}
	info := parseInfo(text)
	if mode := info["redis_mode"]; (mode == "cluster") != s.config.Cluster && mode != "sentinel" {
		return fmt.Errorf("the server's mode is %q: set Cluster for those of a Cluster, and only for them", mode)
	}
	if err := s.memory.note(info, s.now()); err != nil {
		return err
	}
	s.memory.place(addr, info["role"])
	return nil
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

// inspect looks at all servers, also for those that are replicas now.
func (s *Store) inspect(ctx context.Context) (err error) {
	for addr, node := range s.client.Nodes() {
		if e := s.ask(ctx, addr, node); e != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", addr, e))
		}
	}
	return err
}

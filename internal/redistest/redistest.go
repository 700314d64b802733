// Package redistest runs real Redis servers for tests: single ones, a master with replicas and Sentinels, and
// Clusters, each on free ports with a folder of its own. A test is skipped where redis-server is not installed, and
// fails under CI=true. With SENDERLOCK_REDIS=valkey they are servers of Valkey.
package redistest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	random "math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/senderlock/senderlock/internal/built"
	"github.com/senderlock/senderlock/internal/fetched"
)

// Server is one process of redis-server. It is safe for concurrent use.
type Server struct {
	// Addr is where it listens, on all its lives.
	Addr string

	t    testing.TB
	dir  string
	args []string

	mu      sync.Mutex
	process *exec.Cmd
	output  bytes.Buffer
}

// The programs, which are named alike.
var (
	server    = kind() + "-server"
	Benchmark = kind() + "-benchmark"
)

func kind() string { return cmp.Or(os.Getenv("SENDERLOCK_REDIS"), "redis") }

// Need skips or fails the test if the server is not there.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(server); err != nil {
		fetched.Missing(t, fmt.Sprintf("%s is not installed: apt-get install %[1]s %s-tools", server, kind()))
	}
}

// Start starts a server that keeps nothing on disk, with further arguments as on the command line. It ends with the
// test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := prepare(t, args...)
	s.Restart()
	return s
}

// prepare makes a server that is not started yet, with its folder.
func prepare(t testing.TB, args ...string) *Server {
	t.Helper()
	Need(t)
	port, dir := FreePort(t), folder(t)
	s := &Server{t: t, dir: dir, Addr: "127.0.0.1:" + port}
	s.args = append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", // a replica counts as in step after the first ping
	}, args...)
	t.Cleanup(s.Kill)
	return s
}

// folder makes one for a server, which is gone after the test: in memory, where there is such a place. Sentinels and nodes
// of a Cluster do nothing else until what they write is on the disk, and that takes seconds where others write a lot.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "redis")
	if err != nil {
		dir, err = os.MkdirTemp("", "redis")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// ports are handed out one after another, from a random one on, below those that the system gives to connections. A
// Cluster's bus takes the port 10,000 above.
var ports atomic.Int64

func init() { ports.Store(random.Int64N(firstPort)) }

const firstPort, busAbove = 11_000, 10_000

// FreePort returns a port that nobody listens on.
func FreePort(t testing.TB) string {
	t.Helper()
	for range firstPort {
		port := firstPort + ports.Add(1)%busAbove
		if isFree(port) && isFree(port+busAbove) {
			return fmt.Sprint(port)
		}
	}
	t.Fatal("no port is free")
	return ""
}

func isFree(port int64) bool {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		_ = l.Close()
	}
	return err == nil
}

// Restart starts the server, if it does not run, and waits until it answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.launch()
	s.answers()
}

func (s *Server) launch() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		s.process = exec.Command(server, s.args...)
		s.process.Stdout = &s.output
		if err := s.process.Start(); err != nil {
			s.t.Error(err)
		}
	}
}

func (s *Server) answers() {
	s.t.Helper()
	Wait(s.t, s.Addr+" answers", func() bool {
		out := s.Do("PING")
		return strings.Contains(out, "PONG") || strings.Contains(out, "NOAUTH")
	})
}

// Kill ends the process at once, as a power failure would.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.Process.Kill()
		_ = s.process.Wait()
		s.process = nil
	}
}

// Stop halts the process with all its connections open; Continue lets it go on.
func (s *Server) Stop()     { s.signal(stop) }
func (s *Server) Continue() { s.signal(cont) }

func (s *Server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		_ = s.process.Process.Signal(sig)
	}
}

// Cut leaves a replica where it is: nothing that its master does from now on reaches it, not even what lies in a buffer
// of the connection between them. Continue lets it go on, as one that has lost its master if that is gone.
func (s *Server) Cut(master *Server) {
	s.t.Helper()
	s.Stop()
	master.Do("CLIENT", "KILL", "TYPE", "replica")
}

// Do sends one command and returns the answer as redis-cli prints it, errors too.
func (s *Server) Do(command ...string) string {
	out, err := ask(s.Addr, command...)
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(out)
}

// Must is Do for a command that has to succeed with OK.
func (s *Server) Must(command ...string) {
	s.t.Helper()
	if out := s.Do(command...); out != "OK" {
		s.t.Fatalf("%v: %s", command, out)
	}
}

// GiveUp lets whoever waits for replicas give up at once, as when the time for it is over, until it is ended: by no clock, so
// a test may allow as much time as a busy machine takes.
func (s *Server) GiveUp(t testing.TB) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var looks sync.WaitGroup
	looks.Go(func() {
		for every := time.Tick(5 * time.Millisecond); ctx.Err() == nil; <-every {
			for client := range strings.Lines(s.Do("CLIENT", "LIST", "TYPE", "normal")) {
				if id, about, _ := strings.Cut(client, " "); strings.Contains(about, " cmd=wait ") {
					s.Do("CLIENT", "UNBLOCK", strings.TrimPrefix(id, "id="))
				}
			}
		}
	})
	end = sync.OnceFunc(func() { cancel(); looks.Wait() })
	t.Cleanup(end)
	return end
}

const patience = time.Minute

// Wait looks again and again until something has happened, for a minute: soon at first, and then at its leisure,
// because who looks takes time from what is to happen.
func Wait(t testing.TB, what string, happened func() bool) {
	t.Helper()
	pause := time.Millisecond
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
		pause = min(pause*3/2, 25*time.Millisecond)
	}
}

// Replica starts a replica of master and waits until it has everything.
func Replica(t testing.TB, master *Server, args ...string) *Server {
	t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr)
	r := Start(t, append([]string{"--replicaof", host, port}, args...)...)
	Wait(t, "the replica is in step", func() bool {
		_, port, _ := net.SplitHostPort(r.Addr)
		return strings.Contains(r.Do("INFO", "replication"), "master_link_status:up") &&
			strings.Contains(master.Do("INFO", "replication"), "port="+port+",state=online")
	})
	return r
}

// Sentinels starts n Sentinels that watch master under the name main, and waits until they know its replicas. They know
// each other from the start, and not only when each has heard of the others by the master. See [Hasten].
func Sentinels(t testing.TB, master *Server, n, replicas int) (addresses []string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr)
	monitor := fmt.Sprintf("sentinel monitor main %s %s %d\nsentinel down-after-milliseconds main 30000\n"+
		"sentinel failover-timeout main 2000\nsentinel parallel-syncs main 1\n", host, port, n/2+1)
	all, ids := make([]*Server, n), names(n)
	for i := range all {
		all[i] = sentinel(t)
		addresses = append(addresses, all[i].Addr)
	}
	for i, s := range all {
		conf := "sentinel myid " + ids[i] + "\n" + monitor
		for j, other := range all {
			if host, port, _ := net.SplitHostPort(other.Addr); j != i {
				conf += fmt.Sprintf("sentinel known-sentinel main %s %s %s\n", host, port, ids[j])
			}
		}
		write(t, s.args[0], conf)
		s.launch()
	}
	for i, s := range all {
		s.answers()
		s.Must("SENTINEL", "DEBUG", "tilt-trigger", "60000") // one that a busy machine halts goes on, and does not rest for 30 s
		Wait(t, fmt.Sprintf("Sentinel %d knows everybody", i), func() bool {
			out := s.Do("SENTINEL", "MASTER", "main")
			return strings.Contains(out, fmt.Sprintf("num-slaves\n%d\n", replicas)) &&
				strings.Contains(out, fmt.Sprintf("num-other-sentinels\n%d\n", n-1)) &&
				strings.Count(s.Do("SENTINEL", "REPLICAS", "main"), "master-link-status\nok\n") == replicas
		})
	}
	return addresses
}

// sentinel makes a Sentinel that is not started, and has no configuration yet.
func sentinel(t testing.TB) *Server {
	port := FreePort(t)
	s := &Server{t: t, Addr: "127.0.0.1:" + port}
	s.args = []string{filepath.Join(folder(t), "sentinel.conf"), "--sentinel", "--port", port, "--bind", "127.0.0.1"}
	t.Cleanup(s.Kill)
	return s
}

func write(t testing.TB, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// names are what n Sentinels call themselves among each other.
func names(n int) (names []string) {
	for range n {
		var b [20]byte
		_, _ = rand.Read(b[:])
		names = append(names, hex.EncodeToString(b[:]))
	}
	return names
}

// Hasten lets the Sentinels or the nodes at some addresses give up who is silent for a moment, from when a test has silenced
// somebody. Before, it takes half a minute: on a busy machine one that is well can be silent for seconds.
func Hasten(t testing.TB, addresses ...string) {
	t.Helper()
	for _, addr := range addresses {
		s, set := &Server{t: t, Addr: addr}, []string{"CONFIG", "SET", "cluster-node-timeout", "1000"}
		if strings.HasPrefix(s.Do("ROLE"), "sentinel") {
			set = []string{"SENTINEL", "SET", "main", "down-after-milliseconds", "500"}
		}
		s.Must(set...)
	}
}

// A node is given up after half a minute of silence, see [Hasten].
var member = []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "30000", "--cluster-require-full-coverage", "no"}

// Cluster starts n masters that form a Cluster, with further arguments as on the command line.
func Cluster(t testing.TB, n int, args ...string) (nodes []*Server, addresses []string) {
	t.Helper()
	for range n {
		s := prepare(t, append(slices.Clone(member), args...)...)
		nodes, addresses = append(nodes, s), append(addresses, s.Addr)
		s.launch()
	}
	const slots = 16384
	first := func(i int) int { return (i*slots + n/2) / n }
	for i, s := range nodes {
		s.answers()
		s.Must("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		s.Must("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(first(i)), fmt.Sprint(first(i+1)-1))
	}
	for _, s := range nodes {
		Wait(t, "the Cluster is up", func() bool {
			s.meet(nodes)
			out := s.Do("CLUSTER", "INFO")
			return strings.Contains(out, "cluster_state:ok") && strings.Contains(out, fmt.Sprintf("cluster_slots_ok:%d\r\n", slots)) &&
				strings.Contains(out, fmt.Sprintf("cluster_known_nodes:%d\r\n", n)) && !strings.Contains(s.Do("CLUSTER", "NODES"), "handshake")
		})
	}
	return nodes, addresses
}

// meet makes a node known to others, unless it knows somebody: one who is too busy to answer is forgotten after a second.
func (s *Server) meet(others []*Server) {
	s.t.Helper()
	if !strings.Contains(s.Do("CLUSTER", "INFO"), "cluster_known_nodes:1\r\n") {
		return
	}
	for _, other := range others {
		if host, port, _ := net.SplitHostPort(other.Addr); other != s {
			s.Must("CLUSTER", "MEET", host, port)
		}
	}
}

// ClusterReplica starts a replica of a master of a Cluster, which takes over however old its data are, and waits until it
// has everything and all nodes know it.
func ClusterReplica(t testing.TB, nodes []*Server, master *Server) *Server {
	t.Helper()
	r := Start(t, append(slices.Clone(member), "--cluster-replica-validity-factor", "0")...)
	id := master.Do("CLUSTER", "MYID")
	Wait(t, "the replica knows its master", func() bool {
		r.meet(nodes)
		return r.Do("CLUSTER", "REPLICATE", id) == "OK"
	})
	_, port, _ := net.SplitHostPort(r.Addr)
	for _, s := range nodes {
		Wait(t, "the replica is known and in step", func() bool {
			return strings.Contains(s.Do("CLUSTER", "SLOTS"), port)
		})
	}
	return r
}

// GivenUp reports whether a node of a Cluster knows that another has failed, as most masters say: whoever takes over from it
// does so afterwards.
func (s *Server) GivenUp(id string) bool {
	for node := range strings.Lines(s.Do("CLUSTER", "NODES")) {
		if fields := strings.Fields(node); fields[0] == id {
			return slices.Contains(strings.Split(fields[2], ","), "fail") // fail? would be a guess of its own
		}
	}
	return false
}

// Main runs the tests of a package for its TestMain, n at a time unless -parallel says otherwise: they wait for servers
// much longer than they compute. With the race detector, which lets them compute for several times as long, it is 8 at most.
func Main(m *testing.M, n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if built.Raced() {
		n = min(n, 8)
	}
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(n))
	}
	os.Exit(m.Run())
}

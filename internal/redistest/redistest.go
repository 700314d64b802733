// Package redistest runs real Redis servers for tests: single ones, a master with replicas and Sentinels, and
// Clusters, each on free ports with a folder of its own. A test is skipped where redis-server is not installed, and
// fails under CI=true. With SENDERLOCK_REDIS=valkey they are servers of Valkey.
package redistest

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
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
	cli     []string // how redis-cli reaches it
}

// The programs, which are named alike.
var (
	server    = kind() + "-server"
	cli       = anyCLI()
	Benchmark = kind() + "-benchmark"
)

func kind() string { return cmp.Or(os.Getenv("SENDERLOCK_REDIS"), "redis") }

// anyCLI is the server's own, or Redis's, which speaks the same: a server may come without.
func anyCLI() string {
	if own := kind() + "-cli"; kind() == "redis" || installed(own) {
		return own
	}
	return "redis-cli"
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// Need skips or fails the test if the server is not there.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath(server); err == nil {
		return
	}
	missing := fmt.Sprintf("%s is not installed: apt-get install %[1]s %s-tools", server, kind())
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip("SKIPPED, NOTHING WAS CHECKED: " + missing)
}

// Start starts a server that keeps nothing on disk, with further arguments as on the command line. It ends with the
// test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	Need(t)
	port := FreePort(t)
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, dir: dir, Addr: "127.0.0.1:" + port, cli: []string{"-h", "127.0.0.1", "-p", port}}
	s.args = append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no",
		"--repl-diskless-sync-delay", "0",
	}, args...)
	t.Cleanup(func() {
		s.Kill()
		_ = os.RemoveAll(dir)
	})
	s.Restart()
	return s
}

// ports are handed out one after another, from a random one on, below those that the system gives to connections. A
// Cluster's bus takes the port 10,000 above.
var ports atomic.Int64

func init() { ports.Store(rand.Int64N(firstPort)) }

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
	s.mu.Lock()
	if s.process == nil {
		s.process = exec.Command(server, s.args...)
		s.process.Stdout = &s.output
		if err := s.process.Start(); err != nil {
			s.t.Error(err)
		}
	}
	s.mu.Unlock()
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

// Do runs one command with redis-cli and returns what it prints, errors too.
func (s *Server) Do(command ...string) string {
	out, _ := exec.Command(cli, slices.Concat(s.cli, command)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

// Must is Do for a command that has to succeed with OK.
func (s *Server) Must(command ...string) {
	s.t.Helper()
	if out := s.Do(command...); out != "OK" {
		s.t.Fatalf("%v: %s", command, out)
	}
}

// Wait looks again and again until something has happened, for half a minute.
func Wait(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("did not happen: %s", what)
		}
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

// Sentinels starts n Sentinels that watch master under the name main, and waits until they know its replicas.
func Sentinels(t testing.TB, master *Server, n, replicas int) (addresses []string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(master.Addr)
	for i := range n {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		conf := fmt.Sprintf("sentinel monitor main %s %s %d\nsentinel down-after-milliseconds main 500\n"+
			"sentinel failover-timeout main 2000\nsentinel parallel-syncs main 1\n", host, port, n/2+1)
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinelPort := FreePort(t)
		s := &Server{t: t, Addr: "127.0.0.1:" + sentinelPort, cli: []string{"-p", sentinelPort}}
		s.args = []string{file, "--sentinel", "--port", sentinelPort, "--bind", "127.0.0.1"}
		t.Cleanup(s.Kill)
		s.Restart()
		addresses = append(addresses, s.Addr)
		Wait(t, fmt.Sprintf("Sentinel %d knows everybody", i), func() bool {
			if i < n-1 {
				return true
			}
			out := s.Do("SENTINEL", "MASTER", "main")
			return strings.Contains(out, fmt.Sprintf("num-slaves\n%d\n", replicas)) &&
				strings.Contains(out, fmt.Sprintf("num-other-sentinels\n%d\n", n-1))
		})
	}
	return addresses
}

// A node that is silent for half a minute is given up: on a busy machine one that is well can be silent for seconds.
var member = []string{"--cluster-enabled", "yes", "--cluster-node-timeout", "30000", "--cluster-require-full-coverage", "no"}

// FailsOver are arguments for nodes whose failover a test waits for.
var FailsOver = []string{"--cluster-node-timeout", "1000"}

// Cluster starts n masters that form a Cluster, with further arguments as on the command line.
func Cluster(t testing.TB, n int, args ...string) (nodes []*Server, addresses []string) {
	t.Helper()
	create := []string{"--cluster", "create"}
	for range n {
		s := Start(t, append(slices.Clone(member), args...)...)
		nodes, addresses = append(nodes, s), append(addresses, s.Addr)
	}
	out, err := exec.Command(cli, append(slices.Concat(create, addresses), "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range nodes {
		Wait(t, "the Cluster is up", func() bool {
			out := s.Do("CLUSTER", "INFO")
			return strings.Contains(out, "cluster_state:ok") && strings.Contains(out, fmt.Sprintf("cluster_known_nodes:%d", n))
		})
	}
	return nodes, addresses
}

// ClusterReplica starts a replica of a master of a Cluster that [FailsOver], which takes over however old its data are,
// and waits until it has everything and all nodes know it.
func ClusterReplica(t testing.TB, nodes []*Server, master *Server) *Server {
	t.Helper()
	r := Start(t, slices.Concat(member, FailsOver, []string{"--cluster-replica-validity-factor", "0"})...)
	out, err := exec.Command(cli, "--cluster", "add-node", r.Addr, master.Addr, "--cluster-slave",
		"--cluster-master-id", master.Do("CLUSTER", "MYID")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, port, _ := net.SplitHostPort(r.Addr)
	for _, s := range nodes {
		Wait(t, "the replica is known and in step", func() bool {
			return strings.Contains(s.Do("CLUSTER", "SLOTS"), port)
		})
	}
	return r
}

// Main runs the tests of a package for its TestMain, n at a time unless -parallel says otherwise: they wait for servers
// much longer than they compute.
func Main(m *testing.M, n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(n))
	}
	os.Exit(m.Run())
}

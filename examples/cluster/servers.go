package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/senderlock/senderlock/examples/internal/story"
)

// startInstance starts a process of the API. What it writes to its log goes to log.
func startInstance(s settings, secret string, log io.Writer) (address *url.URL, stop func() error, err error) {
	binary, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	command := exec.Command(binary, "api", s.name, s.origin, s.issuer, s.redis)
	command.Env = append(os.Environ(), secretEnv+"="+secret)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := command.Start(); err != nil {
		return nil, nil, err
	}
	stop = func() error { return errors.Join(input.Close(), command.Wait()) }
	lines := bufio.NewScanner(output)
	if !lines.Scan() {
		return nil, nil, errors.Join(fmt.Errorf("instance %s did not start", s.name), stop())
	}
	address = &url.URL{Scheme: "http", Host: lines.Text()}
	go func() {
		for lines.Scan() {
			_, _ = log.Write(lines.Bytes()) // what is no entry is of no interest
		}
	}()
	return address, stop, nil
}

// proxy sends requests to the instances in turn, and keeps Host, which proofs are made for.
type proxy struct {
	next      atomic.Uint64
	instances atomic.Pointer[[]*url.URL]
}

// lead leads requests to some instances from now on.
func (p *proxy) lead(instances ...*url.URL) { p.instances.Store(&instances) }

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to := *p.instances.Load()
	turn := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to[(p.next.Add(1)-1)%uint64(len(to))])
		r.Out.Host = r.In.Host
	}}
	turn.ServeHTTP(w, r)
}

// redis is a Redis of the program's own.
type redis struct {
	port, folder string
	process      *exec.Cmd
}

func startRedis() (*redis, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, errors.New("redis-server is not installed: apt-get install redis-server, or brew install redis")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &redis{}
	_, r.port, _ = net.SplitHostPort(listener.Addr().String())
	if err := listener.Close(); err != nil {
		return nil, err
	}
	if r.folder, err = os.MkdirTemp("", "cluster-"); err != nil {
		return nil, err
	}
	return r, r.start()
}

func (r *redis) url() string { return "redis://127.0.0.1:" + r.port }

// start starts Redis as one would for this use: what is said to be written is on disk.
func (r *redis) start() error {
	r.process = exec.Command("redis-server", "--port", r.port, "--bind", "127.0.0.1", "--dir", r.folder, "--save", "",
		"--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction")
	if err := r.process.Start(); err != nil {
		return err
	}
	for range 500 {
		if r.answers() {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("redis-server does not answer")
}

func (r *redis) answers() bool {
	conn, err := net.Dial("tcp", "127.0.0.1:"+r.port)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, "PING\r\n")
	answer, _ := bufio.NewReader(conn).ReadString('\n')
	return strings.HasPrefix(answer, "+PONG")
}

// kill ends Redis as a power failure would.
func (r *redis) kill() error {
	if err := r.process.Process.Kill(); err != nil {
		return err
	}
	_ = r.process.Wait() // killed, as was asked for
	return nil
}

func (r *redis) close() error {
	_ = r.process.Process.Kill()
	_ = r.process.Wait()
	return os.RemoveAll(r.folder)
}

// start starts everything on free ports of this machine.
func (s *stage) start() (err error) {
	if s.key, err = story.NewSigner(); err != nil {
		return err
	}
	if s.redis, err = startRedis(); err != nil {
		return err
	}
	s.Defer(s.redis.close)
	listener, address, err := s.Listen(0)
	if err != nil {
		return err
	}
	s.api = "http://" + address
	if err := s.startIssuer(); err != nil {
		return err
	}
	secret := rand.Text() + rand.Text()
	var instances []*url.URL
	for _, name := range []string{"one", "two"} {
		address, stop, err := startInstance(settings{name, s.api, s.issuer, s.redis.url()}, secret, s.Log)
		if err != nil {
			return err
		}
		s.Defer(stop)
		instances = append(instances, address)
	}
	s.proxy = &proxy{}
	s.proxy.lead(instances...)
	s.Serve(listener, s.proxy)
	return s.startRegions(secret)
}

// startRegions starts an instance in each of two regions, with a Redis of its own.
func (s *stage) startRegions(secret string) error {
	west, err := startRedis()
	if err != nil {
		return err
	}
	s.Defer(west.close)
	east, err := startRedis()
	if err != nil {
		return err
	}
	s.Defer(east.close)
	s.regions = map[string]*url.URL{}
	for name, at := range map[string]string{
		"west": west.url() + "?region=west&elsewhere=" + url.QueryEscape(east.url()+"?region=east"),
		"east": east.url() + "?region=east&elsewhere=" + url.QueryEscape(west.url()+"?region=west"),
	} {
		address, stop, err := startInstance(settings{name, s.api, s.issuer, at}, secret, s.Log)
		if err != nil {
			return err
		}
		s.Defer(stop)
		s.regions[name] = address
	}
	return nil
}

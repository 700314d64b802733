//go:build unix

package gateway_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
)

const (
	connections = 10_000
	files       = connections + 1000 // one end is in this process, and the other in a second one
)

// BenchmarkConnections holds 10,000 connections open that have asked once each, three times over, and reports what one of
// them takes in memory, and that the third time takes no more than the first.
func BenchmarkConnections(b *testing.B) {
	const rounds = 3
	if err := mayOpen(); err != nil {
		b.Skipf("NOT MEASURED: this process may not open %d files; raise ulimit -n: %v", files, err)
	}
	w := newWorld(b, func(c *access.Config) { c.Log = slog.New(slog.DiscardHandler) })
	w.service.answer = func(http.ResponseWriter, *http.Request) { w.service.last() } // which forgets
	server := httptest.NewUnstartedServer(w.proxyHandler([]gateway.Route{{Pattern: "/orders", Requirement: scoped}}))
	var open sync.WaitGroup
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			open.Add(1)
		case http.StateClosed:
			open.Done()
		}
	}
	server.Start()
	defer server.Close()
	token := w.token("orders:read")
	credentials := func() string { return strings.Join(w.headers("GET", "/orders", token), "\t") }
	hold(b, server, 1, credentials)() // what is made once is there
	for range b.N {
		var held [rounds]int64
		for round := range held {
			open.Wait()
			before := live()
			release := hold(b, server, connections, credentials)
			held[round] = live() - before
			release()
		}
		b.ReportMetric(float64(held[rounds-1])/connections, "B/connection")
		growth := float64(held[rounds-1]) / float64(held[0])
		b.ReportMetric(growth, "third-to-first")
		if growth > 1.25 {
			b.Errorf("memory grows: %d octets", held)
		}
	}
}

// mayOpen raises the limit of open files.
func mayOpen() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= files {
		return err
	}
	limit.Cur, limit.Max = files, max(limit.Max, files)
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

// holder is the variable that makes this program the other end of the connections.
const holder = "SENDERLOCK_TEST_HOLDS"

func TestMain(m *testing.M) {
	if address := os.Getenv(holder); address != "" {
		if err := holdOpen(address, os.Stdin); err != nil {
			fmt.Println(err)
		}
		return
	}
	code := m.Run()
	for _, end := range common.ends {
		end()
	}
	if classes.folder != "" {
		_ = os.RemoveAll(classes.folder)
	}
	os.Exit(code)
}

// hold has a second process ask n times, over as many connections, and returns what ends it and them.
func hold(b *testing.B, server *httptest.Server, n int, credentials func() string) (release func()) {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), holder+"="+server.Listener.Addr().String())
	in, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	release = func() {
		_ = in.Close()
		_ = command.Wait()
	}
	answers := bufio.NewScanner(out)
	for range n {
		_, _ = fmt.Fprintln(in, credentials())
		if answers.Scan(); answers.Text() != "200" {
			release()
			b.Fatalf("the other process says %q", answers.Text())
		}
	}
	return release
}

// holdOpen asks once for each line, which has the fields of a request, over a connection that stays open until there are no
// more lines.
func holdOpen(address string, lines io.Reader) error {
	var held []net.Conn
	for in := bufio.NewScanner(lines); in.Scan(); {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return err
		}
		held = append(held, conn)
		_ = conn.(*net.TCPConn).SetLinger(0) // so that its port is free at once
		fmt.Fprintf(conn, "GET /orders HTTP/1.1\r\nHost: api.example.com\r\n%s\r\n\r\n", strings.ReplaceAll(in.Text(), "\t", "\r\n"))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return err
		}
		fmt.Println(response.StatusCode)
	}
	for _, conn := range held {
		_ = conn.Close()
	}
	return nil
}

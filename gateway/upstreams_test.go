package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/fetched"
)

// language is one in which a service behind the gateway is written.
type language struct {
	program string
	service func(testing.TB) []string // its arguments
	// read are targets that its usual way to read paths makes /admin of, or /orders/admin, by the form that has to be
	// allowed.
	read map[gateway.PathForms]map[string]string
}

var languages = map[string]language{
	"Node": {"node", file("testdata/upstream.js"), map[gateway.PathForms]map[string]string{
		gateway.DotSegments: {"/orders/../admin": "/admin", "/orders/%2e%2e/admin": "/admin", "/orders/./admin": "/orders/admin"},
		gateway.Backslash:   {`/orders\admin`: "/orders/admin"},
	}},
	"Python": {"/usr/bin/python3", file("testdata/upstream.py"), map[gateway.PathForms]map[string]string{
		gateway.EncodedSlash: {"/orders%2fadmin": "/orders/admin"},
		gateway.Backslash:    {"/orders/%5cadmin": `/orders/\admin`},
		gateway.NUL:          {"/orders/admin%00": "/orders/admin\x00"},
	}},
	"Java": {"java", compiled, map[gateway.PathForms]map[string]string{
		gateway.Semicolon:      {"/orders;a=b/admin": "/orders/admin", "/orders/admin;/": "/orders/admin/"},
		gateway.EncodedSlash:   {"/orders%2Fadmin": "/orders/admin"},
		gateway.DoubleSlash:    {"/orders//admin": "/orders/admin"},
		gateway.DotSegments:    {"/orders/../admin": "/admin"},
		gateway.DoubleEncoding: {"/orders/%2561dmin": "/orders/%61dmin"},
	}},
}

func file(name string) func(testing.TB) []string {
	return func(testing.TB) []string { return []string{name} }
}

// java is how Java is to start: for a short life.
var java = []string{"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto"}

// classes is where Upstream.java is compiled to, once for all tests.
var classes = struct {
	once   sync.Once
	folder string
}{}

// compiled is the service in Java, by the compiler that java itself takes for a file with a source.
func compiled(t testing.TB) []string {
	t.Helper()
	classes.once.Do(func() {
		folder, err := os.MkdirTemp("", "classes")
		if err != nil {
			t.Fatal(err)
		}
		classes.folder = folder // which TestMain removes
		compile := append(slices.Clone(java), "-m", "jdk.compiler/com.sun.tools.javac.Main", "-d", folder, "testdata/Upstream.java")
		if out, err := exec.CommandContext(t.Context(), "java", compile...).CombinedOutput(); err != nil {
			t.Fatalf("testdata/Upstream.java: %v\n%s", err, out)
		}
	})
	return append(slices.Clone(java), "-cp", classes.folder, "Upstream")
}

// start starts the service for one test, and returns its origin and what ends when it does.
func (l language) start(t *testing.T) (string, <-chan struct{}) {
	t.Helper()
	origin, ended, end := l.run(t)
	t.Cleanup(end)
	return origin, ended
}

// shared is the origin of the service that all tests have which leave it alive.
func (l language) shared(t *testing.T) string {
	t.Helper()
	if common.origins[l.program] == "" {
		origin, _, end := l.run(t)
		common.origins[l.program], common.ends = origin, append(common.ends, end)
	}
	return common.origins[l.program]
}

// common are the services that tests share, and what ends them, which TestMain calls.
var common = struct {
	origins map[string]string // by the program
	ends    []func()
}{origins: map[string]string{}}

func (l language) run(t *testing.T) (origin string, ended <-chan struct{}, end func()) {
	t.Helper()
	command := exec.Command(fetched.Program(t, l.program), l.service(t)...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	line, err := bufio.NewReader(out).ReadString('\n')
	go func() {
		defer close(over)
		_, _ = io.Copy(io.Discard, out)
		_ = command.Wait()
	}()
	end = func() {
		_ = command.Process.Kill()
		<-over
	}
	_, port, found := strings.Cut(strings.TrimSpace(line), "listening on ")
	if !found {
		end()
		t.Fatalf("%s said %q, %v", l.program, line, err)
	}
	return "http://127.0.0.1:" + port, over, end
}

// served is a gateway in front of a service, which takes forms of paths.
func (w *world) served(upstream string, allow gateway.PathForms) *httptest.Server {
	return w.proxy([]gateway.Route{{Pattern: "/{path...}", Requirement: scoped, Allow: allow}},
		func(c *gateway.Config) { c.Upstream = upstream })
}

// Where a service would read another path than the gateway, the request is refused unless the route allows the form by
// name, and then it is forwarded octet for octet.
func TestServicesReadPaths(t *testing.T) {
	for name, l := range languages {
		t.Run(name, func(t *testing.T) {
			upstream := l.shared(t)
			w := newWorld(t)
			strict := w.served(upstream, 0)
			for form, targets := range l.read {
				lenient := w.served(upstream, form)
				for target, read := range targets {
					ask := func(server *httptest.Server) (int, string) {
						response := send(t, server, "GET", target, append(w.headers("GET", "/", w.token("orders:read")), "Connection: close"))
						body, _ := io.ReadAll(response.Body)
						return response.StatusCode, string(body)
					}
					service := &httptest.Server{Listener: address(upstream)}
					if status, body := ask(service); status != 200 || body != target+"\n"+read+"\n" {
						t.Errorf("%s: the service itself reads %d %q, want %q: the test shows nothing", target, status, body, read)
					}
					before := len(w.said())
					if status, _ := ask(strict); status != 400 || !strings.Contains(w.said()[before:], "path_ambiguous") {
						t.Errorf("%s: %d", target, status)
					}
					// With the form allowed, the Guard goes on to judge it: this proof is for another path.
					if status, _ := ask(lenient); status != 401 {
						t.Errorf("%s, allowed: %d", target, status)
					}
				}
			}
			status := send(t, strict, "GET", "/orders/a%20b?c=%2f", append(w.headers("GET", "/orders/a%20b", w.token("orders:read")), "Connection: close"))
			if body, _ := io.ReadAll(status.Body); string(body) != "/orders/a%20b?c=%2f\n/orders/a b\nuser-1" && string(body) != "/orders/a%20b?c=%2f\n/orders/a%20b\nuser-1" {
				t.Errorf("a good request: %d %q", status.StatusCode, body)
			}
		})
	}
}

// address is a listener of somebody else.
type address string

func (a address) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (a address) Close() error              { return nil }
func (a address) Addr() net.Addr            { return a }
func (a address) Network() string           { return "tcp" }
func (a address) String() string            { return strings.TrimPrefix(string(a), "http://") }

// A service that is killed is told as such: before its answer by 502, in the middle by an answer that has no end.
func TestServicesKilled(t *testing.T) {
	for name, l := range languages {
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/die", "/die/late"} {
				upstream, ended := l.start(t)
				w := newWorld(t)
				response := send(t, w.served(upstream, 0), "GET", target, w.headers("GET", target, w.token("orders:read")))
				n, err := io.Copy(io.Discard, response.Body)
				if target == "/die" && response.StatusCode != 502 || target != "/die" && (err == nil || n >= 1<<30) {
					t.Errorf("%s: %s, %d octets, %v", target, response.Status, n, err)
				}
				<-ended
			}
		})
	}
}

// eachLanguage runs a test with the origin of a service in each language.
func eachLanguage(t *testing.T, test func(t *testing.T, upstream string)) {
	for name, l := range languages {
		t.Run(name, func(t *testing.T) { test(t, l.shared(t)) })
	}
}

// An upload and its answer go on at the same time: the service answers each part before the next is sent.
func TestSlowUpload(t *testing.T) { eachLanguage(t, testSlowUpload) }

func testSlowUpload(t *testing.T, upstream string) {
	w := newWorld(t)
	server := w.served(upstream, 0)
	reader, writer := io.Pipe()
	r := w.request(t, server, "POST", "/upload", reader)
	answers := make(chan *http.Response, 1)
	go func() {
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
		}
		answers <- response
	}()
	if _, err := writer.Write(bytes.Repeat([]byte("a"), 100)); err != nil {
		t.Fatal(err)
	}
	response := <-answers
	if response == nil {
		return
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for part := range 20 {
		if part > 0 {
			_, _ = writer.Write(bytes.Repeat([]byte("a"), 100+part))
		}
		if !lines.Scan() || lines.Text() != fmt.Sprint(100+part) {
			t.Fatalf("part %d: %q, %v", part, lines.Text(), lines.Err())
		}
	}
	_ = writer.Close()
	if !lines.Scan() || lines.Text() != "end" {
		t.Errorf("%q, %v", lines.Text(), lines.Err())
	}
}

// request is one with good credentials.
func (w *world) request(t *testing.T, server *httptest.Server, method, target string, body io.Reader) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, server.URL+target, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "api.example.com"
	path, _, _ := strings.Cut(target, "?")
	for _, header := range w.headers(method, path, w.token("orders:read")) {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	return r
}

// A large download is not kept anywhere on its way.
func TestLargeDownload(t *testing.T) { eachLanguage(t, testLargeDownload) }

func testLargeDownload(t *testing.T, upstream string) {
	const size, most = 64 << 20, 16 << 20 // what is sent, and what may be held of it at any time
	w := newWorld(t)
	r := w.request(t, w.served(upstream, 0), "GET", fmt.Sprint("/download?size=", size), nil)
	before := live()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var held, n int64
	for buffer := make([]byte, 1<<20); err == nil; {
		var read int
		read, err = io.ReadFull(response.Body, buffer)
		if n += int64(read); n%(8<<20) == 0 {
			held = max(held, live()-before)
		}
	}
	if n != size || err != io.EOF {
		t.Errorf("%d of %d octets, %v", n, size, err)
	}
	if held > most {
		t.Errorf("the heap grew by %d octets", held)
	}
}

// live is what the program holds in memory.
func live() int64 {
	runtime.GC()
	runtime.GC() // pools let go at the second
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return int64(memory.HeapAlloc + memory.StackInuse)
}

// A WebSocket goes through in both directions. The server that comes with Java has none.
func TestWebSocket(t *testing.T) {
	for _, name := range []string{"Node", "Python"} {
		t.Run(name, func(t *testing.T) {
			upstream, _ := languages[name].start(t) // that of Python ends with it
			testWebSocket(t, upstream)
		})
	}
}

func testWebSocket(t *testing.T, upstream string) {
	w := newWorld(t)
	server := w.served(upstream, 0)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	headers := append(w.headers("GET", "/chat", w.token("orders:read")), "Connection: Upgrade", "Upgrade: websocket")
	fmt.Fprintf(conn, "GET /chat HTTP/1.1\r\nHost: api.example.com\r\n%s\r\n\r\n", strings.Join(headers, "\r\n"))
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(response, err)
	}
	for i := range 10 {
		said := fmt.Sprintf("message %d\n", i)
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
		if heard, err := reader.ReadString('\n'); heard != said {
			t.Fatalf("heard %q, %v", heard, err)
		}
	}
}

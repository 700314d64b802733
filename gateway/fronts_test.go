package gateway_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/internal/fetched"
	"github.com/senderlock/senderlock/internal/proxytest"
)

// front is a proxy that the tests start, with the settings of docs/gateway.md.
type front struct {
	preset gateway.Preset
	uri    string // the field in which it names the target
	field  string // in which it hands a certificate on
	http2  bool
	start  func(*world, ...gateway.Route) *httptest.Server
}

var fronts = []front{
	{gateway.NGINX, "X-Original-Uri", "X-SSL-Client-Cert", true, (*world).nginx},
	{gateway.HAProxy, "X-Original-Uri", "Client-Cert", false, (*world).haproxy},
	{gateway.Caddy, "X-Forwarded-Uri", "Client-Cert", true, (*world).caddy},
}

// eachFront runs a test behind each proxy.
func eachFront(t *testing.T, test func(t *testing.T, f front)) {
	for _, f := range fronts {
		t.Run(string(f.preset), func(t *testing.T) { test(t, f) })
	}
}

// eachProxy runs a test behind each proxy, and behind the stand-ins for those that cannot be had.
func eachProxy(t *testing.T, test func(t *testing.T, f front)) {
	eachFront(t, test)
	for _, f := range contracts {
		t.Run(string(f.preset), func(t *testing.T) { test(t, f) })
	}
}

// nginx starts nginx in front of a service, with forward authentication beside it.
func (w *world) nginx(routes ...gateway.Route) *httptest.Server {
	return w.nginxAsking(httptest.NewServer(w.forward(gateway.NGINX, loopback, routes...)))
}

// nginxAsking is nginx that asks somebody else.
func (w *world) nginxAsking(asked *httptest.Server) *httptest.Server {
	listener := listen(w.t)
	proxytest.NGINX.Run(w.t, listener, w.t.TempDir(), w.settingsAsking(gateway.NGINX, listener, asked))
	return &httptest.Server{Listener: listener}
}

// haproxy is HAProxy likewise.
func (w *world) haproxy(routes ...gateway.Route) *httptest.Server {
	program, listener := fetched.Program(w.t, "haproxy"), listen(w.t)
	settings := w.settings(gateway.HAProxy, listener, routes)
	script, err := filepath.Abs("../cmd/senderlock/haproxy/senderlock.lua")
	if err != nil {
		w.t.Fatal(err)
	}
	settings = strings.NewReplacer(
		"/etc/haproxy/senderlock.lua", script, "bind "+listener.Addr().String(), "bind fd@3",
		"setenv SENDERLOCK", "setenv "+w.broken+"SENDERLOCK",
		"global\n", "global\n\tnbthread 1\n\tlog stderr format raw local0\n").Replace(settings)
	w.startFront(exec.Command(program, "-db", "-f", write(w.t, "haproxy.cfg", settings+"\n")), listener)
	return &httptest.Server{Listener: listener}
}

// caddy is Caddy likewise. It takes no socket that is open already, so somebody else may take the port first.
func (w *world) caddy(routes ...gateway.Route) *httptest.Server {
	for range 5 {
		if server := w.caddyOnce(routes); server != nil {
			return server
		}
	}
	w.t.Fatal("Caddy does not start")
	return nil
}

func (w *world) caddyOnce(routes []gateway.Route) *httptest.Server {
	program, listener := fetched.Program(w.t, "caddy"), listen(w.t)
	settings := w.settings(gateway.Caddy, listener, routes)
	settings = strings.Replace(settings, "{\n", "{\n\tadmin off\n", 1)
	_ = listener.Close()
	command := exec.Command(program, "run", "--config", write(w.t, "Caddyfile", settings), "--adapter", "caddyfile")
	command.Env = append(os.Environ(), "HOME="+w.t.TempDir(), "XDG_CONFIG_HOME=", "XDG_DATA_HOME=")
	if !w.startFront(command, nil).says("serving initial configuration") {
		return nil
	}
	return &httptest.Server{Listener: listener}
}

// settings are those of docs/gateway.md for a proxy, with the addresses of this test.
func (w *world) settings(preset gateway.Preset, listener net.Listener, routes []gateway.Route) string {
	w.t.Helper()
	return w.settingsAsking(preset, listener, httptest.NewServer(w.forward(preset, loopback, routes...)))
}

// settingsAsking are those with somebody else to ask.
func (w *world) settingsAsking(preset gateway.Preset, listener net.Listener, asked *httptest.Server) string {
	w.t.Helper()
	w.asked = asked
	w.t.Cleanup(asked.Close)
	settings := w.withTLS(string(preset), w.block(string(preset)))
	_, port, _ := strings.Cut(listener.Addr().String(), ":")
	for from, to := range map[string]string{
		":8080": ":" + port, "127.0.0.1:8081": w.asked.Listener.Addr().String(), "127.0.0.1:3000": w.service.Listener.Addr().String(),
	} {
		if !strings.Contains(settings, from) {
			w.t.Fatalf("docs/gateway.md: %s is not in the settings of %s", from, preset)
		}
		settings = strings.ReplaceAll(settings, from, to)
	}
	return settings
}

// withTLS takes what the settings say of a listener with TLS if the world has a certificate for it, and else what they
// say of one without.
func (w *world) withTLS(preset, settings string) string {
	if w.tls == "" {
		return settings
	}
	return strings.NewReplacer("/etc/"+preset+"/api.pem", w.tls, ":443", "127.0.0.1:8080", "listen 443", "listen 127.0.0.1:8080").
		Replace(with("TLS", settings))
}

// block is that of docs/gateway.md, with CORS if the world has an origin for it.
func (w *world) block(language string) string {
	settings := block(w.t, language)
	if w.cors == "" {
		return settings
	}
	return with("CORS_ORIGIN", settings)
}

// with takes the lines of settings that are for a setting of ours, and leaves out those that are for without.
func with(what, settings string) string {
	var kept []string
	for line := range strings.Lines(settings + "\n") {
		if strings.HasSuffix(line, "# without "+what+"\n") {
			continue
		}
		if space, with, ok := strings.Cut(line, "# with "+what+": "); ok {
			line = space + with
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}

// running is a program that the test has started.
type running struct {
	said bytes.Buffer
	mu   sync.Mutex
	more *sync.Cond
	over bool
}

// startFront starts a proxy, with a socket as descriptor 3 if there is one, so that clients can connect from the start.
func (w *world) startFront(command *exec.Cmd, listener net.Listener) *running {
	w.t.Helper()
	r := &running{}
	r.more = sync.NewCond(&r.mu)
	if listener != nil {
		socket, err := listener.(*net.TCPListener).File()
		if err != nil {
			w.t.Fatal(err)
		}
		defer socket.Close()
		defer listener.Close()
		command.ExtraFiles = []*os.File{socket}
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	command.Stdout, command.Stderr = writer, writer
	if err := command.Start(); err != nil {
		w.t.Fatal(err)
	}
	_ = writer.Close()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		r.read(reader)
	}()
	w.t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-heard
		_ = command.Wait()
		if w.t.Failed() {
			w.t.Logf("%s says\n%s", filepath.Base(command.Path), &r.said)
		}
	})
	return r
}

func (r *running) read(from io.ReadCloser) {
	defer from.Close()
	for lines := bufio.NewScanner(from); lines.Scan(); {
		r.mu.Lock()
		fmt.Fprintln(&r.said, lines.Text())
		r.mu.Unlock()
		r.more.Broadcast()
	}
	r.mu.Lock()
	r.over = true
	r.mu.Unlock()
	r.more.Broadcast()
}

// says waits until the program has said something, and reports whether it did before it ended.
func (r *running) says(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !strings.Contains(r.said.String(), text) {
		if r.over {
			return false
		}
		r.more.Wait()
	}
	return true
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func write(t testing.TB, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// block is the first block of code of a language in docs/gateway.md.
func block(t testing.TB, language string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "gateway.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "\n```"+language+"\n")
	code, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("docs/gateway.md has no block of %s", language)
	}
	return code
}

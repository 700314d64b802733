// Package proxytest runs proxies for tests, each on a listener that the test opened: so clients can connect from the start,
// and no port is lost to another process.
package proxytest

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/internal/fetched"
)

// Program is a proxy that may be installed.
type Program struct {
	// Name is that of the program and of its Debian package.
	Name  string
	frame string // what a complete configuration has besides
	args  []string
}

// NGINX takes settings of its block http, and the listener's address in listen.
var NGINX = Program{
	"nginx", `daemon off; worker_processes 1; pid {{folder}}/pid; error_log stderr; events {}
		http {
			access_log off; client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy;
			fastcgi_temp_path {{folder}}/fastcgi; uwsgi_temp_path {{folder}}/uwsgi; scgi_temp_path {{folder}}/scgi;
			{{settings}}
		}`, []string{"-e", "stderr", "-c"},
}

// HAProxy takes sections behind defaults, and the listener as fd@3 in bind.
var HAProxy = Program{
	"haproxy", `
defaults
    timeout connect 10s
    timeout client 10s
    timeout server 10s

{{settings}}
`, []string{"-db", "-f"},
}

// Run runs the proxy until the test and its parallel ones have ended. It closes the listener, which the proxy alone has
// then, and puts {{folder}} of the settings into a folder for files of its own.
func (p Program) Run(t testing.TB, listener net.Listener, folder, settings string) {
	t.Helper()
	program := fetched.Program(t, p.Name)
	complete := strings.ReplaceAll(strings.Replace(p.frame, "{{settings}}", settings, 1), "{{folder}}", folder)
	file := filepath.Join(folder, "configuration")
	if err := os.WriteFile(file, []byte(complete), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var says bytes.Buffer
	command := exec.Command(program, append(p.args, file)...)
	command.Stdout, command.Stderr = &says, &says
	command.ExtraFiles = []*os.File{socket}        // descriptor 3
	command.Env = append(os.Environ(), "NGINX=3;") // which nginx learns by this
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait() // a proxy that could not start has failed the test already
		if t.Failed() {
			t.Logf("%s with\n%s\nsays\n%s", program, complete, &says)
		}
	})
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}

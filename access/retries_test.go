package access_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// What docs/proxies.md says of nginx that sends a request twice, with nginx in front of two servers that share a memory of
// proofs. The first has accepted the request when it falls silent or breaks the connection, or it is not there at all; the
// second answers.
func TestNGINXThatTriesAgain(t *testing.T) {
	program := nginxProgram(t)
	page, err := os.ReadFile(filepath.Join("..", "docs", "proxies.md"))
	if err != nil {
		t.Fatal(err)
	}
	var advised []string
	for _, m := range regexp.MustCompile("`(proxy_next_upstream [a-z ]+);?`").FindAllStringSubmatch(string(page), -1) {
		advised = append(advised, m[1])
	}
	const usual, off, broken = "proxy_next_upstream error timeout", "proxy_next_upstream off", "proxy_next_upstream error"
	if !slices.Equal(advised, []string{usual, off, broken}) {
		t.Fatalf("docs/proxies.md advises %q", advised)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	origin := "http://" + listener.Addr().String()
	s := newGuard(t, func(s *setup) { s.Origins = []string{origin} })
	first := func(then func(http.ResponseWriter, *http.Request)) string {
		server := httptest.NewServer(s.Handler(http.HandlerFunc(then)))
		t.Cleanup(server.Close)
		return server.Listener.Addr().String()
	}
	firsts := map[string]string{
		"silent": first(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"breaks": first(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"gone":   "127.0.0.1:1", // of a protocol that nobody speaks any more
	}
	second := first(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the second") })

	settings := &strings.Builder{}
	for name, address := range firsts {
		fmt.Fprintf(settings, "upstream %s { server %s max_fails=0; server %s backup; }\n", name, address, second)
	}
	fmt.Fprintf(settings, "server { listen %s; proxy_set_header Host $http_host; proxy_read_timeout 5s;\n", listener.Addr())
	for i, setting := range []string{usual, off, broken} {
		for name := range firsts {
			fmt.Fprintf(settings, "location /%d/%s { proxy_pass http://%[2]s; %[3]s; }\n", i, name, setting)
		}
	}
	runNGINX(t, program, listener, settings.String()+"}")

	for i, setting := range []string{usual, off, broken} {
		want := map[string]map[string]string{
			usual:  {"silent": "401 proof_replayed", "breaks": "401 proof_replayed", "gone": "200"},
			off:    {"silent": "504", "breaks": "502", "gone": "502"},
			broken: {"silent": "504", "breaks": "401 proof_replayed", "gone": "200"},
		}[setting]
		for name := range firsts {
			t.Run(setting+", "+name, func(t *testing.T) {
				t.Parallel()
				token, at := poptest.Token{JKT: poptest.ClientKey().Thumbprint()}.String(), fmt.Sprintf("%s/%d/%s", origin, i, name)
				r, err := http.NewRequest("GET", at, nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "DPoP "+token)
				r.Header.Set("DPoP", poptest.Proof{Token: token, URL: at}.String())
				response, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				defer response.Body.Close()
				body, _ := io.ReadAll(response.Body)
				got := fmt.Sprint(response.StatusCode)
				if strings.Contains(string(body), dpop.ErrReplayed.Text) {
					got += " proof_replayed"
				}
				if got != want[name] || response.StatusCode == 200 && string(body) != "the second" {
					t.Errorf("got %s %s, want %s", got, body, want[name])
				}
			})
		}
	}
}

func nginxProgram(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} { // not in every user's PATH
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("nginx is not installed, and CI is true: install the package nginx")
	}
	t.Skip("NOT TESTED: nginx is not installed; install the package nginx")
	return ""
}

// runNGINX starts nginx on a listener, until the test and its parallel ones have ended.
func runNGINX(t *testing.T, program string, listener net.Listener, settings string) {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "nginx.conf")
	text := strings.NewReplacer("{{folder}}", folder, "{{settings}}", settings).Replace(`
		daemon off; worker_processes 1; pid {{folder}}/pid; error_log stderr; events {}
		http {
			access_log off; client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy;
			fastcgi_temp_path {{folder}}/fastcgi; uwsgi_temp_path {{folder}}/uwsgi; scgi_temp_path {{folder}}/scgi;
			{{settings}}
		}`)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	socket, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var says bytes.Buffer
	command := exec.Command(program, "-e", "stderr", "-c", file)
	command.Stdout, command.Stderr = &says, &says
	command.ExtraFiles = []*os.File{socket}        // descriptor 3, so that clients can connect from the start
	command.Env = append(os.Environ(), "NGINX=3;") // which nginx learns by this
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		if t.Failed() {
			t.Logf("nginx says\n%s", &says)
		}
	})
}

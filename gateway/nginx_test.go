package gateway_test

import (
	"bytes"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
)

// nginx starts nginx with the settings of docs/gateway.md in front of a service, with forward authentication beside it.
func (w *world) nginx(routes ...gateway.Route) *httptest.Server {
	t := w.t
	t.Helper()
	program := find(t, "nginx")
	asked := httptest.NewServer(w.forward(gateway.NGINX, loopback, routes...))
	t.Cleanup(asked.Close)
	settings := block(t, "nginx")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for from, to := range map[string]string{
		"127.0.0.1:8080": listener.Addr().String(), "127.0.0.1:8081": asked.Listener.Addr().String(),
		"127.0.0.1:3000": w.service.Listener.Addr().String(),
	} {
		if !strings.Contains(settings, from) {
			t.Fatalf("docs/gateway.md: %s is not in the settings of nginx", from)
		}
		settings = strings.ReplaceAll(settings, from, to)
	}
	folder := t.TempDir()
	complete := strings.NewReplacer("{{folder}}", folder, "{{settings}}", settings).Replace(`
		daemon off; worker_processes 1; pid {{folder}}/pid; error_log stderr; events {}
		http {
			access_log off; client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy;
			fastcgi_temp_path {{folder}}/fastcgi; uwsgi_temp_path {{folder}}/uwsgi; scgi_temp_path {{folder}}/scgi;
			{{settings}}
		}`)
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(complete), 0o600); err != nil {
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
	return &httptest.Server{Listener: listener}
}

// block is the first block of code of a language in docs/gateway.md.
func block(t *testing.T, language string) string {
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

// find finds a program that the test starts.
func find(t *testing.T, program string) string {
	t.Helper()
	for _, path := range []string{program, "/usr/sbin/" + program} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed, and CI is set: install the package %[1]s", program)
	}
	t.Skipf("NOT TESTED: %s is not installed; install the package %[1]s", program)
	return ""
}

// Through nginx a request gets the answer that the Guard gives, and the service learns who is calling from the gateway
// alone.
func TestThroughNGINX(t *testing.T) {
	w := newWorld(t)
	server := w.nginx(
		gateway.Route{Pattern: "GET /orders/{id}", Requirement: scoped},
		gateway.Route{Pattern: "POST /orders", Requirement: access.Requirement{Scopes: []string{"orders:write"}}},
		gateway.Route{Pattern: "GET /nonce", Requirement: access.Requirement{Nonce: true}},
		gateway.Route{Pattern: "GET /public", Public: true},
		gateway.Route{Pattern: "GET /forms/{path...}", Public: true, Allow: gateway.EncodedSlash},
	)
	token := w.token("orders:read")
	for name, test := range map[string]struct {
		method, target string
		headers        []string
		status         int
		challenge      string
	}{
		"owner":                {"GET", "/orders/7?a=b", w.headers("GET", "/orders/7", token), 200, ""},
		"no credentials":       {"GET", "/orders/7", []string{"Accept: */*"}, 401, "DPoP scope="},
		"two credentials":      {"GET", "/orders/7", append(w.headers("GET", "/orders/7", token), "Authorization: Bearer a"), 400, ""},
		"a proof of another":   {"GET", "/orders/7", w.headers("GET", "/orders/8", token), 401, `error="invalid_dpop_proof"`},
		"of another method":    {"GET", "/orders/7", w.headers("HEAD", "/orders/7", token), 401, `error="invalid_dpop_proof"`},
		"bound as bearer":      {"GET", "/orders/7", []string{"Authorization: Bearer " + token}, 401, "DPoP algs="},
		"scope missing":        {"POST", "/orders", append(w.headers("POST", "/orders", token), "Content-Length: 0"), 403, `error="insufficient_scope"`},
		"a nonce wanted":       {"GET", "/nonce", w.headers("GET", "/nonce", token), 401, `error="use_dpop_nonce"`},
		"public":               {"GET", "/public", []string{"Accept: */*"}, 200, ""},
		"unlisted":             {"GET", "/admin", w.headers("GET", "/admin", token), 404, ""},
		"unlisted method":      {"DELETE", "/public", []string{"Accept: */*"}, 405, ""},
		"of two readings":      {"GET", "/orders/a%2fb", w.headers("GET", "/orders/a%2fb", token), 400, ""},
		"allowed by the route": {"GET", "/forms/a%2fb%20c", []string{"Accept: */*"}, 200, ""},
		"the client's own":     {"GET", "/public", smuggled, 200, ""},
		"beside good ones":     {"GET", "/orders/7", append(w.headers("GET", "/orders/7", token), smuggled...), 200, ""},
		"another URI":          {"GET", "/orders/7", append(w.headers("GET", "/orders/7", token), "X-Forwarded-Uri: /public"), 400, ""},
		"the preset's fields":  {"GET", "/orders/7", []string{"X-Original-URI: /public", "X-Original-Method: GET"}, 401, "DPoP scope="},
		"straight to the question": {
			"GET", "/senderlock", []string{"X-Original-URI: /public", "X-Original-Method: GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: api.example.com"}, 404, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			response := send(t, server, test.method, test.target, test.headers)
			got := w.service.last()
			if response.StatusCode != test.status || !strings.Contains(response.Header.Get("WWW-Authenticate"), test.challenge) ||
				len(response.Header["Www-Authenticate"]) > 1 {
				t.Errorf("%d %v, want %d", response.StatusCode, response.Header, test.status)
			}
			if (got != nil) != (test.status == 200) {
				t.Fatalf("forwarded: %t", got != nil)
			}
			if got == nil {
				return
			}
			if got.RequestURI != test.target || got.Method != test.method {
				t.Errorf("the service got %s %s", got.Method, got.RequestURI)
			}
			want := ""
			if test.target != "/public" && !strings.HasPrefix(test.target, "/forms") {
				want = "user-1"
			}
			if subjects := strings.Join(got.Header.Values(gateway.FieldSubject), ","); subjects != want {
				t.Errorf("subject %q, want %q", subjects, want)
			}
			if (got.Header.Get(gateway.FieldAssertion) == "") != (want == "") || got.Header.Get("Authorization") != "" || got.Header.Get("DPoP") != "" {
				t.Errorf("the service got %v", got.Header)
			}
			for field, values := range got.Header {
				if strings.Contains(strings.Join(values, " "), "evil") {
					t.Errorf("the service got %s: %s", field, values)
				}
			}
		})
	}
}

// smuggled is what a client sends to be taken for another.
var smuggled = []string{
	"X-Senderlock-Subject: evil", "x-senderlock-client: evil", "X_Senderlock_Subject: evil", "X-Senderlock_Subject: evil",
	"X-Senderlock-Assertion: evil", "X-Senderlock-Scope: evil", "Connection: X-Senderlock-Subject, X-Senderlock-Assertion",
	"X-HTTP-Method-Override: evil", "X-Forwarded-For: evil", "Forwarded: for=evil",
}

// A nonce reaches the client: with the challenge, and on success.
func TestNGINXNonces(t *testing.T) {
	w := newWorld(t, func(c *access.Config) { c.RequireNonce, c.Nonces.EveryAnswer = true, true })
	server := w.nginx(gateway.Route{Pattern: "GET /orders/{id}"})
	token := w.token()
	response := send(t, server, "GET", "/orders/7", w.headers("GET", "/orders/7", token))
	nonce := response.Header.Values("DPoP-Nonce")
	if response.StatusCode != 401 || len(nonce) != 1 {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	r := w.client.SignWithNonce(httptest.NewRequest("GET", senderlocktest.Origin+"/orders/7", nil), token, nonce[0])
	response = send(t, server, "GET", "/orders/7", []string{"Authorization: " + r.Header.Get("Authorization"), "DPoP: " + r.Header.Get("DPoP")})
	if response.StatusCode != 200 || len(response.Header.Values("DPoP-Nonce")) != 1 {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
}

// A proof counts once, whichever way it comes, and our own trouble is 503.
func TestNGINXReplayAndTrouble(t *testing.T) {
	w := newWorld(t)
	server := w.nginx(gateway.Route{Pattern: "GET /orders/{id}"})
	headers := w.headers("GET", "/orders/7", w.token())
	for i, want := range []int{200, 401} {
		if response := send(t, server, "GET", "/orders/7", headers); response.StatusCode != want {
			t.Errorf("request %d: %d", i+1, response.StatusCode)
		}
	}
	again := w.headers("GET", "/orders/7", w.issuer.Token(senderlocktest.Token{Client: w.client}))
	_ = w.guard.Close()
	if response := send(t, server, "GET", "/orders/7", again); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("with the Guard closed: %d %v", response.StatusCode, response.Header)
	}
}

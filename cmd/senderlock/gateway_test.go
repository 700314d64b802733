package main_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
)

// server is a running gateway or forward-auth, with an issuer, a client and a service.
type server struct {
	t       *testing.T
	command *exec.Cmd
	url     string
	lines   chan map[string]any
	issuer  *senderlocktest.Issuer
	client  *senderlocktest.Client
	service *httptest.Server

	mu    sync.Mutex
	asked http.Header
	held  chan struct{} // while it is open, requests for /public?held are not answered
	came  chan struct{} // by which they are told
}

const testOrigin = "http://api.test"

// config is a file of settings; %ISSUER% and %SERVICE% are filled in.
const config = `
issuer: %ISSUER%
audience: https://api.example.com
public_origins: [http://api.test]
port: 0
shutdown_delay: 0
upstream: %SERVICE%
routes:
  - GET /orders/{id} scopes=orders:read
  - GET /public public
`

func newServer(t *testing.T) *server {
	t.Helper()
	clock := senderlocktest.NewClock()
	s := &server{t: t, issuer: senderlocktest.NewIssuer(clock), client: senderlocktest.NewClient(clock), lines: make(chan map[string]any, 1000)}
	t.Cleanup(func() { s.issuer.Close() })
	s.held, s.came = make(chan struct{}), make(chan struct{})
	s.service = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "held" {
			s.came <- struct{}{}
			<-s.held
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = r.Header
	}))
	t.Cleanup(s.service.Close)
	return s
}

// write writes a file of settings.
func (s *server) write(path, text string) string {
	s.t.Helper()
	text = strings.NewReplacer("%ISSUER%", s.issuer.URL(), "%SERVICE%", s.service.URL).Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// run starts the program and waits until it listens.
func (s *server) run(args ...string) {
	s.t.Helper()
	s.command = newUser(s.t).start(s.t.Context(), args...)
	out, err := s.command.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	s.command.Stderr = os.Stderr
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var line map[string]any
			if json.Unmarshal(lines.Bytes(), &line) == nil {
				s.lines <- line
			}
		}
	}()
	s.url = "http://" + s.hears("listening")["address"].(string)
	s.t.Cleanup(func() {
		_ = s.command.Process.Kill()
		_ = s.command.Wait()
	})
}

// hears waits for a line of the log.
func (s *server) hears(message string) map[string]any {
	s.t.Helper()
	for line := range s.lines {
		if line["msg"] == message {
			return line
		}
	}
	s.t.Fatalf("the program ended without saying %q", message)
	return nil
}

// get sends a request with a proof, with a nonce if there is one, and returns the answer and the newest nonce.
func (s *server) get(path, token, nonce string) *http.Response {
	s.t.Helper()
	r := httptest.NewRequest("GET", testOrigin+path, nil)
	if token != "" {
		s.client.SignWithNonce(r, token, nonce)
	}
	return s.send(r)
}

// request is one without credentials.
func (s *server) request(method, target string) *http.Request {
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+target, nil)
	if err != nil {
		panic(err)
	}
	r.Host = strings.TrimPrefix(testOrigin, "http://")
	return r
}

// send sends a request to the program, whatever origin it is for.
func (s *server) send(r *http.Request) *http.Response {
	s.t.Helper()
	out, err := http.NewRequestWithContext(s.t.Context(), r.Method, s.url+r.URL.RequestURI(), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	out.Host, out.Header = r.Host, r.Header
	response, err := http.DefaultClient.Do(out)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

func (s *server) told(field string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked.Get(field)
}

// The program protects a service that knows nothing of any of this, from a file alone.
func TestGateway(t *testing.T) {
	s := newServer(t)
	s.run("gateway", "--config", s.write(filepath.Join(t.TempDir(), "gateway.yaml"), config))
	token := s.issuer.Token(senderlocktest.Token{Client: s.client, Scopes: []string{"orders:read"}})
	nonce := s.get("/orders/7", token, "").Header.Get("DPoP-Nonce")
	if s.get("/orders/7", token, nonce).StatusCode != 200 { // which needs the keys of the issuer, and so does being ready
		s.t.Fatal("the owner is refused")
	}
	for name, test := range map[string]struct {
		path, token string
		want        int
		subject     string
	}{
		"owner":          {"/orders/7", token, 200, "user-1"},
		"no credentials": {"/orders/7", "", 401, ""},
		"public":         {"/public", "", 200, ""},
		"unlisted":       {"/admin", token, 404, ""},
		"the keys":       {"/.well-known/senderlock/jwks.json", "", 200, ""},
		"ready":          {"/.well-known/senderlock/ready", "", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s.mu.Lock()
			s.asked = nil
			s.mu.Unlock()
			response := s.get(test.path, test.token, nonce)
			if subject := s.told(gateway.FieldSubject); response.StatusCode != test.want || subject != test.subject {
				t.Errorf("%d, subject %q", response.StatusCode, subject)
			}
		})
	}
	if runtime.GOOS == "windows" {
		return // nothing tells it to end
	}
	if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.hears("ending")
	if err := s.command.Wait(); err != nil {
		t.Errorf("ended with %v", err)
	}
}

// A route may come from the command line, and the rest from the environment.
func TestGatewayFlags(t *testing.T) {
	s := newServer(t)
	t.Setenv("ISSUER", s.issuer.URL())
	t.Setenv("AUDIENCE", "https://api.example.com")
	t.Setenv("PUBLIC_ORIGINS", testOrigin)
	t.Setenv("PORT", "0")
	s.run("gateway", "--upstream", s.service.URL, "--route", "GET /a public", "--route", "/b")
	for path, want := range map[string]int{"/a": 200, "/b": 401, "/c": 404} {
		if response := s.get(path, "", ""); response.StatusCode != want {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
	}
}

// The bearer list, report-only and the admin port are those of the library, in both programs.
func TestGatewayRollout(t *testing.T) {
	for _, program := range []string{"gateway", "forward-auth"} {
		t.Run(program, func(t *testing.T) { testRollout(t, program) })
	}
}

func testRollout(t *testing.T, program string) {
	s := newServer(t)
	more := "bearer: [clients=old-app; until=2037-06-30]\nreport_only: [bound]\nadmin_port: 0\n"
	if program == "forward-auth" {
		more += "forward_auth: traefik\ntrusted_proxies: 127.0.0.1\n"
	}
	s.run(program, "--config", s.write(filepath.Join(t.TempDir(), "gateway.yaml"), config+more))
	address, _ := s.hears("listening")["address"].(string)
	bearer := func(client string) *http.Request {
		r := httptest.NewRequest("GET", testOrigin+"/orders/7", nil)
		r.Header.Set("Authorization", "Bearer "+s.issuer.Token(senderlocktest.Token{Subject: "user-2", ClientID: client, Scopes: []string{"orders:read"}}))
		if program == "forward-auth" {
			for name, value := range map[string]string{"Method": "GET", "Uri": "/orders/7", "Proto": "http", "Host": "api.test"} {
				r.Header.Set("X-Forwarded-"+name, value)
			}
		}
		return r
	}
	refused := func(r *http.Request, reason string) {
		t.Helper()
		response := s.send(r)
		if line := s.hears("request refused"); response.StatusCode != 401 || line["reason"] != reason {
			t.Errorf("%d, said %v, want %s", response.StatusCode, line, reason)
		}
	}
	ask := func(method, path, body string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+address+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		said, err := io.ReadAll(response.Body)
		if err != nil || response.StatusCode != 200 {
			t.Fatalf("%s: %s %s", path, response.Status, said)
		}
		return string(said)
	}
	refused(bearer("another"), "token_unbound")
	listed := bearer("old-app")
	if response := s.send(listed); response.StatusCode != 200 {
		t.Errorf("a client that is listed: %d", response.StatusCode)
	}
	line := s.hears("request accepted")
	if would, _ := line["would"].(map[string]any); line["client"] != "old-app" || would["reason"] != "token_unbound" {
		t.Errorf("said %v", line)
	}
	if counted := ask("GET", "/clients", ""); !strings.Contains(counted, `"client":"old-app"`) || !strings.Contains(counted, `"token_unbound":1`) {
		t.Errorf("counted: %s", counted)
	}
	ask("POST", "/revoke", `{"by":"subject","value":"user-2"}`)
	refused(listed, "subject_revoked")
}

// SIGHUP reads the settings anew. What was accepted before is not accepted again, and a broken file changes nothing.
func TestGatewayReload(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: there is no SIGHUP on Windows")
	}
	s := newServer(t)
	file := s.write(filepath.Join(t.TempDir(), "gateway.yaml"), config)
	s.run("gateway", "--config", file)
	token := s.issuer.Token(senderlocktest.Token{Client: s.client, Scopes: []string{"orders:read"}})
	nonce := s.get("/orders/7", token, "").Header.Get("DPoP-Nonce")
	used := s.client.SignWithNonce(httptest.NewRequest("GET", testOrigin+"/orders/7", nil), token, nonce)
	if response := s.send(used); response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	for _, test := range []struct {
		name string
		text string
		says string
		kept any    // the Guard; nil: nothing was read
		want string // in the log
		news int    // of /news
	}{
		{"a route more", config + "  - GET /news public\n", "settings were read anew", true, "", 200},
		{"another Guard", config + "  - GET /news public\nkey_refresh: 10m\n", "settings were read anew", false, "", 200},
		{"a broken file", config + "  - GET /news public\nroutes: []\n", "settings were not read anew; those before hold", nil, "is in line", 404},
		{"a wrong route", config + "  - GET /news scope=a\n", "settings were not read anew; those before hold", nil, "scope is not understood", 404},
		{"routes in conflict", config + "  - GET /public public\n", "settings were not read anew; those before hold", nil, "conflicts with pattern", 404},
		{"another port", strings.Replace(config, "port: 0", "port: 1", 1), "settings were not read anew; those before hold", nil, "PORT has changed", 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, text := range []string{config, test.text} {
				s.write(file, text)
				if err := s.command.Process.Signal(syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
				if text == config {
					s.hears("settings were read anew")
				}
			}
			line := s.hears(test.says)
			cause, _ := line["cause"].(string)
			if !strings.Contains(cause, test.want) || line["guard_kept"] != test.kept {
				t.Errorf("said %v", line)
			}
			if response := s.get("/news", "", ""); response.StatusCode != test.news {
				t.Errorf("/news: %d", response.StatusCode)
			}
			if response := s.send(used); response.StatusCode != 401 {
				t.Errorf("a used proof: %d", response.StatusCode)
			}
			response := s.get("/orders/7", token, nonce)
			if newer := response.Header.Get("DPoP-Nonce"); newer != "" && test.kept != true {
				// A Guard that is new in the first seconds of the program asks for a nonce of its own.
				nonce = newer
				response = s.get("/orders/7", token, nonce)
			}
			if response.StatusCode != 200 {
				t.Errorf("with the nonce from before: %d", response.StatusCode)
			}
		})
	}
}

// While settings are read anew, and while the program ends, no request is lost: neither those that are on their way nor
// those that come.
func TestGatewayLosesNoRequest(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: there are no such signals on Windows")
	}
	for name, test := range map[string]struct {
		signal syscall.Signal
		says   string
	}{"SIGHUP": {syscall.SIGHUP, "settings were read anew"}, "SIGTERM": {syscall.SIGTERM, "ending"}} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			file := s.write(filepath.Join(t.TempDir(), "gateway.yaml"), strings.Replace(config, "shutdown_delay: 0", "shutdown_delay: 300", 1))
			s.run("gateway", "--config", file)
			const held, more = 50, 200
			answers := make(chan int, held+more)
			send := func(n int, path string) {
				for range n {
					go func() {
						response, err := http.DefaultClient.Do(s.request("GET", path))
						if err != nil {
							answers <- 0
							return
						}
						_ = response.Body.Close()
						answers <- response.StatusCode
					}()
				}
			}
			send(held, "/public?held")
			for range held {
				<-s.came
			}
			s.write(file, strings.Replace(config, "shutdown_delay: 0", "shutdown_delay: 300\nkey_refresh: 10m", 1)) // another Guard
			send(more/2, "/public")
			if err := s.command.Process.Signal(test.signal); err != nil {
				t.Fatal(err)
			}
			send(more/4, "/public")
			s.hears(test.says)
			send(more/4, "/public")
			for range more {
				if status := <-answers; status != 200 {
					t.Errorf("a request that came meanwhile: %d", status)
				}
			}
			close(s.held)
			for range held {
				if status := <-answers; status != 200 {
					t.Errorf("a request that was on its way: %d", status)
				}
			}
		})
	}
}

// A connection that was taken over may go on for ever. It does not hold up the end of the program, whichever settings it
// began under.
func TestGatewayEndsWithOpenConnections(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: there are no such signals on Windows")
	}
	for name, anew := range map[string]bool{"of these settings": false, "of those before": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.service.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Connection", "Upgrade")
				w.Header().Set("Upgrade", "websocket")
				w.WriteHeader(http.StatusSwitchingProtocols)
				if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					t.Cleanup(func() { _ = conn.Close() })
				}
			})
			quiet := config + "idle_timeout: 86400\n"
			file := s.write(filepath.Join(t.TempDir(), "gateway.yaml"), quiet)
			s.run("gateway", "--config", file)
			r := s.request("GET", "/public")
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "websocket")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusSwitchingProtocols {
				t.Fatal(response.Status)
			}
			if anew {
				s.write(file, quiet+"key_refresh: 10m\n") // another Guard
				if err := s.command.Process.Signal(syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
				if line := s.hears("settings were read anew"); line["guard_kept"] != false {
					t.Fatal(line)
				}
			}
			if err := s.command.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			for range s.lines { // until it has ended
			}
			if err := s.command.Wait(); err != nil {
				t.Error(err)
			}
		})
	}
}

// forward-auth answers for its preset.
func TestForwardAuth(t *testing.T) {
	s := newServer(t)
	file := s.write(filepath.Join(t.TempDir(), "forward.yaml"), config+"forward_auth: traefik\ntrusted_proxies: 127.0.0.1\n")
	s.run("forward-auth", "--config", file)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header = http.Header{"X-Forwarded-Method": {"GET"}, "X-Forwarded-Uri": {"/public"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"api.test"}}
	if response := s.send(r); response.StatusCode != 200 {
		t.Errorf("public: %d", response.StatusCode)
	}
	r.Header.Set("X-Forwarded-Uri", "/orders/7")
	if response := s.send(r); response.StatusCode != 401 || response.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("protected: %d", response.StatusCode)
	}
}

// A body that does not come holds no connection, wherever the program wants none: this waits for IDLE_TIMEOUT, a second.
func TestBodyThatNobodyWants(t *testing.T) {
	for program, test := range map[string]struct {
		settings string
		targets  []string
	}{
		"gateway":      {"", []string{"/nope", "/.well-known/senderlock/ready", "/.well-known/senderlock/jwks.json"}},
		"forward-auth": {"forward_auth: traefik\ntrusted_proxies: 127.0.0.1\n", []string{"/", "/.well-known/senderlock/ready"}},
	} {
		t.Run(program, func(t *testing.T) {
			s := newServer(t)
			more := "idle_timeout: 1\nadmin_port: 0\n" + test.settings
			s.run(program, "--config", s.write(filepath.Join(t.TempDir(), "gateway.yaml"), config+more))
			port := strings.TrimPrefix(s.url, "http://")
			admin := s.hears("listening")["address"].(string)
			var conns []net.Conn
			for _, target := range append(test.targets, "admin") {
				address := port
				if target == "admin" {
					address, target = admin, "/whoami"
				}
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				_, _ = io.WriteString(conn, "POST "+target+" HTTP/1.1\r\nHost: api.test\r\nContent-Length: 3\r\n\r\na")
				conns = append(conns, conn)
			}
			for i, conn := range conns {
				if answer, err := io.ReadAll(conn); err != nil || len(answer) == 0 {
					t.Errorf("%d: %q, %v", i, answer, err)
				}
			}
		})
	}
}

// For Envoy it answers over gRPC and HTTP on one port.
func TestForwardAuthEnvoy(t *testing.T) {
	s := newServer(t)
	file := s.write(filepath.Join(t.TempDir(), "forward.yaml"), config+"forward_auth: envoy\ntrusted_proxies: 127.0.0.1\n")
	s.run("forward-auth", "--config", file)
	conn, err := grpc.NewClient(strings.TrimPrefix(s.url, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for path, want := range map[string]int{"/public": 200, "/orders/7": 401, "/admin": 404} {
		asked := &authv3.AttributeContext_HttpRequest{Method: "GET", Path: path, Host: "api.test", Scheme: "http"}
		answer, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), &authv3.CheckRequest{
			Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: asked}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if denied := answer.GetDeniedResponse(); (denied == nil) != (want == 200) || denied != nil && int(denied.GetStatus().GetCode()) != want {
			t.Errorf("%s: %v, want %d", path, answer, want)
		}
		r := httptest.NewRequest("GET", "http://api.test"+path, nil)
		r.Header.Set("X-Forwarded-Proto", "http")
		if response := s.send(r); response.StatusCode != want {
			t.Errorf("%s over HTTP: %d, want %d", path, response.StatusCode, want)
		}
	}
}

// Each wrong setting ends the check with its name and what to put there; the file is read strictly.
func TestGatewayCheckConfig(t *testing.T) {
	s := newServer(t)
	for name, test := range map[string]struct {
		command, text string
		want          string // empty: in order
	}{
		"in order":               {"gateway", config, ""},
		"a list as a text":       {"gateway", config + "trusted_proxies: 10.0.0.1, 10.0.0.2\n", ""},
		"forward-auth":           {"forward-auth", config + "forward_auth: nginx\ntrusted_proxies: [10.0.0.1]\n", ""},
		"an unknown key":         {"gateway", config + "isuer: a\n", "line 11: isuer is no setting"},
		"in upper case":          {"gateway", config + "PORT_: 1\nDPOP_NONCE: off\n", "line 12: DPOP_NONCE is no setting"},
		"a doubled key":          {"gateway", config + "port: 1\n", "line 11: port is in line 5 already"},
		"no mapping":             {"gateway", "- a\n", "line 1: write one setting a line"},
		"a beginning and an end": {"gateway", "---" + config + "...\n", ""},
		"a second document":      {"gateway", config + "---\ndpop_nonce: required\n", "line 11: another document begins"},
		"no YAML behind the end": {"gateway", config + "...\n\tport: 1\n", "line 12"},
		"a missing value":        {"gateway", config + "jwks_uri:\n", "jwks_uri: the value is missing"},
		"a mapping":              {"gateway", config + "jwks_uri: {a: b}\n", "jwks_uri: write a text"},
		"no YAML":                {"gateway", config + "\tport: 1\n", "line"},
		"a switch":               {"gateway", config + "dpop_nonce: true\n", `DPOP_NONCE is "true": set one of off, required`},
		"no route":               {"gateway", strings.Split(config, "routes:")[0], "ROUTES is not set"},
		"a route without a path": {"gateway", config + "  - GET scopes=a\n", "set a method and a path first"},
		"a route's word":         {"gateway", config + "  - GET /x role=a\n", "role is not understood"},
		"a route's word, empty":  {"gateway", config + "  - GET /x scopes=\n", "scopes is not understood"},
		"a route's word, twice":  {"gateway", config + "  - GET /x scopes=a scopes=b\n", "scopes is there twice"},
		"public, valued":         {"gateway", config + "  - GET /x public=no\n", "public is not understood"},
		"a route's age":          {"gateway", config + "  - GET /x max-auth-age=300\n", "set a time with its unit"},
		"a route's binding":      {"gateway", config + "  - GET /x binding=mtls\n", "set dpop, certificate, or both"},
		"a route's forms":        {"gateway", config + "  - GET /x allow=all\n", "dot-segments, encoded-slash"},
		"a service":              {"gateway", strings.Replace(config, "upstream: %SERVICE%", "", 1), "UPSTREAM is not set"},
		"a service's path":       {"gateway", strings.Replace(config, "%SERVICE%", "http://127.0.0.1:1/a", 1), "give the origin of a service"},
		"routes in conflict":     {"gateway", config + "  - GET /public public\n", "conflicts with pattern"},
		"an issuer":              {"forward-auth", strings.Replace(config, "%ISSUER%", "https://a.example/?", 1) + "forward_auth: nginx\ntrusted_proxies: 10.0.0.1\n", "ISSUER is"},
		"stores that are absent": {"gateway", config + "replay_redis_url: redis://127.0.0.1:1\n", ""},
		"a store":                {"gateway", config + "replay_redis_url: 127.0.0.1:6379\n", "REPLAY_REDIS_URL is not usable: set the URL of a Redis"},
		"a store's settings":     {"forward-auth", config + "replay_redis_url: redis://127.0.0.1/?wait=two\n" + "forward_auth: nginx\ntrusted_proxies: 10.0.0.1\n", "wait has no value of its kind"},
		"a region":               {"gateway", config + "replay_redis_url: redis://127.0.0.1/?region=eu\n", ""},
		"a store's file":         {"gateway", config + "revocation_file: /nowhere/revoked\n", "REVOCATION_FILE is"},
		"one port for two":       {"gateway", strings.Replace(config, "port: 0", "port: 9", 1) + "admin_port: 9\n", "ADMIN_PORT is"},
		"an odd admin token":     {"gateway", config + "admin_port: 0\nadmin_token: 0123456789abcdef0123456789abcdé\n", "ADMIN_TOKEN: admin.Config"},
		"a time":                 {"gateway", config + "upstream_timeout: soon\n", `UPSTREAM_TIMEOUT is "soon"`},
		"a silence":              {"gateway", config + "idle_timeout: never\n", `IDLE_TIMEOUT is "never"`},
		"a size":                 {"gateway", config + "max_body: 10M\n", `MAX_BODY is "10M": set a number of octets`},
		"a key":                  {"gateway", config + "gateway_key_file: /nowhere\n", "GATEWAY_KEY_FILE is"},
		"no preset":              {"forward-auth", config + "trusted_proxies: 10.0.0.1\n", "FORWARD_AUTH is not set: set the proxy"},
		"a preset":               {"forward-auth", config + "trusted_proxies: 10.0.0.1\nforward_auth: apache\n", `FORWARD_AUTH is "apache": set the proxy`},
		"no proxy":               {"forward-auth", config + "forward_auth: nginx\n", "TRUSTED_PROXIES is not set"},
		"a preset too many":      {"gateway", config + "forward_auth: nginx\n", "start senderlock forward-auth"},
		"a bearer list":          {"gateway", config + "bearer:\n  - clients=old-app; until=2037-06-30\n  - routes=GET /status; until=2037-06-30\n", ""},
		"a bearer list, wrong":   {"gateway", config + "bearer:\n  - clients=old-app\n", `BEARER is "clients=old-app": set entries`},
		"a bearer list for ever": {"forward-auth", config + "bearer:\n  - clients=old-app\n", "an entry needs until="},
		"a bearer list for all":  {"gateway", config + "bearer:\n  - until=2037-06-30\n", "an entry needs issuers=, clients=, routes= or scopes="},
		"report-only":            {"gateway", config + "report_only: [bound, nonce, max-token-lifetime=5m]\n", ""},
		"report-only, wrong":     {"gateway", config + "report_only: [strict]\n", `REPORT_ONLY is "strict": set demands`},
		"report-only, a word":    {"forward-auth", config + "report_only: [strict]\n", "strict is not understood"},
		"an admin port":          {"gateway", config + "admin_port: 0\n", ""},
		"an admin port for all":  {"gateway", config + "admin_port: 0\nadmin_host: 0.0.0.0\n", "ADMIN_TOKEN is not set"},
		"a short admin token":    {"forward-auth", config + "admin_port: 0\nadmin_token: short\n", "ADMIN_TOKEN is not usable: set at least 32"},
		"an admin token alone":   {"gateway", config + "admin_token: 0123456789abcdef0123456789abcdef\n", "ADMIN_TOKEN is set without ADMIN_PORT"},
		"CORS":                   {"gateway", config + "cors_origin: https://a.example\n", ""},
		"CORS, wrong":            {"gateway", config + "cors_origin: https://a.example/\n", "CORS_ORIGIN is"},
		"logout":                 {"gateway", config + "logout_client_id: a\n", "LOGOUT_CLIENT_ID is"},
	} {
		t.Run(name, func(t *testing.T) {
			file := s.write(filepath.Join(t.TempDir(), "settings.yaml"), test.text)
			got := run(t, "", test.command, "--config", file, "--check-config")
			if test.want == "" && got.status != 0 || test.want != "" && (got.status != 2 || !strings.Contains(got.said, test.want)) {
				t.Errorf("status %d, said %q, want %q", got.status, got.said, test.want)
			}
		})
	}
	if got := run(t, "", "gateway", "--config", "/nowhere/settings.yaml"); got.status != 2 || !strings.Contains(got.said, "/nowhere/settings.yaml") {
		t.Errorf("no file: %+v", got)
	}
}

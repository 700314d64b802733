package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/examples/internal/processtest"
	"github.com/senderlock/senderlock/internal/built"
	"github.com/senderlock/senderlock/internal/poptest"
)

// program is the compiled command.
var program string

func TestMain(m *testing.M) { os.Exit(built.Main(m, &program, false)) }

// patience is how long a test waits for what has to come.
const patience = time.Minute

// The origins of the two listeners, and the audience of tokens.
const (
	plainOrigin = "http://plain.example.com"
	tlsOrigin   = "https://api.example.com"
	audience    = tlsOrigin
)

type env map[string]string

// world is an authorization server and files for the program.
type world struct {
	*poptest.IssuerServer
	env env // a good environment
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{IssuerServer: poptest.NewIssuerServer(t)}
	cert, key := poptest.PEM(t, poptest.SelfSigned(t, "api.example.com"))
	w.env = env{
		"PORT": "0", "TLS_PORT": "0", "ADMIN_PORT": "0", "SHUTDOWN_DELAY": "0",
		"TLS_CERT_FILE": file(t, "cert.pem", cert), "TLS_KEY_FILE": file(t, "key.pem", key),
		"ISSUER": w.URL(), "AUDIENCE": audience, "CA_FILE": file(t, "ca.pem", w.certificate(t)),
		"PUBLIC_ORIGINS": plainOrigin + ", " + tlsOrigin,
	}
	return w
}

// certificate is that of the issuer.
func (w *world) certificate(t *testing.T) []byte {
	t.Helper()
	conn, err := tls.Dial("tcp", strings.TrimPrefix(w.URL(), "https://"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: conn.ConnectionState().PeerCertificates[0].Raw})
}

func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// with is a good environment but for some variables.
func (e env) with(changes env) env {
	e = maps.Clone(e)
	maps.Copy(e, changes)
	return e
}

func (e env) command(ctx context.Context) *exec.Cmd {
	c := exec.CommandContext(ctx, program)
	for name, value := range e {
		c.Env = append(c.Env, name+"="+value)
	}
	return c
}

// process is the running program.
type process struct {
	*processtest.Process
	t     *testing.T
	ports map[string]string // addresses by variable
}

// start runs the program until the test ends, and returns when it listens.
func (w *world) start(t *testing.T, changes env) *process {
	t.Helper()
	e := w.env.with(changes)
	p := &process{processtest.Start(t, e.command(context.Background()), patience), t, map[string]string{}}
	for _, name := range []string{"PORT", "TLS_PORT", "ADMIN_PORT"} {
		if e[name] != "" {
			line := p.line("listening on "+name, func(l map[string]any) bool { return l["msg"] == "listening" && l["port"] == name })
			p.ports[name] = fmt.Sprint(line["address"])
		}
	}
	return p
}

// line waits for a line of the log.
func (p *process) line(what string, match func(map[string]any) bool) (found map[string]any) {
	p.t.Helper()
	p.Line(what, func(line string) bool {
		found = parsed(line)
		return found != nil && match(found)
	})
	return found
}

// parsed is a line of the log, or nil.
func parsed(line string) (members map[string]any) {
	if err := json.Unmarshal([]byte(line), &members); err != nil {
		return nil
	}
	return members
}

// call is a request. The zero call is a good GET of /api/read on the plain listener, by the owner of a new token.
type call struct {
	method, path string
	tls          bool
	cert         *tls.Certificate // of the client
	token        string           // empty: no credentials
	scheme       string           // empty: DPoP
	noProof      bool
	proof        func(*poptest.Proof)
	header       map[string]string
	origin       string // empty: that of the listener
	noRetry      bool   // with a nonce
	port         string // empty: that of the listener
	body         string
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// code is the error of the challenges, of which one has it.
func (a reply) code() string {
	_, after, _ := strings.Cut(strings.Join(a.header.Values("WWW-Authenticate"), ", "), `error="`)
	code, _, _ := strings.Cut(after, `"`)
	return code
}

// do sends a request, and once more if a nonce is asked for, as any client does.
func (p *process) do(c call) reply {
	p.t.Helper()
	a := p.send(c, "")
	if nonce := a.header.Get("DPoP-Nonce"); a.status == 401 && a.code() == "use_dpop_nonce" && !c.noRetry {
		return p.send(c, nonce)
	}
	return a
}

func (p *process) send(c call, nonce string) reply {
	p.t.Helper()
	r, client := p.request(c, nonce)
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

// request makes a request, and a client with a connection of its own.
func (p *process) request(c call, nonce string) (*http.Request, *http.Client) {
	p.t.Helper()
	c.method, c.path = cmp.Or(c.method, "GET"), cmp.Or(c.path, "/api/read")
	scheme, port, origin := "http://", "PORT", plainOrigin
	transport := &http.Transport{}
	if c.tls {
		scheme, port, origin = "https://", "TLS_PORT", tlsOrigin
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		if c.cert != nil {
			transport.TLSClientConfig.Certificates = []tls.Certificate{*c.cert}
		}
	}
	port, origin = cmp.Or(c.port, port), cmp.Or(c.origin, origin)
	r, err := http.NewRequest(c.method, scheme+p.ports[port]+c.path, strings.NewReader(c.body))
	if err != nil {
		p.t.Fatal(err)
	}
	_, r.Host, _ = strings.Cut(origin, "://")
	if c.port == "ADMIN_PORT" {
		r.Host = p.ports[port]
	}
	if c.token != "" {
		r.Header.Set("Authorization", cmp.Or(c.scheme, "DPoP")+" "+c.token)
	}
	if c.token != "" && !c.noProof {
		proof := poptest.Proof{Method: c.method, URL: origin + c.path, Token: c.token, Nonce: nonce, IssuedAt: time.Now()}
		if c.proof != nil {
			c.proof(&proof)
		}
		r.Header.Set("DPoP", proof.String())
	}
	for name, value := range c.header {
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r, client
}

// bound makes a token of the world's issuer, bound to poptest.ClientKey.
func (w *world) bound(changes ...func(*poptest.Token)) string {
	t := poptest.Token{
		JKT: poptest.ClientKey().Thumbprint(), Audience: audience, Scope: "read write", IssuedAt: time.Now(),
	}
	for _, change := range changes {
		change(&t)
	}
	return w.Token(t)
}

// decision waits for the log line about a request to a path with an outcome and a reason.
func (p *process) decision(outcome, reason string) map[string]any {
	p.t.Helper()
	return p.line(outcome+" "+reason, func(l map[string]any) bool {
		return l["outcome"] == outcome && (reason == "" || l["reason"] == reason)
	})
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

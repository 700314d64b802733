//go:build unix

package providers_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/examples/internal/processtest"
	"github.com/senderlock/senderlock/internal/poptest"
)

// foldersVariable names the environment variable with the folder in which .ci/providers put the servers.
const foldersVariable = "SENDERLOCK_PROVIDERS"

// patience is how long a test waits for what has to come; a server in Java on a machine that does other work takes
// its time to start.
const patience = 8 * time.Minute

// programs is the folder of the programs of examples/ that take part, built once.
var programs string

// end is when nothing more begins, by the seconds that .ci/providers gives; what has begun goes on.
var end time.Time

func readEnd() {
	if seconds, err := strconv.Atoi(os.Getenv("PROVIDERS_TIME")); err == nil {
		end = time.Now().Add(time.Duration(seconds) * time.Second)
	}
}

// inTime skips the test once the time is over.
func inTime(t *testing.T) {
	t.Helper()
	if !end.IsZero() && time.Now().After(end) {
		t.Skipf("NOT CHECKED: %s, since the $PROVIDERS_TIME of %s seconds is over", t.Name(), os.Getenv("PROVIDERS_TIME"))
	}
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if os.Getenv(foldersVariable) == "" {
			return m.Run() // which skips
		}
		readEnd()
		folder, err := os.MkdirTemp("", "providers")
		if err == nil {
			defer os.RemoveAll(folder)
			programs = folder
			build := exec.Command("go", "build", "-o", folder, "../api", "../native", "../tokenhandler")
			build.Stdout, build.Stderr = os.Stderr, os.Stderr
			err = build.Run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// find returns the folder of a server, whose name is a pattern, or skips the test where it was not fetched.
func find(t *testing.T, server string) string {
	t.Helper()
	all := os.Getenv(foldersVariable)
	if all == "" {
		t.Skipf("needs %s with %s in it: run bash .ci/providers, which fetches it", foldersVariable, server)
	}
	found, err := filepath.Glob(filepath.Join(all, server))
	if err != nil || len(found) == 0 {
		t.Skipf("NOT CHECKED: %s, since %s is not in %s: run bash .ci/providers, which fetches it (%v)", t.Name(), server, all, err)
	}
	return found[len(found)-1]
}

// process is a running program.
type process struct {
	*processtest.Process
	t *testing.T
}

// start runs a program until the test ends, with these variables beside those of this process.
func start(t *testing.T, variables map[string]string, name string, args ...string) *process {
	t.Helper()
	inTime(t)
	command := exec.Command(name, args...)
	command.Env = os.Environ()
	for name, value := range variables {
		command.Env = append(command.Env, name+"="+value)
	}
	return &process{processtest.Start(t, command, patience), t}
}

// line waits for a line that holds a text, and returns the line. Where it does not come from a program that goes on, and
// the time is over by then, the machine is to blame.
func (p *process) line(holds string) string {
	p.t.Helper()
	line, err := p.Find(holds, patience, processtest.Holds(holds))
	if err == nil {
		return line
	}
	select {
	case <-p.Done():
	default:
		inTime(p.t)
	}
	p.t.Fatal(err)
	return ""
}

// lastPort is the port that free returned last. They count up from below those that the system gives to connections, so
// that no connection takes one before a server does, and from another beginning in each process.
var lastPort = 10_000 + os.Getpid()%15_000

// free is a port of this machine on which nothing listens. Tests ask for it one after another.
func free(t *testing.T) string {
	t.Helper()
	for range 1000 {
		lastPort++
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", lastPort)); err == nil {
			l.Close()
			return strconv.Itoa(lastPort)
		}
	}
	t.Fatal("no free port")
	return ""
}

// provider is an authorization server that runs, with a user and clients as README.md of examples/api says.
type provider struct {
	issuer   string
	audience string
	// resource is what clients name the API by, where they have to.
	resource string
	// machine gets tokens for itself, with a secret; app is a native app and web a backend, for a user who signs in.
	machine, machineSecret string
	app                    string
	web, webSecret         string
	// signIn fills in the pages that the server shows until it sends the browser back.
	signIn func(*browsertest.Browser)
}

// api is examples/api, which trusts the provider.
type api struct {
	*process
	provider
	t   *testing.T
	url string
}

// in is a for a test of its own.
func (a *api) in(t *testing.T) *api {
	t.Helper()
	inTime(t)
	b := *a
	b.t = t
	return &b
}

func (p provider) startAPI(t *testing.T, port string, variables map[string]string) *api {
	t.Helper()
	all := map[string]string{"ISSUER": p.issuer, "AUDIENCE": p.audience, "PORT": port, "SHUTDOWN_DELAY": "0"}
	for name, value := range variables {
		all[name] = value
	}
	a := &api{provider: p, t: t, url: "http://127.0.0.1:" + port, process: start(t, all, filepath.Join(programs, "api"))}
	a.line(`"msg":"listening"`)
	return a
}

// startTLSAPI starts one that asks for certificates.
func (p provider) startTLSAPI(t *testing.T, c *certificates) *api {
	t.Helper()
	port := free(t)
	a := p.startAPI(t, free(t), map[string]string{
		"CA_FILE": c.file("ca.pem"), "TLS_PORT": port, "TLS_CERT_FILE": c.file("server.pem"), "TLS_KEY_FILE": c.file("server-key.pem"),
	})
	a.url = "https://127.0.0.1:" + port
	return a
}

// decision waits for a line of the log with a reason.
func (a *api) decision(reason string) { a.t.Helper(); a.told(`"reason":"` + reason + `"`) }

// told waits for a line of the log.
func (a *api) told(holds string) {
	a.t.Helper()
	if _, err := a.Find(holds, patience, processtest.Holds(holds)); err != nil {
		a.t.Fatal(err)
	}
}

// tokens is the token endpoint as the provider's metadata gives it.
func (p provider) tokens(t *testing.T) string { return p.metadata(t, "token_endpoint") }

func (p provider) metadata(t *testing.T, member string) string {
	t.Helper()
	value, _ := p.allMetadata(t)[member].(string)
	if value == "" {
		t.Fatalf("the metadata of %s has no %s", p.issuer, member)
	}
	return value
}

func (p provider) allMetadata(t *testing.T) map[string]any {
	t.Helper()
	resp, err := http.Get(p.issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var members map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&members); err != nil {
		t.Fatal(err)
	}
	return members
}

// sender is a client that holds a key.
type sender struct {
	*http.Client
	tokens oauth2.TokenSource
}

// newSender is a client with credentials of its own, whose tokens are bound to the key of a name.
func (a *api) newSender(key, client, secret string, scopes ...string) *sender {
	a.t.Helper()
	return a.newSenderOver(http.DefaultTransport, a.tokens(a.t), key, client, secret, scopes...)
}

// newSenderOver is newSender by a transport, at a token endpoint.
func (a *api) newSenderOver(base http.RoundTripper, endpoint, key, client, secret string, scopes ...string) *sender {
	a.t.Helper()
	signer, err := dpop.NewSigner(poptest.Keyed("ES256", key).Private, "ES256")
	if err != nil {
		a.t.Fatal(err)
	}
	config := clientcredentials.Config{ClientID: client, ClientSecret: secret, TokenURL: endpoint, Scopes: scopes}
	if a.resource != "" {
		config.EndpointParams = url.Values{"resource": {a.resource}}
	}
	transport := func(config dpop.TransportConfig) http.RoundTripper {
		config.Signer, config.Base = signer, base
		tr, err := dpop.NewTransport(config)
		if err != nil {
			a.t.Fatal(err)
		}
		return tr
	}
	ctx := context.WithValue(a.t.Context(), oauth2.HTTPClient, &http.Client{Transport: transport(dpop.TransportConfig{Origins: []string{origin(endpoint)}})})
	s := &sender{tokens: config.TokenSource(ctx)}
	s.Client = &http.Client{Transport: transport(dpop.TransportConfig{Origins: []string{a.url}, Token: s.token})}
	return s
}

func (s *sender) token(context.Context) (string, error) {
	t, err := s.tokens.Token()
	if err != nil {
		return "", err
	}
	return t.AccessToken, nil
}

func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u.Scheme + "://" + u.Host
}

// get sends a request and compares the status of the answer. As the API asks for with 503, while it has not fetched the
// keys of the provider, it tries again.
func (a *api) get(client *http.Client, path string, want int, header ...string) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.url+path, nil)
		if err != nil {
			a.t.Fatal(err)
		}
		for field := range slices.Chunk(header, 2) {
			req.Header.Set(field[0], field[1])
		}
		resp, err := client.Do(req)
		if err != nil {
			a.t.Fatal(err)
		}
		answer, _ := httputil.DumpResponse(resp, true)
		resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable && time.Now().Before(deadline) {
			continue
		}
		if resp.StatusCode != want {
			a.t.Fatalf("GET %s: %d, want %d:\n%s", path, resp.StatusCode, want, answer)
		}
		return
	}
}

// native runs examples/native and returns what it printed.
func (a *api) native(folder string, args ...string) (printed string, err error) {
	a.t.Helper()
	c := exec.CommandContext(a.t.Context(), filepath.Join(programs, "native"), args[0], "-dir", folder)
	c.Args = append(c.Args, args[1:]...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// logIn logs the user in with examples/native and the pages of the provider in a browser, which it returns.
func (a *api) logIn(folder string, args ...string) *browsertest.Browser {
	a.t.Helper()
	b := browsertest.Start(a.t)
	a.logInBy(b, a.signIn, folder, args...)
	return b
}

// logInBy is logIn by a browser and what its user does there.
func (a *api) logInBy(b *browsertest.Browser, signIn func(*browsertest.Browser), folder string, args ...string) {
	a.t.Helper()
	args = append([]string{"login", "-dir", folder, "-issuer", a.issuer, "-client", a.app, "-api", a.url, "-no-browser"}, args...)
	if a.resource != "" {
		args = append(args, "-resource", a.resource)
	}
	app := start(a.t, nil, filepath.Join(programs, "native"), args...)
	address := app.line(a.metadata(a.t, "authorization_endpoint"))
	b.Open(address[strings.Index(address, "http"):])
	signIn(b)
	b.Wait(`location.pathname === "/callback"`)
	if err := app.Ended(); err != nil {
		a.t.Fatalf("native login ended with %v:\n%s", err, app.Text())
	}
}

// call calls the API with examples/native, and compares what the program prints.
func (a *api) call(folder, path, want string) {
	a.t.Helper()
	printed, _ := a.native(folder, "call", a.url+path)
	if !strings.Contains(printed, want) {
		a.t.Fatalf("native call %s printed %q, want %q in it", path, printed, want)
	}
}

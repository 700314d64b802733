package clients_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/internal/fetched"
)

// world is an authorization server and an API that demands nonces, at the addresses of the page but for their ports.
type world struct {
	t           *testing.T
	issuer, api string
	accepted    atomic.Int64 // requests with a proof
}

func newWorld(t *testing.T) *world {
	t.Helper()
	var servers [2]*httptest.Server
	for i := range servers {
		servers[i] = httptest.NewUnstartedServer(nil)
		t.Cleanup(servers[i].Close)
	}
	address := func(s *httptest.Server) string { return "http://" + s.Listener.Addr().(*net.TCPAddr).String() }
	w := &world{t: t, issuer: address(servers[0]), api: address(servers[1])}
	// It started long ago: in its first seconds it demands a nonce, which the page's Java does not expect.
	started := time.Now().Add(-time.Minute)
	now := func() time.Time { return started }
	as, err := authserver.New(authserver.Config{
		Issuer: w.issuer, Audiences: []string{w.api}, Now: func() time.Time { return now() },
		Clients: []authserver.Client{{ID: "svc", Secret: "secret-of-the-service-0123456789", Scopes: []string{"read"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = as.Close() })
	now = time.Now
	servers[0].Config.Handler = as
	servers[0].Start()

	guard, err := access.New(access.Config{
		Origins: []string{w.api}, Issuers: []access.Issuer{{URL: w.issuer, Audience: w.api}}, RequireNonce: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	read := guard.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if access.GrantFrom(r.Context()).Binding == access.BindingDPoP {
			w.accepted.Add(1)
		}
	}), access.Requirement{Scopes: []string{"read"}})
	mux := http.NewServeMux()
	mux.Handle("GET /api/read", read)
	servers[1].Config.Handler = mux
	servers[1].Start()
	return w
}

// block is the only code under a heading of the page, with the world's addresses.
func (w *world) block(heading, language string) string {
	w.t.Helper()
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		w.t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## "+heading+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, code, _ := strings.Cut(section, "```"+language+"\n")
	code, rest, ended := strings.Cut(code, "```\n")
	if !ended || strings.Contains(rest, "```") {
		w.t.Fatalf("under %q stands not one block of %s:\n%s", heading, language, section)
	}
	for address, ours := range map[string]string{"http://127.0.0.1:9000": w.issuer, "http://127.0.0.1:8080": w.api} {
		if !strings.Contains(code, address) {
			w.t.Fatalf("the code does not say %s:\n%s", address, code)
		}
		code = strings.ReplaceAll(code, address, ours)
	}
	return code
}

// runs runs a program of the page, which is accepted once.
func (w *world) runs(folder, file, program string, command ...string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(folder, file), []byte(program), 0o600); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute) // for a machine that does other work too
	defer cancel()
	run := exec.CommandContext(ctx, command[0], append(command[1:], file)...)
	run.Dir = folder
	out, err := run.CombinedOutput()
	if err != nil || w.accepted.Load() != 1 {
		w.t.Errorf("%d requests were accepted, %v:\n%s", w.accepted.Load(), err, out)
	}
}

// fetch fetches packages. They are others', so what cannot be fetched is told and stops nobody.
func fetch(t *testing.T, name string, files []string, command ...string) (folder string) {
	t.Helper()
	folder, err := fetched.Folder(t, "clients-"+name, files, command...)
	if err != nil {
		t.Skipf("not to be had: %v", err)
	}
	return folder
}

// onlyInCI skips a test that starts what others wrote.
func onlyInCI(t *testing.T) {
	t.Helper()
	if testing.Short() || os.Getenv("CI") != "true" {
		t.Skip("fetches and runs a client that others wrote, in CI=true alone")
	}
}

func TestNode(t *testing.T) {
	onlyInCI(t)
	w := newWorld(t)
	packages := fetch(t, "node", []string{"testdata/node/package.json", "testdata/node/package-lock.json"},
		fetched.Program(t, "npm"), "ci", "--silent", "--no-audit", "--no-fund", "--ignore-scripts")
	folder := t.TempDir()
	if err := os.Symlink(filepath.Join(packages, "node_modules"), filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	w.runs(folder, "client.mjs", w.block("Node", "js"), fetched.Program(t, "node"))
}

// The versions are those that the conformance suite asks as servers.
func TestPython(t *testing.T) {
	onlyInCI(t)
	w := newWorld(t)
	packages := fetch(t, "python", []string{"../../conformance/subjects/requests-oauth2client/requirements.txt"},
		fetched.Program(t, "sh"), "-ec", fetched.Program(t, "python3")+` -m venv venv
			venv/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt`)
	w.runs(t.TempDir(), "client.py", w.block("Python", "python"), filepath.Join(packages, "venv/bin/python"))
}

// The versions are those that the conformance suite asks as servers.
func TestJava(t *testing.T) {
	onlyInCI(t)
	w := newWorld(t)
	java := fetched.Program(t, "java")
	packages := fetch(t, "java", []string{"../../conformance/subjects/nimbus/pom.xml"}, fetched.Program(t, "mvn"), "-q", "-B",
		"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies", "-DoutputDirectory=libraries")
	program := `
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.Curve;
import com.nimbusds.jose.jwk.gen.ECKeyGenerator;
import com.nimbusds.oauth2.sdk.*;
import com.nimbusds.oauth2.sdk.auth.*;
import com.nimbusds.oauth2.sdk.dpop.*;
import com.nimbusds.oauth2.sdk.http.*;
import com.nimbusds.oauth2.sdk.id.ClientID;
import com.nimbusds.openid.connect.sdk.Nonce;
import java.net.URI;

public class Client {
  public static void main(String[] args) throws Exception {
` + w.block("Java", "java") + "}\n}\n"
	w.runs(t.TempDir(), "Client.java", program, java, "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(packages, "libraries", "*"))
}

// The page names the versions that run here.
func TestVersions(t *testing.T) {
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, pin := range map[string]struct{ file, pinned, says string }{
		"Node":   {"testdata/node/package.json", `"openid-client": "6.9.0"`, "`openid-client` 6.9.0"},
		"Python": {"../../conformance/subjects/requests-oauth2client/requirements.txt", "requests_oauth2client==1.8.0", "`requests_oauth2client` 1.8.0"},
		"Java":   {"../../conformance/subjects/nimbus/pom.xml", "<version>11.30</version>", "`oauth2-oidc-sdk` 11.30"},
	} {
		pins, err := os.ReadFile(pin.file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(pins), pin.pinned) || !strings.Contains(string(page), pin.says) {
			t.Errorf("%s: %s should pin %s, and docs/clients.md say %s", name, pin.file, pin.pinned, pin.says)
		}
	}
}

package main_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// startIssuer runs the command on a free port until the test ends, and returns its address.
func startIssuer(t *testing.T, flags ...string) string {
	t.Helper()
	command := newUser(t).start(context.WithoutCancel(t.Context()), append([]string{"issuer", "--listen", "127.0.0.1:0", "--json"}, flags...)...)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var said struct{ Issuer string }
	if err := json.NewDecoder(out).Decode(&said); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if runtime.GOOS == "windows" { // has no such signal
			_ = command.Process.Kill()
			_ = command.Wait()
			return
		}
		_ = command.Process.Signal(os.Interrupt)
		if err := command.Wait(); err != nil {
			t.Errorf("told to end, it ended with %v", err)
		}
	})
	return said.Issuer
}

// The issuer and curl, each the program as a user runs it: client credentials, then a login with the browser.
func TestIssuer(t *testing.T) {
	w := newWorld(t, nil)
	url := startIssuer(t, "--audience", w.api, "--audience", "https://other.example.com", "--client", "app", "--service", "job=s3cret",
		"--auto-approve", "--require-nonce", "--scope", "read")
	response, err := http.Get(url + "/.well-known/oauth-authorization-server")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var metadata struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(response.Body).Decode(&metadata); err != nil || metadata.Issuer != url {
		t.Errorf("%v, %+v of %s", err, metadata, url)
	}
	w.issuer = url
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The API trusts another issuer, which is what it says: so the token was issued.
	w.expect("", outcome{said: "it is new; does the API trust its issuer, ", status: 1}, "curl", "-f", "--issuer", url, "--client", "job",
		"--client-secret-file", secret, w.api+"/a")
	if got := w.reason.Load(); got != "token_issuer_unknown" {
		t.Errorf("refused for %q", got)
	}
	if got := w.logIn(w.api + "/a"); !strings.Contains(got.said, "Logged in.") {
		t.Errorf("%+v", got)
	}
	w.expect("", outcome{said: `"invalid_scope"`, status: 2}, "curl", "--issuer", url, "--client", "job", "--scope", "admin",
		"--client-secret-file", secret, w.api+"/a")
}

func TestIssuerAddressTaken(t *testing.T) {
	address := strings.TrimPrefix(startIssuer(t), "http://")
	expect(t, "", outcome{said: "senderlock issuer: authserver: listen tcp " + address, status: 2}, "issuer", "--listen", address)
}

func TestIssuerWrong(t *testing.T) {
	for name, test := range map[string]struct {
		said string
		args []string
	}{
		"every address":  {"this server is for this machine alone", []string{"--listen", "0.0.0.0:9000"}},
		"another's":      {"this server is for this machine alone", []string{"--listen", "192.0.2.1:9000"}},
		"a name":         {"this server is for this machine alone", []string{"--listen", "localhost:9000"}},
		"a port alone":   {"this server is for this machine alone", []string{"--listen", ":9000"}},
		"no port":        {"give a port, or 127.0.0.1:0", []string{"--listen", "[::1]:0"}},
		"client":         {"write it as ID or ID=https://", []string{"--client", "=x"}},
		"redirect":       {"RedirectURIs", []string{"--client", "app=callback"}},
		"service":        {"write it as ID=secret", []string{"--service", "job"}},
		"user":           {"write it as name=password", []string{"--user", "alice"}},
		"client twice":   {"Clients[1].ID", []string{"--client", "a", "--service", "a=s"}},
		"lifetime":       {"TokenLifetime", []string{"--token-lifetime", "1ms"}},
		"empty audience": {"Audiences", []string{"--audience", ""}},
		"an argument":    {"unknown command", []string{"9000"}},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, "", outcome{said: test.said, status: 2}, append([]string{"issuer", "--listen", "127.0.0.1:0"}, test.args...)...)
		})
	}
}

//go:build unix

package providers_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/processtest"
	"github.com/senderlock/senderlock/internal/fetched"
)

// What docs/first-api.md prints is done in an empty folder, in its order, on ports that are free, and has the outcome that
// it prints.
func TestFirstAPI(t *testing.T) {
	find(t, "oidc-provider-*") // which is there where a registry is
	inTime(t)
	for _, program := range []string{"node", "npm", "curl"} {
		fetched.Program(t, program)
	}
	n := newNewcomer(t)
	page, err := os.ReadFile("../../docs/first-api.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("9000", n.loginPort, "8080", n.apiPort).Replace(string(page))
	for _, b := range pageBlock.FindAllStringSubmatch(text, -1) {
		mark, code, outcome := b[1], b[3], b[4]
		switch {
		case strings.HasPrefix(mark, "not run"):
		case b[2] != "sh":
			n.write(mark, code)
		default:
			n.run(code, outcome)
		}
	}
	if got, want := n.done, []string{"file", "serves", "file", "serves", "outcome", "outcome", "outcome"}; !slices.Equal(got, want) {
		t.Errorf("the page was read as %v, want %v", got, want)
	}
	if got := strings.Count(n.api.Text(), "WARN bound token without its sender"); got != 2 {
		t.Errorf("the API has warned %d times", got)
	}
}

// pageBlock is a block with its mark, its language, and the outcome that is printed behind it.
var pageBlock = regexp.MustCompile("(?s)<!-- ([^\n]*) -->\n```(\\w+)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?")

// newcomer has the page, an empty folder with a checkout in it, and an empty home.
type newcomer struct {
	t                  *testing.T
	folder             string
	environment        []string
	exports            string // what the blocks so far have put into the environment of a shell
	loginPort, apiPort string
	api                *process
	done               []string
}

func newNewcomer(t *testing.T) *newcomer {
	t.Helper()
	n := &newcomer{t: t, folder: t.TempDir(), loginPort: free(t), apiPort: free(t)}
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(checkout, filepath.Join(n.folder, "senderlock")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	// What was fetched and compiled before, and the settings by which things are fetched, are those of this machine.
	n.environment = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME=", "GOPATH="+home+"/go", "GOBIN=", "GOFLAGS=-buildvcs=false", "GOWORK=",
		"GOENV="+asked(t, "go", "env", "GOENV"), "GOCACHE="+asked(t, "go", "env", "GOCACHE"), "GOMODCACHE="+asked(t, "go", "env", "GOMODCACHE"),
		"npm_config_cache="+asked(t, "npm", "config", "get", "cache"), "npm_config_userconfig="+asked(t, "npm", "config", "get", "userconfig"),
		"npm_config_prefer_offline=true")
	return n
}

// asked is what a program answers.
func asked(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func (n *newcomer) write(name, text string) {
	n.t.Helper()
	if err := os.WriteFile(filepath.Join(n.folder, name), []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.done = append(n.done, "file")
}

// run runs a block to its end, or until it listens.
func (n *newcomer) run(code, outcome string) {
	n.t.Helper()
	if strings.Contains(code, "--token-file") {
		n.awaitFirstSeconds()
	}
	command := exec.CommandContext(n.t.Context(), "bash", "-euo", "pipefail", "-c", n.exports+code)
	command.Dir, command.Env = n.folder, n.environment
	switch {
	case strings.HasPrefix(code, "node "):
		n.serve(command, n.loginPort)
		return
	case strings.Contains(code, "go run "):
		n.api = n.serve(command, n.apiPort)
		return
	}
	var told bytes.Buffer
	command.Stderr = &told
	out, err := command.Output()
	if err != nil && strings.Contains(code, "npm install") {
		n.t.Skipf("NOT CHECKED: %s, since npm cannot fetch: %s", n.t.Name(), told.String())
	}
	if err != nil || outcome != "" && string(out) != outcome {
		n.t.Fatalf("%s%v\n%s\n%swant\n%s", code, err, told.String(), out, outcome)
	}
	if outcome != "" {
		n.done = append(n.done, "outcome")
	}
	for line := range strings.Lines(code) {
		if strings.HasPrefix(line, "export ") {
			n.exports += line
		}
	}
}

func (n *newcomer) serve(command *exec.Cmd, port string) *process {
	n.t.Helper()
	p := &process{processtest.Start(n.t, command, patience), n.t}
	p.line("listening")
	n.await("a server listens", func() bool {
		c, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	n.done = append(n.done, "serves")
	return p
}

// awaitFirstSeconds is what a reader's typing does: afterwards the API takes proofs without a nonce.
func (n *newcomer) awaitFirstSeconds() {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	signer, err := dpop.NewSigner(key, "")
	if err != nil {
		n.t.Fatal(err)
	}
	url := "http://127.0.0.1:" + n.apiPort + "/accounts"
	n.await("the API's first seconds end", func() bool {
		request, err := http.NewRequestWithContext(n.t.Context(), http.MethodGet, url, nil)
		if err != nil {
			n.t.Fatal(err)
		}
		proof, err := signer.Sign(dpop.ProofOptions{Method: request.Method, URL: url, AccessToken: "none"})
		if err != nil {
			n.t.Fatal(err)
		}
		request.Header = http.Header{"Authorization": {"DPoP none"}, "Dpop": {proof}}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			n.t.Fatal(err)
		}
		defer answer.Body.Close()
		return !strings.Contains(answer.Header.Get("WWW-Authenticate"), "use_dpop_nonce")
	})
}

// await asks again and again.
func (n *newcomer) await(what string, happened func() bool) {
	n.t.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for late := time.After(patience); !happened(); {
		select {
		case <-again.C:
		case <-late:
			n.t.Fatalf("it never happened that %s", what)
		}
	}
}

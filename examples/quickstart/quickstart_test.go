package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/internal/storytest"
	"github.com/senderlock/senderlock/internal/built"
	"github.com/senderlock/senderlock/internal/fetched"
)

// run runs the program with an API.
func run(t *testing.T, newAPI apiMaker, args ...string) storytest.Result {
	return storytest.Run("quickstart", func(p story.Program) int { return program{p, newAPI}.run(t.Context(), args) })
}

func TestStory(t *testing.T) {
	r := run(t, newAPI)
	storytest.Equal(t, r.Steps(t), []string{
		"nobody, without a token: GET /accounts: 401 DPoP credentials_missing",
		"the owner, right after the server's start: GET /accounts: 401 DPoP use_dpop_nonce iat_before_start",
		"the owner, with the server's nonce: GET /accounts: 200",
		"a thief sends the very same request again: GET /accounts: 401 DPoP invalid_dpop_proof proof_replayed",
		"a thief signs for it with his own key: GET /accounts: 401 DPoP invalid_token key_mismatch",
		"a thief uses it as a bearer token: GET /accounts: 401 Bearer invalid_token bound_token_as_bearer",
		"a thief pays with a proof for reading: POST /accounts: 401 DPoP invalid_dpop_proof htm_mismatch",
		"a thief reads with a proof for another URL: GET /accounts: 401 DPoP invalid_dpop_proof htu_mismatch",
		"the owner pays, without the scope for it: POST /accounts: 403 DPoP insufficient_scope scope_missing",
		"the owner pays, with a token that has it: POST /accounts: 201",
		"a token that lives for 24 hours: GET /accounts: 401 DPoP invalid_token token_lifetime_too_long",
		"a token that is bound to nobody: GET /accounts: 401 Bearer invalid_token token_unbound",
	})
	// The two that have a genuine token of somebody else raise the alert, and nobody else does.
	alerts := regexp.MustCompile(`(?m)^✓ (.{42}) .*\n.*\n    ALERT (\w+): a bound token without its sender$`).FindAllStringSubmatch(r.Out, -1)
	if len(alerts) != 2 || strings.Count(r.Out, "ALERT") != 2 ||
		strings.TrimSpace(alerts[0][1])+": "+alerts[0][2] != "a thief signs for it with his own key: key_mismatch" ||
		strings.TrimSpace(alerts[1][1])+": "+alerts[1][2] != "a thief uses it as a bearer token: bound_token_as_bearer" {
		t.Errorf("alerts %q", alerts)
	}
	r.Ends(t, "12 answers: 2 accepted, 10 refused")
}

func TestVerboseShowsTheLogInFull(t *testing.T) {
	if r := run(t, newAPI, "-v"); r.Status != 0 || !strings.Contains(r.Out, `expected "POST", received "GET"`) {
		t.Errorf("exit status %d\n%s", r.Status, r.Out)
	}
}

func TestColoursOnATerminal(t *testing.T) {
	storytest.Colours(t, "quickstart", func(p story.Program) int { return program{p, newAPI}.run(t.Context(), nil) })
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if story.IsTerminal(file) {
		t.Error("a file is taken for a terminal")
	}
}

// amnesiac is a replay store that forgets at once.
type amnesiac struct{}

func (amnesiac) Claim(context.Context, dpop.ReplayKey, time.Time) (bool, error) { return true, nil }
func (amnesiac) Since() time.Time                                               { return time.Time{} }
func (amnesiac) Window() time.Duration                                          { return time.Hour }

// Whatever of the API is weakened, the program names the answer that shows it and ends with status 1.
func TestWeakenedAPI(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*access.Config)
		scope  string // of the route that pays
		named  string
	}{
		"long-lived tokens": {
			change: func(c *access.Config) { c.MaxTokenLifetime = 25 * time.Hour },
			named:  "a token that lives for 24 hours: expected 401 invalid_token token_lifetime_too_long, got 200",
		},
		"bearer tokens": {
			change: func(c *access.Config) { c.InsecureAllowBearer = true },
			named:  "a token that is bound to nobody: expected 401 invalid_token token_unbound, got 200",
		},
		"no replay memory": {
			change: func(c *access.Config) { c.Replay = amnesiac{} },
			named:  "a thief sends the very same request again: expected 401 invalid_dpop_proof proof_replayed, got 200",
		},
		"a careless restart": {
			change: func(c *access.Config) { c.InsecureForgetAtStart = true },
			named:  "the owner, right after the server's start: expected 401 use_dpop_nonce iat_before_start, got 200",
		},
		"no scope": {
			scope: "accounts:read",
			named: "the owner pays, without the scope for it: expected 403 insufficient_scope scope_missing, got 201",
		},
		"an API that refuses everyone": {
			change: func(c *access.Config) { c.Issuers[0].Audience = "https://other.example.com" },
			named:  "the owner, with the server's nonce: expected 200, got 401 invalid_token token_audience_wrong",
		},
	} {
		t.Run(name, func(t *testing.T) {
			weak := func(origin, issuer string, log *slog.Logger) (*echo.Echo, *access.Guard, error) {
				config := access.Config{
					Origins: []string{origin}, Issuers: []access.Issuer{{URL: issuer, Audience: origin}}, Log: log,
				}
				scope := "accounts:pay"
				if test.change != nil {
					test.change(&config)
				}
				if test.scope != "" {
					scope = test.scope
				}
				guard, err := access.New(config)
				if err != nil {
					return nil, nil, err
				}
				auth := echoauth.New(guard)
				e := echo.New()
				api := e.Group("/accounts", auth.Authenticate())
				api.GET("", accounts, auth.RequireScope("accounts:read"))
				api.POST("", pay, auth.RequireScope(scope))
				return e, guard, nil
			}
			run(t, weak).Names(t, test.named)
		})
	}
}

func TestArguments(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.jwk")
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":              {[]string{"-h"}, 0, "usage: go run ./examples/quickstart"},
		"unknown flag":      {[]string{"-x"}, 2, "usage:"},
		"too many":          {[]string{"play"}, 2, "usage:"},
		"token: no issuer":  {[]string{"token", "-key", key}, 2, "usage:"},
		"token: no file":    {[]string{"token", "http://127.0.0.1:1"}, 1, "Path is empty"},
		"token: wrong file": {[]string{"token", "-key", key + ".old", "http://127.0.0.1:1"}, 1, "no such file"},
		"token: bad file":   {[]string{"token", "-key", key, "http://127.0.0.1:1"}, 1, "quickstart: "},
		"proof: no token":   {[]string{"proof", "GET", "http://127.0.0.1:1"}, 2, "usage:"},
		"proof: no server":  {[]string{"proof", "GET", "http://127.0.0.1:1", "t"}, 1, "connection refused"},
		"proof: bad method": {[]string{"proof", "G T", "http://127.0.0.1:1", "t"}, 1, "not an HTTP method"},
	} {
		t.Run(name, func(t *testing.T) {
			if r := run(t, newAPI, test.args...); r.Status != test.status || !strings.Contains(r.Err, test.says) || r.Out != "" {
				t.Errorf("exit status %d, %q, %q", r.Status, r.Out, r.Err)
			}
		})
	}
}

// The printed commands are run as a person would paste them, within the first seconds after the start.
func TestServedCommandsWork(t *testing.T) {
	for _, tool := range []string{"sh", "curl"} {
		fetched.Program(t, tool)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reader, writer := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- program{story.Program{Name: "quickstart", Out: writer, Err: io.Discard}, newAPI}.run(ctx, []string{"-serve"})
		_ = writer.Close()
	}()
	lines := bufio.NewScanner(reader)
	var script []string
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "The token is good") {
		if commandForm.MatchString(lines.Text()) {
			script = append(script, lines.Text())
		}
	}
	if len(script) == 0 {
		t.Fatalf("no commands are printed; exit status %d", <-status)
	}
	rest := make(chan string, 1)
	go func() { // the server's log goes on
		var all strings.Builder
		for lines.Scan() {
			all.WriteString(lines.Text() + "\n")
		}
		rest <- all.String()
	}()

	shell := exec.CommandContext(ctx, "sh", "-e", "-c", strings.Join(script, "\n"))
	shell.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	shell.Stderr = &stderr
	output, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, strings.Join(script, "\n"), &stderr)
	}
	var got []string
	for _, m := range regexp.MustCompile(`HTTP/1.1 (\d+)|error="([^"]*)"`).FindAllStringSubmatch(string(output), -1) {
		got = append(got, m[1]+m[2])
	}
	const want = "200 401 invalid_token 401 invalid_token 201 401 invalid_dpop_proof"
	if strings.Join(got, " ") != want {
		t.Errorf("the commands get %q, want %s\n%s", got, want, output)
	}

	stop()
	if got := <-status; got != 0 {
		t.Errorf("exit status %d at the end", got)
	}
	log := <-rest
	for _, reason := range []string{"key_mismatch", "bound_token_as_bearer", "proof_replayed"} {
		if !strings.Contains(log, reason) {
			t.Errorf("the log does not say %s:\n%s", reason, log)
		}
	}
	key := strings.TrimPrefix(script[0], "key=")
	if _, err := os.Stat(key); !os.IsNotExist(err) {
		t.Errorf("the key outlives the program: %s, %v", key, err)
	}
}

var commandForm = regexp.MustCompile(`^(\w+=|curl )`)

// The program itself, as its users run it: Ctrl-C is a clean end.
func TestCtrlC(t *testing.T) {
	binary, err := built.Program(t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), binary, "-serve")
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines, api := bufio.NewScanner(stdout), ""
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "The token is good") {
		if address, ok := strings.CutPrefix(lines.Text(), "api="); ok {
			api = address
		}
	}
	answer, err := http.Get(api + "/accounts")
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 401 {
		t.Errorf("without a token: %s", answer.Status)
	}
	if err := command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to the end of its output
	}
	if err := command.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
}

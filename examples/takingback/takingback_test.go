package main

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// run runs the program with an API and returns what it prints and its exit status.
func run(t *testing.T, newAPI apiMaker, args ...string) (out, errOut string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{story.Program{Name: "takingback", Out: &stdout, Err: &stderr}, newAPI}
	status = p.run(t.Context(), args)
	return stdout.String(), stderr.String(), status
}

var stepForm = regexp.MustCompile(`(?m)^([✓✗]) (.{42})  (\w+) +(/\w*)\S*  (\d+)(?:  \w+)?(?: error="([^"]*)")?.*\n    ([a-z_]*)`)

func TestStory(t *testing.T) {
	t.Parallel()
	out, errOut, status := run(t, newAPI)
	if status != 0 || errOut != "" {
		t.Fatalf("exit status %d, %s\n%s", status, errOut, out)
	}
	want := []string{
		"Alice's phone: GET /accounts: 401 invalid_token subject_revoked",
		"Bob, with the same token: GET /accounts: 401 invalid_token subject_revoked",
		"Bob, with a new one: GET /accounts: 401 invalid_token subject_revoked",
		"whoever found the phone: GET /accounts: 401 invalid_token key_revoked",
		"whoever found it, and her password too: GET /accounts: 401 invalid_token key_revoked",
		"Carol, logged in with her password: POST /transfers: 401 insufficient_user_authentication login_too_weak",
		"Carol, with the same token: GET /accounts: 401 invalid_token session_revoked",
		"a thief, with a key of his own: GET /accounts: 401 invalid_token key_mismatch",
		"Alice's laptop, whose session has ended: GET /accounts: 401 invalid_token session_revoked",
	}
	var got []string
	for _, m := range stepForm.FindAllStringSubmatch(out, -1) {
		if m[1] != "✓" {
			t.Errorf("not marked as expected: %s", m[0])
		}
		if m[5] == "401" {
			got = append(got, strings.TrimSpace(m[2])+": "+m[3]+" "+m[4]+": "+m[5]+" "+m[6]+" "+m[7])
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the refusals are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, text := range []string{
		`acr_values="mfa" max_age="300"`,
		"\n✓ the stream of events ends\n    event: end data: session_revoked\n",
		"\n    ALERT key_mismatch: a bound token without its sender\n",
		"\n✓ the identity provider is told\n    session ended\n",
		"\n24 answers: 15 accepted, 9 refused, all as expected.\n",
	} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is missing:\n%s", text, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours where there is no terminal")
	}
}

func TestVerboseInColour(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := program{story.Program{Name: "takingback", Out: &out, Err: io.Discard, Colour: true}, newAPI}
	if status := p.run(t.Context(), []string{"-v"}); status != 0 {
		t.Errorf("exit status %d", status)
	}
	for _, text := range []string{`received "bob"`, "\x1b[32m✓\x1b[0m"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("%q is missing:\n%s", text, out.String())
		}
	}
}

// weakened is the API with something left out.
type weakened struct {
	access.Config
	transfer access.Requirement
	events   access.Stream
}

// Whatever of the API is weakened, the program names the answer that shows it and ends with status 1.
func TestWeakenedAPI(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*weakened)
		named  string
	}{
		"nothing is taken back": {
			func(w *weakened) { w.Revocation = nil },
			"Alice's phone: expected 401 invalid_token subject_revoked, got 200",
		},
		"no record": {
			func(w *weakened) { w.Register = nil },
			"Carol's laptop reports the phone: expected 200, got 404",
		},
		"no step-up": {
			func(w *weakened) { w.transfer = access.Requirement{} },
			"Carol, logged in with her password: expected 401 insufficient_user_authentication login_too_weak, got 201",
		},
		"a step-up that nobody can do": {
			func(w *weakened) { w.transfer.ACRValues = []string{"platinum"} },
			"Carol, after the login it asks for: expected 201, got 401 insufficient_user_authentication login_too_weak",
		},
		"nobody hears of the thief": {
			func(w *weakened) { w.OnAlert = nil },
			`the identity provider is told: expected "session ended", got "nothing came"`,
		},
		"nobody looks after the stream": {
			func(w *weakened) { w.events.Every = time.Minute },
			`the stream of events ends: expected "event: end data: session_revoked", got ""`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			weak := func(origin, issuer string, log *slog.Logger, provider *events.Transmitter) (*api, error) {
				tokens, err := revocation.NewMemory(revocation.Options{})
				if err != nil {
					return nil, err
				}
				stolen, err := onAlert(tokens, provider, log)
				if err != nil {
					return nil, err
				}
				w := weakened{
					Config: access.Config{
						OnAlert: stolen,
						Origins: []string{origin}, Issuers: []access.Issuer{{URL: issuer, Audience: origin}}, Log: log,
						Revocation: tokens, Register: tokens,
					},
					transfer: access.Requirement{ACRValues: []string{"mfa"}},
				}
				test.change(&w)
				guard, err := access.New(w.Config)
				if err != nil {
					return nil, err
				}
				auth := echoauth.New(guard)
				a := &api{Echo: echo.New(), guard: guard, auth: auth, issuer: issuer, tokens: tokens}
				a.routes(w.transfer, w.events)
				return a, nil
			}
			out, errOut, status := run(t, weak)
			if status != 1 || !strings.Contains(errOut, story.ErrUnexpected.Error()) {
				t.Errorf("exit status %d, %s", status, errOut)
			}
			if !strings.Contains(out, "NOT as expected:\n") || !strings.Contains(out, "\n  "+test.named+"\n") || !strings.Contains(out, "\n✗ ") {
				t.Errorf("the wrong answer is not named as %q:\n%s", test.named, out)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		status int
	}{
		"help": {[]string{"-h"}, 0}, "unknown flag": {[]string{"-x"}, 2}, "too many": {[]string{"play"}, 2},
	} {
		if out, errOut, status := run(t, newAPI, test.args...); status != test.status || !strings.Contains(errOut, "usage: go run ./examples/takingback") || out != "" {
			t.Errorf("%s: exit status %d, %q, %q", name, status, out, errOut)
		}
	}
}

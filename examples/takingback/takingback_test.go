package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/internal/storytest"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
)

// run runs the program with an API and a patience.
func run(t *testing.T, newAPI apiMaker, patience time.Duration, args ...string) storytest.Result {
	return storytest.Run("takingback", func(p story.Program) int { return program{p, newAPI, patience}.run(t.Context(), args) })
}

func TestStory(t *testing.T) {
	t.Parallel()
	r := run(t, newAPI, story.Patience)
	refusals := slices.DeleteFunc(r.Steps(t), func(step string) bool { return !strings.Contains(step, ": 401 ") })
	storytest.Equal(t, refusals, []string{
		"Alice's phone: GET /accounts: 401 DPoP invalid_token subject_revoked",
		"Bob, with the same token: GET /accounts: 401 DPoP invalid_token subject_revoked",
		"Bob, with a new one: GET /accounts: 401 DPoP invalid_token subject_revoked",
		"whoever found the phone: GET /accounts: 401 DPoP invalid_token key_revoked",
		"whoever found it, and her password too: GET /accounts: 401 DPoP invalid_token key_revoked",
		"Carol, logged in with her password: POST /transfers: 401 DPoP insufficient_user_authentication login_too_weak",
		"Carol, with the same token: GET /accounts: 401 DPoP invalid_token session_revoked",
		"a thief, with a key of his own: GET /accounts: 401 DPoP invalid_token key_mismatch",
		"Alice's laptop, whose session has ended: GET /accounts: 401 DPoP invalid_token session_revoked",
	})
	for _, text := range []string{
		`acr_values="mfa" max_age="300"`,
		"\n✓ the stream of events ends\n    event: end data: session_revoked\n",
		"\n    ALERT key_mismatch: a bound token without its sender\n",
		"\n✓ the identity provider is told\n    session ended\n",
	} {
		if !strings.Contains(r.Out, text) {
			t.Errorf("%q is missing:\n%s", text, r.Out)
		}
	}
	r.Ends(t, "24 answers: 15 accepted, 9 refused")
}

func TestVerboseInColour(t *testing.T) {
	t.Parallel()
	storytest.Colours(t, "takingback", func(p story.Program) int { return program{p, newAPI, story.Patience}.run(t.Context(), nil) })
	if r := run(t, newAPI, story.Patience, "-v"); r.Status != 0 || !strings.Contains(r.Out, `received "bob"`) {
		t.Errorf("exit status %d\n%s", r.Status, r.Out)
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
			run(t, weak, 3*time.Second).Names(t, test.named)
		})
	}
}

func TestArguments(t *testing.T) {
	storytest.Usage(t, "takingback", func(p story.Program, args ...string) int {
		return program{p, newAPI, story.Patience}.run(t.Context(), args)
	})
}

package echotest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// One request is one decision, whichever middleware makes it, and it is made when the last has been asked.
func (f suite) TestOneDecisionARequest(t *testing.T) {
	scoped := func(scope string) *access.Requirement { return &access.Requirement{Scopes: []string{scope}} }
	for name, test := range map[string]struct {
		authenticate bool
		require      []*access.Requirement
		handler      Handler
		token        string
		outcome      access.Outcome
		reason       string
	}{
		"authenticated alone":           {true, nil, nil, bound(), access.Accepted, ""},
		"and allowed":                   {true, []*access.Requirement{scoped("accounts:read")}, nil, bound(), access.Accepted, ""},
		"and allowed twice":             {true, []*access.Requirement{scoped("accounts:read"), {Nonce: false}}, nil, bound(), access.Accepted, ""},
		"required alone":                {false, []*access.Requirement{scoped("accounts:read")}, nil, bound(), access.Accepted, ""},
		"not authenticated":             {true, []*access.Requirement{scoped("accounts:read")}, nil, "nonsense", access.Refused, "token_jws_malformed"},
		"authenticated, then refused":   {true, []*access.Requirement{scoped("b")}, nil, bound(), access.Refused, "scope_missing"},
		"allowed, then refused":         {true, []*access.Requirement{scoped("accounts:read"), scoped("b")}, nil, bound(), access.Refused, "scope_missing"},
		"the handler fails":             {true, nil, func(Context) error { return errors.New("no data base") }, bound(), access.Accepted, ""},
		"the handler answers nothing":   {true, nil, func(Context) error { return nil }, bound(), access.Accepted, ""},
		"the handler asks for a teapot": {true, nil, func(Context) error { return f.Error(http.StatusTeapot) }, bound(), access.Accepted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var heard []access.Decision
			auth := f.newAuth(t, func(c *access.Config) {
				c.Observer.Decided = func(_ context.Context, d access.Decision) { heard = append(heard, d) }
			})
			e := f.New()
			if test.authenticate {
				e.Use(auth.Authenticate())
			}
			handler := func(c Context) error {
				if test.handler != nil {
					return test.handler(c)
				}
				return c.NoContent(http.StatusOK)
			}
			var chain []Middleware
			for _, q := range test.require {
				chain = append(chain, auth.Require(*q))
			}
			e.Handle("GET", "/accounts/:id", handler, chain...)
			(&api{Server: e}).serve(signed(get(poptest.Audience+"/accounts/7"), test.token, poptest.Audience+"/accounts/7"))
			if len(heard) != 1 {
				t.Fatalf("%d decisions: %+v", len(heard), heard)
			}
			d := heard[0]
			if d.Outcome() != test.outcome || d.Reason() != test.reason {
				t.Errorf("%s %q, want %s %q", d.Outcome(), d.Reason(), test.outcome, test.reason)
			}
			if d.Route != "/accounts/:id" || d.Method != "GET" {
				t.Errorf("%s %s", d.Method, d.Route)
			}
			if known := test.token != "nonsense"; (d.ClientID == "client-1") != known || (d.Issuer == poptest.Issuer) != known ||
				(d.Thumbprint == poptest.ClientKey().Thumbprint()) != known {
				t.Errorf("issuer %q, client %q, thumbprint %q", d.Issuer, d.ClientID, d.Thumbprint)
			}
		})
	}
}

// A response that lasts is told when it begins, not when it ends.
func (f suite) TestDecisionIsToldBeforeALongAnswerEnds(t *testing.T) {
	told := 0
	auth := f.newAuth(t, func(c *access.Config) {
		c.Observer.Decided = func(context.Context, access.Decision) { told++ }
	})
	e := f.New()
	e.Handle("GET", "/accounts", func(c Context) error {
		if told != 0 {
			t.Error("told before the handler began to answer")
		}
		c.Response().WriteHeader(http.StatusOK)
		if told != 1 {
			t.Errorf("told %d times when the answer had begun", told)
		}
		return nil
	}, auth.Authenticate())
	(&api{Server: e}).serve(owner())
	if told != 1 {
		t.Errorf("told %d times in all", told)
	}
}

// What the log says of accepted requests, and from which level on.
func (f suite) TestLogOfAcceptedRequests(t *testing.T) {
	for name, test := range map[string]struct {
		level  slog.Level
		always bool
		want   string // the line's level; empty: no line
	}{
		"at Info":                    {slog.LevelInfo, false, ""},
		"at Debug":                   {slog.LevelDebug, false, "DEBUG"},
		"at Info, with LogAccepted":  {slog.LevelInfo, true, "INFO"},
		"at Error, with LogAccepted": {slog.LevelError, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var lines strings.Builder
			a := f.newAPI(f.newAuth(t, func(c *access.Config) {
				c.Log, c.LogAccepted = slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: test.level})), test.always
			}))
			a.serve(owner())
			if test.want == "" {
				if lines.Len() > 0 {
					t.Errorf("logged %s", &lines)
				}
				return
			}
			var line map[string]any
			if err := json.Unmarshal([]byte(lines.String()), &line); err != nil {
				t.Fatalf("not one line: %v\n%s", err, &lines)
			}
			for key, want := range map[string]any{
				"level": test.want, "msg": "request accepted", "outcome": "accepted", "issuer": poptest.Issuer, "client": "client-1",
				"thumbprint": poptest.ClientKey().Thumbprint(), "route": "/accounts", "method": "GET", "token_known": false,
			} {
				if line[key] != want {
					t.Errorf("%s is %v, want %v", key, line[key], want)
				}
			}
		})
	}
}

// By how much a time missed its window stands apart, for whoever looks for clocks that are wrong.
func (f suite) TestLogOfADifference(t *testing.T) {
	var lines strings.Builder
	a := f.newAPI(f.newAuth(t, func(c *access.Config) { c.Log = slog.New(slog.NewJSONHandler(&lines, nil)) }))
	a.serve(signed(get(poptest.URL), bound(), poptest.URL, func(p *poptest.Proof) { p.IssuedAt = poptest.Now.Add(-90 * time.Second) }))
	var line map[string]any
	if err := json.Unmarshal([]byte(lines.String()), &line); err != nil {
		t.Fatalf("not one line: %v\n%s", err, &lines)
	}
	if line["reason"] != "iat_too_old" || line["difference"] != float64(30*time.Second) || line["expected"] == nil || line["received"] == nil {
		t.Errorf("line %v", line)
	}
}

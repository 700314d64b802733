package main

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
)

// server is a small server that trusts an issuer which is not there yet.
func server(t *testing.T, issuer string, change func(*access.Config)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	origin := "http://" + s.Listener.Addr().String()
	c := access.Config{
		Origins: []string{origin}, Issuers: []access.Issuer{{URL: issuer, Audience: origin}},
		InsecureForgetAtStart: true, Log: slog.New(slog.DiscardHandler),
	}
	change(&c)
	guard, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	auth := echoauth.New(guard)
	t.Cleanup(func() { _ = guard.Close() })
	e := echo.New()
	e.Any("/resource", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) }, auth.Authenticate())
	s.Config.Handler = e
	s.Start()
	t.Cleanup(s.Close)
	return origin + "/resource"
}

// free is an address where nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

const lacks = "introspection,metadata,paths,methods,stepup,down"

func TestCommand(t *testing.T) {
	address, folder := free(t), t.TempDir()
	url := server(t, "http://"+address, func(*access.Config) {})
	file := func(name string) string { return filepath.Join(folder, name) }
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{
		"--url", url, "--issuer", address, "--profile", "strict", "--lacks", lacks, "--group",
		"ath,binding,credentials,paths",
		"--junit", file("r.xml"), "--json", file("r.json"), "--html", file("r.html"),
	}, &out, &errs)
	if code != ok {
		t.Errorf("status %d\n%s\n%s", code, &out, &errs)
	}
	for _, text := range []string{"passed in profile strict, 0 failed", "the server lacks paths"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("the table does not hold %q:\n%s", text, &out)
		}
	}
	for _, name := range []string{"r.xml", "r.json", "r.html"} {
		if text, err := os.ReadFile(file(name)); err != nil || !strings.Contains(string(text), "binding-other-key") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server with a defect ends the command with status 1, and the failure is told.
func TestCommandFails(t *testing.T) {
	address := free(t)
	url := server(t, "http://"+address, func(c *access.Config) { c.InsecureAllowBearer = true })
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"--url", url, "--issuer", address, "--only", "auth-bearer-unbound,good"}, &out,
		&errs)
	if code != failed {
		t.Errorf("status %d", code)
	}
	for _, text := range []string{"auth-bearer-unbound", "accepted, although it must be refused",
		"> Authorization: Bearer eyJ", "< HTTP/1.1 204 No Content"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("the table does not hold %q:\n%s", text, &out)
		}
	}
}

func TestCommandCannotAsk(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"no URL":       {nil, "--url is missing"},
		"unknown flag": {[]string{"--x"}, "not defined"},
		"no flag":      {[]string{"--url", "http://127.0.0.1:1/", "--group", "ath,", "field"}, `"field" is no flag`},
		"no issuer URL": {[]string{"--url", "http://127.0.0.1:1/", "--issuer", "127.0.0.1:0", "--issuer-url", "suite"},
			`identifier is "suite": give`},
		"no address":   {[]string{"--url", "http://127.0.0.1:1/", "--issuer", "9700"}, "give it another address"},
		"no authority": {[]string{"--url", "https://127.0.0.1:1/", "--ca", "main.go"}, "holds no certificate"},
		"nobody there": {[]string{"--url", "http://127.0.0.1:1/", "--issuer", "127.0.0.1:0"}, "does not answer"},
		"no tokens": {[]string{"--url", "http://127.0.0.1:1/", "--token-endpoint", "http://127.0.0.1:1/token"},
			"refused"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), test.args, &out, &errs); code != unable || !strings.Contains(errs.String(),
				test.says) {
				t.Errorf("status %d, %s", code, &errs)
			}
		})
	}
	var out bytes.Buffer
	if code := run(t.Context(), []string{"--list"}, &out, &out); code != ok || !strings.Contains(out.String(),
		"binding-other-key") {
		t.Errorf("--list: status %d", code)
	}
}

package main

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/mtls"
)

// run runs the program with an API and returns what it prints and its exit status.
func run(t *testing.T, newAPI apiMaker, args ...string) (out, errOut string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{story.Program{Name: "mtls", Out: &stdout, Err: &stderr}, newAPI}
	status = p.run(t.Context(), args)
	return stdout.String(), stderr.String(), status
}

var stepForm = regexp.MustCompile(`(?m)^([✓✗]) (.{42})  (\w+) +(\S+)  (\d+)(?:  (\w+))?(?: error="([^"]*)")?.*\n    ([a-z_]*)`)

const allAsExpected = "\n17 answers: 4 accepted, 13 refused, all as expected.\n"

func TestStory(t *testing.T) {
	out, errOut, status := run(t, newAPI)
	if status != 0 || errOut != "" {
		t.Fatalf("exit status %d, %s\n%s", status, errOut, out)
	}
	want := []string{
		"nobody, without a token: GET: 401 DPoP  credentials_missing",
		"the owner, with the certificate: GET: 200   ",
		"the owner, without it: GET: 401 Bearer invalid_token certificate_missing",
		"the owner, with a wrong one: GET: 401 Bearer invalid_token certificate_mismatch",
		"a thief, with a certificate of his own: GET: 401 Bearer invalid_token certificate_mismatch",
		"a thief, with the owner's in a field: GET: 401 Bearer invalid_token certificate_missing",
		"a thief, with his own and the owner's: GET: 401 Bearer invalid_token certificate_mismatch",
		"the owner, with the certificate renewed: GET: 401 Bearer invalid_token certificate_mismatch",
		"the owner, with a new token for it: GET: 200   ",
		"a client with a self-signed certificate: GET: 200   ",
		"a token that is bound to nobody: GET: 401 Bearer invalid_token token_unbound",
		"the owner pays, with the certificate only: POST: 401 Bearer invalid_token binding_missing",
		"the owner pays, without the server's nonce: POST: 401 DPoP use_dpop_nonce nonce_missing",
		"the owner pays, with certificate and proof: POST: 201   ",
		"a thief pays, with the key only: POST: 401 DPoP invalid_token certificate_missing",
		"a thief pays, with the certificate only: POST: 401 DPoP invalid_token key_mismatch",
		"a thief pays, without any proof: POST: 401 Bearer invalid_token bound_token_as_bearer",
	}
	var got []string
	for _, m := range stepForm.FindAllStringSubmatch(out, -1) {
		if m[1] != "✓" || m[4] != "/accounts" {
			t.Errorf("not marked as expected: %s", m[0])
		}
		got = append(got, strings.TrimSpace(m[2])+": "+m[3]+": "+m[5]+" "+m[6]+" "+m[7]+" "+m[8])
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("the steps are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if !strings.HasSuffix(out, allAsExpected) {
		t.Errorf("the summary is missing:\n%s", out)
	}
	if strings.Contains(out, "\x1b") {
		t.Error("colours where there is no terminal")
	}
}

func TestVerboseShowsTheLogInFull(t *testing.T) {
	if out, _, status := run(t, newAPI, "-v"); status != 0 || !strings.Contains(out, `: expected "DPoP and certificate", received "certificate"`) {
		t.Errorf("exit status %d\n%s", status, out)
	}
}

func TestColoursOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := program{story.Program{Name: "mtls", Out: &out, Err: io.Discard, Colour: true}, newAPI}
	if status := p.run(t.Context(), nil); status != 0 || !strings.Contains(out.String(), "\x1b[32m✓\x1b[0m") {
		t.Errorf("exit status %d\n%q", status, out.String())
	}
}

// Whatever of the API is weakened, the program names the answer that shows it and ends with status 1.
func TestWeakenedAPI(t *testing.T) {
	const both = access.BindingCertificate | access.BindingDPoP
	everyone, err := mtls.FromProxy(mtls.Proxy{Trusted: mtls.Peers{Addresses: []string{"127.0.0.0/8"}}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		source  mtls.CertificateSource
		bearer  bool
		binding access.Binding // of paying
		named   string
	}{
		"a field that anybody can write": {everyone, false, both,
			"a thief, with the owner's in a field: expected 401 invalid_token certificate_missing, got 200"},
		"certificates are not looked for": {nil, false, both,
			"the owner, with the certificate: expected 200, got 401 invalid_token certificate_not_accepted"},
		"bearer tokens": {mtls.FromTLS, true, both,
			"a token that is bound to nobody: expected 401 invalid_token token_unbound, got 401 invalid_token binding_missing"},
		"paying takes the certificate only": {mtls.FromTLS, false, access.BindingCertificate,
			"the owner pays, with the certificate only: expected 401 invalid_token binding_missing, got 201"},
	} {
		t.Run(name, func(t *testing.T) {
			weak := func(origin string, issuer access.Issuer, _ mtls.CertificateSource, log *slog.Logger) (*echo.Echo, *access.Guard, error) {
				guard, err := access.New(access.Config{
					Origins: []string{origin}, Issuers: []access.Issuer{issuer}, Log: log, RequireNonce: true,
					Certificates: test.source, InsecureAllowBearer: test.bearer,
				})
				if err != nil {
					return nil, nil, err
				}
				auth := echoauth.New(guard)
				e := echo.New()
				e.GET("/accounts", accounts, auth.Require(access.Requirement{Binding: access.BindingCertificate}))
				e.POST("/accounts", pay, auth.Require(access.Requirement{Binding: test.binding}))
				return e, guard, nil
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
		says   string
	}{
		"help":            {[]string{"-h"}, 0, "alb-passthrough, alb-verify, envoy, haproxy, nginx, rfc9440, traefik"},
		"unknown flag":    {[]string{"-x"}, 2, "usage: go run ./examples/mtls"},
		"too many":        {[]string{"play"}, 2, "usage: go run ./examples/mtls"},
		"unknown proxy":   {[]string{"-proxy", "squid"}, 1, "-proxy squid is unknown: give one of alb-"},
		"no range":        {[]string{"-proxy", "nginx", "-trusted", "10.0.0.0/33"}, 1, "-trusted: "},
		"everybody":       {[]string{"-proxy", "nginx", "-trusted", "0.0.0.0/0"}, 1, "Proxy.Trusted"},
		"no address":      {[]string{"-proxy", "nginx", "-listen", "nowhere"}, 1, "listen tcp"},
		"no origin":       {[]string{"-proxy", "nginx", "-listen", "127.0.0.1:0", "-origin", "localhost"}, 1, "Origins"},
		"no such network": {[]string{"-proxy", "nginx", "-listen", "192.0.2.1:0"}, 1, "listen tcp"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, errOut, status := run(t, newAPI, test.args...); status != test.status || !strings.Contains(errOut, test.says) || out != "" {
				t.Errorf("exit status %d, %q, %q", status, out, errOut)
			}
		})
	}
}

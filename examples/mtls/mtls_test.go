package main

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/internal/storytest"
	"github.com/senderlock/senderlock/mtls"
)

// run runs the program with an API.
func run(t *testing.T, newAPI apiMaker, args ...string) storytest.Result {
	return storytest.Run("mtls", func(p story.Program) int { return program{p, newAPI}.run(t.Context(), args) })
}

const answers = "17 answers: 4 accepted, 13 refused"

func TestStory(t *testing.T) {
	r := run(t, newAPI)
	storytest.Equal(t, r.Steps(t), []string{
		"nobody, without a token: GET /accounts: 401 DPoP credentials_missing",
		"the owner, with the certificate: GET /accounts: 200",
		"the owner, without it: GET /accounts: 401 Bearer invalid_token certificate_missing",
		"the owner, with a wrong one: GET /accounts: 401 Bearer invalid_token certificate_mismatch",
		"a thief, with a certificate of his own: GET /accounts: 401 Bearer invalid_token certificate_mismatch",
		"a thief, with the owner's in a field: GET /accounts: 401 Bearer invalid_token certificate_missing",
		"a thief, with his own and the owner's: GET /accounts: 401 Bearer invalid_token certificate_mismatch",
		"the owner, with the certificate renewed: GET /accounts: 401 Bearer invalid_token certificate_mismatch",
		"the owner, with a new token for it: GET /accounts: 200",
		"a client with a self-signed certificate: GET /accounts: 200",
		"a token that is bound to nobody: GET /accounts: 401 Bearer invalid_token token_unbound",
		"the owner pays, with the certificate only: POST /accounts: 401 Bearer invalid_token binding_missing",
		"the owner pays, without the server's nonce: POST /accounts: 401 DPoP use_dpop_nonce nonce_missing",
		"the owner pays, with certificate and proof: POST /accounts: 201",
		"a thief pays, with the key only: POST /accounts: 401 DPoP invalid_token certificate_missing",
		"a thief pays, with the certificate only: POST /accounts: 401 DPoP invalid_token key_mismatch",
		"a thief pays, without any proof: POST /accounts: 401 Bearer invalid_token bound_token_as_bearer",
	})
	r.Ends(t, answers)
}

func TestVerboseShowsTheLogInFull(t *testing.T) {
	if r := run(t, newAPI, "-v"); r.Status != 0 || !strings.Contains(r.Out, `: expected "DPoP and certificate", received "certificate"`) {
		t.Errorf("exit status %d\n%s", r.Status, r.Out)
	}
}

func TestColoursOnATerminal(t *testing.T) {
	storytest.Colours(t, "mtls", func(p story.Program) int { return program{p, newAPI}.run(t.Context(), nil) })
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
			run(t, weak).Names(t, test.named)
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
			if r := run(t, newAPI, test.args...); r.Status != test.status || !strings.Contains(r.Err, test.says) || r.Out != "" {
				t.Errorf("exit status %d, %q, %q", r.Status, r.Out, r.Err)
			}
		})
	}
}

package command_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
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
	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/conformance/command"
	"github.com/senderlock/senderlock/echoauth"
)

// The exit codes.
const (
	ok     = 0
	failed = 1
	unable = 2
)

func run(t *testing.T, args []string, out, errs io.Writer) int {
	t.Helper()
	return command.Main(t.Context(), "senderlock-conformance", args, strings.NewReader(""), out, errs)
}

// server is a small server that trusts an issuer which is not there yet.
func server(t *testing.T, issuer string, change func(*access.Config)) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	origin := "http://" + s.Listener.Addr().String()
	c := access.Config{
		Origins: []string{origin}, Issuers: []access.Issuer{{URL: issuer, Audience: origin}},
		InsecureForgetAtStart: true, KnownKeys: 1000, KnownTokens: 1000, Log: slog.New(slog.DiscardHandler),
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
	code := run(t, []string{
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
	code := run(t, []string{"--url", url, "--issuer", address, "--profile", "strict", "--only",
		"auth-bearer-unbound,good"}, &out, &errs)
	if code != failed {
		t.Errorf("status %d", code)
	}
	for _, text := range []string{"auth-bearer-unbound", "status 204: accepted, want a refusal",
		"DPoP (the token below)", "Bearer (the token below)", "< HTTP/1.1 204 No Content", "RFC 9449 §7.2"} {
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
			`URL is "suite": give`},
		"no address": {[]string{"--url", "http://127.0.0.1:1/", "--issuer", "9700"}, "give it another"},
		"no case":    {[]string{"--explain", "nothing"}, `there is no case "nothing"`},
		"two issuers": {[]string{"--url", "http://127.0.0.1:1/", "--issuer-cert", "x", "--issuer-ca", "y"},
			"--issuer-cert and --issuer-ca exclude each other"},
		"no certificate": {[]string{"--url", "http://127.0.0.1:1/", "--issuer-cert", "command.go"}, "--issuer-cert command.go: tls"},
		"no authority":   {[]string{"--url", "https://127.0.0.1:1/", "--ca", "command.go"}, "holds no certificate"},
		"nobody there":   {[]string{"--url", "http://127.0.0.1:1/", "--issuer", "127.0.0.1:0"}, "does not answer"},
		"no tokens": {[]string{"--url", "http://127.0.0.1:1/", "--token-endpoint", "https://127.0.0.1:1/token"},
			"refused"},
		"no TLS for the secret": {[]string{"--url", "http://127.0.0.1:1/", "--token-endpoint", "http://127.0.0.1:1/token"},
			"TokenEndpoint is no https URL"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t, test.args, &out, &errs); code != unable || !strings.Contains(errs.String(),
				test.says) {
				t.Errorf("status %d, %s", code, &errs)
			}
		})
	}
}

// What is asked can be read without asking anybody.
func TestCommandTells(t *testing.T) {
	for flags, says := range map[string][]string{
		"--list": {"\nbinding\n", "RFC 9449 §4.3 item 12, §6", "binding-other-key: a good proof", "(+@warm)"},
		"--explain htu-port": {"htu-port: htu: another port", "MUST RS-015, RFC 9449 §4.3 item 9", `"htu"`,
			"strict  401 with invalid_dpop_proof", "base    400 or 401", "Look at where htu is compared"},
		"--explain token-expired":          {"A server may do otherwise and be right: a leeway of a few minutes is permitted"},
		"--explain binding-other-key@warm": {"First a request in order, with the same token and key"},
		"--explain path-utf8":              {"strict  2xx\n", "base    2xx; 400 or 403 or 404 without an error code says that there is no such resource"},
		"--explain replay-race":            {"50 times at the same instant", "1 accepted, each other one refused: 401"},
		"--help":                           {"issuer-ca", "absolute-form, bearer, certproxy", "shuffle"},
	} {
		var out bytes.Buffer
		if code := run(t, strings.Fields(flags), &out, &out); code != ok {
			t.Errorf("%s: status %d", flags, code)
		}
		for _, text := range says {
			if !strings.Contains(out.String(), text) {
				t.Errorf("%s does not say %q:\n%s", flags, text, out.String()[:min(1500, out.Len())])
			}
		}
	}
}

// A server that accepts an issuer over https alone is asked with a certificate made for it, or with one of its own.
func TestIssuerOverHTTPS(t *testing.T) {
	address, folder := free(t), t.TempDir()
	ca, pair := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "pair.pem")
	certificate, authority, err := conformance.NewCertificate("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	if err := os.WriteFile(pair, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for flag, trusted := range map[string]func() []byte{
		"--issuer-ca": func() []byte { made, _ := os.ReadFile(ca); return made }, "--issuer-cert": func() []byte { return authority },
	} {
		file := map[string]string{"--issuer-ca": ca, "--issuer-cert": pair}[flag]
		url := server(t, "https://"+address, func(c *access.Config) {
			c.HTTPClient = &http.Client{Transport: &http.Transport{DialTLSContext: func(ctx context.Context, network, to string) (net.Conn, error) {
				pool := x509.NewCertPool()
				pool.AppendCertsFromPEM(trusted()) // which is there once the suite runs
				return (&tls.Dialer{Config: &tls.Config{RootCAs: pool}}).DialContext(ctx, network, to)
			}}}
		})
		var out, errs bytes.Buffer
		code := run(t, []string{"--url", url, "--issuer", address, flag, file, "--group", "ath"}, &out, &errs)
		if code != ok || !strings.Contains(errs.String(), "issuer https://"+address) {
			t.Errorf("%s: status %d\n%s\n%s", flag, code, &out, &errs)
		}
	}
}

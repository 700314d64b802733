package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/fetched"
	"github.com/senderlock/senderlock/internal/proxytest"
	"github.com/senderlock/senderlock/mtls"
)

// product is a proxy that the tests start, with the settings of README.md.
type product struct {
	program  proxytest.Program
	setting  string // of -proxy
	field    string
	value    func(tls.Certificate) string // of the field
	lines    []string                     // those that keep clients from writing the field
	settings func(t *testing.T) string
	adapted  map[string]string // what changes for the test
}

var products = map[string]product{
	"nginx": {
		program: proxytest.NGINX, setting: "nginx", field: "X-SSL-Client-Cert", value: escapedPEM,
		lines:    []string{"        proxy_set_header X-SSL-Client-Cert $ssl_client_escaped_cert;\n"},
		settings: func(t *testing.T) string { return blocks(t, "nginx")[0] },
		adapted: map[string]string{
			"listen 443 ": "listen {{address}} ", "/etc/nginx/": "{{folder}}/", "10.1.0.20:8080": "{{api}}",
		},
	},
	"HAProxy": {
		program: proxytest.HAProxy, setting: "haproxy", field: "X-SSL-Client-Cert", value: base64DER,
		lines:    []string{"    http-request del-header X-SSL-Client-Cert\n"},
		settings: func(t *testing.T) string { return blocks(t, "haproxy")[0] },
		adapted:  haproxyAdapted,
	},
	"HAProxy, RFC 9440": {
		program: proxytest.HAProxy, setting: "rfc9440", field: "Client-Cert", value: byteSequence,
		lines:    []string{"    http-request del-header Client-Cert\n"},
		settings: haproxyRFC9440,
		adapted:  haproxyAdapted,
	},
}

var haproxyAdapted = map[string]string{
	"bind :443 ": "bind fd@3 ", "/etc/haproxy/": "{{folder}}/", "10.1.0.20:8080": "{{api}}",
}

// haproxyRFC9440 puts the second block of README.md in place of the lines that it is for.
func haproxyRFC9440(t *testing.T) string {
	all := blocks(t, "haproxy")
	lines := regexp.MustCompile(`(?m)^ *http-request .*X-SSL-Client-Cert.*\n`)
	if len(lines.FindAllString(all[0], -1)) != 2 {
		t.Fatalf("README.md: not two lines about X-SSL-Client-Cert in\n%s", all[0])
	}
	first := true
	return lines.ReplaceAllStringFunc(all[0], func(string) string {
		if first {
			first = false
			return all[1]
		}
		return ""
	})
}

// blocks are the fenced blocks of README.md in one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("README.md has no block marked %s", language)
	}
	return found
}

func escapedPEM(c tls.Certificate) string { return url.PathEscape(string(encode(c.Leaf))) }
func base64DER(c tls.Certificate) string  { return base64.StdEncoding.EncodeToString(c.Leaf.Raw) }
func byteSequence(c tls.Certificate) string {
	return ":" + base64DER(c) + ":"
}

// front is a running proxy with the API behind it.
type front struct {
	*stage
	behind net.Addr // the API
	folder string   // with the certificates
	token  string   // of owner.pem
}

// open starts the API, and the proxy in front of it.
func (p product) open(t *testing.T, settings string) *front {
	t.Helper()
	fetched.Program(t, p.program.Name)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f := &front{stage: newTestStage(t), folder: t.TempDir()}
	f.behind, err = f.serveBehind(frontEnd{
		proxy: p.setting, listen: "127.0.0.1:0", trusted: "127.0.0.1/32", origin: "https://" + listener.Addr().String(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if f.token, err = f.save(f.folder); err != nil {
		t.Fatal(err)
	}
	p.start(t, listener, f.folder, f.behind.String(), settings)
	return f
}

// start runs the proxy until the test is over.
func (p product) start(t *testing.T, listener net.Listener, folder, api, settings string) {
	t.Helper()
	for from, to := range p.adapted {
		if !strings.Contains(settings, from) {
			t.Fatalf("README.md: %q is not in the settings, and the test has to change it:\n%s", from, settings)
		}
		settings = strings.ReplaceAll(settings, from, to)
	}
	p.program.Run(t, listener, folder, strings.NewReplacer("{{address}}", listener.Addr().String(), "{{api}}", api).Replace(settings))
}

func newTestStage(t *testing.T) *stage {
	t.Helper()
	s, err := newStage(program{story.Program{Name: "mtls", Out: io.Discard, Err: io.Discard}, newAPI}, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

// RS-085, RS-086, RS-091, RS-092: through a real proxy the story is the same.
func TestStoryThroughProxies(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			f := p.open(t, p.settings(t))
			var out bytes.Buffer
			f.Out = &out
			if err := f.Tell("", f.story); err != nil || !strings.Contains(out.String(), answers+", all as expected.") {
				t.Errorf("behind %s:\n%s", name, &out)
			}
		})
	}
}

// RS-092, RS-098: whatever a client writes into the proxy's field, or into one that resembles it, the API sees the
// certificate of the connection.
func TestClientsFieldsThroughProxies(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			f := p.open(t, p.settings(t))
			owner, thief := f.issue("wallet"), f.issue("thief")
			token := f.bound(owner)
			under := strings.ReplaceAll(p.field, "-", "_")
			for what, fields := range map[string]http.Header{
				"nothing":                   {},
				"the owner's":               {p.field: {p.value(owner)}},
				"in lower case":             {strings.ToLower(p.field): {p.value(owner)}},
				"twice":                     {p.field: {p.value(owner), p.value(owner)}},
				"twice, the first empty":    {p.field: {"", p.value(owner)}},
				"empty":                     {p.field: {""}},
				"with underscores":          {under: {p.value(owner)}},
				"with one underscore":       {strings.Replace(p.field, "-", "_", 1): {p.value(owner)}},
				"with underscores, twice":   {under: {p.value(owner), p.value(owner)}},
				"both ways":                 {p.field: {p.value(owner)}, under: {p.value(owner)}},
				"named in Connection":       {p.field: {p.value(owner)}, "Connection": {p.field}},
				"the thief's":               {p.field: {p.value(thief)}},
				"a chain":                   {p.field: {p.value(owner)}, p.field + "-Chain": {p.value(owner)}},
				"as if from another proxy":  {p.field: {p.value(owner)}, "X-Forwarded-For": {"127.0.0.1"}, "Forwarded": {"for=127.0.0.1"}},
				"every known field at once": claiming(http.Header{}, owner),
			} {
				t.Run(what, func(t *testing.T) {
					for who, test := range map[string]struct {
						certificate *tls.Certificate
						want        string
					}{
						"the owner":                     {&owner, "200"},
						"a thief":                       {&thief, "401 certificate_mismatch"},
						"a thief without a certificate": {nil, "401 certificate_missing"},
					} {
						if got := f.ask(t, f.client(test.certificate), token, fields); got != test.want {
							t.Errorf("%s: %s, want %s", who, got, test.want)
						}
					}
				})
			}
		})
	}
}

// RS-098: without the line that overwrites the field, a client writes what it likes: the tests above can fail.
func TestSettingsWithoutTheirLine(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			settings := p.settings(t)
			for _, line := range p.lines {
				if !strings.Contains(settings, line) {
					t.Fatalf("README.md: %q is not in the settings", line)
				}
				settings = strings.ReplaceAll(settings, line, "")
			}
			f := p.open(t, settings)
			owner := f.issue("wallet")
			if got := f.ask(t, f.client(nil), f.bound(owner), http.Header{p.field: {p.value(owner)}}); got != "200" {
				t.Errorf("a thief who writes the field gets %s: it is not what the line is for", got)
			}
		})
	}
}

// RS-092: past the proxy, from an address that is not listed, the field refuses the request.
func TestPastTheProxy(t *testing.T) {
	for setting, p := range map[string]product{"nginx": products["nginx"], "haproxy": products["HAProxy"], "rfc9440": products["HAProxy, RFC 9440"]} {
		t.Run(setting, func(t *testing.T) {
			s := newTestStage(t)
			address, err := s.serveBehind(frontEnd{proxy: setting, listen: "127.0.0.1:0", trusted: "192.0.2.0/24", origin: "https://localhost:8443"})
			if err != nil {
				t.Fatal(err)
			}
			f := &front{stage: s, behind: address}
			owner := f.issue("wallet")
			token := f.bound(owner)
			f.api = "http://" + address.String()
			if got := f.ask(t, http.DefaultClient, token, http.Header{p.field: {p.value(owner)}}); got != "401 certificate_field_foreign" {
				t.Errorf("with the field: %s", got)
			}
			if got := f.ask(t, http.DefaultClient, token, nil); got != "401 certificate_missing" {
				t.Errorf("without: %s", got)
			}
		})
	}
}

// RS-085: a resumed session brings the certificate of the session that it continues.
func TestResumedSessionThroughProxies(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			f := p.open(t, p.settings(t))
			owner := f.issue("wallet")
			token := f.bound(owner)
			c := f.client(&owner)
			transport := c.Transport.(*http.Transport)
			transport.DisableKeepAlives = true
			transport.TLSClientConfig.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			resumed := false
			transport.TLSClientConfig.VerifyConnection = func(s tls.ConnectionState) error {
				resumed = s.DidResume
				return nil
			}
			for i := range 2 {
				if got := f.ask(t, c, token, nil); got != "200" || resumed != (i == 1) {
					t.Errorf("connection %d: %s, resumed: %t", i+1, got, resumed)
				}
			}
		})
	}
}

// RS-090: what README.md says of expired certificates.
func TestExpiredCertificateThroughProxies(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			f := p.open(t, p.settings(t))
			key, err := story.NewKey()
			if err != nil {
				t.Fatal(err)
			}
			template := leaf("wallet")
			template.NotBefore, template.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
			expired, err := certify(template, f.ca.certificate, key, f.ca.key)
			if err != nil {
				t.Fatal(err)
			}
			want := "200"
			if p.program.Name == "nginx" {
				want = "400"
			}
			if got := f.ask(t, f.client(&expired), f.bound(expired), nil); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}

// bound gives a token for reading that is bound to a certificate.
func (f *front) bound(c tls.Certificate) string { return f.stage.token("accounts:read", &c, nil) }

// ask sends a request with fields of the client's own and returns status and reason.
func (f *front) ask(t *testing.T, c *http.Client, token string, fields http.Header) string {
	t.Helper()
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.api+"/accounts", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range fields {
		r.Header[name] = values // as it is spelled
	}
	r.Header.Set("Authorization", "Bearer "+token)
	var log bytes.Buffer
	f.Log.Follow(&log)
	defer f.Log.Follow(io.Discard)
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(answer.StatusCode)
	if m := regexp.MustCompile(`: \d+ (\w+): `).FindStringSubmatch(log.String()); m != nil {
		got += " " + m[1]
	}
	return got
}

// What -proxy prints is run as a person would paste it, with the proxy set as README.md says.
func TestPrintedCommandsThroughProxies(t *testing.T) {
	for name, p := range products {
		t.Run(name, func(t *testing.T) {
			for _, program := range []string{p.program.Name, "sh", "curl"} {
				fetched.Program(t, program)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			reader, writer := io.Pipe()
			status := make(chan int, 1)
			go func() {
				status <- program{story.Program{Name: "mtls", Out: writer, Err: io.Discard}, newAPI}.run(ctx, []string{
					"-proxy", p.setting, "-listen", "127.0.0.1:0", "-origin", "https://" + listener.Addr().String(),
				})
				_ = writer.Close()
			}()
			lines, api, script := bufio.NewScanner(reader), "", []string{}
			for lines.Scan() && !strings.HasPrefix(lines.Text(), "The token is good") {
				if m := regexp.MustCompile(` at http://(\S+) `).FindStringSubmatch(lines.Text()); m != nil {
					api = m[1]
				}
				if regexp.MustCompile(`^(\w+=|curl )`).MatchString(lines.Text()) {
					script = append(script, lines.Text())
				}
			}
			if len(script) == 0 {
				t.Fatalf("no commands are printed; exit status %d", <-status)
			}
			rest := make(chan string, 1)
			go func() { // the server's log goes on
				text, _ := io.ReadAll(reader)
				rest <- string(text)
			}()

			folder := strings.TrimPrefix(script[0], "folder=")
			p.start(t, listener, folder, api, p.settings(t))
			shell := exec.CommandContext(ctx, "sh", "-e", "-c", strings.Join(script, "\n"))
			var stderr bytes.Buffer
			shell.Stderr = &stderr
			output, err := shell.Output()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, strings.Join(script, "\n"), &stderr)
			}
			var got []string
			for _, m := range regexp.MustCompile(`HTTP/\S+ (\d+)|error="([^"]*)"`).FindAllStringSubmatch(string(output), -1) {
				got = append(got, m[1]+m[2])
			}
			if strings.Join(got, " ") != "200 401 invalid_token 401 invalid_token" {
				t.Errorf("the commands get %q\n%s", got, output)
			}

			stop()
			if got := <-status; got != 0 {
				t.Errorf("exit status %d at the end", got)
			}
			if log := <-rest; !strings.Contains(log, "certificate_missing") || !strings.Contains(log, "certificate_mismatch") {
				t.Errorf("the log does not name the reasons:\n%s", log)
			}
			if _, err := os.Stat(folder); !os.IsNotExist(err) {
				t.Errorf("the keys outlive the program: %v", err)
			}
		})
	}
}

// Every format has a name for -proxy, and a section in README.md.
func TestEveryFormat(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for format, name := range map[mtls.Format]string{
		mtls.RFC9440: "mtls.RFC9440", mtls.Envoy: "mtls.Envoy", mtls.EscapedPEM: "mtls.EscapedPEM", mtls.Base64DER: "mtls.Base64DER",
		mtls.Traefik: "mtls.Traefik", mtls.ALBPassthrough: "mtls.ALBPassthrough", mtls.ALBVerify: "mtls.ALBVerify",
	} {
		named := false
		for _, f := range proxies {
			named = named || f == format
		}
		if !named || !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("%s: named for -proxy: %t; or not in README.md", name, named)
		}
	}
}

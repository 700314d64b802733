package dpop_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/reason"
)

// read parses a request as the server does, without the server's own checks, so that ours are seen.
func read(t testing.TB, target, host string, fields ...string) *http.Request {
	t.Helper()
	r, err := parse(target, host, fields...)
	if err != nil {
		t.Fatalf("net/http does not read the request: %v", err)
	}
	return r
}

func parse(target, host string, fields ...string) (*http.Request, error) {
	text := "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(append(fields, "\r\n"), "\r\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(text)))
	if err == nil {
		r.RemoteAddr = "203.0.113.7:4711"
	}
	return r, err
}

// origins returns a Verifier with these origins behind proxies, or one that trusts Host.
func origins(t testing.TB, list ...string) *dpop.Verifier {
	t.Helper()
	v, _ := newServer(t, func(s *dpop.Config) {
		s.Origins, s.ForwardedBy.Addresses = list, []string{"10.0.0.0/8", "fd00::/8"}
	})
	return v
}

func TestTargetPath(t *testing.T) {
	o := origins(t, "https://api.example.com")
	const base = "https://api.example.com"
	for _, c := range []struct{ name, target, want string }{
		{"plain", "/a/b", "/a/b"},
		{"root", "/", "/"},
		{"RS-016 query", "/a?b=/../c", "/a"},
		{"RS-016 number sign in the query", "/a?b#c", "/a"},
		{"well-known", "/.well-known/x", "/.well-known/x"},
		{"dots in names", "/...//.a/b../c.", "/...//.a/b../c."},
		{"RS-017 unreserved escaped", "/%61%7Eb", "/a~b"},
		{"RS-017 escape in lower case", "/%c3%a9", "/%C3%A9"},
		{"RS-019 escaped slash", "/a%2Fb", "/a%2Fb"},
		{"RS-019 escaped slash beside raw ^", "/a%2Fb^", "/a%2Fb%5E"},
		{"RS-019 escaped slash beside raw |", "/a%2fb|", "/a%2Fb%7C"},
		{"RS-019 escaped slash beside raw UTF-8", "/a%2Fé", "/a%2F%C3%A9"},
		{"RS-019 empty segments", "//a//b//", "//a//b//"},
		{"RS-019 a host in the path", "//evil.example/a", "//evil.example/a"},
		{"RS-019 parameter", "/a;b=c", "/a;b=c"},
		{"RS-019 double encoding", "/a%252Fb", "/a%252Fb"},
		{"RS-019 double encoded dots", "/%252e%252e/a", "/%252e%252e/a"},
		{"RS-019 backslash", `/a\..\b`, "/a%5C..%5Cb"},
		{"RS-019 escaped question mark", "/a%3Fb", "/a%3Fb"},
		{"RS-019 escaped number sign", "/a%23b", "/a%23b"},
		{"raw \" < > `", "/\"<>`", "/%22%3C%3E%60"},
		{"raw octet that is not UTF-8", "/\xff", "/%FF"},
		{"a scheme inside the path", "/http://x/../y://z", ""},
		{"a scheme inside the path, no dots", "/http://x/y", "/http://x/y"},
		{"RS-176 absolute form", "https://api.example.com/a%2Fb^?c", "/a%2Fb%5E"},
		{"RS-176 absolute form, upper case", "HTTPS://api.example.com/a", "/a"},
		{"RS-176 absolute form without a path", "https://api.example.com", "/"},
		{"RS-176 absolute form with a query alone", "https://api.example.com?/a", "/"},
		{"RS-176 absolute form with user information", "https://u:p@api.example.com/a", "/a"},

		{"dot segments", "/a/../b", ""},
		{"one dot", "/a/./b", ""},
		{"dots at the end", "/a/..", ""},
		{"one dot at the end", "/a/.", ""},
		{"escaped dot segments", "/a/%2e%2e/b", ""},
		{"half escaped dot segments", "/a/.%2E/b", ""},
		{"escaped dot", "/a/%2e/b", ""},
		{"absolute form with dot segments", "https://api.example.com/a/../b", ""},
		{"RS-176 raw number sign", "/a#b", ""},
		{"RS-176 raw number sign at the end", "/a#", ""},
		{"RS-176 raw number sign before the query", "/a#b?c", ""},
		{"RS-176 absolute form with a number sign", "https://api.example.com/a#b", ""},
		{"RS-176 asterisk form", "*", ""},
		{"RS-176 other scheme", "ftp://api.example.com/a", ""},
		{"RS-176 opaque with a URI inside", "mailto:a?b://c/d", ""},
		{"RS-176 no authority", "https:/a", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := o.Target(read(t, c.target, "api.example.com"))
			if c.want == "" {
				if !errors.Is(err, dpop.ErrTarget) || got != "" {
					t.Errorf("%q: got %q, %v; want ErrTarget", c.target, got, err)
				}
				return
			}
			if err != nil || got != base+c.want {
				t.Errorf("%q: got %q, %v; want path %q", c.target, got, err, c.want)
			}
		})
	}
	t.Run("RS-176 authority form", func(t *testing.T) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(
			"CONNECT api.example.com:443 HTTP/1.1\r\nHost: api.example.com\r\n\r\n")))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Target(r); !errors.Is(err, dpop.ErrTarget) {
			t.Errorf("got %q, %v; want ErrTarget", got, err)
		}
	})
	t.Run("a request that was never read", func(t *testing.T) {
		r, err := http.NewRequest("GET", "https://api.example.com/a%2Fb?c#d", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := o.Target(r); err != nil || got != base+"/a%2Fb" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("an empty request", func(t *testing.T) {
		if got, err := o.Target(&http.Request{Host: "api.example.com"}); !errors.Is(err, dpop.ErrTarget) {
			t.Errorf("got %q, %v; want ErrTarget", got, err)
		}
	})
}

// TestTargetAndRouter shows that a path cannot be one thing to the proof and another to Echo: wherever a
// target is given, Echo reaches the route of that path.
func TestTargetAndRouter(t *testing.T) {
	o := origins(t, "https://api.example.com")
	var routed string
	e := echo.New()
	e.GET("/*", func(c echo.Context) error { routed = "/" + c.Param("*"); return nil })
	for _, target := range []string{
		"/a/b", "/a%2Fb", "/a%2Fb^", "/a//b", "//a/b", "/a#b", "/a/../b", "/a/%2e%2e/b", `/a\b`, "/a;b", "/é^%2F",
		"https://api.example.com/a%2Fb|", "/a?b#c", "/%61%7eb",
	} {
		r := read(t, target, "api.example.com")
		got, err := o.Target(r)
		if err != nil {
			continue
		}
		routed = "/no route"
		e.ServeHTTP(httptest.NewRecorder(), r)
		// Echo gives the segments still escaped where the target had escapes.
		normal, err := dpop.NormalURI("https://api.example.com" + strings.ReplaceAll(routed, "#", "%23"))
		if err != nil || normal != got {
			t.Errorf("%q: target %q, routed as %q (%q, %v)", target, got, routed, normal, err)
		}
	}
}

func TestTargetHTTP2(t *testing.T) {
	o := origins(t, "https://api.example.com")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := o.Target(r)
		_, _ = io.WriteString(w, r.Proto+" "+got+" "+reason.Of(err))
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	for path, want := range map[string]string{
		"/a%2Fb^?c": "HTTP/2.0 https://api.example.com/a%2Fb%5E ",
		"/a#b":      "HTTP/2.0  htu_mismatch",
		"/a/../b":   "HTTP/2.0  htu_mismatch",
	} {
		r := httptest.NewRequest("GET", server.URL, nil)
		r.RequestURI, r.Host = "", "API.example.com:443"
		r.URL = &url.URL{Scheme: "https", Host: r.URL.Host, Opaque: path}
		resp, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || string(body) != want {
			t.Errorf("%q: got %q, %v; want %q", path, body, err, want)
		}
	}
}

// hostile are values of Host that no origin has; none may move the boundary between host and path.
var hostile = []string{
	"", " ", "api.example.com/x", "api.example.com?x", "api.example.com#x", `api.example.com\x`, "user@api.example.com",
	"api.example.com@evil.example", "api.example.com evil.example", "api.example.com,evil.example", "ap\u0130.example.com",
	"api.example.com\u3002", "%61pi.example.com", "api.example.com:0", "api.example.com:00000", "api.example.com:65979",
	"api.example.com:+443", "api.example.com:443:443", "api.example.com:443/x", "api.example.com::443", ":443",
	"[::1", "[::1:443", "::1", "[::1]x", "[::1%25eth0]", "[fe80::1%eth0]", "[]", "[127.0.0.1]", "https://api.example.com",
	"*.example.com", "api.example.com\t", "api.example.com\x00",
}

func TestTargetHost(t *testing.T) {
	listed := origins(t, "https://API.example.com:443/", "http://plain.example.com", "https://[2001:DB8::0:1]:8443")
	for _, c := range []struct{ name, host, want string }{
		{"RS-015 listed", "api.example.com", "https://api.example.com/a"},
		{"RS-017 case", "Api.Example.COM", "https://api.example.com/a"},
		{"RS-018 default port", "api.example.com:443", "https://api.example.com/a"},
		{"RS-018 empty port", "api.example.com:", "https://api.example.com/a"},
		{"RS-015 http", "plain.example.com:80", "http://plain.example.com/a"},
		{"RS-015 IPv6", "[2001:db8::1]:8443", "https://[2001:db8::1]:8443/a"},

		{"RS-176 not listed", "evil.example", ""},
		{"RS-176 other port", "api.example.com:8443", ""},
		{"RS-176 port of the other scheme", "api.example.com:80", ""},
		{"RS-176 https port for http", "plain.example.com:443", ""},
		{"RS-176 listed only with a port", "[2001:db8::1]", ""},
		{"RS-176 trailing dot", "api.example.com.", ""},
		{"RS-176 longer host", "api.example.com.evil.example", ""},
		{"RS-176 other host at the same end", "xapi.example.com", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, "/a", "x")
			r.Host = c.host
			got, err := listed.Target(r)
			if got != c.want || (c.want == "") != errors.Is(err, dpop.ErrHost) {
				t.Errorf("Host %q: got %q, %v; want %q", c.host, got, err, c.want)
			}
		})
	}
	none, _ := newServer(t, nil)
	for _, host := range hostile {
		for name, o := range map[string]*dpop.Verifier{"listed": listed, "not listed": none} {
			r := read(t, "/a", "x")
			r.Host = host
			if got, err := o.Target(r); !errors.Is(err, dpop.ErrHost) || got != "" {
				t.Errorf("RS-176 %s: Host %q: got %q, %v; want ErrHost", name, host, got, err)
			}
		}
	}
}

func TestTargetWithoutOrigins(t *testing.T) {
	none, _ := newServer(t, nil)
	empty, _ := newServer(t, func(s *dpop.Config) { s.Origins, s.ForwardedBy.Addresses = []string{}, []string{} })
	for name, o := range map[string]*dpop.Verifier{"none": none, "empty": empty} {
		for _, c := range []struct {
			host string
			tls  bool
			want string
		}{
			{"API.example.com", true, "https://api.example.com/a"},
			{"api.example.com", false, "http://api.example.com/a"},
			{"api.example.com:443", true, "https://api.example.com/a"},
			{"api.example.com:443", false, "http://api.example.com:443/a"},
			{"api.example.com:80", false, "http://api.example.com/a"},
			{"[::1]:8080", false, "http://[::1]:8080/a"},
			{"127.0.0.1:8080", false, "http://127.0.0.1:8080/a"},
			{"api.example.com.", true, "https://api.example.com./a"},
		} {
			// RS-178: nobody is a trusted proxy here.
			r := read(t, "/a", c.host, "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example")
			if c.tls {
				r.TLS = &tls.ConnectionState{}
			}
			if got, err := o.Target(r); err != nil || got != c.want {
				t.Errorf("%s: Host %q: got %q, %v; want %q", name, c.host, got, err, c.want)
			}
		}
	}
}

func TestTargetForwarded(t *testing.T) {
	both := origins(t, "http://api.example.com", "https://api.example.com")
	one := origins(t, "https://api.example.com", "https://other.example.com")
	unlisted := origins(t)
	const https, http = "https://api.example.com/a", "http://api.example.com/a"
	for _, c := range []struct {
		name, peer string
		o          *dpop.Verifier
		fields     []string
		want       string // empty: ErrHost
	}{
		{"RS-178 proto from a proxy", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: https"}, https},
		{"RS-178 proto http from a proxy", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: http"}, http},
		{"RS-178 proto from a stranger", "203.0.113.7:80", both, []string{"X-Forwarded-Proto: https"}, http},
		{"RS-178 IPv4-mapped proxy", "[::ffff:10.1.2.3]:80", both, []string{"X-Forwarded-Proto: https"}, https},
		{"RS-178 IPv4-mapped stranger", "[::ffff:203.0.113.7]:80", both, []string{"X-Forwarded-Proto: https"}, http},
		{"RS-178 IPv6 proxy with a zone", "[fd00::1%eth0]:80", both, []string{"X-Forwarded-Proto: https"}, https},
		{"RS-178 unix socket", "@", both, []string{"X-Forwarded-Proto: https"}, http},
		{"RS-178 no peer address", "", both, []string{"X-Forwarded-Proto: https"}, http},
		{"RS-178 peer without a port", "10.1.2.3", both, []string{"X-Forwarded-Proto: https"}, http},
		{"RS-178 peer is a name", "localhost:80", both, []string{"X-Forwarded-Proto: https"}, http},
		{"TLS ends in front of this server", "203.0.113.7:80", one, nil, https},
		{"the proxy says http, https is listed", "10.1.2.3:80", one, []string{"X-Forwarded-Proto: http"}, ""},
		{"host from a proxy", "10.1.2.3:80", one, []string{"X-Forwarded-Host: other.example.com"}, "https://other.example.com/a"},
		{"RS-178 host from a stranger", "203.0.113.7:80", one, []string{"X-Forwarded-Host: other.example.com"}, https},
		{"host that is not listed, from a proxy", "10.1.2.3:80", one, []string{"X-Forwarded-Host: evil.example"}, ""},
		{"host with a path, from a proxy", "10.1.2.3:80", unlisted, []string{"X-Forwarded-Host: evil.example/b"}, ""},
		{"empty host from a proxy", "10.1.2.3:80", unlisted, []string{"X-Forwarded-Host: "}, ""},
		{"no list, host and proto from a proxy", "10.1.2.3:80", unlisted,
			[]string{"X-Forwarded-Host: other.example.com", "X-Forwarded-Proto: https"}, "https://other.example.com/a"},
		{"RS-175 two hosts", "10.1.2.3:80", one, []string{"X-Forwarded-Host: api.example.com", "X-Forwarded-Host: api.example.com"}, ""},
		{"RS-175 list of hosts", "10.1.2.3:80", one, []string{"X-Forwarded-Host: api.example.com, evil.example"}, ""},
		{"RS-175 two protos", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: https", "X-Forwarded-Proto: http"}, ""},
		{"RS-175 list of protos", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: https,http"}, ""},
		// RFC 6455 §4.1: a handshake of wss is a request of https, which is what htu says. Some proxies write the former.
		{"proto of a WebSocket by TLS", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: wss"}, https},
		{"proto of a WebSocket without", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: ws"}, http},
		{"ws, https is listed", "10.1.2.3:80", one, []string{"X-Forwarded-Proto: ws"}, ""},
		{"wss from a stranger", "203.0.113.7:80", both, []string{"X-Forwarded-Proto: wss"}, http},
		{"list of wss and https", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: wss,https"}, ""},
		{"other proto", "10.1.2.3:80", both, []string{"X-Forwarded-Proto: wsss"}, ""},
		{"other proto, no list", "10.1.2.3:80", unlisted, []string{"X-Forwarded-Proto: ftp"}, ""},
		{"empty proto, no list", "10.1.2.3:80", unlisted, []string{"X-Forwarded-Proto:"}, ""},
		{"empty proto", "10.1.2.3:80", both, []string{"X-Forwarded-Proto:"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := read(t, "/a", "api.example.com", c.fields...)
			r.RemoteAddr = c.peer
			got, err := c.o.Target(r)
			if got != c.want || (c.want == "") != errors.Is(err, dpop.ErrHost) {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
	t.Run("the error says which scheme was told", func(t *testing.T) {
		r := read(t, "/a", "api.example.com", "X-Forwarded-Proto: http")
		r.RemoteAddr = "10.1.2.3:80"
		_, err := one.Target(r)
		if e, ok := errors.AsType[*reason.Error](err); !ok || e.Received != "http://api.example.com" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("TLS picks between the schemes", func(t *testing.T) {
		r := read(t, "/a", "api.example.com")
		r.TLS = &tls.ConnectionState{}
		if got, err := both.Target(r); err != nil || got != https {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestTargetPrefix(t *testing.T) {
	o := origins(t, "https://example.com/API%2fv1/", "https://other.example.com//x//")
	for _, c := range []struct{ host, target, want string }{
		{"example.com", "/a", "https://example.com/API%2Fv1/a"},
		{"example.com", "/", "https://example.com/API%2Fv1/"},
		{"example.com", "//a", "https://example.com/API%2Fv1//a"},
		{"other.example.com", "/a", "https://other.example.com//x/a"},
	} {
		if got, err := o.Target(read(t, c.target, c.host)); err != nil || got != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.target, got, err, c.want)
		}
	}
	_, err := o.Target(read(t, "/a", "evil.example"))
	if got := isReason(t, err, dpop.ErrHost).Expected; got != "https://example.com/API%2Fv1 https://other.example.com//x" {
		t.Errorf("the error expects %q", got)
	}
	if got, err := o.Target(read(t, "/../a", "example.com")); !errors.Is(err, dpop.ErrTarget) {
		t.Errorf("out of the prefix: got %q, %v; want ErrTarget", got, err)
	}
}

func TestOriginsRefused(t *testing.T) {
	for _, c := range []struct {
		name    string
		origins []string
		proxy   string
		says    string
	}{
		{"no scheme", []string{"api.example.com"}, "10.0.0.0/8", `Origins[0] is "…"`},
		{"other scheme", []string{"ws://api.example.com"}, "10.0.0.0/8", "give a public origin"},
		{"empty", []string{""}, "10.0.0.0/8", "give a public origin"},
		{"query", []string{"https://api.example.com?a"}, "10.0.0.0/8", "give a public origin"},
		{"fragment", []string{"https://api.example.com#a"}, "10.0.0.0/8", "give a public origin"},
		{"dot segments", []string{"https://api.example.com/a/../b"}, "10.0.0.0/8", "give a public origin"},
		{"a star for everything", []string{"https://*"}, "10.0.0.0/8", "give a public origin"},
		{"a star for everything in a domain of all", []string{"https://*.com"}, "10.0.0.0/8", "give a name of your own"},
		{"the same with a dot", []string{"https://*.com."}, "10.0.0.0/8", "give a name of your own"},
		{"a star before an address", []string{"https://*.10.0.0.1"}, "10.0.0.0/8", "give a name of your own"},
		{"two stars", []string{"https://*.*.example.com"}, "10.0.0.0/8", "give a public origin"},
		{"a star within a label", []string{"https://a*.example.com"}, "10.0.0.0/8", "give a public origin"},
		{"a star elsewhere", []string{"https://a.*.example.com"}, "10.0.0.0/8", "give a public origin"},
		{"port 0", []string{"https://api.example.com:0"}, "10.0.0.0/8", "give a public origin"},
		{"user information", []string{"https://u@api.example.com"}, "10.0.0.0/8", "give a public origin"},
		{"empty proxy", []string{"https://api.example.com"}, "", `ForwardedBy.Addresses[0] is "": give an address range`},
		{"IPv4-mapped proxy", []string{"https://api.example.com"}, "::ffff:10.0.0.0/104", "ForwardedBy.Addresses[0] is"},
		{"every address", []string{"https://api.example.com"}, "::/0", "it holds every address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := dpop.New(dpop.Config{Origins: c.origins, ForwardedBy: dpop.Peers{Addresses: []string{c.proxy}}})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v; want an error that says %q", err, c.says)
			}
		})
	}
}

func TestOriginsAreCopied(t *testing.T) {
	list, proxies := []string{"https://api.example.com"}, []string{"10.0.0.0/8"}
	o, _ := newServer(t, func(s *dpop.Config) { s.Origins, s.ForwardedBy.Addresses = list, proxies })
	list[0], proxies[0] = "https://evil.example", "203.0.113.0/24"
	r := read(t, "/a", "api.example.com", "X-Forwarded-Host: evil.example")
	if got, err := o.Target(r); err != nil || got != "https://api.example.com/a" {
		t.Errorf("got %q, %v", got, err)
	}
}

// One origin listed twice is harmless.
func TestOneOriginTwice(t *testing.T) {
	o := origins(t, "https://api.example.com", "https://api.example.com/")
	if got, err := o.Target(read(t, "/a", "api.example.com")); err != nil || got != "https://api.example.com/a" {
		t.Errorf("got %q, %v", got, err)
	}
}

// FuzzTarget checks that Host cannot move the path, and that what comes out is a normal form.
func FuzzTarget(f *testing.F) {
	vectors := poptest.Vectors().RFC9449.Proofs
	if len(vectors) == 0 {
		f.Fatal("no seeds: the RFC vectors are gone")
	}
	for _, v := range vectors {
		u, err := url.Parse(v.Request.URI)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(u.Host, u.RequestURI(), false)
		f.Add(u.Host, v.Request.URI, true)
	}
	for _, host := range hostile {
		f.Add(host, "/a%2Fb^?c", true)
	}
	for _, target := range []string{"/a#b", "//x/../y", "*", "http://h", "http:///a", "x://h/a", "/%2e%2E", "/%zz", ""} {
		f.Add("api.example.com", target, false)
	}
	listed := origins(f, "https://api.example.com/prefix")
	none, _ := newServer(f, nil)
	f.Fuzz(func(t *testing.T, host, target string, secured bool) {
		r := &http.Request{Method: "GET", Host: host, RequestURI: target, RemoteAddr: "10.0.0.1:1"}
		if secured {
			r.TLS = &tls.ConnectionState{}
		}
		got, err := none.Target(r)
		if err != nil {
			if got != "" || !errors.Is(err, dpop.ErrHost) && !errors.Is(err, dpop.ErrTarget) {
				t.Errorf("got %q, %v", got, err)
			}
			return
		}
		if normal, err := dpop.NormalURI(got); err != nil || normal != got {
			t.Errorf("target %q has the normal form %q, %v", got, normal, err)
		}
		r.Host = "api.example.com"
		other, err := listed.Target(r)
		if err != nil {
			t.Fatalf("the path was accepted for Host %q, not for ours: %v", host, err)
		}
		path := strings.TrimPrefix(other, "https://api.example.com/prefix")
		u, err := url.Parse(got)
		if err != nil || u.EscapedPath() != path {
			t.Errorf("Host %q moves the path from %q to %q (%v)", host, path, got, err)
		}
	})
}

func BenchmarkTarget(b *testing.B) {
	o := origins(b, "https://one.example.com", "https://two.example.com", "https://api.example.com", "http://api.example.com/x")
	for _, c := range []struct{ name, target, host, peer string }{
		{"plain", "/accounts/4711/transactions?from=2026-01-01", "api.example.com", "203.0.113.7:4711"},
		{"proxy", "/accounts/4711/transactions?from=2026-01-01", "api.example.com", "10.0.0.1:4711"},
		{"port", "/accounts/4711/transactions", "api.example.com:443", "203.0.113.7:4711"},
		{"escaped", "/accounts/a%2Fb^c/transactions", "API.example.com", "203.0.113.7:4711"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := read(b, c.target, c.host, "X-Forwarded-Proto: https")
			r.RemoteAddr, r.TLS = c.peer, &tls.ConnectionState{}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.Target(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A refusal of a host says which forwarded fields did not count, and who sent them.
func TestIgnoredForwardedFields(t *testing.T) {
	for name, test := range map[string]struct {
		peer   string
		header http.Header
		want   string // empty: nothing was ignored
	}{
		"from a stranger":           {"198.51.100.7:4711", http.Header{"X-Forwarded-Host": {"api.example.com"}}, "X-Forwarded-Host from 198.51.100.7:4711 was ignored"},
		"both fields":               {"198.51.100.7:4711", http.Header{"X-Forwarded-Host": {"a"}, "X-Forwarded-Proto": {"https"}}, "X-Forwarded-Host, X-Forwarded-Proto from"},
		"a field that never counts": {"10.1.0.1:4711", http.Header{"Forwarded": {"host=api.example.com"}}, "Forwarded from 10.1.0.1:4711 was ignored"},
		"from the proxy":            {"10.1.0.1:4711", http.Header{"X-Forwarded-Proto": {"https"}}, ""},
		"none":                      {"198.51.100.7:4711", http.Header{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := dpop.New(dpop.Config{
				Origins: []string{"https://api.example.com"}, ForwardedBy: dpop.Peers{Addresses: []string{"10.1.0.1"}}, Namespace: t.Name(),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			_, err = v.Target(&http.Request{Host: "internal:8080", RequestURI: "/a", RemoteAddr: test.peer, Header: test.header})
			if !errors.Is(err, dpop.ErrHost) {
				t.Fatal(err)
			}
			if test.want == "" && strings.Contains(err.Error(), "ignored") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q in it", err, test.want)
			}
		})
	}
}

package dpop_test

import (
	"strings"
	"testing"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// A star is one label, and a name that is listed comes first.
func TestWildcardOrigins(t *testing.T) {
	o := origins(t, "https://*.example.com/api", "https://named.example.com", "http://*.example.org:8080")
	for host, want := range map[string]string{
		"a.example.com":        "https://a.example.com/api/x",
		"A.Example.com:443":    "https://a.example.com/api/x",
		"named.example.com":    "https://named.example.com/x",
		"b.example.org:8080":   "http://b.example.org:8080/x",
		"example.com":          "",
		".example.com":         "",
		"a.b.example.com":      "",
		"evilexample.com":      "",
		"a.example.com.evil":   "",
		"a.example.com:8443":   "",
		"b.example.org":        "",
		"*.example.com":        "",
		"a.example.com@evil.x": "",
	} {
		got, err := o.Target(read(t, "/x", host))
		if want == "" {
			isReason(t, err, dpop.ErrHost)
		} else if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", host, got, err, want)
		}
	}
	_, err := origins(t, "https://*.example.com").Target(read(t, "/x", "evil.example")) // a star alone is a list, too
	isReason(t, err, dpop.ErrHost)
	_, err = o.Target(read(t, "/x", "evil.example"))
	if got := isReason(t, err, dpop.ErrHost).Expected; got != "https://named.example.com https://*.example.com/api http://*.example.org:8080" {
		t.Errorf("the error expects %q", got)
	}
}

// One origin may have several prefixes, whichever a proxy stripped: a proof names any of them, and nothing else.
func TestSeveralPrefixesOfOneOrigin(t *testing.T) {
	v := origins(t, "https://api.example.com/v1", "https://API.example.com:443/v2/")
	for htu, ok := range map[string]bool{
		"/v1/accounts": true, "/v2/accounts": true, "/accounts": false, "/v3/accounts": false, "/v1/v2/accounts": false, "/v1accounts": false,
	} {
		r := requestWith(mint(poptest.Proof{URL: poptest.Audience + htu}))
		if ok {
			accepts(t, v, r)
		} else {
			refuses(t, v, r, dpop.ErrTarget)
		}
	}
	if got, err := v.Target(read(t, "/x", "api.example.com")); err != nil || got != "https://api.example.com/v1/x" {
		t.Errorf("got %q, %v", got, err)
	}
}

// What counts is what the first listed proxy wrote, from the end; never what stands before it, which the client wrote.
func TestForwardedForms(t *testing.T) {
	const lists, standard = dpop.ForwardedLists, dpop.ForwardedStandard
	for _, c := range []struct {
		name   string
		form   dpop.ForwardedForm
		fields []string
		want   string // scheme and host; empty: refused
	}{
		{"lists: none", lists, nil, "https://in.example"},
		{"lists: one of one proxy", lists, []string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: a.example"}, "https://a.example"},
		{"lists: what the client wrote does not count", lists,
			[]string{"X-Forwarded-For: 10.0.0.9, 203.0.113.9", "X-Forwarded-Proto: http, https", "X-Forwarded-Host: evil.example, a.example"}, "https://a.example"},
		{"lists: two proxies", lists,
			[]string{"X-Forwarded-For: 203.0.113.9, 10.0.0.2", "X-Forwarded-Proto: https, http", "X-Forwarded-Host: a.example, in.example"}, "https://a.example"},
		{"lists: two proxies, and a client that knows them", lists,
			[]string{"X-Forwarded-For: 10.0.0.3, 203.0.113.9, 10.0.0.2", "X-Forwarded-Proto: http, https, http", "X-Forwarded-Host: evil.example, a.example, in.example"}, "https://a.example"},
		{"lists: in several fields", lists,
			[]string{"X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.0.0.2", "X-Forwarded-Host: evil.example", "X-Forwarded-Host: a.example", "X-Forwarded-Host: in.example"}, "https://a.example"},
		{"lists: the last proxy alone writes them", lists, []string{"X-Forwarded-For: 203.0.113.9, 10.0.0.2", "X-Forwarded-Host: a.example"}, "https://a.example"},
		{"lists: without X-Forwarded-For the last counts", lists, []string{"X-Forwarded-Host: evil.example, a.example"}, "https://a.example"},
		{"lists: a client within the range of the proxies", lists,
			[]string{"X-Forwarded-For: 10.0.0.7, 10.0.0.2", "X-Forwarded-Host: a.example, in.example"}, "https://a.example"},
		{"lists: a proxy left its entry out", lists,
			[]string{"X-Forwarded-For: 203.0.113.9, 10.0.0.3, 10.0.0.2", "X-Forwarded-Host: evil.example, a.example"}, ""},
		{"lists: an empty entry", lists, []string{"X-Forwarded-Host: a.example, "}, ""},
		{"lists: another scheme", lists, []string{"X-Forwarded-Proto: https, ftp"}, ""},
		{"lists: Forwarded does not count", lists, []string{"Forwarded: host=a.example"}, "https://in.example"},

		{"standard: none", standard, nil, "https://in.example"},
		{"standard: one", standard, []string{`Forwarded: for=203.0.113.9;host=a.example;proto=https;by=10.0.0.1`}, "https://a.example"},
		{"standard: as RFC 7239 §4 writes it", standard, []string{`Forwarded: For="[2001:db8:cafe::17]:4711" ; HOST="a.example:443"; pRoTo=HTTPS`}, "https://a.example"},
		{"standard: a WebSocket", standard, []string{"Forwarded: for=203.0.113.9;host=a.example;proto=wss"}, "https://a.example"},
		{"standard: what the client wrote does not count", standard, []string{"Forwarded: for=10.0.0.9;host=evil.example, for=203.0.113.9;host=a.example"}, "https://a.example"},
		{"standard: two proxies", standard, []string{"Forwarded: for=203.0.113.9;host=a.example", `Forwarded: for="10.0.0.2:80";host=in.example`}, "https://a.example"},
		{"standard: two proxies, one by version 6", standard, []string{`Forwarded: for=_client;host=a.example, for="[fd00::2]";host=in.example`}, "https://a.example"},
		{"standard: two proxies, and a client that knows them", standard,
			[]string{"Forwarded: for=10.0.0.3;host=evil.example, for=203.0.113.9;host=a.example, for=10.0.0.2;host=in.example"}, "https://a.example"},
		{"standard: one that hides whom it saw is the first", standard, []string{"Forwarded: for=10.0.0.2;host=evil.example, for=unknown;host=a.example"}, "https://a.example"},
		{"standard: a bracket that nothing opened", standard, []string{`Forwarded: for=10.0.0.2;host=evil.example, for="10.0.0.3]";host=a.example`}, "https://a.example"},
		{"standard: one without for", standard, []string{"Forwarded: for=10.0.0.2;host=evil.example, host=a.example"}, "https://a.example"},
		{"standard: all are listed", standard, []string{"Forwarded: for=10.0.0.7;host=a.example, for=10.0.0.2;host=in.example"}, "https://a.example"},
		{"standard: X-Forwarded does not count", standard, []string{"X-Forwarded-Host: a.example"}, "https://in.example"},
		{"standard: escapes", standard, []string{`Forwarded: for=203.0.113.9;host="a\.example"`}, "https://a.example"},
		{"standard: a comma within quotes is no separator", standard, []string{`Forwarded: for=203.0.113.9;host=a.example;x="b, for=10.0.0.2;host=evil.example"`}, "https://a.example"},
		{"standard: a quote left open", standard, []string{`Forwarded: for=203.0.113.9;host="a.example`}, ""},
		{"standard: a quote that swallows", standard, []string{`Forwarded: for="x`, `Forwarded: for=203.0.113.9;host="a.example"`}, ""},
		{"standard: a host twice", standard, []string{"Forwarded: host=a.example;Host=evil.example"}, ""},
		{"standard: no pair", standard, []string{"Forwarded: a.example"}, ""},
		{"standard: no value", standard, []string{"Forwarded: host="}, ""},
		{"standard: an empty element", standard, []string{"Forwarded: host=a.example,"}, ""},
		{"standard: text behind a quote", standard, []string{`Forwarded: host="a"b`}, ""},
		{"standard: an escape at the end", standard, []string{`Forwarded: host="a\`}, ""},
		{"standard: a name that is no token", standard, []string{"Forwarded: for=203.0.113.9;ho st=a.example"}, ""},
		{"standard: no name", standard, []string{"Forwarded: host=a.example;=x"}, ""},
		{"standard: no value before another pair", standard, []string{"Forwarded: host=;proto=https"}, ""},
		{"standard: a quote within a value", standard, []string{`Forwarded: host=a"b`}, ""},
		{"standard: an equals sign within a value", standard, []string{"Forwarded: host=a=b"}, ""},
		{"standard: a backslash within a value", standard, []string{`Forwarded: host=a\b`}, ""},
		{"standard: a pair right behind a quote", standard, []string{`Forwarded: host="a.example"xproto=https`}, ""},
		{"standard: names at the ends of the alphabet", standard, []string{"Forwarded: host=a.example;az=1;09=1;!#$%&'*+-.^_`|~=1"}, "https://a.example"},
		{"standard: a slash in a name", standard, []string{"Forwarded: host=a.example;a/b=1"}, ""},
		{"standard: a colon in a name", standard, []string{"Forwarded: host=a.example;a:b=1"}, ""},
		{"standard: a brace in a name", standard, []string{"Forwarded: host=a.example;a{b=1"}, ""},
		{"standard: a letter that is not ASCII in a name", standard, []string{"Forwarded: host=a.example;\u00e9=1"}, ""},
		{"standard: another scheme", standard, []string{"Forwarded: proto=ftp"}, ""},

		{"anew: a list", dpop.ForwardedAnew, []string{"X-Forwarded-Host: a.example, in.example"}, ""},
		{"anew: Forwarded does not count", dpop.ForwardedAnew, []string{"Forwarded: host=a.example"}, "https://in.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, _ := newServer(t, func(s *dpop.Config) {
				s.Origins, s.ForwardedAs = []string{"https://a.example", "https://in.example", "https://evil.example"}, c.form
				s.ForwardedBy.Addresses = []string{"10.0.0.0/8", "fd00::/8"}
			})
			r := read(t, "/x", "in.example", c.fields...)
			r.RemoteAddr = "10.0.0.1:4711"
			got, err := o.Target(r)
			if c.want == "" {
				if cause := isReason(t, err, dpop.ErrHost); cause.Expected == "a host name" && c.form != dpop.ForwardedAnew {
					t.Errorf("it is refused for the host that is left: %v", err)
				}
			} else if err != nil || got != c.want+"/x" {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
			r.RemoteAddr = "203.0.113.7:4711" // from anybody else none of it counts
			if got, err := o.Target(r); err != nil || got != "https://in.example/x" {
				t.Errorf("not from a proxy: got %q, %v", got, err)
			}
		})
	}
}

func TestForwardedAsRefused(t *testing.T) {
	for want, c := range map[string]dpop.Config{
		"ForwardedAs is 3":   {ForwardedAs: 3, ForwardedBy: dpop.Peers{UnixListener: true}},
		"ForwardedBy is not": {ForwardedAs: dpop.ForwardedLists},
	} {
		c.Origins = []string{poptest.Audience}
		if _, err := dpop.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}

// Origins that differ in scheme or port alone have each their own prefixes.
func TestOriginsAreToldApart(t *testing.T) {
	v := origins(t, "http://api.example.com:8443/a", "https://api.example.com:8443/b", "https://api.example.com/c")
	for host, want := range map[string]string{"api.example.com": "https://api.example.com/c/x", "api.example.com:8443": "http://api.example.com:8443/a/x"} {
		if got, err := v.Target(read(t, "/x", host)); err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", host, got, err, want)
		}
	}
	_, err := v.Target(read(t, "/x", "evil.example"))
	if got := isReason(t, err, dpop.ErrHost).Expected; got != "http://api.example.com:8443/a https://api.example.com:8443/b https://api.example.com/c" {
		t.Errorf("the error expects %q", got)
	}
}

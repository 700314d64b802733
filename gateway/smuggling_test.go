package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/senderlock/senderlock/gateway"
)

// smuggled is what a client sends to be taken for another. The tilde is in no assertion, whose Base64 may well say evil.
var smuggled = map[string][]string{
	"itself":             {"X-Senderlock-Subject: ~evil"},
	"in lower case":      {"x-senderlock-subject: ~evil"},
	"with underscores":   {"X_Senderlock_Subject: ~evil"},
	"with one":           {"X-Senderlock_Subject: ~evil"},
	"with dots":          {"X.Senderlock.Subject: ~evil"},
	"twice":              {"X-Senderlock-Subject: ~evil", "X-Senderlock-Subject: ~evil"},
	"one not of ours":    {"X-Senderlock-Roles: ~evil"},
	"its assertion":      {"X-Senderlock-Assertion: ~evil"},
	"Connection":         {"Connection: X-Senderlock-Subject, X-Senderlock-Assertion", "X-Senderlock-Subject: ~evil"},
	"Connection, close":  {"Connection: close, x-senderlock-subject"},
	"forwarded":          {"X-Forwarded-For: ~evil", "X-Forwarded-Host: ~evil", "Forwarded: for=~evil", "X-Real-IP: ~evil"},
	"forwarded, by _":    {"X_Forwarded_For: ~evil"},
	"another path":       {"X-Original-URL: /~evil", "X-Rewrite-URL: /~evil"},
	"another method":     {"X-HTTP-Method-Override: ~EVIL", "X-Method-Override: ~EVIL", "X-HTTP-Method: ~EVIL"},
	"a certificate":      {"Client-Cert: ~evil", "X-SSL-Client-Cert: ~evil", "X-Forwarded-Client-Cert: ~evil"},
	"another upgrade":    {"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: ~evil"},
	"trailers announced": {"Transfer-Encoding: chunked", "Trailer: X-Senderlock-Subject"},
	"trailers":           {"Transfer-Encoding: chunked"},
}

// passed are fields that a proxy cannot drop, with why.
var passed = map[gateway.Preset]map[string]string{
	gateway.NGINX: {"one not of ours": "nginx drops fields by their whole name alone; it names nobody"},
	gateway.Envoy: {"with dots": "over HTTP Envoy drops fields by their whole name alone, which docs/gateway.md says"},
}

// What a client says of itself, in any spelling, does not reach the service, and takes nothing of the gateway's away.
func TestIdentityCannotBeSmuggled(t *testing.T) {
	t.Run("gateway", func(t *testing.T) {
		w := newWorld(t)
		server := w.proxy([]gateway.Route{{Pattern: "/orders", Requirement: scoped}, {Pattern: "/public", Public: true}})
		for name, sent := range smuggled {
			t.Run(name, func(t *testing.T) { w.smuggles(t, server, sent, false) })
		}
	})
	eachProxy(t, func(t *testing.T, f front) {
		w := newWorld(t)
		server := f.start(w, gateway.Route{Pattern: "/orders", Requirement: scoped}, gateway.Route{Pattern: "/public", Public: true})
		for name, sent := range smuggled {
			if passed[f.preset][name] == "" {
				t.Run(name, func(t *testing.T) { w.smuggles(t, server, sent, true) })
			}
		}
	})
}

// smuggles sends fields beside good credentials, and without any to a public route. A proxy may also refuse them.
func (w *world) smuggles(t *testing.T, server *httptest.Server, sent []string, mayRefuse bool) {
	for target, want := range map[string]string{"/orders": "user-1", "/public": ""} {
		var headers, body []string
		if target == "/orders" {
			headers = w.headers("POST", target, w.token("orders:read"))
		}
		if strings.Contains(sent[0], "chunked") {
			body = []string{"1\r\na\r\n0\r\nX-Senderlock-Subject: ~evil\r\n\r\n"}
		}
		response := send(t, server, "POST", target, append(headers, sent...), body...)
		got := w.service.last()
		if mayRefuse && got == nil && (response.StatusCode == 400 || response.StatusCode == 411) {
			continue
		}
		if response.StatusCode != 200 || got == nil {
			t.Fatalf("%s: %d", target, response.StatusCode)
		}
		checkUnsmuggled(t, got, target, want)
	}
}

// checkUnsmuggled looks at what reached the service.
func checkUnsmuggled(t *testing.T, got *http.Request, target, subject string) {
	t.Helper()
	if got.RequestURI != target {
		t.Errorf("the service was asked for %s, not %s", got.RequestURI, target)
	}
	if subjects := strings.Join(got.Header.Values(gateway.FieldSubject), ","); subjects != subject {
		t.Errorf("%s: subject %q, want %q", target, subjects, subject)
	}
	if (got.Header.Get(gateway.FieldAssertion) == "") != (subject == "") {
		t.Errorf("%s: assertion %q", target, got.Header.Get(gateway.FieldAssertion))
	}
	for _, fields := range []http.Header{got.Header, got.Trailer} {
		for field, values := range fields {
			if strings.Contains(strings.ToLower(strings.Join(values, " ")), "~evil") {
				t.Errorf("%s: the service got %s: %s", target, field, values)
			}
		}
	}
	if got.Header.Get("Upgrade") != "" || got.Host == "~evil.example" {
		t.Errorf("%s: the service got an upgrade or another host: %v", target, got.Header)
	}
}

// What only HTTP/2 can say does not reach the service otherwise than it was judged. A proxy that is not to speak it takes
// none of it.
func TestPseudoFields(t *testing.T) {
	t.Run("gateway", func(t *testing.T) {
		w := newWorld(t)
		server := httptest.NewUnstartedServer(w.proxyHandler([]gateway.Route{{Pattern: "/orders", Requirement: scoped}, {Pattern: "/public", Public: true}}))
		server.EnableHTTP2 = true
		server.StartTLS()
		t.Cleanup(server.Close)
		w.pseudoFields(t, server.Listener.Addr().String(), true)
	})
	eachFront(t, func(t *testing.T, f front) {
		w := newWorld(t)
		w.tls = pemFile(t)
		server := f.start(w, gateway.Route{Pattern: "/orders", Requirement: scoped}, gateway.Route{Pattern: "/public", Public: true})
		w.pseudoFields(t, server.Listener.Addr().String(), f.http2)
	})
}

func (w *world) pseudoFields(t *testing.T, address string, spoken bool) {
	good := []string{":method", "GET", ":scheme", "https", ":authority", "api.example.com", ":path", "/orders"}
	for name, test := range map[string]struct {
		before, behind, trailers []string // names and values
		change                   func([]string) []string
	}{
		"two paths":              {before: []string{":path", "/public"}},
		"two methods":            {before: []string{":method", "~EVIL"}},
		"two origins":            {before: []string{":authority", "~evil.example"}},
		"another path behind":    {behind: []string{":path", "/public"}},
		"a field as pseudo":      {before: []string{":x-senderlock-subject", "~evil"}},
		"a field in upper case":  {behind: []string{"X-Senderlock-Subject", "~evil"}},
		"a field":                {behind: []string{"x-senderlock-subject", "~evil"}},
		"with underscores":       {behind: []string{"x_senderlock_subject", "~evil"}},
		"another host":           {behind: []string{"host", "~evil.example"}},
		"connection":             {behind: []string{"connection", "x-senderlock-subject"}},
		"two fields in a value":  {behind: []string{"accept", "a\r\nx-senderlock-subject: ~evil"}},
		"a field in a name":      {behind: []string{"x-a: b\r\nx-senderlock-subject", "~evil"}},
		"a tunnel":               {before: []string{":protocol", "websocket"}},
		"a field in the path":    {change: replace("/orders", "/orders HTTP/1.1\r\nx-senderlock-subject: ~evil\r\nx-a: b")},
		"a field in the method":  {change: replace("GET", "GET /orders HTTP/1.1\r\nx-senderlock-subject: ~evil\r\nx-a: b")},
		"a path in the origin":   {change: replace("api.example.com", "api.example.com/public?")},
		"a URL as the path":      {change: replace("/orders", "https://api.example.com/public")},
		"another scheme":         {change: replace("https", "~evil")},
		"no path":                {change: replace("/orders", "")},
		"transfer-encoding":      {behind: []string{"transfer-encoding", "chunked"}},
		"two credentials":        {behind: []string{"authorization", "~evil"}},
		"trailers":               {trailers: []string{"x-senderlock-subject", "~evil"}},
		"trailers announced":     {behind: []string{"trailer", "x-senderlock-subject"}, trailers: []string{"x-senderlock-subject", "~evil"}},
		"nothing of that":        {},
		"a field that is wanted": {behind: []string{"accept", "*/*"}},
	} {
		t.Run(name, func(t *testing.T) {
			list := good
			if test.change != nil {
				list = test.change(good)
			}
			list = slices.Concat(test.before, list)
			for _, header := range w.headers("GET", "/orders", w.token("orders:read")) {
				field, value, _ := strings.Cut(header, ": ")
				list = append(list, strings.ToLower(field), value)
			}
			status := askHTTP2(t, address, append(list, test.behind...), test.trailers...)
			got := w.service.last()
			if wanted := test.change == nil && test.before == nil && test.trailers == nil && (test.behind == nil || test.behind[1] == "*/*"); wanted && (status == "200") != spoken {
				t.Fatalf("a good request got %q", status)
			}
			if (status == "200") != (got != nil) {
				t.Errorf("status %q, forwarded: %t", status, got != nil)
			}
			switch {
			case got == nil:
			case name == "a URL as the path" && got.RequestURI == "/public": // so it was judged as what it is
				checkUnsmuggled(t, got, "/public", "")
			default:
				checkUnsmuggled(t, got, "/orders", "user-1")
			}
		})
	}
}

func replace(old, with string) func([]string) []string {
	return func(list []string) []string {
		list = slices.Clone(list)
		list[slices.Index(list, old)] = with
		return list
	}
}

// askHTTP2 sends a request of these fields, octet for octet, and returns its status; empty: the stream was refused.
func askHTTP2(t *testing.T, address string, fields []string, trailers ...string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, ServerName: "api.example.com", NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, bufio.NewReader(conn))
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_ = framer.WriteSettings()
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	headers := func(fields []string, end bool) {
		block.Reset()
		for i := 0; i < len(fields); i += 2 {
			_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
		}
		_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
	}
	headers(fields, trailers == nil)
	if trailers != nil {
		_ = framer.WriteData(1, false, []byte("body"))
		headers(trailers, true)
	}
	if _, err := conn.Write(out.Bytes()); err != nil {
		return ""
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return ""
		}
		switch f := frame.(type) {
		case *http2.MetaHeadersFrame:
			return f.PseudoValue("status")
		case *http2.RSTStreamFrame:
			return ""
		case *http2.GoAwayFrame:
			if f.ErrCode != http2.ErrCodeNo {
				return ""
			}
		}
	}
}

package gateway_test

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/senderlocktest"
)

// Through each proxy a request gets the answer that the Guard gives, and the service learns who is calling from the gateway
// alone.
func TestThroughFronts(t *testing.T) { eachFront(t, testThroughFront) }

func testThroughFront(t *testing.T, f front) {
	w := newWorld(t)
	server := f.start(w,
		gateway.Route{Pattern: "GET /orders/{id}", Requirement: scoped},
		gateway.Route{Pattern: "POST /orders", Requirement: access.Requirement{Scopes: []string{"orders:write"}}},
		gateway.Route{Pattern: "GET /nonce", Requirement: access.Requirement{Nonce: true}},
		gateway.Route{Pattern: "GET /public", Public: true},
		gateway.Route{Pattern: "GET /forms/{path...}", Public: true, Allow: gateway.EncodedSlash},
	)
	token := w.token("orders:read")
	preset := func(target string) []string { // what the proxy itself says
		return []string{f.uri + ": " + target, strings.Replace(f.uri, "Uri", "Method", 1) + ": GET", "X-Forwarded-Proto: https", "X-Forwarded-Host: api.example.com"}
	}
	for name, test := range map[string]struct {
		method, target string
		headers        []string
		status         int
		challenge      string
	}{
		"owner":                    {"GET", "/orders/7?a=b", w.headers("GET", "/orders/7", token), 200, ""},
		"no credentials":           {"GET", "/orders/7", []string{"Accept: */*"}, 401, "DPoP scope="},
		"two credentials":          {"GET", "/orders/7", append(w.headers("GET", "/orders/7", token), "Authorization: Bearer a"), 400, ""},
		"a proof of another":       {"GET", "/orders/7", w.headers("GET", "/orders/8", token), 401, `error="invalid_dpop_proof"`},
		"of another method":        {"GET", "/orders/7", w.headers("HEAD", "/orders/7", token), 401, `error="invalid_dpop_proof"`},
		"bound as bearer":          {"GET", "/orders/7", []string{"Authorization: Bearer " + token}, 401, "DPoP algs="},
		"scope missing":            {"POST", "/orders", append(w.headers("POST", "/orders", token), "Content-Length: 0"), 403, `error="insufficient_scope"`},
		"a nonce wanted":           {"GET", "/nonce", w.headers("GET", "/nonce", token), 401, `error="use_dpop_nonce"`},
		"public":                   {"GET", "/public", []string{"Accept: */*"}, 200, ""},
		"unlisted":                 {"GET", "/admin", w.headers("GET", "/admin", token), 404, ""},
		"unlisted method":          {"DELETE", "/public", []string{"Accept: */*"}, 405, ""},
		"of two readings":          {"GET", "/orders/a%2fb", w.headers("GET", "/orders/a%2fb", token), 400, ""},
		"allowed by the route":     {"GET", "/forms/a%2fb%20c", []string{"Accept: */*"}, 200, ""},
		"another URI":              {"GET", "/orders/7", append(w.headers("GET", "/orders/7", token), "X-Rewrite-URL: /public"), 400, ""},
		"the preset's fields":      {"GET", "/orders/7", preset("/public"), 401, "DPoP scope="},
		"straight to the question": {"GET", "/senderlock", preset("/public"), 404, ""},
		"to what is published":     {"GET", "/.well-known/oauth-protected-resource/x", preset("/public"), 404, ""},
		"around what is published": {"GET", "/.well-known/oauth-protected-resource/../../public", preset("/public"), 404, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response := send(t, server, test.method, test.target, test.headers)
			got := w.service.last()
			if response.StatusCode != test.status || !strings.Contains(response.Header.Get("WWW-Authenticate"), test.challenge) ||
				len(slices.Compact(response.Header["Www-Authenticate"])) != len(response.Header["Www-Authenticate"]) {
				t.Errorf("%d %v, want %d", response.StatusCode, response.Header, test.status)
			}
			if (got != nil) != (test.status == 200) {
				t.Fatalf("forwarded: %t", got != nil)
			}
			if got == nil {
				return
			}
			if got.RequestURI != test.target || got.Method != test.method {
				t.Errorf("the service got %s %s", got.Method, got.RequestURI)
			}
			want := ""
			if test.target != "/public" && !strings.HasPrefix(test.target, "/forms") {
				want = "user-1"
			}
			if subjects := strings.Join(got.Header.Values(gateway.FieldSubject), ","); subjects != want {
				t.Errorf("subject %q, want %q", subjects, want)
			}
			if (got.Header.Get(gateway.FieldAssertion) == "") != (want == "") || got.Header.Get("Authorization") != "" || got.Header.Get("DPoP") != "" {
				t.Errorf("the service got %v", got.Header)
			}
			for field, values := range got.Header {
				if strings.Contains(strings.Join(values, " "), "~evil") {
					t.Errorf("the service got %s: %s", field, values)
				}
			}
		})
	}
}

// A nonce reaches the client: with the challenge, and on success, where nobody may store the answer, whatever the service
// says. A nonce of the service does not.
func TestHandsOnNonces(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, start starts) {
		w := newWorld(t, func(c *access.Config) { c.RequireNonce, c.Nonces.EveryAnswer = true, true })
		w.service.answer = func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("DPoP-Nonce", "of-the-service")
			rw.Header().Set("Cache-Control", "max-age=60")
		}
		server := start(w, gateway.Route{Pattern: "GET /orders/{id}"}, gateway.Route{Pattern: "GET /public", Public: true})
		token := w.token()
		response := send(t, server, "GET", "/orders/7", w.headers("GET", "/orders/7", token))
		nonce := response.Header.Values("DPoP-Nonce")
		if response.StatusCode != 401 || len(nonce) != 1 || !storesNothing(response) {
			t.Fatalf("%d %v", response.StatusCode, response.Header)
		}
		r := w.client.SignWithNonce(httptest.NewRequest("GET", senderlocktest.Origin+"/orders/7", nil), token, nonce[0])
		response = send(t, server, "GET", "/orders/7", []string{"Authorization: " + r.Header.Get("Authorization"), "DPoP: " + r.Header.Get("DPoP")})
		nonce = response.Header.Values("DPoP-Nonce")
		if way == "traefik" { // which hands nothing on
			nonce = append(nonce, "by the next challenge")
		} else if !storesNothing(response) {
			t.Errorf("to be stored: %v", response.Header)
		}
		if response.StatusCode != 200 || len(nonce) != 1 || nonce[0] == "of-the-service" {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
		response = send(t, server, "GET", "/public", []string{"Accept: */*"})
		if response.StatusCode != 200 || response.Header.Get("DPoP-Nonce") != "" || storesNothing(response) != (way == "envoy") {
			t.Errorf("public: %d %v", response.StatusCode, response.Header)
		}
	})
}

// storesNothing reports whether an answer is in no cache (RFC 9111 §5.2.2.5).
func storesNothing(response *http.Response) bool {
	return strings.Contains(strings.Join(response.Header.Values("Cache-Control"), ", "), "no-store")
}

// A preflight carries no credentials (Fetch §4.8): where a public route lists OPTIONS, the service answers it, and nobody
// changes what it says. What no route lists stays refused.
func TestPreflight(t *testing.T) {
	eachWay(t, func(t *testing.T, _ string, start starts) {
		w := newWorld(t)
		said := map[string]string{
			"Access-Control-Allow-Origin":  "https://app.example.com",
			"Access-Control-Allow-Methods": "GET, POST",
			"Access-Control-Allow-Headers": "Authorization, DPoP",
			"Access-Control-Max-Age":       "600",
		}
		w.service.answer = func(rw http.ResponseWriter, _ *http.Request) {
			for name, value := range said {
				rw.Header().Set(name, value)
			}
			rw.WriteHeader(http.StatusNoContent)
		}
		server := start(w, gateway.Route{Pattern: "GET /orders/{id}"}, gateway.Route{Pattern: "OPTIONS /orders/{id}", Public: true}, gateway.Route{Pattern: "GET /bills"})
		asks := []string{"Origin: https://app.example.com", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: authorization,dpop"}
		response := send(t, server, "OPTIONS", "/orders/7", asks)
		got := w.service.last()
		if response.StatusCode != 204 || got == nil || got.Method != "OPTIONS" || got.RequestURI != "/orders/7" {
			t.Fatalf("%d, the service got %v", response.StatusCode, got)
		}
		for _, field := range asks {
			if name, value, _ := strings.Cut(field, ": "); got.Header.Get(name) != value {
				t.Errorf("the service got %s: %q", name, got.Header.Values(name))
			}
		}
		for name, value := range said {
			if values := response.Header.Values(name); len(values) != 1 || values[0] != value {
				t.Errorf("the client got %s: %q", name, values)
			}
		}
		if response = send(t, server, "OPTIONS", "/bills", asks); response.StatusCode != 405 || w.service.last() != nil {
			t.Errorf("unlisted: %d", response.StatusCode)
		}
	})
}

// starts is a way to start what stands in front of a service.
type starts func(*world, ...gateway.Route) *httptest.Server

// eachWay runs a test behind the gateway and behind each proxy.
func eachWay(t *testing.T, test func(t *testing.T, way string, start starts)) {
	t.Run("gateway", func(t *testing.T) {
		test(t, "gateway", func(w *world, routes ...gateway.Route) *httptest.Server { return w.proxy(routes) })
	})
	eachProxy(t, func(t *testing.T, f front) { test(t, string(f.preset), f.start) })
}

// A proof counts once, whichever way it comes, and our own trouble is 503.
func TestFrontsReplayAndTrouble(t *testing.T) { eachProxy(t, testFrontTrouble) }

func testFrontTrouble(t *testing.T, f front) {
	w := newWorld(t)
	server := f.start(w, gateway.Route{Pattern: "GET /orders/{id}"})
	headers := w.headers("GET", "/orders/7", w.token())
	for i, want := range []int{200, 401} {
		if response := send(t, server, "GET", "/orders/7", headers); response.StatusCode != want {
			t.Errorf("request %d: %d", i+1, response.StatusCode)
		}
	}
	again := w.headers("GET", "/orders/7", w.issuer.Token(senderlocktest.Token{Client: w.client}))
	_ = w.guard.Close()
	if response := send(t, server, "GET", "/orders/7", again); response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
		t.Errorf("with the Guard closed: %d %v", response.StatusCode, response.Header)
	}
}

// Where nobody answers the question, or the script that asks it fails, nothing is forwarded.
func TestFrontsFailClosed(t *testing.T) {
	eachProxy(t, func(t *testing.T, f front) {
		w := newWorld(t)
		server := f.start(w, gateway.Route{Pattern: "GET /orders/{id}"})
		w.asked.Close()
		w.refused(t, server)
	})
	t.Run("script of HAProxy", func(t *testing.T) {
		w := newWorld(t)
		w.broken = "NOT_"
		w.refused(t, w.haproxy(gateway.Route{Pattern: "GET /orders/{id}"}))
	})
}

func (w *world) refused(t *testing.T, server *httptest.Server) {
	response := send(t, server, "GET", "/orders/7", w.headers("GET", "/orders/7", w.token()))
	if response.StatusCode < 500 || w.service.last() != nil {
		t.Errorf("%d", response.StatusCode)
	}
}

// The certificate of a client reaches forward authentication through each proxy, and nothing that a client writes does.
func TestCertificatesThroughFronts(t *testing.T) { eachFront(t, testFrontCertificates) }

func testFrontCertificates(t *testing.T, f front) {
	proxy := mtls.Proxy{Trusted: loopback}
	if f.field == "X-SSL-Client-Cert" {
		proxy.Format = mtls.EscapedPEM
	}
	source, err := mtls.FromProxy(proxy)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *access.Config) { c.Certificates = source })
	w.tls = pemFile(t)
	server := f.start(w, gateway.Route{Pattern: "GET /orders"})
	own, other := senderlocktest.NewCertificate("own"), senderlocktest.NewCertificate("other")
	bound := w.issuer.Token(senderlocktest.Token{Certificate: own.Leaf})
	thumbprint := (&mtls.Certificate{DER: own.Certificate[0]}).Thumbprint()
	written := map[string]string{
		"Client-Cert":       ":" + base64.StdEncoding.EncodeToString(own.Certificate[0]) + ":",
		"X-SSL-Client-Cert": url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))),
	}
	for name, test := range map[string]struct {
		certificate []tls.Certificate
		field       string // that the client writes its own certificate to
		want        int
	}{
		"owner":                            {[]tls.Certificate{own}, "", 200},
		"owner, who writes it too":         {[]tls.Certificate{own}, f.field, 200},
		"another":                          {[]tls.Certificate{other}, "", 401},
		"another, with the owner's":        {[]tls.Certificate{other}, f.field, 401},
		"none":                             {nil, "", 401},
		"none, with the owner's":           {nil, f.field, 401},
		"none, in another format":          {nil, "Client-Cert", 401},
		"none, in another format, escaped": {nil, "X-SSL-Client-Cert", 401},
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
				InsecureSkipVerify: true, ServerName: "api.example.com", Certificates: test.certificate,
			}}}
			defer client.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+server.Listener.Addr().String()+"/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "api.example.com"
			r.Header.Set("Authorization", "Bearer "+bound)
			if test.field != "" {
				r.Header.Set(test.field, written[test.field])
			}
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			got := w.service.last()
			if response.StatusCode != test.want || (got != nil) != (test.want == 200) {
				t.Fatalf("%s, forwarded: %t; %s", response.Status, got != nil, w.said())
			}
			if got == nil {
				return
			}
			if got.Header.Get(gateway.FieldCertificate) != thumbprint || got.Header.Get(gateway.FieldBinding) != "certificate" ||
				got.Header.Get("Client-Cert")+got.Header.Get("X-SSL-Client-Cert") != "" {
				t.Errorf("the service got %v", got.Header)
			}
		})
	}
}

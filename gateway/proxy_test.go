package gateway_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/senderlocktest"
)

var scoped = access.Requirement{Scopes: []string{"orders:read"}}

// What the Guard accepts reaches the service, which learns who is calling. What it refuses does not.
func TestProxy(t *testing.T) {
	w := newWorld(t)
	server := w.proxy([]gateway.Route{
		{Pattern: "GET /orders/{id}", Requirement: scoped},
		{Pattern: "POST /orders", Requirement: access.Requirement{Scopes: []string{"orders:write"}}},
		{Pattern: "GET /public", Public: true},
		{Pattern: "/any/{id}", Public: true},
	})
	token := w.token("orders:read")
	for name, test := range map[string]struct {
		method, target string
		headers        []string
		status         int
		reason         string // in the log; empty: it was forwarded
	}{
		"owner":                 {"GET", "/orders/7?a=b;c", w.headers("GET", "/orders/7", token), 200, ""},
		"HEAD":                  {"HEAD", "/orders/7", w.headers("HEAD", "/orders/7", token), 200, ""},
		"no credentials":        {"GET", "/orders/7", []string{"Accept: */*"}, 401, "credentials_missing"},
		"a proof for another":   {"GET", "/orders/7", w.headers("GET", "/orders/8", token), 401, "htu_mismatch"},
		"a proof for a method":  {"GET", "/orders/7", w.headers("POST", "/orders/7", token), 401, "htm_mismatch"},
		"scope missing":         {"POST", "/orders", w.headers("POST", "/orders", token), 403, "scope_missing"},
		"public":                {"GET", "/public", []string{"Accept: */*"}, 200, ""},
		"unlisted":              {"GET", "/admin", w.headers("GET", "/admin", token), 404, "path_unlisted"},
		"unlisted method":       {"DELETE", "/orders/7", w.headers("DELETE", "/orders/7", token), 405, "method_unlisted"},
		"TRACE":                 {"TRACE", "/any/7", []string{"Accept: */*"}, 405, "method_unlisted"}, // it would tell what the service got
		"a method of its own":   {"PURGE", "/any/7", []string{"Accept: */*"}, 200, ""},
		"another case":          {"GET", "/Orders/7", w.headers("GET", "/Orders/7", token), 404, "path_unlisted"},
		"a slash behind it":     {"GET", "/orders/7/", w.headers("GET", "/orders/7/", token), 404, "path_unlisted"},
		"absolute form":         {"GET", "http://api.example.com/orders/7", w.headers("GET", "/orders/7", token), 400, "path_ambiguous"},
		"an overridden method":  {"GET", "/orders/7", append(w.headers("GET", "/orders/7", token), "X-HTTP-Method-Override: DELETE"), 200, ""},
		"letters percent-coded": {"GET", "/%6frders/7", w.headers("GET", "/orders/7", token), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(w.said())
			response := send(t, server, test.method, test.target, test.headers)
			got := w.service.last()
			if response.StatusCode != test.status {
				t.Errorf("status %d, want %d", response.StatusCode, test.status)
			}
			if test.reason != "" {
				if got != nil || !strings.Contains(w.said()[before:], "reason="+test.reason) {
					t.Errorf("forwarded: %t; log %s", got != nil, w.said()[before:])
				}
				return
			}
			if got == nil || got.RequestURI != test.target || got.Method != test.method {
				t.Fatalf("the service got %v", got)
			}
			for _, name := range []string{"Authorization", "DPoP", "X-Http-Method-Override"} {
				if got.Header.Get(name) != "" {
					t.Errorf("the service got %s", name)
				}
			}
			if public := test.target == "/public" || test.target == "/any/7"; public != (got.Header.Get(gateway.FieldAssertion) == "") {
				t.Errorf("assertion: %v", got.Header)
			}
		})
	}
}

// Every way in which a path can be read twice is refused, and taken where the route names it, octet for octet.
func TestPathForms(t *testing.T) {
	w := newWorld(t)
	for target, form := range map[string]string{
		"/x/a/../b":         "dot-segments", // nginx, Go and Node's URL remove it, Echo does not
		"/x/a/%2e%2E/b":     "dot-segments", // URL parsers of browsers and Node
		"/x/./b":            "dot-segments",
		"/x/..":             "dot-segments",
		"/x/a%2fb":          "encoded-slash", // Python (WSGI) and Tomcat decode before they route
		`/x/a\b`:            "backslash",     // Node's URL, .NET
		"/x/a%5cb":          "backslash",
		"/x//b":             "double-slash", // nginx merges, Express does not
		"/x/a;b=c/d":        "semicolon",    // Java cuts it off
		"/x/a%3Bb":          "semicolon",
		"/x/a%00b":          "nul",             // PHP, C
		"/x/a%252fb":        "double-encoding", // whatever decodes twice
		"/x/a%2525b":        "double-encoding",
		"/x/100%25":         "",
		"/x/a|b":            "",
		"/x/caf%C3%A9":      "",
		"/x/a%20b":          "",
		"/x/a%2Fb|c":        "encoded-slash",
		"/x/a%0d%0aX:%20b":  "never", // a field in a log, or in another request
		"/x/%c0%af":         "never", // an overlong slash
		"/x/caf\xc3\xa9":    "never",
		"/x/a%2":            "never",
		"/x/a%zz":           "never",
		"//x/a":             "never", // an authority
		"/%2e%2e/x/a":       "unlisted",
		"/y":                "unlisted",
		"/x/a%7f":           "never",
		"/x/a%25%32%66":     "double-encoding", // by halves
		"/x/%2e%2e%2fadmin": "encoded-slash",
	} {
		t.Run(target, func(t *testing.T) {
			for name, allow := range map[string]gateway.PathForms{"refused": 0, "allowed": 1<<7 - 1} {
				server := w.proxy([]gateway.Route{{Pattern: "/x/{path...}", Public: true, Allow: allow}})
				response := send(t, server, "GET", target, []string{"Accept: */*"})
				got := w.service.last()
				taken := form == "" || name == "allowed" && form != "never" && form != "unlisted"
				if (got != nil) != taken || got != nil && got.RequestURI != target {
					t.Errorf("%s: forwarded %v, status %d", name, got, response.StatusCode)
				}
			}
			if f, err := gateway.ParsePathForms(form); err == nil {
				server := w.proxy([]gateway.Route{{Pattern: "/x/{path...}", Public: true, Allow: (1<<7 - 1) &^ f}})
				if response := send(t, server, "GET", target, []string{"Accept: */*"}); response.StatusCode != 400 || w.service.last() != nil {
					t.Errorf("all others allowed: %d", response.StatusCode)
				}
			}
		})
	}
}

// A literal route is not reached by a path that only looks like it once it was cleaned.
func TestFormsReachNoLiteral(t *testing.T) {
	w := newWorld(t)
	all := gateway.PathForms(1<<7 - 1)
	server := w.proxy([]gateway.Route{
		{Pattern: "/admin/users", Public: true, Allow: all}, {Pattern: "/open/{rest...}", Requirement: scoped, Allow: all},
	})
	for _, target := range []string{"/admin//users", "/admin/./users", "/open/../admin/users", "/admin%2Fusers"} {
		if response := send(t, server, "GET", target, []string{"Accept: */*"}); response.StatusCode == 200 || w.service.last() != nil {
			t.Errorf("%s: %d", target, response.StatusCode)
		}
	}
}

// The assertion says all of it, for one service and half a minute, and is no access token to anybody.
func TestAssertion(t *testing.T) {
	source, err := mtls.FromProxy(mtls.Proxy{Trusted: loopback})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *access.Config) { c.Certificates = source })
	server := w.proxy([]gateway.Route{{Pattern: "/orders", Requirement: scoped}})
	certificate := senderlocktest.NewCertificate("client")
	field := "Client-Cert: :" + base64.StdEncoding.EncodeToString(certificate.Certificate[0]) + ":"
	key, leaf := w.client.Thumbprint(), (&mtls.Certificate{DER: certificate.Certificate[0]}).Thumbprint()
	said := func(target, scope, binding string, thumbprint map[string]any, more ...any) map[string]any {
		claims := map[string]any{
			"iss": "https://gateway.example.com", "aud": w.service.URL, "method": "GET", "uri": target,
			"sub": "user-1", "client_id": "client-1", "token_iss": w.issuer.URL(),
			"scope": scope, "binding": binding, "thumbprint": thumbprint,
		}
		for i := 0; i < len(more); i += 2 {
			claims[more[i].(string)] = more[i+1]
		}
		return claims
	}
	for name, test := range map[string]struct {
		target string
		token  senderlocktest.Token
		want   map[string]any
	}{
		"a key": {
			"/orders?q=1", senderlocktest.Token{Client: w.client, Subject: "Zoë \"100%\" </b>\r\n", Scopes: []string{"orders:read", "b"}},
			said("/orders?q=1", "orders:read b", "DPoP", map[string]any{"jkt": key}, "sub", "Zoë \"100%\" </b>\r\n"),
		},
		"a certificate": {
			"/orders", senderlocktest.Token{Certificate: certificate.Leaf, Scopes: []string{"orders:read"}},
			said("/orders", "orders:read", "certificate", map[string]any{"x5t#S256": leaf}),
		},
		"both": {
			"/orders", senderlocktest.Token{Client: w.client, Certificate: certificate.Leaf, Scopes: []string{"orders:read"}},
			said("/orders", "orders:read", "DPoP and certificate", map[string]any{"jkt": key, "x5t#S256": leaf}),
		},
		"a query that is no UTF-8": {
			"/orders?\xff", senderlocktest.Token{Client: w.client, Scopes: []string{"orders:read"}},
			said("/orders?\ufffd", "orders:read", "DPoP", map[string]any{"jkt": key}),
		},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{"Authorization: Bearer " + w.issuer.Token(test.token), field}
			if test.token.Client != nil {
				headers = append(w.headers("GET", "/orders", w.issuer.Token(test.token)), field)
			}
			if response := send(t, server, "GET", test.target, headers); response.StatusCode != 200 {
				t.Fatal(response.Status, w.said())
			}
			header, claims := w.assertion(w.service.last())
			if header["typ"] != gateway.AssertionType || header["alg"] != "ES256" {
				t.Errorf("header %v", header)
			}
			if life := claims["exp"].(float64) - claims["iat"].(float64); life <= 0 || life > 60 {
				t.Errorf("it holds for %v s", life)
			}
			if claims["token_jti"] == "" {
				t.Error("no token_jti")
			}
			for _, name := range []string{"iat", "exp", "token_jti"} {
				delete(claims, name)
			}
			if !reflect.DeepEqual(claims, test.want) {
				t.Errorf("claims\n%v, want\n%v", claims, test.want)
			}
		})
	}
}

// assertion takes apart what the service was told.
func (w *world) assertion(r *http.Request) (header, claims map[string]any) {
	w.t.Helper()
	compact := r.Header.Get(gateway.FieldAssertion)
	parts := strings.Split(compact, ".")
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			w.t.Fatal(compact)
		}
	}
	return header, claims
}

// What a field cannot hold is percent-encoded, and the assertion is no access token.
func TestAssertionIsNoToken(t *testing.T) {
	w := newWorld(t)
	server := w.proxy([]gateway.Route{{Pattern: "/orders"}})
	token := w.issuer.Token(senderlocktest.Token{Client: w.client, Subject: "Zoë 100%\r\n"})
	if response := send(t, server, "GET", "/orders", w.headers("GET", "/orders", token)); response.StatusCode != 200 {
		t.Fatal(response.Status)
	}
	got := w.service.last()
	if subject := got.Header.Get(gateway.FieldSubject); subject != "Zo%C3%AB 100%25%0D%0A" {
		t.Errorf("subject %q", subject)
	}
	compact := got.Header.Get(gateway.FieldAssertion)

	// A Guard that trusts the gateway's own key, for the very audience, and takes the typ JWT, does not take it.
	recorder := httptest.NewRecorder()
	w.signer.ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
	for _, lenient := range []bool{false, true} {
		guard, err := access.New(access.Config{
			Origins: []string{w.service.URL}, InsecureAllowBearer: true, InsecureForgetAtStart: true, Log: slog.New(slog.DiscardHandler),
			Issuers: []access.Issuer{{
				URL: "https://gateway.example.com", Audience: w.service.URL, JWKS: recorder.Body.Bytes(), AcceptTypeJWT: lenient,
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer guard.Close()
		r := httptest.NewRequest("GET", w.service.URL+"/orders", nil)
		r.Header.Set("Authorization", "Bearer "+compact)
		if _, err := guard.Check(r); reason.Of(err) != "token_typ_wrong" {
			t.Errorf("a Guard said %v (%s)", err, reason.Of(err))
		}
	}
}

// A service that is down, late, or gone in the middle is told as such.
func TestServiceTrouble(t *testing.T) {
	w := newWorld(t)
	wait := make(chan struct{})
	defer close(wait)
	closed := httptest.NewServer(nil)
	closed.Close()
	w.service.answer = func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/late":
			<-wait
		case "/reset":
			panic(http.ErrAbortHandler)
		case "/middle":
			rw.Header().Set("Content-Length", "1000000")
			_, _ = rw.Write(make([]byte, 100_000))
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		}
	}
	server := w.proxy([]gateway.Route{
		{Pattern: "/down", Public: true, Upstream: closed.URL}, {Pattern: "/late", Public: true},
		{Pattern: "/reset", Public: true}, {Pattern: "/middle", Requirement: scoped},
		{Pattern: "/", Public: true},
	}, func(c *gateway.Config) { c.Timeout, c.MaxBody = 50*time.Millisecond, 4 })
	for target, want := range map[string]int{"/down": 502, "/late": 504, "/reset": 502, "/middle": 200} {
		response := send(t, server, "POST", target, append(w.headers("POST", target, w.token("orders:read")), "Content-Length: 0"))
		_, err := io.ReadAll(response.Body)
		if response.StatusCode != want || (err != nil) != (want == 200) {
			t.Errorf("%s: %d, %v", target, response.StatusCode, err)
		}
	}
	for body, want := range map[string]int{"four": 200, "fiver": 413} {
		response, err := http.Post(server.URL, "text/plain", strings.NewReader(body))
		if err != nil || response.StatusCode != want {
			t.Errorf("%s: %v, %v", body, response, err)
		}
	}
}

// What goes on for long ends with its token.
func TestStreamsEndWithTheirToken(t *testing.T) {
	for name, upgrade := range map[string]bool{"server-sent events": false, "WebSocket": true} {
		t.Run(name, func(t *testing.T) {
			store, err := revocation.NewMemory(revocation.Options{})
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, func(c *access.Config) { c.Revocation = store })
			w.service.answer = func(rw http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Upgrade") != "websocket" {
					rw.Header().Set("Content-Type", "text/event-stream")
					_, _ = rw.Write([]byte("data: 1\n\n"))
					_ = http.NewResponseController(rw).Flush()
					<-r.Context().Done()
					return
				}
				rw.Header().Set("Connection", "Upgrade")
				rw.Header().Set("Upgrade", "websocket")
				rw.WriteHeader(http.StatusSwitchingProtocols)
				conn, _, err := http.NewResponseController(rw).Hijack()
				if err == nil {
					defer conn.Close()
					_, _ = conn.Write([]byte("data: 1\n\n"))
					_, _ = io.Copy(io.Discard, conn)
				}
			}
			server := w.proxy([]gateway.Route{{Pattern: "/events", Requirement: scoped}},
				func(c *gateway.Config) { c.Stream.Every = time.Millisecond })
			headers := w.headers("GET", "/events", w.token("orders:read"))
			if upgrade {
				headers = append(headers, "Connection: Upgrade", "Upgrade: websocket")
			}
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, _ = conn.Write([]byte("GET /events HTTP/1.1\r\nHost: api.example.com\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n"))
			var got bytes.Buffer
			for !bytes.Contains(got.Bytes(), []byte("data: 1")) {
				if _, err := io.CopyN(&got, conn, 1); err != nil {
					t.Fatalf("%v: %s", err, &got)
				}
			}
			if err := store.Revoke(t.Context(), revocation.Entry{By: revocation.BySubject, Issuer: w.issuer.URL(), Value: "user-1"}); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(&got, conn); err != nil { // until the gateway ends it
				t.Logf("ended by %v", err)
			}
			w.hears("response ended")
			w.hears("reason=subject_revoked")
		})
	}
}

// Wrong settings are refused with the field and what to put there.
func TestWrongSettings(t *testing.T) {
	w := newWorld(t)
	good := gateway.Route{Pattern: "/x"}
	for want, change := range map[string]func(*gateway.Config){
		"Guard is nil":                      func(c *gateway.Config) { c.Guard = nil },
		"Signer is nil":                     func(c *gateway.Config) { c.Signer = nil },
		"Routes is empty":                   func(c *gateway.Config) { c.Routes = nil },
		"Routes[0].Upstream is":             func(c *gateway.Config) { c.Upstream = "127.0.0.1:3000" },
		`Routes[0].Upstream is "http://h/…`: func(c *gateway.Config) { c.Upstream = "http://h/path" },
		"Routes[0].Pattern is":              func(c *gateway.Config) { c.Routes = []gateway.Route{{Pattern: "orders"}} },
		`Routes[0].Pattern is "TRACE /x"`:   func(c *gateway.Config) { c.Routes = []gateway.Route{{Pattern: "TRACE /x"}} },
		"Routes[1].Pattern":                 func(c *gateway.Config) { c.Routes = []gateway.Route{good, good} },
		"Routes[0].Allow is 128":            func(c *gateway.Config) { c.Routes = []gateway.Route{{Pattern: "/x", Allow: 128}} },
		"Routes[0].Public is set beside": func(c *gateway.Config) {
			c.Routes = []gateway.Route{{Pattern: "/x", Public: true, Requirement: scoped}}
		},
		"MaxAuthAge is": func(c *gateway.Config) {
			c.Routes = []gateway.Route{{Pattern: "/x", Requirement: access.Requirement{MaxAuthAge: -1}}}
		},
		"MaxBody is -1":   func(c *gateway.Config) { c.MaxBody = -1 },
		"Idle is -1ns":    func(c *gateway.Config) { c.Idle = -1 },
		"Timeout is -1ns": func(c *gateway.Config) { c.Timeout = -1 },
		"Authorization":   func(c *gateway.Config) { c.Authorization = "Basic a\nb" },
		"Every is -1ns":   func(c *gateway.Config) { c.Stream.Every = -1 },
	} {
		c := gateway.Config{Guard: w.guard, Signer: w.signer, Routes: []gateway.Route{good}, Upstream: "http://127.0.0.1:1"}
		change(&c)
		if _, err := gateway.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A service gets the credential that is set, and a nonce reaches the client.
func TestCredentialAndNonce(t *testing.T) {
	w := newWorld(t, func(c *access.Config) { c.RequireNonce = true })
	server := w.proxy([]gateway.Route{{Pattern: "/orders"}}, func(c *gateway.Config) { c.Authorization = "Basic abc" })
	w.service.answer = func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("DPoP-Nonce", "of the service") }
	token := w.token()
	response := send(t, server, "GET", "/orders", w.headers("GET", "/orders", token))
	nonce := response.Header.Get("DPoP-Nonce")
	if response.StatusCode != 401 || nonce == "" || !strings.Contains(response.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Fatalf("%d %v", response.StatusCode, response.Header)
	}
	r := w.client.SignWithNonce(httptest.NewRequest("GET", senderlocktest.Origin+"/orders", nil), token, nonce)
	response = send(t, server, "GET", "/orders", []string{"Authorization: " + r.Header.Get("Authorization"), "DPoP: " + r.Header.Get("DPoP")})
	if response.StatusCode != 200 || response.Header.Get("DPoP-Nonce") != "" {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	if got := w.service.last().Header.Get("Authorization"); got != "Basic abc" {
		t.Errorf("the service got %q", got)
	}
}

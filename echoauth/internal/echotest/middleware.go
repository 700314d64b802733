package echotest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

func (f suite) TestOnlyTheOwnerGetsIn(t *testing.T) {
	a := f.newAPI(f.newAuth(t))
	w := a.serve(owner()) // RS-001 RS-162
	if w.Code != 200 || strings.TrimSpace(w.Body.String()) != `{"binding":"DPoP","subject":"user-1"}` || a.ran() != 1 {
		t.Fatalf("the owner: %d %s", w.Code, w.Body)
	}
	token := bound()
	for name, test := range map[string]struct {
		r      *http.Request
		status int
		code   string
	}{
		"RS-111 nobody":      {get(poptest.URL), 401, ""},
		"RS-050 as bearer":   {bearer(token), 401, ""},
		"RS-023 a thief":     {signed(get(poptest.URL), token, poptest.URL, func(p *poptest.Proof) { p.Key = poptest.Keyed("ES256", "thief") }), 401, "invalid_token"},
		"RS-039 no proof":    {signedWithout(token), 401, "invalid_dpop_proof"},
		"RS-014 other htm":   {signed(get(poptest.URL), token, poptest.URL, func(p *poptest.Proof) { p.Method = "POST" }), 401, "invalid_dpop_proof"},
		"RS-015 other htu":   {signed(get(poptest.URL), token, poptest.Audience+"/other"), 401, "invalid_dpop_proof"},
		"RS-053 two tokens":  {twice(signed(get(poptest.URL), token, poptest.URL)), 400, "invalid_request"},
		"RS-176 other Host":  {host(signed(get(poptest.URL), token, poptest.URL), "evil.example.com"), 401, "invalid_dpop_proof"},
		"a token for a day":  {day(), 401, "invalid_token"},
		"RS-119 old token":   {old(), 401, "invalid_token"},
		"RS-117 forged":      {signed(get(poptest.URL), poptest.Tampered(token), poptest.URL), 401, "invalid_token"},
		"RS-126 not a token": {signed(get(poptest.URL), "opaque", poptest.URL), 401, "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			w := a.serve(test.r)
			if w.Code != test.status || !hasCode(w, test.code) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Header(), test.status, test.code)
			}
			if ran := a.ran() == 1; ran != (test.status == 200) { // RS-041
				t.Errorf("the handler ran: %t", ran)
			}
		})
	}
}

func bearer(token string) *http.Request {
	r := get(poptest.URL)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func signedWithout(token string) *http.Request {
	r := get(poptest.URL)
	r.Header.Set("Authorization", "DPoP "+token)
	return r
}

func twice(r *http.Request) *http.Request {
	r.Header.Add("Authorization", r.Header.Get("Authorization"))
	return r
}

func host(r *http.Request, host string) *http.Request {
	r.Host = host
	return r
}

func day() *http.Request {
	return signed(get(poptest.URL), bound(func(t *poptest.Token) { t.Lifetime = 24 * time.Hour }), poptest.URL)
}

func old() *http.Request {
	return signed(get(poptest.URL), bound(func(t *poptest.Token) { t.Lifetime = -time.Minute }), poptest.URL)
}

func (f suite) TestScopesAndLogin(t *testing.T) {
	auth := f.newAuth(t)
	a := f.newAPI(auth)
	a.Handle("POST", "/transfer", a.handler, auth.Authenticate(), auth.Require(access.Requirement{Scopes: []string{"payments:write"}, MaxAuthAge: time.Minute}))
	a.Handle("GET", "/read", a.handler, auth.Authenticate(), auth.RequireScope("accounts:read"))
	call := func(method, path string, claims map[string]any) *httptest.ResponseRecorder {
		url := poptest.Audience + path
		return a.serve(signed(httptest.NewRequest(method, url, nil), bound(func(t *poptest.Token) { t.Claims = claims }), url))
	}
	recent := poptest.Now.Unix() - 30
	for name, test := range map[string]struct {
		method, path string
		claims       map[string]any
		status       int
		code         string
	}{
		"the scope it has":           {"GET", "/read", nil, 200, ""},
		"RS-110 another scope":       {"GET", "/read", map[string]any{"scope": "x"}, 403, "insufficient_scope"},
		"RS-110 no scope":            {"GET", "/read", map[string]any{"scope": nil}, 403, "insufficient_scope"},
		"scope and a fresh login":    {"POST", "/transfer", map[string]any{"scope": "payments:write", "auth_time": recent}, 200, ""},
		"RS-146 an old login":        {"POST", "/transfer", map[string]any{"scope": "payments:write", "auth_time": recent - 60}, 401, "insufficient_user_authentication"},
		"RS-165 fresh without scope": {"POST", "/transfer", map[string]any{"auth_time": recent}, 403, "insufficient_scope"},
	} {
		t.Run(name, func(t *testing.T) {
			w := call(test.method, test.path, test.claims)
			if w.Code != test.status || !hasCode(w, test.code) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Header(), test.status, test.code)
			}
			if ran := a.ran() == 1; ran != (test.status == 200) {
				t.Errorf("the handler ran: %t", ran)
			}
		})
	}
}

// A route that requires something is never open, however the middleware is put together.
func (f suite) TestRequireAlone(t *testing.T) {
	auth, other := f.newAuth(t), f.newAuth(t)
	a := &api{Server: f.New()}
	a.Handle("GET", "/accounts", a.handler, auth.RequireScope("accounts:read"))
	a.Handle("GET", "/two", a.handler, other.Authenticate(), auth.RequireScope("accounts:read"))
	if w := a.serve(get(poptest.URL)); w.Code != 401 || a.ran() != 0 {
		t.Errorf("without credentials: %d", w.Code)
	}
	if w := a.serve(owner()); w.Code != 200 || a.ran() != 1 {
		t.Errorf("the owner: %d %s", w.Code, w.Body)
	}
	if w := a.serve(signed(get(poptest.Audience+"/two"), bound(), poptest.Audience+"/two")); w.Code != 200 || a.ran() != 1 {
		t.Errorf("accepted by two, each with its own memory: %d %s", w.Code, w.Body)
	}
}

// On nested groups a proof is judged once.
func (f suite) TestNestedGroups(t *testing.T) {
	auth := f.newAuth(t)
	a := &api{Server: f.New()}
	a.Use(auth.Authenticate())
	inner := a.Group("/v1", auth.Authenticate()).Group("/x", auth.Authenticate())
	inner.Handle("GET", "/:id", a.handler, auth.Authenticate(), auth.RequireScope("accounts:read"))
	url := poptest.Audience + "/v1/x/7"
	if w := a.serve(signed(get(url), bound(), url)); w.Code != 200 || a.ran() != 1 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := a.serve(get(poptest.Audience + "/v1/nothing")); w.Code != 401 {
		t.Errorf("an unknown route under Use: %d", w.Code)
	}
}

func (f suite) TestGrantFromElsewhere(t *testing.T) {
	if grant := f.Context(httptest.NewRecorder(), get("/")).Grant(); grant != nil {
		t.Errorf("a grant without authentication: %v", grant)
	}
}

// A grant for the test of a handler reaches the handler, and opens no route.
func (f suite) TestSetGrant(t *testing.T) {
	own := &access.Grant{Token: access.Token{Subject: "mallory", Scopes: []string{"accounts:read"}}}
	c := f.Context(httptest.NewRecorder(), get(poptest.URL))
	c.SetGrant(own)
	if c.Grant() != own {
		t.Error("the handler does not find it")
	}
	auth := f.newAuth(t)
	setting := f.Around(func(c Context, next func() error) error {
		c.SetGrant(own)
		return next()
	})
	a := &api{Server: f.New()}
	a.Handle("GET", "/accounts", a.handler, setting, auth.Authenticate())
	a.Handle("GET", "/required", a.handler, setting, auth.RequireScope("accounts:read"))
	for _, path := range []string{"/accounts", "/required"} {
		url := poptest.Audience + path
		if w := a.serve(get(url)); w.Code != 401 || a.ran() != 0 {
			t.Errorf("%s, without credentials: %d", path, w.Code)
		}
		if w := a.serve(signed(get(url), bound(), url)); w.Code != 200 || a.ran() != 1 || strings.Contains(w.Body.String(), "mallory") {
			t.Errorf("%s, the owner: %d %s", path, w.Code, w.Body)
		}
	}
}

// RS-048, RS-065: a browser on another origin may send the preflight without credentials and read the refusal.
func (f suite) TestCORS(t *testing.T) {
	auth := f.newAuth(t, func(c *access.Config) { c.RequireNonce = true })
	a := &api{Server: f.New()}
	a.Use(f.CORS("https://app.example.com", []string{"Authorization", "DPoP"}, []string{"X-Total"}))
	a.Handle("GET", "/accounts", a.handler, auth.Authenticate())
	preflight := httptest.NewRequest(http.MethodOptions, poptest.URL, nil)
	preflight.Header.Set("Origin", "https://app.example.com")
	preflight.Header.Set("Access-Control-Request-Method", "GET")
	preflight.Header.Set("Access-Control-Request-Headers", "authorization,dpop")
	if w := a.serve(preflight); w.Code != 204 || w.Header().Get("Access-Control-Allow-Origin") != "https://app.example.com" || a.ran() != 0 {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	exposed := func(w *httptest.ResponseRecorder) string {
		return strings.Join(w.Header().Values("Access-Control-Expose-Headers"), ", ")
	}
	r := owner()
	r.Header.Set("Origin", "https://app.example.com")
	w := a.serve(r)
	nonce := w.Header().Get("DPoP-Nonce")
	if w.Code != 401 || nonce == "" || w.Header().Get("Access-Control-Allow-Origin") == "" || exposed(w) != "X-Total, WWW-Authenticate, DPoP-Nonce" {
		t.Errorf("refusal: %d %v", w.Code, w.Header())
	}
	r = signed(get(poptest.URL), bound(), poptest.URL, func(p *poptest.Proof) { p.Nonce = nonce })
	if w := a.serve(r); w.Code != 200 || a.ran() != 1 {
		t.Errorf("with the nonce: %d %s", w.Code, w.Body)
	}
}

// RS-063, RS-064: the newest nonce comes with a success, which must not be stored then, whatever the handler says.
func (f suite) TestNewNonceWithSuccess(t *testing.T) {
	clock := poptest.NewClock()
	auth := f.newAuth(t, func(c *access.Config) { c.RequireNonce, c.Now = true, clock.Now })
	e := f.New()
	e.Handle("GET", "/accounts", func(c Context) error {
		c.Response().Header().Set("Cache-Control", "max-age=60")
		return c.NoContent(http.StatusNoContent)
	}, auth.Authenticate())
	call := func(nonce string) http.Header {
		w := httptest.NewRecorder()
		e.ServeHTTP(w, signed(get(poptest.URL), bound(), poptest.URL, func(p *poptest.Proof) { p.Nonce = nonce }))
		return w.Header()
	}
	first := call("").Get("DPoP-Nonce")
	if h := call(first); h.Get("DPoP-Nonce") != "" || h.Get("Cache-Control") != "max-age=60" {
		t.Errorf("with the newest: %v", h)
	}
	clock.Advance(time.Minute)
	h := call(first)
	if got := h.Values("DPoP-Nonce"); len(got) != 1 || got[0] == first || h.Get("Cache-Control") != "no-store" {
		t.Errorf("with the one before: %v", h)
	}
}

// A custom error handler gets the refusal whole, and the usual one writes what Echo users expect.
func (f suite) TestErrorHandler(t *testing.T) {
	a := f.newAPI(f.newAuth(t))
	w := a.serve(signedWithout(bound()))
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || len(body) != 1 || body["message"] != "no DPoP field" {
		t.Errorf("body %s", w.Body)
	}
	var got error
	a.OnError(func(c Context, err error, _ func()) {
		got = err
		_ = c.String(http.StatusTeapot, "mine")
	})
	w = a.serve(signedWithout(bound()))
	refusal, ok := errors.AsType[*access.Error](got)
	if !ok || refusal.Code != "invalid_dpop_proof" || !errors.Is(got, dpop.ErrMissing) || w.Code != http.StatusTeapot {
		t.Errorf("handler got %v, client %d", got, w.Code)
	}
	if w.Header().Get("WWW-Authenticate") == "" || a.ran() != 0 { // RS-104
		t.Errorf("header %v", w.Header())
	}
}

// Deny renders; it cannot let a request through.
func (f suite) TestDeny(t *testing.T) {
	type deny = func(http.ResponseWriter, *http.Request, *access.Error)
	for name, test := range map[string]struct {
		deny   deny
		status int
		body   string
	}{
		"renders": {func(w http.ResponseWriter, _ *http.Request, e *access.Error) {
			w.WriteHeader(e.Status)
			fmt.Fprint(w, "no: ", e.Code)
		}, 401, "no: invalid_dpop_proof"},
		"renders a 200": {func(w http.ResponseWriter, _ *http.Request, _ *access.Error) { fmt.Fprint(w, "no") }, 200, "no"},
		"does nothing":  {func(http.ResponseWriter, *http.Request, *access.Error) {}, 401, `{"message":"no DPoP field"}`},
		"panics":        {func(http.ResponseWriter, *http.Request, *access.Error) { panic("template") }, 401, `{"message":"no DPoP field"}`},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.newAPI(f.newAuth(t, func(c *access.Config) { c.Deny = test.deny }))
			w := a.serve(signedWithout(bound()))
			if w.Code != test.status || strings.TrimSpace(w.Body.String()) != test.body || a.ran() != 0 {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, test.status, test.body)
			}
			if !hasCode(w, "invalid_dpop_proof") {
				t.Errorf("header %v", w.Header())
			}
		})
	}
}

// What the operator reads: the reason, the expected and the received value, one line, no secret.
func (f suite) TestLog(t *testing.T) {
	var lines strings.Builder
	a := f.newAPI(f.newAuth(t, func(c *access.Config) { c.Log = slog.New(slog.NewJSONHandler(&lines, nil)) }))
	token := bound()
	r := signed(get(poptest.URL), token, poptest.Audience+"/other")
	proof := r.Header.Get("DPoP")
	a.serve(r)
	var line map[string]any
	if err := json.Unmarshal([]byte(lines.String()), &line); err != nil {
		t.Fatalf("not one line: %v\n%s", err, &lines)
	}
	for key, want := range map[string]any{
		"level": "INFO", "msg": "request refused", "status": 401.0, "code": "invalid_dpop_proof", "reason": "htu_mismatch",
		"method": "GET", "route": "/accounts",
	} {
		if line[key] != want {
			t.Errorf("%s is %v, want %v", key, line[key], want)
		}
	}
	cause := fmt.Sprint(line["cause"])
	if !strings.Contains(cause, poptest.URL) || !strings.Contains(cause, poptest.Audience+"/other") {
		t.Errorf("cause %q", cause)
	}
	if strings.Contains(lines.String(), token) || strings.Contains(lines.String(), proof) {
		t.Error("a token or a proof was logged")
	}
}

// The methods that Echo treats in its own ways.
func (f suite) TestMethods(t *testing.T) {
	a := f.newAPI(f.newAuth(t))
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"} {
		r := httptest.NewRequest(method, poptest.URL, nil)
		if w := a.serve(r); w.Code != 401 || a.ran() != 0 {
			t.Errorf("%s without credentials: %d", method, w.Code)
		}
		if w := a.serve(signed(r, bound(), poptest.URL)); w.Code != 200 || a.ran() != 1 {
			t.Errorf("%s of the owner: %d", method, w.Code)
		}
	}
	r := signed(httptest.NewRequest("HEAD", poptest.URL, nil), bound(), poptest.URL, func(p *poptest.Proof) { p.Method = "GET" })
	if w := a.serve(r); w.Code != 401 || !hasCode(w, "invalid_dpop_proof") { // RS-014
		t.Errorf("GET proof on HEAD: %d", w.Code)
	}
}

// listening serves the API on a real socket and returns its base URL.
func listening(t *testing.T, a *api, prepare func(*httptest.Server)) *httptest.Server {
	server := httptest.NewUnstartedServer(a)
	prepare(server)
	if server.URL == "" {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server
}

// Over real sockets: HTTP/1.1 and HTTP/2, with the origin taken from the connection or from the list.
func (f suite) TestRealHTTP(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*httptest.Server)
		proto   string
	}{
		"HTTP/1.1":              {func(*httptest.Server) {}, "HTTP/1.1"},
		"HTTP/1.1 over TLS":     {func(s *httptest.Server) { s.StartTLS() }, "HTTP/1.1"},
		"RS-001 HTTP/2 and TLS": {func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() }, "HTTP/2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			a := f.newAPI(f.newAuth(t, func(c *access.Config) { c.Origins, c.InsecureTrustHost = nil, true }))
			server := listening(t, a, test.prepare)
			url := server.URL + "/accounts"
			request := func() *http.Request {
				r, err := http.NewRequest(http.MethodGet, url+"?page=1", nil)
				if err != nil {
					t.Fatal(err)
				}
				return signed(r, bound(), url)
			}
			good := request()
			for status, r := range map[int]*http.Request{200: good, 401: signed(request(), bound(), "https://elsewhere.example.com/accounts")} {
				response, err := server.Client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_ = response.Body.Close()
				if response.StatusCode != status || response.Proto != test.proto {
					t.Errorf("%d by %s, want %d by %s", response.StatusCode, response.Proto, status, test.proto)
				}
			}
		})
	}
}

// Requests that no client library would send, octet by octet.
func (f suite) TestRawRequests(t *testing.T) {
	a := f.newAPI(f.newAuth(t))
	a.Handle("GET", "/a/:id", a.handler, f.newAuth(t).Authenticate())
	server := listening(t, a, func(*httptest.Server) {})
	proof := func(url string) (token, value string) {
		token = bound()
		return token, poptest.Proof{Token: token, URL: url}.String()
	}
	for name, test := range map[string]struct {
		target, host, htu string
		field             string // name of the DPoP field
		status            int
	}{
		"plain":                              {"/accounts", "api.example.com", poptest.URL, "DPoP", 200},
		"RS-001 lower-case field names":      {"/accounts", "api.example.com", poptest.URL, "dpop", 200},
		"RS-001 upper-case field names":      {"/accounts", "api.example.com", poptest.URL, "DPOP", 200},
		"RS-176 absolute form":               {poptest.URL + "?q", "api.example.com", poptest.URL, "DPoP", 200},
		"RS-176 absolute form, another host": {"https://evil.example.com/accounts", "api.example.com", poptest.URL, "DPoP", 401},
		"RS-018 Host with the default port":  {"/accounts", "api.example.com:443", poptest.URL, "DPoP", 200},
		"RS-017 Host in upper case":          {"/accounts", "API.Example.COM", poptest.URL, "DPoP", 200},
		"RS-176 Host with a path":            {"/accounts", "api.example.com/x", poptest.URL, "DPoP", 400},
		"RS-176 unknown Host":                {"/accounts", "evil.example.com", poptest.URL, "DPoP", 401},
		"RS-017 %7E for ~":                   {"/a/%7E", "api.example.com", poptest.Audience + "/a/~", "DPoP", 200},
		"RS-019 an escaped slash is none":    {"/a/x%2Fy", "api.example.com", poptest.Audience + "/a/x/y", "DPoP", 401},
		"RS-019 %2F beside ^ is none":        {"/a/x%2Fy^", "api.example.com", poptest.Audience + "/a/x/y%5E", "DPoP", 401},
		"RS-017 %2f for %2F beside ^":        {"/a/x%2fy^", "api.example.com", poptest.Audience + "/a/x%2Fy%5E", "DPoP", 200},
		"RS-019 dot segments in the target":  {"/a/../accounts", "api.example.com", poptest.URL, "DPoP", 401},
		"RS-019 escaped dot segments":        {"/a/%2e%2e", "api.example.com", poptest.Audience + "/", "DPoP", 401},
		"RS-019 a fragment in the target":    {"/a/x#y", "api.example.com", poptest.Audience + "/a/x", "DPoP", 401},
	} {
		t.Run(name, func(t *testing.T) {
			token, value := proof(test.htu)
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: DPoP %s\r\n%s: %s\r\nConnection: close\r\n\r\n",
				test.target, test.host, token, test.field, value)
			if err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			if response.StatusCode != test.status {
				t.Errorf("%d, want %d", response.StatusCode, test.status)
			}
			if ran := a.ran() == 1; ran != (test.status == 200) {
				t.Errorf("the handler ran: %t", ran)
			}
		})
	}
}

// RS-178: behind a proxy, the origin comes from the list, chosen by the fields of listed addresses only.
func (f suite) TestOriginsBehindAProxy(t *testing.T) {
	auth := f.newAuth(t, func(c *access.Config) {
		c.Origins = []string{"https://www.example.com/api", "https://api.example.com", "http://internal.example.com"}
		c.ForwardedBy = access.Peers{Addresses: []string{"10.0.0.0/8", "fd00::/8"}}
	})
	a := f.newAPI(auth)
	for name, test := range map[string]struct {
		peer, host     string
		forwardedHost  string
		forwardedProto string
		htu            string
		status         int
	}{
		"the host of the list":            {"10.1.2.3:1", "api.example.com", "", "", "https://api.example.com/accounts", 200},
		"a prefix that the proxy strips":  {"10.1.2.3:1", "www.example.com", "", "", "https://www.example.com/api/accounts", 200},
		"without the prefix":              {"10.1.2.3:1", "www.example.com", "", "", "https://www.example.com/accounts", 401},
		"the forwarded host":              {"10.1.2.3:1", "pod-7:8080", "www.example.com", "https", "https://www.example.com/api/accounts", 200},
		"from an IPv4-mapped address":     {"[::ffff:10.1.2.3]:1", "pod-7", "api.example.com", "", "https://api.example.com/accounts", 200},
		"from an IPv6 address":            {"[fd00::1]:1", "pod-7", "api.example.com", "", "https://api.example.com/accounts", 200},
		"from anyone else it is nothing":  {"192.0.2.1:1", "pod-7", "api.example.com", "https", "https://api.example.com/accounts", 401},
		"nor can it choose another":       {"192.0.2.1:1", "api.example.com", "www.example.com", "https", "https://www.example.com/api/accounts", 401},
		"and Host counts all the same":    {"192.0.2.1:1", "api.example.com", "www.example.com", "https", "https://api.example.com/accounts", 200},
		"a forwarded host not listed":     {"10.1.2.3:1", "api.example.com", "evil.example.com", "", "https://evil.example.com/accounts", 401},
		"RS-175 two hosts in one field":   {"10.1.2.3:1", "api.example.com", "api.example.com, www.example.com", "", "https://api.example.com/accounts", 401},
		"the wrong scheme from the proxy": {"10.1.2.3:1", "api.example.com", "", "http", "https://api.example.com/accounts", 401},
		"no scheme at all":                {"10.1.2.3:1", "api.example.com", "", "gopher", "https://api.example.com/accounts", 401},
	} {
		t.Run(name, func(t *testing.T) {
			r := signed(httptest.NewRequest("GET", "/accounts", nil), bound(), test.htu)
			r.RemoteAddr, r.Host = test.peer, test.host
			if test.forwardedHost != "" {
				r.Header.Set("X-Forwarded-Host", test.forwardedHost)
			}
			if test.forwardedProto != "" {
				r.Header.Set("X-Forwarded-Proto", test.forwardedProto)
			}
			w := a.serve(r)
			if w.Code != test.status {
				t.Errorf("%d, want %d", w.Code, test.status)
			}
			if ran := a.ran() == 1; ran != (test.status == 200) {
				t.Errorf("the handler ran: %t", ran)
			}
		})
	}
}

// RS-074: one proof on 64 sockets at once gets in once. RS-075: one jti under two keys gets in twice.
func (f suite) TestOneProofOnManySockets(t *testing.T) {
	a := f.newAPI(f.newAuth(t))
	server := listening(t, a, func(*httptest.Server) {})
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	for range 20 {
		token := bound()
		proof := poptest.Proof{Token: token}.String()
		var accepted, replayed atomic.Int32
		var wait sync.WaitGroup
		start := make(chan struct{})
		for range 64 {
			wait.Go(func() {
				r, err := http.NewRequest("GET", server.URL+"/accounts", nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Host = "api.example.com"
				r.Header.Set("Authorization", "DPoP "+token)
				r.Header.Set("DPoP", proof)
				<-start
				response, err := transport.RoundTrip(r)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
				switch {
				case response.StatusCode == 200:
					accepted.Add(1)
				case strings.Contains(response.Header.Get("WWW-Authenticate"), "already used"):
					replayed.Add(1)
				}
			})
		}
		close(start)
		wait.Wait()
		if accepted.Load() != 1 || replayed.Load() != 63 || a.ran() != 1 {
			t.Fatalf("%d accepted, %d replayed", accepted.Load(), replayed.Load())
		}
	}
	for _, seed := range []string{"one", "two"} {
		key := poptest.Keyed("ES256", seed)
		token := poptest.Token{JKT: key.Thumbprint()}.String()
		r := signed(get(poptest.URL), token, poptest.URL, func(p *poptest.Proof) { p.Key, p.JTI = key, "same" })
		if w := a.serve(r); w.Code != 200 {
			t.Errorf("key %s: %d", seed, w.Code)
		}
	}
}

// RS-179: nothing that fits into 8 kB of header makes a 5xx or a panic. That it is also cheap is for the
// benchmarks to show.
func (f suite) TestHostileFields(t *testing.T) {
	a := f.newAPI(f.newAuth(t))
	token := bound()
	big := strings.Repeat("A", 8000)
	deep := strings.Repeat(`[`, 3000) + strings.Repeat(`]`, 3000)
	compact := func(header string) string { return poptest.Compact(header, `{}`, poptest.ClientKey()) }
	for name, field := range map[string]string{
		"dots":               strings.Repeat(".", 8000),
		"letters":            big,
		"three big parts":    big[:2600] + "." + big[:2600] + "." + big[:2600],
		"deep arrays":        compact(`{"typ":"dpop+jwt","alg":"ES256","jwk":` + deep[:5990] + `}`),
		"nested objects":     compact(strings.Repeat(`{"a":`, 1000) + "1" + strings.Repeat("}", 1000)),
		"a huge modulus":     compact(`{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"` + big[:5500] + `"}}`),
		"a huge exponent":    compact(`{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","n":"` + big[:342] + `","e":"` + big[:5000] + `"}}`),
		"a huge number":      poptest.Proof{Token: token, RawPayload: `{"jti":"a","htm":"GET","htu":"x","iat":` + strings.Repeat("9", 5000) + `}`}.String(),
		"many members":       compact("{" + strings.TrimSuffix(strings.Repeat(`"":1,`, 1200), ",") + "}"),
		"many percent signs": poptest.Proof{Token: token, URL: "https://api.example.com/" + strings.Repeat("%", 5000)}.String(),
		"many dot segments":  poptest.Proof{Token: token, URL: "https://api.example.com/" + strings.Repeat("../", 1600)}.String(),
		"NUL":                "\x00",
		"not UTF-8":          "\xff\xfe",
	} {
		for _, authorization := range []string{"DPoP " + token, "DPoP " + field, "Bearer " + field, field} {
			r := get(poptest.URL)
			r.Header.Set("Authorization", authorization)
			r.Header.Set("DPoP", field)
			if w := a.serve(r); w.Code != 400 && w.Code != 401 || a.ran() != 0 {
				t.Errorf("%s: %d", name, w.Code)
			}
		}
	}
}

// RS-112 and RS-180: with the replay memory full the answer is 503 with Retry-After, and after Close as well.
func (f suite) TestAfterClose(t *testing.T) {
	guard := NewGuard(t)
	a := f.newAPI(f.Auth(guard, nil))
	if err := guard.Close(); err != nil {
		t.Fatal(err)
	}
	if w := a.serve(owner()); w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" || a.ran() != 0 {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

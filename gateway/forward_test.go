package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/senderlocktest"
)

var loopback = access.Peers{Addresses: []string{"127.0.0.1"}}

// forward is forward authentication for a preset.
func (w *world) forward(preset gateway.Preset, peers access.Peers, routes ...gateway.Route) *gateway.ForwardAuth {
	w.t.Helper()
	f, err := gateway.NewForwardAuth(gateway.ForwardAuthConfig{
		Guard: w.guard, Routes: routes, Upstream: w.service.URL, Signer: w.signer, Preset: preset, Peers: peers,
		CORSOrigin: w.cors, Log: slog.New(slog.NewTextHandler(w, nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// question is what a proxy of a preset asks about a GET of /orders/7.
func (w *world) question(preset gateway.Preset, token string) *http.Request {
	r := httptest.NewRequest("GET", "/orders/7?a=b", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	r.Host = "api.example.com"
	switch preset {
	case gateway.NGINX, gateway.HAProxy:
		r.Header.Set("X-Original-Method", "GET")
		r.Header.Set("X-Original-URI", r.RequestURI)
		r.RequestURI, r.URL.Path, r.Host = "/auth", "/auth", "auth.internal"
		r.Header.Set("X-Forwarded-Host", "api.example.com")
	case gateway.Caddy, gateway.Traefik:
		r.Header.Set("X-Forwarded-Method", "GET")
		r.Header.Set("X-Forwarded-Uri", r.RequestURI)
		r.RequestURI, r.URL.Path, r.Host = "/auth", "/auth", "auth.internal"
		r.Header.Set("X-Forwarded-Host", "api.example.com")
	}
	r.Header.Set("X-Forwarded-Proto", "https")
	signed := w.client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/orders/7", nil), token)
	r.Header["Authorization"], r.Header["Dpop"] = signed.Header["Authorization"], signed.Header["Dpop"]
	return r
}

var allPresets = []gateway.Preset{gateway.NGINX, gateway.Caddy, gateway.Traefik, gateway.HAProxy, gateway.Envoy}

var identity = []string{
	gateway.FieldSubject, gateway.FieldClient, gateway.FieldIssuer, gateway.FieldScope, gateway.FieldBinding,
	gateway.FieldThumbprint, gateway.FieldCertificate, gateway.FieldToken, gateway.FieldAssertion,
}

// The question of each preset is answered as the original request would be, and every answer has every identity field.
func TestForwardAuth(t *testing.T) {
	for _, preset := range allPresets {
		t.Run(string(preset), func(t *testing.T) {
			w := newWorld(t)
			f := w.forward(preset, loopback,
				gateway.Route{Pattern: "GET /orders/{id}", Requirement: scoped}, gateway.Route{Pattern: "GET /public", Public: true},
				gateway.Route{Pattern: "/any", Public: true})
			token := w.token("orders:read")
			for name, test := range map[string]struct {
				change func(*http.Request)
				status int
				reason string // empty: accepted
			}{
				"owner":                    {func(*http.Request) {}, 200, ""},
				"http, as told":            {func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "http") }, 200, ""},
				"no scheme":                {func(r *http.Request) { r.Header.Del("X-Forwarded-Proto") }, 503, "forwarded_field_missing"},
				"two schemes":              {func(r *http.Request) { r.Header.Add("X-Forwarded-Proto", "https") }, 400, "forwarded_fields_contradict"},
				"an odd scheme":            {func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https, http") }, 400, "forwarded_fields_contradict"},
				"another name, otherwise":  {func(r *http.Request) { r.Header.Set("X-Rewrite-URL", "/public") }, 400, "forwarded_fields_contradict"},
				"another host, otherwise":  {func(r *http.Request) { r.Header.Set("X-Original-Host", "evil.example") }, 400, "forwarded_fields_contradict"},
				"from a stranger":          {func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }, 403, "forward_auth_stranger"},
				"no credentials":           {func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Del("DPoP") }, 401, "credentials_missing"},
				"the proxy's own TLS":      {func(r *http.Request) { *r = *senderlocktest.WithCertificate(r, senderlocktest.NewCertificate("proxy")) }, 200, ""},
				"a body that never comes":  {func(r *http.Request) { r.ContentLength = 10 }, 200, ""},
				"identity of its own":      {func(r *http.Request) { r.Header.Set(gateway.FieldSubject, "evil") }, 200, ""},
				"another method":           {asked("DELETE", ""), 405, "method_unlisted"},
				"what tells what it got":   {asked("TRACE", "/any"), 405, "method_unlisted"},
				"a path that is unlisted":  {asked("", "/admin"), 404, "path_unlisted"},
				"a path of two readings":   {asked("", "/orders/..%2fadmin"), 400, "path_ambiguous"},
				"another path of the same": {asked("", "/orders/8"), 401, "htu_mismatch"},
				"no path":                  {asked("", "*"), 400, "path_ambiguous"},
				"public":                   {asked("", "/public"), 200, ""},
			} {
				t.Run(name, func(t *testing.T) {
					before := len(w.said())
					r := w.question(preset, token)
					test.change(r)
					recorder := httptest.NewRecorder()
					f.ServeHTTP(recorder, r)
					if recorder.Code != test.status || !strings.Contains(w.said()[before:], test.reason) {
						t.Errorf("%d, want %d; log %s", recorder.Code, test.status, w.said()[before:])
					}
					subject := ""
					if test.status == 200 && name != "public" {
						subject = "user-1"
					}
					for _, field := range identity {
						if len(recorder.Header()[field]) != 1 {
							t.Errorf("%s: %q", field, recorder.Header()[field])
						}
					}
					if got := recorder.Header().Get(gateway.FieldSubject); got != subject {
						t.Errorf("subject %q", got)
					}
					if got := recorder.Header().Get(gateway.FieldCertificate); got != "" {
						t.Errorf("certificate %q", got)
					}
				})
			}
		})
	}
}

// asked changes what a question is about, however its preset tells it.
func asked(method, uri string) func(*http.Request) {
	return func(r *http.Request) {
		set := func(own *string, value string, names ...string) {
			if value == "" {
				return
			}
			for _, name := range names {
				if r.Header.Get(name) != "" {
					r.Header.Set(name, value)
					return
				}
			}
			*own = value
		}
		set(&r.Method, method, "X-Original-Method", "X-Forwarded-Method")
		set(&r.RequestURI, uri, "X-Original-Uri", "X-Forwarded-Uri")
	}
}

// A missing field of a preset is told as our own trouble, whichever it is.
func TestForwardAuthMissingFields(t *testing.T) {
	for preset, names := range map[gateway.Preset][]string{
		gateway.NGINX:   {"X-Original-Method", "X-Original-Uri", "X-Forwarded-Proto", "X-Forwarded-Host"},
		gateway.HAProxy: {"X-Original-Method", "X-Original-Uri", "X-Forwarded-Proto", "X-Forwarded-Host"},
		gateway.Caddy:   {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Host"},
		gateway.Traefik: {"X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Proto", "X-Forwarded-Host"},
		gateway.Envoy:   {"X-Forwarded-Proto"},
	} {
		w := newWorld(t)
		f := w.forward(preset, loopback, gateway.Route{Pattern: "/orders/{id}"})
		for _, name := range names {
			for _, value := range []string{"", "gone"} {
				r := w.question(preset, w.token())
				r.Header.Set(name, "")
				if value == "gone" {
					r.Header.Del(name)
				}
				recorder := httptest.NewRecorder()
				f.ServeHTTP(recorder, r)
				if recorder.Code != 503 || !strings.Contains(w.said(), name+" of preset "+string(preset)) {
					t.Errorf("%s without %s: %d %s", preset, name, recorder.Code, w.said())
				}
			}
		}
	}
}

// The certificate of a proxy that asks over TLS is not that of the client.
func TestForwardAuthOverTLS(t *testing.T) {
	w := newWorld(t, func(c *access.Config) { c.Certificates = mtls.FromTLS })
	f := w.forward(gateway.Traefik, loopback, gateway.Route{Pattern: "/orders/{id}"})
	proxy := senderlocktest.NewCertificate("proxy")
	r := w.question(gateway.Traefik, w.token())
	r.Header.Del("DPoP")
	r.Header.Set("X-Forwarded-Proto", "http")
	r.Header.Set("Authorization", "Bearer "+w.issuer.Token(senderlocktest.Token{Certificate: proxy.Leaf}))
	recorder := httptest.NewRecorder()
	f.ServeHTTP(recorder, senderlocktest.WithCertificate(r, proxy))
	if recorder.Code != 401 || !strings.Contains(w.said(), "reason=certificate_missing") {
		t.Errorf("%d %s", recorder.Code, w.said())
	}
}

// Nonces reach the client: with the challenge, and on success.
func TestForwardAuthNonces(t *testing.T) {
	w := newWorld(t, func(c *access.Config) { c.RequireNonce, c.Nonces.EveryAnswer = true, true })
	f := w.forward(gateway.NGINX, loopback, gateway.Route{Pattern: "/orders/{id}"})
	token := w.token()
	recorder := httptest.NewRecorder()
	f.ServeHTTP(recorder, w.question(gateway.NGINX, token))
	nonce := recorder.Header().Get("DPoP-Nonce")
	if recorder.Code != 401 || nonce == "" || !strings.Contains(recorder.Header().Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Fatalf("%d %v", recorder.Code, recorder.Header())
	}
	r := w.question(gateway.NGINX, token)
	signed := w.client.SignWithNonce(httptest.NewRequest("GET", senderlocktest.Origin+"/orders/7", nil), token, nonce)
	r.Header["Dpop"] = signed.Header["Dpop"]
	recorder = httptest.NewRecorder()
	if f.ServeHTTP(recorder, r); recorder.Code != 200 || recorder.Header().Get("DPoP-Nonce") == "" {
		t.Errorf("%d %v", recorder.Code, recorder.Header())
	}
}

// Wrong settings are refused with the field and what to put there.
func TestForwardAuthWrongSettings(t *testing.T) {
	w := newWorld(t)
	for want, change := range map[string]func(*gateway.ForwardAuthConfig){
		"Guard is nil":          func(c *gateway.ForwardAuthConfig) { c.Guard = nil },
		"Signer is nil":         func(c *gateway.ForwardAuthConfig) { c.Signer = nil },
		"Routes is empty":       func(c *gateway.ForwardAuthConfig) { c.Routes = nil },
		`Preset is "apache"`:    func(c *gateway.ForwardAuthConfig) { c.Preset = "apache" },
		"Peers is zero":         func(c *gateway.ForwardAuthConfig) { c.Peers = access.Peers{} },
		"Peers.Addresses[0] is": func(c *gateway.ForwardAuthConfig) { c.Peers.Addresses = []string{"0.0.0.0/0"} },
		"Idle is -1ns":          func(c *gateway.ForwardAuthConfig) { c.Idle = -1 },
		"Routes[0].Upstream is": func(c *gateway.ForwardAuthConfig) { c.Upstream = "" },
		"Routes[0].Pattern":     func(c *gateway.ForwardAuthConfig) { c.Routes = []gateway.Route{{Pattern: "GET"}} },
		"Routes[0].Public is set": func(c *gateway.ForwardAuthConfig) {
			c.Routes = []gateway.Route{{Pattern: "/x", Public: true, Requirement: scoped}}
		},
	} {
		c := gateway.ForwardAuthConfig{
			Guard: w.guard, Signer: w.signer, Routes: []gateway.Route{{Pattern: "/x"}}, Upstream: "http://127.0.0.1:1",
			Preset: gateway.NGINX, Peers: loopback,
		}
		change(&c)
		if _, err := gateway.NewForwardAuth(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

package gateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
)

const page = "https://app.example.com"

// talkative is a service that shares its answers with everyone, which is not its to say.
func talkative(rw http.ResponseWriter, _ *http.Request) {
	h := rw.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "X-Total")
	h.Set("Vary", "Accept")
}

// shared checks who may read an answer: the page, if the request was its own, and nobody else.
func shared(t *testing.T, response *http.Response, origin string) {
	t.Helper()
	var want []string
	if origin == page {
		want = []string{page}
	}
	if got := response.Header.Values("Access-Control-Allow-Origin"); !slices.Equal(got, want) {
		t.Errorf("%d is shared with %q, want %q", response.StatusCode, got, want)
	}
	if got := response.Header.Values("Access-Control-Allow-Credentials"); got != nil {
		t.Errorf("%d: cookies are taken: %q", response.StatusCode, got)
	}
	if !slices.Contains(listed(response, "Vary"), "Origin") {
		t.Errorf("%d: a cache may mix origins: %q", response.StatusCode, response.Header.Values("Vary"))
	}
}

// listed are the items of a field that is a list.
func listed(response *http.Response, field string) []string {
	items := strings.Split(strings.Join(response.Header.Values(field), ","), ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// With CORS_ORIGIN pages of that origin read every answer, whoever gives it, and pages of others read none, whatever the
// service says.
func TestCrossOrigin(t *testing.T) {
	eachWay(t, func(t *testing.T, way string, start starts) {
		w := newWorld(t)
		w.cors, w.service.answer = page, talkative
		server := start(w,
			gateway.Route{Pattern: "GET /orders/{id}", Requirement: scoped},
			gateway.Route{Pattern: "POST /orders", Requirement: access.Requirement{Scopes: []string{"orders:write"}}},
			gateway.Route{Pattern: "GET /nonce", Requirement: access.Requirement{Nonce: true}},
			gateway.Route{Pattern: "GET /public", Public: true},
		)
		token := w.token("orders:read")
		for name, test := range map[string]struct {
			method, target string
			credentials    func() []string // nil: none
			status         int
			reason         string
			exposed        []string
		}{
			"owner":           {"GET", "/orders/7", func() []string { return w.headers("GET", "/orders/7", token) }, 200, "", []string{"X-Total"}},
			"public":          {"GET", "/public", nil, 200, "", []string{"X-Total"}},
			"no credentials":  {"GET", "/orders/7", nil, 401, "credentials_missing", []string{"WWW-Authenticate"}},
			"another's proof": {"GET", "/orders/7", func() []string { return w.headers("GET", "/orders/8", token) }, 401, "htu_mismatch", []string{"WWW-Authenticate"}},
			"a nonce wanted":  {"GET", "/nonce", func() []string { return w.headers("GET", "/nonce", token) }, 401, "nonce_missing", []string{"WWW-Authenticate", "DPoP-Nonce"}},
			"scope missing": {"POST", "/orders", func() []string { return append(w.headers("POST", "/orders", token), "Content-Length: 0") }, 403, "scope_missing",
				[]string{"WWW-Authenticate"}},
			"unlisted":        {"GET", "/admin", nil, 404, "path_unlisted", nil},
			"unlisted method": {"DELETE", "/public", nil, 405, "method_unlisted", nil},
			"of two readings": {"GET", "/orders/a%2fb", nil, 400, "path_ambiguous", nil},
		} {
			t.Run(name, func(t *testing.T) {
				for _, origin := range []string{page, "https://evil.example", "null", ""} {
					headers := []string{"Accept: */*"}
					if origin != "" {
						headers = append(headers, "Origin: "+origin)
					}
					if test.credentials != nil {
						headers = append(headers, test.credentials()...)
					}
					before := len(w.said())
					response := send(t, server, test.method, test.target, headers)
					if got := w.service.last(); response.StatusCode != test.status || (got != nil) != (test.status == 200) || !strings.Contains(w.said()[before:], test.reason) {
						t.Errorf("%d, want %d; forwarded: %t; log %s", response.StatusCode, test.status, got != nil, w.said()[before:])
					}
					shared(t, response, origin)
					if test.status == 200 && !slices.Contains(listed(response, "Vary"), "Accept") {
						t.Errorf("what the service says is lost: Vary %q", response.Header.Values("Vary"))
					}
					for _, field := range test.exposed {
						if field == "X-Total" && way == "traefik" {
							continue // its own list takes the place of the service's
						}
						if !slices.Contains(listed(response, "Access-Control-Expose-Headers"), field) {
							t.Errorf("%s is not exposed: %q", field, response.Header.Values("Access-Control-Expose-Headers"))
						}
					}
				}
			})
		}
		t.Run("preflight", func(t *testing.T) { preflights(t, w, server) })
		t.Run("service breaks off", func(t *testing.T) {
			w.service.mu.Lock()
			w.service.answer = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
			w.service.mu.Unlock()
			response := send(t, server, "GET", "/public", []string{"Origin: " + page})
			if shared(t, response, page); response.StatusCode != 502 {
				t.Errorf("%d", response.StatusCode)
			}
		})
		t.Run("our own trouble", func(t *testing.T) {
			headers := append(w.headers("GET", "/orders/7", w.issuer.Token(senderlocktest.Token{Client: w.client})), "Origin: "+page)
			_ = w.guard.Close()
			response := send(t, server, "GET", "/orders/7", headers)
			if shared(t, response, page); response.StatusCode != 503 {
				t.Errorf("%d", response.StatusCode)
			}
		})
	})
}

// preflights are answered for listed paths and others, without the service, which answers none.
func preflights(t *testing.T, w *world, server *httptest.Server) {
	for _, target := range []string{"/orders/7", "/public", "/admin", "/.well-known/other"} {
		for _, origin := range []string{page, "https://evil.example"} {
			response := send(t, server, "OPTIONS", target,
				[]string{"Origin: " + origin, "Access-Control-Request-Method: DELETE", "Access-Control-Request-Headers: authorization,dpop,x-own"})
			if response.StatusCode/100 != 2 || w.service.last() != nil {
				t.Errorf("%s: %d", target, response.StatusCode)
			}
			shared(t, response, origin)
			if fields := listed(response, "Access-Control-Allow-Headers"); !slices.Equal(fields, []string{"Authorization", "DPoP", "*"}) {
				t.Errorf("%s: fields %q", target, fields)
			}
			if methods := response.Header.Values("Access-Control-Allow-Methods"); !slices.Equal(methods, []string{"*"}) {
				t.Errorf("%s: methods %q", target, methods)
			}
		}
	}
	response := send(t, server, "OPTIONS", "/orders/7", []string{"Origin: " + page})
	if shared(t, response, page); response.StatusCode != 405 || w.service.last() != nil {
		t.Errorf("OPTIONS that is no preflight: %d", response.StatusCode)
	}
}

// What a proxy hands on by OPTIONS is never taken for a question, whatever the client writes into its fields, and one that
// asks by OPTIONS is told of it, since it would forward at 2xx.
func TestPreflightIsNoQuestion(t *testing.T) {
	for _, preset := range []gateway.Preset{gateway.NGINX, gateway.Caddy, gateway.Traefik, gateway.HAProxy} {
		for _, origin := range []string{page, ""} {
			w := newWorld(t)
			w.cors = origin
			f := w.forward(preset, loopback, gateway.Route{Pattern: "/orders/{id}"}, gateway.Route{Pattern: "/public", Public: true})
			for name, test := range map[string]struct {
				change func(*http.Request)
				status int
				reason string
			}{
				"handed on":             {func(r *http.Request) { r.Header.Del("X-Original-Method"); r.Header.Del("X-Forwarded-Method") }, 204, ""},
				"with a question in it": {func(*http.Request) {}, 400, "forwarded_fields_contradict"},
				"with an empty one": {func(r *http.Request) {
					for _, name := range []string{"X-Original-Method", "X-Forwarded-Method"} {
						if r.Header.Get(name) != "" {
							r.Header.Set(name, "")
						}
					}
				}, 400, "forwarded_fields_contradict"},
			} {
				for _, kind := range []string{"GET", ""} { // a preflight, and one that asks for nothing
					r := w.question(preset, w.token())
					r.Method = "OPTIONS"
					r.Header.Set("Origin", page)
					r.Header.Set("Access-Control-Request-Method", kind)
					test.change(r)
					before, recorder := len(w.said()), httptest.NewRecorder()
					f.ServeHTTP(recorder, r)
					if said := w.said()[before:]; recorder.Code != test.status || !strings.Contains(said, test.reason) || recorder.Header().Get(gateway.FieldAssertion) != "" {
						t.Errorf("%s, %s: %d, log %s", preset, name, recorder.Code, said)
					}
				}
			}
		}
	}
}

// An answer that comes behind an informational one is shared all the same.
func TestCrossOriginBehindEarlyHints(t *testing.T) {
	w := newWorld(t)
	w.cors = page
	w.service.answer = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Link", "</style.css>; rel=preload")
		rw.WriteHeader(http.StatusEarlyHints)
		talkative(rw, r)
		rw.WriteHeader(http.StatusOK)
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", w.proxy([]gateway.Route{{Pattern: "/public", Public: true}}).URL+"/public", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Origin", page)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if shared(t, response, page); response.StatusCode != 200 {
		t.Error(response.Status)
	}
}

// Where an answer is replaced by our own trouble, which throws its headers away, the page still learns of it.
func TestCrossOriginOfReplacedAnswers(t *testing.T) {
	w := newWorld(t, func(c *access.Config) {
		c.Observer.Decided = func(context.Context, access.Decision) { panic("observer") }
	})
	w.cors, w.service.answer = page, talkative
	server := w.proxy([]gateway.Route{{Pattern: "/orders/{id}"}})
	response := send(t, server, "GET", "/orders/7", append(w.headers("GET", "/orders/7", w.token()), "Origin: "+page))
	if shared(t, response, page); response.StatusCode != 503 {
		t.Error(response.Status)
	}
}

// Without CORS_ORIGIN what the service says goes to the client.
func TestCrossOriginLeftToTheService(t *testing.T) {
	eachWay(t, func(t *testing.T, _ string, start starts) {
		w := newWorld(t)
		w.service.answer = talkative
		response := send(t, start(w, gateway.Route{Pattern: "/public", Public: true}), "GET", "/public", []string{"Origin: " + page})
		for field, want := range map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"} {
			if got := response.Header.Values(field); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: %q", field, got)
			}
		}
	})
}

// An origin that no page has is refused.
func TestCrossOriginWrongSettings(t *testing.T) {
	w := newWorld(t)
	for _, origin := range []string{"*", "null", "app.example.com", page + "/", page + ":443", "http://a.example:80", "https://App.example.com", "ftp://a.example", "https://u@a.example"} {
		_, err := gateway.New(gateway.Config{
			Guard: w.guard, Signer: w.signer, Routes: []gateway.Route{{Pattern: "/x"}}, Upstream: "http://127.0.0.1:1", CORSOrigin: origin,
		})
		_, asked := gateway.NewForwardAuth(gateway.ForwardAuthConfig{
			Guard: w.guard, Signer: w.signer, Routes: []gateway.Route{{Pattern: "/x"}}, Upstream: "http://127.0.0.1:1",
			Preset: gateway.NGINX, Peers: loopback, CORSOrigin: origin, Log: slog.Default(),
		})
		for _, err := range []error{err, asked} {
			if err == nil || !strings.Contains(err.Error(), "CORSOrigin is ") || strings.Contains(err.Error(), "u@") {
				t.Errorf("%q: %v", origin, err)
			}
		}
	}
}

// A refusal that the program writes itself is shared, however it begins.
func TestCrossOriginOfOwnRefusals(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"a status": func(rw http.ResponseWriter) { rw.WriteHeader(http.StatusTeapot) },
		"a write":  func(rw http.ResponseWriter) { _, _ = rw.Write([]byte("no")) },
		"a flush":  func(rw http.ResponseWriter) { _ = http.NewResponseController(rw).Flush() },
	} {
		w := newWorld(t, func(c *access.Config) {
			c.Deny = func(rw http.ResponseWriter, _ *http.Request, _ *access.Error) { begin(rw) }
		})
		w.cors = page
		response := send(t, w.proxy([]gateway.Route{{Pattern: "/orders"}}), "GET", "/orders", []string{"Origin: " + page})
		if shared(t, response, page); w.service.last() != nil {
			t.Errorf("%s: forwarded", name)
		}
	}
}

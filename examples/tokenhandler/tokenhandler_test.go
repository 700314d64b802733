package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// each runs a test with both ways of keeping sessions.
func each(t *testing.T, test func(t *testing.T, v variant)) {
	for name, stateless := range modes {
		t.Run(name, func(t *testing.T) { test(t, variant{stateless: stateless}) })
	}
}

func TestFromLoginToLogout(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		w := newWorld(t, v)
		b := w.client()
		b.expect(401, "not logged in", "GET", "/me", "")
		b.expect(401, "not logged in", "GET", "/api/accounts", "")
		b.login()
		b.expect(200, `"until":`, "GET", "/me", "")
		b.expect(200, `"owner":"alice"`, "GET", "/api/accounts", "")
		b.expect(201, `"amount":"7"`, "POST", "/api/accounts", "7")
		b.expect(204, "", "POST", "/logout", "")
		b.expect(401, "not logged in", "GET", "/api/accounts", "")
		b.expect(204, "", "POST", "/logout", "")
		if len(b.cookies) != 0 || w.reached.Load() != 2 {
			t.Errorf("left: %v; the API was reached %d times", b.cookies, w.reached.Load())
		}
	})
}

// A session ends here at once, and at the authorization server, so that a copy of a sealed cookie ends with its token.
func TestLogoutTakesTheRefreshTokenBack(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = early // every request refreshes
		w := newWorld(t, v)
		b, copied := w.client(), w.client()
		b.login()
		copied.cookies[sessionCookie().Name] = b.session()
		b.expect(204, "", "POST", "/logout", "")
		w.later(early)
		copied.expect(401, "not logged in", "GET", "/api/accounts", "")
		if w.reached.Load() != 0 || w.renewed() != 0 {
			t.Error("a copy of the cookie outlives the logout")
		}
	})
}

// A name that was planted in the browser before is worth nothing after the login.
func TestNewSessionAtLogin(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		w := newWorld(t, v)
		b, thief := w.client(), w.client()
		b.login()
		planted := b.session()
		b.login()
		if b.session() == planted {
			t.Error("the session keeps its name")
		}
		b.cookies[sessionCookie().Name] = "planted"
		b.login()
		if b.session() == "planted" {
			t.Error("a planted name is used")
		}
		thief.cookies[sessionCookie().Name] = "planted"
		thief.expect(401, "not logged in", "GET", "/me", "")
		if !v.stateless {
			thief.cookies[sessionCookie().Name] = planted
			thief.expect(401, "not logged in", "GET", "/me", "")
		}
	})
}

// A login takes the place of the one before, at the authorization server too.
func TestSecondLoginEndsTheFirst(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = early
		w := newWorld(t, v)
		b, copied := w.client(), w.client()
		b.login()
		copied.cookies[sessionCookie().Name] = b.session()
		b.login()
		w.later(early)
		copied.expect(401, "not logged in", "GET", "/api/accounts", "")
		if w.reached.Load() != 0 {
			t.Error("the first session goes on")
		}
	})
}

// Only the browser that began a login can finish it, so nobody can be logged in as somebody else.
func TestCallbackBelongsToTheBrowser(t *testing.T) {
	for name, test := range map[string]struct {
		victim func(w *world) *client
		change func(back string) string
		status int
		said   string
	}{
		"a browser that began none": {func(w *world) *client { return w.client() }, nil, 400, "has begun no login"},
		"a browser that began another": {func(w *world) *client {
			b := w.client()
			b.authorize("/login")
			return b
		}, nil, 400, "belongs to another login"},
		"a session as the login": {func(w *world) *client {
			b := w.client()
			b.login()
			b.cookies[loginCookie().Name] = b.session()
			return b
		}, nil, 400, "has begun no login"},
		"no state":       {nil, func(back string) string { return strings.Replace(back, "state=", "other=", 1) }, 400, "belongs to another login"},
		"another issuer": {nil, func(back string) string { return strings.Replace(back, "iss=http", "iss=https", 1) }, 502, "the login failed"},
		"a guessed code": {nil, func(back string) string { return strings.Replace(back, "code=", "code=x", 1) }, 502, "the login failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, variant{stateless: true})
			b := w.client()
			back := b.authorize("/login")
			if test.victim != nil {
				b = test.victim(w)
			}
			before := b.session()
			if test.change != nil {
				back = test.change(back)
			}
			b.expect(test.status, test.said, "GET", back, "")
			if b.session() != before {
				t.Error("a session began")
			}
		})
	}
}

func TestLoginTakesNoLongerThan(t *testing.T) {
	w := newWorld(t, variant{})
	b := w.client()
	back := b.authorize("/login")
	w.later(loginTime)
	b.expect(400, "too long ago", "GET", back, "")
}

func TestSessionsEnd(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		w := newWorld(t, v)
		b := w.client()
		b.login()
		w.later(time.Hour)
		b.expect(401, "not logged in", "GET", "/me", "")
		b.expect(401, "not logged in", "GET", "/api/accounts", "")
	})
}

func TestForgedSessions(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		w := newWorld(t, v)
		b := w.client()
		b.login()
		good := b.session()
		swapped := []byte(good)
		swapped[len(swapped)/2] ^= 1
		back := w.client()
		back.authorize("/login")
		for name, value := range map[string]string{
			"empty": "", "changed": string(swapped), "cut": good[:len(good)-1], "longer": good + "A", "not base64": "!",
			"the login's cookie": back.cookies[loginCookie().Name],
		} {
			b.cookies[sessionCookie().Name] = value
			if answer := b.send("GET", "/api/accounts", ""); answer.StatusCode != 401 {
				t.Errorf("%s: %d", name, answer.StatusCode)
			}
		}
		b.cookies[sessionCookie().Name] = good
		b.header.Set("Cookie", sessionCookie().Name+"=planted")
		b.expect(401, "not logged in", "GET", "/me", "")
		b.header.Del("Cookie")
		b.expect(200, "alice", "GET", "/api/accounts", "")
	})
}

func TestCrossSite(t *testing.T) {
	for name, test := range map[string]struct {
		header  http.Header
		refused bool
	}{
		"our page":                     {http.Header{"Sec-Fetch-Site": {"same-origin"}}, false},
		"the address bar":              {http.Header{"Sec-Fetch-Site": {"none"}}, false},
		"not a browser":                {http.Header{}, false},
		"our page in an old browser":   {http.Header{"Origin": {"ORIGIN"}}, false},
		"another site":                 {http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		"another origin of our site":   {http.Header{"Sec-Fetch-Site": {"same-site"}}, true},
		"another site, old browser":    {http.Header{"Origin": {"https://evil.example"}}, true},
		"a sandboxed page":             {http.Header{"Origin": {"null"}}, true},
		"a claim beside the origin":    {http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, true},
		"something that is not a site": {http.Header{"Sec-Fetch-Site": {"x"}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, variant{})
			b := w.client()
			b.login()
			b.header = test.header.Clone()
			if b.header.Get("Origin") == "ORIGIN" {
				b.header.Set("Origin", w.origin)
			}
			accepted := map[string]int{"GET /api/accounts": 200, "POST /api/accounts": 201, "GET /me": 200, "POST /logout": 204}
			for _, request := range []string{"GET /api/accounts", "POST /api/accounts", "GET /me", "POST /logout"} {
				method, path, _ := strings.Cut(request, " ")
				if test.refused {
					b.expect(403, "the request comes from another site", method, path, "7")
				} else {
					b.expect(accepted[request], "", method, path, "7")
				}
			}
			if (w.reached.Load() == 0) != test.refused || strings.Contains(w.log.String(), "request refused") != test.refused {
				t.Errorf("the API was reached %d times; the log: %s", w.reached.Load(), w.log.String())
			}
		})
	}
}

// However many requests come while a token's time is nearly over, and with whichever of the cookies: one refresh.
func TestConcurrentRequestsRefreshOnce(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = 2 * early
		w := newWorld(t, v)
		b := w.client()
		b.login()
		old := b.session()
		later := w.later(early + time.Second)
		var requests sync.WaitGroup
		for range 20 {
			requests.Go(func() {
				one := w.client()
				one.cookies[sessionCookie().Name] = old
				one.expect(200, "alice", "GET", "/api/accounts", "")
				if (one.session() != old) != v.stateless {
					t.Errorf("the session's cookie changes: %t", one.session() != old)
				}
			})
		}
		requests.Wait()
		b.expect(200, "alice", "GET", "/api/accounts", "")
		b.expect(200, "alice", "GET", "/api/accounts", "")
		if w.renewed() != 1 || w.reached.Load() != 22 {
			t.Errorf("%d refreshes, %d requests reached the API", w.renewed(), w.reached.Load())
		}
		// The refresh token of those tokens is the next to be used.
		later = later.Add(early + time.Second)
		w.now.Store(&later)
		b.expect(200, "alice", "GET", "/api/accounts", "")
		if w.renewed() != 2 {
			t.Errorf("%d refreshes", w.renewed())
		}
	})
}

// A request that was on its way, with tokens refreshed for it, does not bring a session back that was logged out.
func TestLogoutDuringRequest(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = 2 * early
		var meanwhile func()
		v.api = &recorded{do: func(rw http.ResponseWriter) {
			meanwhile()
			rw.WriteHeader(418)
		}}
		w := newWorld(t, v)
		b := w.client()
		b.login()
		meanwhile = func() {
			b.expect(204, "", "POST", "/logout", "")
		}
		w.later(early + time.Second)
		b.expect(418, "", "GET", "/api/x", "")
		if w.renewed() != 1 {
			t.Errorf("%d refreshes", w.renewed())
		}
		b.expect(401, "not logged in", "GET", "/me", "")
	})
}

// slowly sends a request from another tab of a browser, and returns what cookie the answer sets: nil for none.
func slowly(w *world, b *client) *http.Cookie {
	w.Helper()
	slow := w.client()
	slow.cookies[sessionCookie().Name] = b.session()
	answer := slow.expect(200, "", "GET", "/api/slow", "")
	for _, cookie := range answer.Cookies() {
		return cookie
	}
	return nil
}

// A late answer, to a request with refreshed tokens, sets the cookie of its session, and undoes nothing that other
// answers have done to the browser meanwhile.
func TestLateAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(w *world, b, other *client)
		sets      bool
	}{
		"nothing happened":             {func(*world, *client, *client) {}, true},
		"another answer was faster":    {func(_ *world, b, _ *client) { b.expect(200, "", "GET", "/api/x", "") }, true},
		"a logout with the old cookie": {func(_ *world, b, _ *client) { b.expect(204, "", "POST", "/logout", "") }, false},
		"a logout with the new cookie": {func(_ *world, b, _ *client) {
			b.expect(200, "", "GET", "/api/x", "")
			b.expect(204, "", "POST", "/logout", "")
		}, false},
		"a logout long ago": {func(w *world, b, other *client) {
			b.expect(204, "", "POST", "/logout", "")
			w.later(2*early + longest - 2*time.Second)
			other.expect(200, "", "GET", "/api/x", "")
		}, false},
		"the next user's login": {func(_ *world, b, _ *client) { b.login() }, false},
		"newer tokens": {func(w *world, b, _ *client) {
			b.expect(200, "", "GET", "/api/x", "")
			w.later(3 * early)
			b.expect(200, "", "GET", "/api/x", "")
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var w *world
			var b, other *client
			api := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					test.meanwhile(w, b, other)
				}
			})
			w = newWorld(t, variant{stateless: true, lifetime: 2 * early, api: api})
			b, other = w.client(), w.client()
			b.login()
			other.login()
			w.later(early + time.Second)
			late := slowly(w, b)
			if (late != nil) != test.sets {
				t.Fatalf("the late answer sets %v", late)
			}
			if late == nil {
				return
			}
			b.cookies[late.Name] = late.Value
			b.expect(200, "", "GET", "/api/x", "")
			if w.renewed() != 2 { // the first is the other's login
				t.Errorf("%d refreshes", w.renewed()-1)
			}
		})
	}
}

// Nor does a late refusal take the cookie of the next login away.
func TestLateRefusal(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = 2 * early
		w := newWorld(t, v)
		b, slow := w.client(), w.client()
		b.login()
		slow.cookies[sessionCookie().Name] = b.session()
		w.later(2 * early)
		next := func() { b.login() } // which takes the refresh token back
		w.atToken.Store(&next)
		if answer := slow.expect(401, "not logged in", "GET", "/api/accounts", ""); len(answer.Cookies()) != 0 {
			t.Errorf("the late answer sets %v", answer.Cookies())
		}
		b.expect(200, `"until":`, "GET", "/me", "")
	})
}

// A token does not become younger by a request that comes for it late, with a cookie from before the refresh.
func TestLateRequestKnowsTheEndOfTheToken(t *testing.T) {
	w := newWorld(t, variant{stateless: true, lifetime: 2 * early})
	b, late := w.client(), w.client()
	b.login()
	late.cookies[sessionCookie().Name] = b.session()
	start := time.Now()
	for _, step := range []struct {
		after   time.Duration
		browser *client
		renewed int
	}{{early + time.Second, b, 1}, {early + 50*time.Second, late, 1}, {3*early + 2*time.Second, late, 2}} {
		now := start.Add(step.after)
		w.now.Store(&now)
		step.browser.expect(200, "alice", "GET", "/api/accounts", "")
		if w.renewed() != step.renewed {
			t.Errorf("after %v: %d refreshes, want %d", step.after, w.renewed(), step.renewed)
		}
	}
}

func TestAuthorizationServerDown(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = 2 * early
		w := newWorld(t, v)
		b := w.client()
		b.login()
		b.expect(200, "alice", "GET", "/api/accounts", "") // the API fetches the keys
		w.down.Store(true)
		later := w.later(early + time.Second)
		b.expect(200, "alice", "GET", "/api/accounts", "") // the token is still good
		over := later.Add(early)
		w.now.Store(&over)
		answer := b.expect(503, "the authorization server does not answer", "GET", "/api/accounts", "")
		if answer.Header.Get("Retry-After") == "" || b.session() == "" {
			t.Errorf("an outage ends the session: %v, %v", answer.Header, b.cookies)
		}
		w.down.Store(false)
		b.expect(200, "alice", "GET", "/api/accounts", "")
	})
}

func TestRefreshIsRefused(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = 2 * early
		w := newWorld(t, v)
		b := w.client()
		b.login()
		revoke(w, w.issued[1])
		w.later(2 * early)
		b.expect(401, "not logged in", "GET", "/api/accounts", "")
		if b.session() != "" {
			t.Error("the browser keeps the cookie of a session that is over")
		}
	})
}

func revoke(w *world, token string) {
	answer, err := http.PostForm(w.issuer+"/revoke", url.Values{"client_id": {"web"}, "client_secret": {"s"}, "token": {token}})
	w.check(err)
	answer.Body.Close()
	if answer.StatusCode != 200 {
		w.Fatal(answer.Status)
	}
}

// A demand of the API reaches the page as a login that meets it.
func TestStepUp(t *testing.T) {
	w := newWorld(t, variant{})
	b := w.client()
	b.login()
	b.expect(204, "", "DELETE", "/api/accounts", "")
	for _, path := range []string{"/login?max_age=-1", "/login?max_age=x", "/login?max_age=99999999999"} {
		b.expect(400, "max_age is not a number of seconds", "GET", path, "")
	}
	to, err := b.expect(303, "", "GET", "/login?max_age=10&acr_values=a+b", "").Location()
	if err != nil || to.Query().Get("max_age") != "10" || to.Query().Get("acr_values") != "a b" {
		t.Errorf("sent to %s, %v", to, err)
	}

	w = newWorld(t, variant{api: &recorded{do: func(rw http.ResponseWriter) {
		rw.Header().Set("WWW-Authenticate", `Bearer, DPoP error="insufficient_user_authentication", max_age="10", acr_values="\"x y"`)
		rw.WriteHeader(401)
	}}})
	b = w.client()
	b.login()
	b.expect(401, `"login":"/login?acr_values=%22x+y&max_age=10"`, "GET", "/api/x", "")
}

// What is between the browser and us does not reach the API, and what is between us and the API not the browser.
func TestForwarding(t *testing.T) {
	api := &recorded{do: func(rw http.ResponseWriter) {
		for _, field := range []string{
			"Set-Cookie: a=b", "DPoP-Nonce: n", "Access-Control-Allow-Origin: *", "Content-Security-Policy: script-src *",
			"Cache-Control: public", "Clear-Site-Data: \"*\"", "X-Kept: yes", "WWW-Authenticate: DPoP",
			"Refresh: 0; url=https://evil.example", "Accept-CH: Sec-CH-UA-Model", "Service-Worker-Allowed: /", "Set-Login: logged-out",
			"Alt-Svc: h3=\":443\"", "NEL: {}", "Report-To: {}", "Reporting-Endpoints: a=\"https://a.example\"",
		} {
			name, value, _ := strings.Cut(field, ": ")
			rw.Header().Set(name, value)
		}
		rw.WriteHeader(418)
		_, _ = rw.Write([]byte("<script>"))
	}}
	w := newWorld(t, variant{api: api, path: "/base"})
	b := w.client()
	b.login()
	b.header = http.Header{
		"Authorization": {"Bearer planted"}, "Dpop": {"planted"}, "Origin": {w.origin}, "Referer": {w.origin + "/"},
		"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Host": {"evil.example"}, "Forwarded": {"for=x"}, "X-Own": {"kept"},
	}
	answer := b.expect(418, "<script>", "PUT", "/api/a%2Fb/c?q=1&q=2;x", "body")
	got := api.last
	if got.RequestURI != "/base/a%2Fb/c?q=1&q=2;x" || got.Method != "PUT" || string(api.body) != "body" || got.Header.Get("X-Own") != "kept" {
		t.Errorf("the API got %s %s %q %v", got.Method, got.RequestURI, api.body, got.Header)
	}
	if auth := got.Header.Values("Authorization"); len(auth) != 1 || !strings.HasPrefix(auth[0], "DPoP ey") || len(got.Header.Values("DPoP")) != 1 || got.Header.Get("DPoP") == "planted" {
		t.Errorf("the API got the credentials %q", auth)
	}
	for _, name := range []string{"Cookie", "Origin", "Referer", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded"} {
		if got.Header.Get(name) != "" {
			t.Errorf("the API got %s: %s", name, got.Header.Get(name))
		}
	}
	for _, name := range []string{
		"Set-Cookie", "DPoP-Nonce", "Access-Control-Allow-Origin", "Clear-Site-Data", "WWW-Authenticate", "Alt-Svc", "NEL",
		"Report-To", "Reporting-Endpoints", "Refresh", "Accept-CH", "Service-Worker-Allowed", "Set-Login",
	} {
		if answer.Header.Get(name) != "" {
			t.Errorf("the browser got %s: %s", name, answer.Header.Get(name))
		}
	}
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox", "X-Content-Type-Options": "nosniff",
		"Cache-Control": "no-store", "X-Kept": "yes",
	} {
		if got := answer.Header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("the browser got %s: %q, want %q", name, got, want)
		}
	}
}

// What the API says before its answer (1xx) does not take the place of the answer, nor of what we add to it.
func TestInformationalAnswers(t *testing.T) {
	for _, status := range []int{http.StatusContinue, http.StatusEarlyHints} {
		w := newWorld(t, variant{stateless: true, lifetime: 2 * early, api: &recorded{do: func(rw http.ResponseWriter) {
			rw.Header().Set("Set-Cookie", "__Host-session=planted; Secure; Path=/")
			rw.WriteHeader(status)
			rw.WriteHeader(418)
		}}})
		b := w.client()
		b.login()
		w.later(early + time.Second)
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				return fmt.Errorf("the browser got %d %v", code, header)
			},
		})
		r, err := http.NewRequestWithContext(ctx, "GET", w.origin+"/api/x", nil)
		w.check(err)
		r.AddCookie(&http.Cookie{Name: sessionCookie().Name, Value: b.session()})
		answer, err := http.DefaultTransport.RoundTrip(r)
		w.check(err)
		answer.Body.Close()
		if cookies := answer.Cookies(); answer.StatusCode != 418 || len(cookies) != 1 || cookies[0].Value == "planted" ||
			!strings.Contains(answer.Header.Get("Content-Security-Policy"), "sandbox") || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("after %d: %s %v", status, answer.Status, answer.Header)
		}
	}
}

// The way to the API does not lead out of its part of the server.
func TestPaths(t *testing.T) {
	api := &recorded{do: func(rw http.ResponseWriter) { rw.WriteHeader(418) }}
	w := newWorld(t, variant{api: api, path: "/base"})
	b := w.client()
	b.login()
	for path, want := range map[string]string{
		"/api/": "/base/", "/api/a//b": "/base/a//b", "/api/...": "/base/...", "/api/a%2Fb/.c": "/base/a%2Fb/.c",
		"/api//evil.example/": "/base//evil.example/", "/api/%252e%252e/a": "/base/%252e%252e/a",
		"/api/a/b?../..": "/base/a/b?../..",
	} {
		b.expect(418, "", "GET", path, "")
		if got := api.last.RequestURI; got != want {
			t.Errorf("%s became %s, want %s", path, got, want)
		}
	}
	api.last = nil
	for _, path := range []string{
		"/api/..", "/api/../admin", "/api/x/../../admin", "/api/%2e%2e/admin", "/api/.%2E/admin", "/api/./x", "/api/x/.",
		"/api/..%2Fadmin", "/api/x%2f..%2F../admin", `/api/..\admin`, "/api/..%5Cadmin", "/api/..;x/admin",
	} {
		b.expect(400, "the path leads elsewhere", "GET", path, "")
	}
	if api.last != nil {
		t.Errorf("the API got %s", api.last.RequestURI)
	}
}

// A connection that is no longer HTTP would outlive the session.
func TestUpgradesAreRefused(t *testing.T) {
	w := newWorld(t, variant{})
	b := w.client()
	b.login()
	b.header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	b.expect(501, "only requests are forwarded", "GET", "/api/accounts", "")
	if w.reached.Load() != 0 {
		t.Error("it reached the API")
	}
}

// Methods by which a server repeats what it got, or leads elsewhere, do not reach the API.
func TestMethodsThatAreNotForwarded(t *testing.T) {
	w := newWorld(t, variant{api: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("the API got %s", r.Method) })})
	b := w.client()
	b.login()
	host := strings.TrimPrefix(w.origin, "http://")
	for _, method := range []string{"TRACE", "CONNECT", "trace", "TRACK", "PROPFIND"} {
		conn, err := net.Dial("tcp", host)
		w.check(err)
		defer conn.Close()
		fmt.Fprintf(conn, "%s /api/x HTTP/1.1\r\nHost: %s\r\nCookie: %s=%s\r\n\r\n", method, host, sessionCookie().Name, b.session())
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		w.check(err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("%s: %s", method, answer.Status)
		}
	}
}

// Fields behind the body would be the API's own.
func TestTrailers(t *testing.T) {
	api := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if len(r.Trailer) > 0 || r.Header.Get("TE") != "" {
			t.Errorf("the API is told of the trailers %v, TE: %s", r.Trailer, r.Header.Get("TE"))
		}
		rw.Header().Set("Trailer", "Set-Cookie")
		_, _ = io.WriteString(rw, "body")
		rw.Header().Set("Set-Cookie", "__Host-session=planted; Path=/; Secure")
		rw.Header().Set(http.TrailerPrefix+"DPoP-Nonce", "planted")
	})
	w := newWorld(t, variant{api: api})
	b := w.client()
	b.login()
	r, err := http.NewRequestWithContext(t.Context(), "POST", w.origin+"/api/x", io.MultiReader(strings.NewReader("data")))
	w.check(err)
	r.Trailer = http.Header{"Authorization": {"planted"}}
	r.Header.Set("TE", "trailers")
	r.AddCookie(&http.Cookie{Name: sessionCookie().Name, Value: b.session()})
	answer, err := http.DefaultTransport.RoundTrip(r)
	w.check(err)
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); string(body) != "body" || err != nil || len(answer.Trailer) > 0 || len(answer.Cookies()) > 0 {
		t.Errorf("%q, %v, trailers %v, cookies %v", body, err, answer.Trailer, answer.Cookies())
	}
}

// No connection and no request lasts longer than what is remembered of sessions.
func TestServerTimes(t *testing.T) {
	s := newServer(nil)
	if min(s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout) <= 0 || max(s.ReadTimeout, s.WriteTimeout) > min(longest, remembered) {
		t.Errorf("%+v", s)
	}
}

// A body that can be sent only once arrives whole, once, though the API demands a nonce.
func TestUpload(t *testing.T) {
	w := newWorld(t, variant{})
	b := w.client()
	b.login()
	large := strings.Repeat("x", 1<<20)
	b.expect(201, `"amount":"`+large, "POST", "/api/accounts", large)
	if w.reached.Load() != 1 {
		t.Errorf("the API was reached %d times", w.reached.Load())
	}
}

func TestTheAPIDoesNotAnswer(t *testing.T) {
	w := newWorld(t, variant{api: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })})
	b := w.client()
	b.login()
	b.expect(502, "the API does not answer", "GET", "/api/accounts", "")
	b.expect(502, "the API does not answer", "POST", "/api/accounts", strings.Repeat("x", 1<<20))
	endless := http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.Header().Set("X-Long", strings.Repeat("x", 100<<10)) })
	e := newWorld(t, variant{api: endless})
	b2 := e.client()
	b2.login()
	b2.expect(502, "the API does not answer", "GET", "/api/accounts", "")
	if !strings.Contains(w.log.String(), "the API does not answer") {
		t.Errorf("the log: %s", w.log.String())
	}
}

func TestTooManySessions(t *testing.T) {
	w := newWorld(t, variant{most: 2})
	first, second, third := w.client(), w.client(), w.client()
	first.login()
	second.login()
	second.login() // in place of its own
	third.expect(503, "the login cannot be kept", "GET", third.authorize("/login"), "")
	first.expect(200, "alice", "GET", "/api/accounts", "")
	w.later(time.Hour)
	third.login()
}

func TestPageIsProtected(t *testing.T) {
	w := newWorld(t, variant{})
	for _, path := range []string{"/", "/app.js", "/style.css", "/nowhere"} {
		answer := w.client().send("GET", path, "")
		if csp := answer.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; script-src 'self'") ||
			!strings.Contains(csp, "frame-ancestors 'none'") || answer.Header.Get("X-Content-Type-Options") != "nosniff" ||
			answer.Header.Get("Referrer-Policy") != "no-referrer" || (answer.StatusCode == 200) == (path == "/nowhere") {
			t.Errorf("%s: %d %v", path, answer.StatusCode, answer.Header)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		secret string // of cookies
		want   string
	}{
		"issuer without API":      {[]string{"-issuer", "https://login.example.com"}, "", "-issuer needs -api"},
		"API without issuer":      {[]string{"-api", "https://api.example.com"}, "", "-api needs -issuer"},
		"no lifetime":             {[]string{"-lifetime", "0s"}, "", "-lifetime is 0s"},
		"stateless, random key":   {[]string{"-stateless", "-issuer", "https://l.example", "-api", "https://a.example"}, "", "-stateless needs TOKENHANDLER_COOKIE_KEY"},
		"cookie key not base64":   {nil, "!", "TOKENHANDLER_COOKIE_KEY is not base64"},
		"short cookie key":        {nil, "c2hvcnQ=", "the cookie key has 5 octets: give 32 random ones"},
		"public in the clear":     {[]string{"-public", "http://app.example.com"}, "", "-public is \"http://app.example.com\": use https"},
		"public is not an origin": {[]string{"-public", "https://app.example.com/path"}, "", "app.example.com/path"},
		"API in the clear":        {[]string{"-issuer", "ISSUER", "-api", "http://api.example.com"}, "", "use https"},
		"API is no address":       {[]string{"-issuer", "ISSUER", "-api", "api"}, "", `the API is "…"`},
		"no authorization server": {[]string{"-issuer", "http://127.0.0.1:1", "-api", "https://api.example.com"}, "", "does not tell what it offers"},
		"no such address":         {[]string{"-listen", "nowhere"}, "", "nowhere"},
		"key in no folder":        {[]string{"-key", t.TempDir() + "/a/b"}, "", "no such file"},
		"unknown flag":            {[]string{"-fast"}, "", "usage"},
		"an argument":             {[]string{"fast"}, "", "usage"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, variant{})
			for i, arg := range test.args {
				if arg == "ISSUER" {
					test.args[i] = w.issuer
				}
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			served := writerFunc(func(text string) {
				if strings.HasPrefix(text, "Open ") {
					cancel()
				}
			})
			p := program{out: served, errOut: &w.log, getenv: func(name string) string {
				return map[string]string{"TOKENHANDLER_COOKIE_KEY": test.secret}[name]
			}}
			if err := p.run(ctx, test.args); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// The program serves what it says, until it is told to end.
func TestProgram(t *testing.T) {
	for _, args := range [][]string{nil, {"-stateless", "-key", t.TempDir() + "/key.pem"}} {
		var out buffer
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		p := program{out: &out, errOut: &out, getenv: func(string) string { return "" }}
		started := make(chan string, 1)
		p.out = writerFunc(func(text string) {
			if _, rest, found := strings.Cut(text, "Open "); found {
				started <- strings.Fields(rest)[0]
			}
		})
		go func() { done <- p.run(ctx, args) }()
		select {
		case address := <-started:
			answer, err := http.Get(address)
			if err != nil || answer.StatusCode != 200 {
				t.Errorf("%v, %v", answer, err)
			}
			answer.Body.Close()
		case err := <-done:
			t.Fatal(err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ended with %v", err)
		}
	}
}

type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

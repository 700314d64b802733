package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/codeflow"
)

// world is an authorization server, an API, and the token handler between it and browsers.
type world struct {
	*testing.T
	origin, issuer, api string
	handler             http.Handler
	now                 atomic.Pointer[time.Time] // the token handler's clock; nil: the real one
	log                 buffer                    // the token handler's
	reached             atomic.Int32              // requests that reached the API
	seen                atomic.Pointer[http.Request]
	down                atomic.Bool            // the authorization server answers nothing
	atToken             atomic.Pointer[func()] // happens before its next answer at the token endpoint

	mu     sync.Mutex
	issued []string     // each token, and nothing of it may reach a browser
	sent   bytes.Buffer // everything that browsers got from the token handler
	tokens int          // answers of the token endpoint with tokens
}

// buffer is a log that several goroutines write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// modes are the two ways of keeping sessions.
var modes = map[string]bool{"memory": false, "stateless": true}

// variant changes a world before it starts.
type variant struct {
	stateless bool
	lifetime  time.Duration // of access tokens
	most      int           // sessions
	api       http.Handler  // in place of the demo's
	path      string        // of the API
	legs      *legs
}

func newWorld(t *testing.T, v variant) *world {
	w := &world{T: t}
	handler, as, api := w.listen(), w.listen(), w.listen()
	_, port, _ := net.SplitHostPort(handler.Addr().String())
	// A name of its own makes it another site than the others, as in life.
	w.origin, w.issuer, w.api = "http://localhost:"+port, "http://"+as.Addr().String(), "http://"+api.Addr().String()
	w.startIssuer(as, v.lifetime)
	w.startAPI(api, v.api)

	clock := func() time.Time {
		if now := w.now.Load(); now != nil {
			return *now
		}
		return time.Now()
	}
	signer, err := newSigner("")
	w.check(err)
	client, err := codeflow.Discover(t.Context(), codeflow.Config{Issuer: w.issuer, ID: "web", Secret: "s", Signer: signer})
	w.check(err)
	s := settings{
		origin: w.origin, apiURL: w.api + v.path, client: client, signer: signer, lifetime: time.Hour, now: clock,
		log: slog.New(slog.NewTextHandler(&w.log, nil)), legs: v.legs,
	}
	s.seal, err = newSeal(newCookieKey(), clock)
	w.check(err)
	if v.most == 0 {
		v.most = maxSessions
	}
	s.sessions = newMemory(s.lifetime, v.most, clock)
	if v.stateless {
		s.sessions = newStateless(s.seal, s.lifetime)
	}
	e, err := newHandler(s)
	w.check(err)
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { e.ServeHTTP(w.tap(rw), r) })
	w.serve(handler, w.handler)
	t.Cleanup(w.noTokenSent)
	return w
}

// later puts the token handler's clock ahead of the real one.
func (w *world) later(by time.Duration) time.Time {
	now := time.Now().Add(by)
	w.now.Store(&now)
	return now
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.check(err)
	return l
}

func (w *world) serve(l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(l) }()
	w.Cleanup(func() { _ = server.Close() })
}

func (w *world) startIssuer(l net.Listener, lifetime time.Duration) {
	as, err := authserver.New(authserver.Config{
		Issuer: w.issuer, Audiences: []string{w.api}, RequireNonce: true, TokenLifetime: lifetime,
		Users: []authserver.User{{Name: demoUser, Password: demoPassword}},
		Clients: []authserver.Client{{
			ID: "web", Secret: "s", RedirectURIs: []string{w.origin + "/callback"}, Scopes: []string{"accounts:read", "accounts:pay"},
		}},
	})
	w.check(err)
	w.Cleanup(func() { _ = as.Close() })
	w.serve(l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.down.Load() {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if r.URL.Path == "/token" {
			if happens := w.atToken.Swap(nil); happens != nil {
				(*happens)()
			}
		}
		answer := httptest.NewRecorder()
		as.ServeHTTP(answer, r)
		if r.URL.Path == "/token" {
			w.note(answer.Body.Bytes())
		}
		maps.Copy(rw.Header(), answer.Header())
		rw.WriteHeader(answer.Code)
		_, _ = rw.Write(answer.Body.Bytes())
	}))
}

// note remembers the tokens of an answer.
func (w *world) note(answer []byte) {
	var body struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	_ = json.Unmarshal(answer, &body)
	if body.Access == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tokens++
	w.issued = append(w.issued, body.Access, body.Refresh, strings.Split(body.Access, ".")[1])
}

func (w *world) renewed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tokens - 1 // the first was for the code
}

func (w *world) startAPI(l net.Listener, h http.Handler) {
	if h == nil {
		e, auth, err := newAPI(w.api, w.issuer, slog.New(slog.DiscardHandler))
		w.check(err)
		w.Cleanup(func() { _ = auth.Close() })
		h = e
	}
	w.serve(l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		answer := &statusOf{ResponseWriter: rw}
		h.ServeHTTP(answer, r)
		if answer.status < 400 {
			w.reached.Add(1)
			w.seen.Store(r)
		}
	}))
}

// statusOf remembers the status of an answer.
type statusOf struct {
	http.ResponseWriter
	status int
}

func (s *statusOf) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

func (s *statusOf) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// tap listens to everything that a browser gets.
func (w *world) tap(rw http.ResponseWriter) http.ResponseWriter { return &tapped{rw, w} }

type tapped struct {
	http.ResponseWriter
	world *world
}

func (t *tapped) Write(p []byte) (int, error) {
	t.world.hear(p)
	return t.ResponseWriter.Write(p)
}

func (t *tapped) WriteHeader(status int) {
	var fields bytes.Buffer
	_ = t.Header().Write(&fields)
	t.world.hear(fields.Bytes())
	t.ResponseWriter.WriteHeader(status)
}

func (t *tapped) Unwrap() http.ResponseWriter { return t.ResponseWriter }

func (w *world) hear(p []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent.Write(p)
}

// noTokenSent is what all of this is for.
func (w *world) noTokenSent() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, token := range w.issued {
		if token != "" && bytes.Contains(w.sent.Bytes(), []byte(token)) {
			w.Errorf("a browser got the token %s", token)
		}
	}
}

// client is a browser as far as cookies go.
type client struct {
	world   *world
	cookies map[string]string
	header  http.Header // in each request
}

func (w *world) client() *client { return &client{w, map[string]string{}, http.Header{}} }

// send sends a request to the token handler.
func (b *client) send(method, path, body string) *http.Response {
	b.world.Helper()
	r := httptest.NewRequestWithContext(b.world.Context(), method, b.world.origin+path, strings.NewReader(body))
	r.Header = b.header.Clone()
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	recorder := httptest.NewRecorder()
	b.world.handler.ServeHTTP(recorder, r)
	answer := recorder.Result()
	for _, cookie := range answer.Cookies() {
		if !strings.HasPrefix(cookie.Name, "__Host-") || !cookie.Secure || !cookie.HttpOnly || cookie.Path != "/" ||
			cookie.Domain != "" || cookie.SameSite != http.SameSiteStrictMode && cookie.SameSite != http.SameSiteLaxMode {
			b.world.Errorf("a cookie is not protected: %s", cookie)
		}
		if cookie.MaxAge < 0 {
			delete(b.cookies, cookie.Name)
		} else {
			b.cookies[cookie.Name] = cookie.Value
		}
	}
	return answer
}

// expect sends a request and compares status and a part of the answer.
func (b *client) expect(status int, part, method, path, body string) *http.Response {
	b.world.Helper()
	answer := b.send(method, path, body)
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status || !strings.Contains(string(text), part) {
		b.world.Errorf("%s %s: %d %.500s (%v), want %d %.500s\n%s", method, path, answer.StatusCode, text, err, status, part, b.world.log.String())
	}
	return answer
}

// authorize begins a login and returns where the authorization server sends the browser back to.
func (b *client) authorize(path string) string {
	b.world.Helper()
	to, err := b.expect(http.StatusSeeOther, "", "GET", path, "").Location()
	b.world.check(err)
	form := to.Query()
	form.Set("username", demoUser)
	form.Set("password", demoPassword)
	to.RawQuery = ""
	r, err := http.NewRequestWithContext(b.world.Context(), "POST", to.String(), strings.NewReader(form.Encode()))
	b.world.check(err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultTransport.RoundTrip(r)
	b.world.check(err)
	answer.Body.Close()
	back, err := answer.Location()
	b.world.check(err)
	if !strings.HasPrefix(back.String(), b.world.origin+"/callback?") {
		b.world.Fatalf("sent back to %s", back)
	}
	return back.RequestURI()
}

func (b *client) login() {
	b.world.Helper()
	to := b.expect(http.StatusSeeOther, "", "GET", b.authorize("/login"), "").Header.Get("Location")
	if to != "/" || len(b.cookies) != 1 {
		b.world.Fatalf("after the login: sent to %q with %v", to, b.cookies)
	}
}

func (b *client) session() string { return b.cookies[sessionCookie().Name] }

// recorded is an API that keeps the last request.
type recorded struct {
	mu   sync.Mutex
	last *http.Request
	body []byte
	do   func(http.ResponseWriter)
}

func (a *recorded) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	a.last, a.body = r, body
	a.do(w)
}

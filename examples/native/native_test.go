package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/echoauth"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/session"
)

// world is an authorization server, an API that demands nonces, and a user with a folder and a browser.
type world struct {
	*testing.T
	issuer, api string
	tokens      atomic.Int32 // requests to the token endpoint that were answered with tokens
	handled     atomic.Int32 // requests that reached the API's handler
	log         story.Log
	folder      string
	browse      func(address string) error // what the user does at a page
	browsing    sync.WaitGroup
	passphrase  string
	stopIssuer  func()

	beforeAnswer func() // of the token endpoint; nil: nothing
}

func newWorld(t *testing.T, change func(*authserver.Config)) *world {
	w := &world{T: t, folder: filepath.Join(t.TempDir(), "native")}
	w.browse = func(address string) error {
		_, _, err := w.get(address)
		return err
	}
	w.startAPI(w.startIssuer(change))
	return w
}

// startIssuer starts the authorization server; its tokens are for the API whose listener is returned.
func (w *world) startIssuer(change func(*authserver.Config)) (api net.Listener) {
	listeners := [2]net.Listener{}
	for i := range listeners {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.Fatal(err)
		}
		listeners[i] = l
	}
	w.issuer, w.api = "http://"+listeners[0].Addr().String(), "http://"+listeners[1].Addr().String()
	config := authserver.Config{
		Issuer: w.issuer, Audiences: []string{w.api}, AutoApprove: "alice", RequireNonce: true,
		Users: []authserver.User{{Name: "alice", Password: "wonderland", ACRs: []string{"pwd", "mfa"}}},
		Clients: []authserver.Client{{
			ID: "native", RedirectURIs: []string{"http://127.0.0.1/callback"}, Scopes: []string{"accounts:read", "accounts:pay"},
		}},
	}
	if change != nil {
		change(&config)
	}
	as, err := authserver.New(config)
	if err != nil {
		w.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		as.ServeHTTP(recorder, r)
		if r.URL.Path == "/token" && recorder.Code == http.StatusOK {
			w.tokens.Add(1)
			if w.beforeAnswer != nil {
				w.beforeAnswer()
			}
		}
		for name, values := range recorder.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(recorder.Code)
		_, _ = rw.Write(recorder.Body.Bytes())
	})}
	go func() { _ = server.Serve(listeners[0]) }()
	w.stopIssuer = func() { _ = server.Close() }
	w.Cleanup(func() { w.stopIssuer(); _ = as.Close() })
	return listeners[1]
}

func (w *world) startAPI(listener net.Listener) {
	guard, err := access.New(access.Config{
		Origins: []string{w.api}, Issuers: []access.Issuer{{URL: w.issuer, Audience: w.api}},
		RequireNonce: true, Log: w.log.Logger(),
	})
	if err != nil {
		w.Fatal(err)
	}
	auth := echoauth.New(guard)
	e := echo.New()
	e.Any("/moved", func(c echo.Context) error { return c.Redirect(http.StatusTemporaryRedirect, c.QueryParam("to")) })
	api := e.Group("/accounts", auth.Authenticate())
	api.GET("", func(c echo.Context) error {
		w.handled.Add(1)
		return c.String(http.StatusOK, "accounts of "+echoauth.GrantFrom(c).Subject)
	}, auth.RequireScope("accounts:read"))
	api.POST("", func(c echo.Context) error {
		w.handled.Add(1)
		body, err := io.ReadAll(c.Request().Body)
		return errors.Join(err, c.String(http.StatusCreated, "paid "+string(body)+" "+c.Request().Header.Get("Content-Type")))
	}, auth.RequireScope("accounts:pay"))
	api.GET("/close", func(c echo.Context) error { return c.NoContent(http.StatusNoContent) },
		auth.Require(access.Requirement{ACRValues: []string{"mfa"}}))
	server := &http.Server{Handler: e}
	go func() { _ = server.Serve(listener) }()
	w.Cleanup(func() { _ = server.Close(); _ = guard.Close() })
}

// get is what a browser does: it follows redirects, up to a page.
func (w *world) get(address string) (status int, page string, err error) {
	response, err := http.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// answer is where the authorization server sends the browser back to.
func (w *world) answer(address string) *url.URL {
	response, err := http.DefaultTransport.RoundTrip(httptest.NewRequestWithContext(w.Context(), "GET", address, nil))
	if err != nil {
		w.Fatal(err)
	}
	response.Body.Close()
	back, err := response.Location()
	if err != nil {
		w.Fatal(err)
	}
	return back
}

// run runs the program and returns what it prints: the API's answers, and everything else.
func (w *world) run(args ...string) (out, errOut string, status int) {
	return w.runWith(w.Context(), "", args...)
}

func (w *world) runWith(ctx context.Context, in string, args ...string) (out, errOut string, status int) {
	var o, e bytes.Buffer
	open := func(address string) {
		w.browsing.Go(func() {
			if err := w.browse(address); err != nil {
				w.Error(err)
			}
		})
	}
	p := program{in: strings.NewReader(in), out: &o, errOut: &e, open: open, passphrase: w.passphrase}
	if len(args) > 0 {
		args = append([]string{args[0], "-dir", w.folder}, args[1:]...)
	}
	status = p.run(ctx, args)
	w.browsing.Wait()
	return o.String(), e.String(), status
}

func (w *world) login(args ...string) {
	w.Helper()
	if _, said, status := w.run(append([]string{"login", "-issuer", w.issuer, "-api", w.api}, args...)...); status != 0 {
		w.Fatalf("login: %s", said)
	}
}

// session and setSession read and write what a login left in the folder.
func (w *world) session() []byte {
	w.Helper()
	text, err := os.ReadFile(filepath.Join(w.folder, "session.json"))
	if err != nil {
		w.Fatal(err)
	}
	return text
}

func (w *world) setSession(text []byte) {
	w.Helper()
	if err := os.WriteFile(filepath.Join(w.folder, "session.json"), text, 0o600); err != nil {
		w.Fatal(err)
	}
}

// expect runs the program and compares its answers, a part of what else it says, and its exit status.
func (w *world) expect(out, said string, status int, args ...string) {
	w.Helper()
	gotOut, gotSaid, gotStatus := w.run(args...)
	if gotOut != out || !strings.Contains(gotSaid, said) || gotStatus != status {
		w.Errorf("%q: status %d, %q\n%s\nwant status %d, %q\n%s", args, gotStatus, gotOut, gotSaid, status, out, said)
	}
}

// refused runs the program and expects the API to refuse, without its handler, for what the log gives as the reason.
func (w *world) refused(reason, said string, args ...string) {
	w.Helper()
	var log bytes.Buffer
	w.log.Follow(&log)
	defer w.log.Follow(nil)
	before := w.handled.Load()
	_, got, status := w.run(args...)
	if !strings.Contains(got, said) || status != 1 || !strings.Contains(log.String(), " "+reason+": ") || w.handled.Load() != before {
		w.Errorf("%q: status %d\n%s\n%s\nwant %s, %s, and the handler not to run", args, status, got, log.String(), said, reason)
	}
}

func TestFromLoginToLogout(t *testing.T) {
	w := newWorld(t, nil)
	var status int
	var page string
	w.browse = func(address string) (err error) {
		status, page, err = w.get(address)
		return err
	}
	w.expect("", "Logged in. The token is good for 5m0s and refreshed when needed.", 0, "login", "-issuer", w.issuer, "-api", w.api+"/")
	if status != 200 || !strings.Contains(page, "You are logged in") {
		t.Errorf("the browser shows %d %s", status, page)
	}
	w.expect("accounts of alice", "200 OK", 0, "call", w.api+"/accounts")
	w.expect("paid 7 text/plain", "201 Created", 0, "call", "-d", "7", "-H", "Content-Type: text/plain", w.api+"/accounts")
	w.expect("", "Logged out.", 0, "logout")
	w.expect("", "you are not logged in: log in first", 1, "call", w.api+"/accounts")
	w.expect("", "You were not logged in.", 0, "logout")
	if w.tokens.Load() != 1 || w.handled.Load() != 2 {
		t.Errorf("tokens were issued %d times, the handler ran %d times", w.tokens.Load(), w.handled.Load())
	}
}

// A body that can be sent only once arrives whole, once, though the API demands a nonce.
func TestUpload(t *testing.T) {
	w := newWorld(t, nil)
	w.login()
	file := filepath.Join(t.TempDir(), "upload")
	if err := os.WriteFile(file, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.expect("paid from a file ", "201", 0, "call", "-f", file, w.api+"/accounts")
	if out, said, status := w.runWith(t.Context(), "from a pipe", "call", "-X", "POST", "-f", "-", w.api+"/accounts"); out != "paid from a pipe " || status != 0 {
		t.Errorf("%q %s", out, said)
	}
	if w.handled.Load() != 2 {
		t.Errorf("the handler ran %d times", w.handled.Load())
	}
}

func TestPrivateFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access is not a matter of modes on Windows")
	}
	w := newWorld(t, nil)
	w.login()
	for name, mode := range map[string]os.FileMode{".": 0o700, "key.pem": 0o600, "session.json": 0o600, "lock": 0o600} {
		if info, err := os.Stat(filepath.Join(w.folder, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %#o", name, info.Mode(), err, mode)
		}
	}
	for _, name := range []string{"key.pem", "session.json"} {
		file := filepath.Join(w.folder, name)
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		w.expect("", name+": others than the owner have access to the file", 1, "call", w.api+"/accounts")
		if err := os.Chmod(file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.expect("accounts of alice", "", 0, "call", w.api+"/accounts")
}

func TestKeyWithPassphrase(t *testing.T) {
	w := newWorld(t, nil)
	w.passphrase = "correct horse"
	w.login()
	w.expect("accounts of alice", "", 0, "call", w.api+"/accounts")
	w.passphrase = "wrong"
	w.expect("", "the passphrase does not fit the key file", 1, "call", w.api+"/accounts")
	w.passphrase = ""
	w.expect("", "the file is encrypted: give its passphrase", 1, "call", w.api+"/accounts")
}

// shortLived makes every call refresh the token first.
func shortLived(c *authserver.Config) { c.TokenLifetime = session.Fresh }

func TestRefresh(t *testing.T) {
	w := newWorld(t, shortLived)
	w.login("-scope", "accounts:read")
	for range 2 {
		w.expect("accounts of alice", "The token's time is over; refreshing it.", 0, "call", w.api+"/accounts")
	}
	if w.tokens.Load() != 3 {
		t.Errorf("tokens were issued %d times", w.tokens.Load())
	}
	w.refused("scope_missing", "the token lacks the scope that the answer names: ask for it, or let the issuer grant it", "call", "-X", "POST", w.api+"/accounts")
}

// Were two processes to refresh at once, the server would take the refresh token for stolen and end the login.
func TestParallelCallsRefreshOneAfterAnother(t *testing.T) {
	w := newWorld(t, shortLived)
	w.login()
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() { w.expect("accounts of alice", "200", 0, "call", w.api+"/accounts") })
	}
	calls.Wait()
	if w.tokens.Load() != 9 || w.handled.Load() != 8 {
		t.Errorf("tokens were issued %d times, the handler ran %d times", w.tokens.Load(), w.handled.Load())
	}
}

// Whoever gives up waiting does not lose the login: the refresh token would be used up, and the next one not kept.
func TestInterruptedRefresh(t *testing.T) {
	w := newWorld(t, shortLived)
	w.login()
	ctx, interrupt := context.WithCancel(t.Context())
	w.beforeAnswer = interrupt
	if _, said, status := w.runWith(ctx, "", "call", w.api+"/accounts"); status != 1 || !strings.Contains(said, "canceled") {
		t.Errorf("interrupted: %d %s", status, said)
	}
	w.beforeAnswer = nil
	w.expect("accounts of alice", "200", 0, "call", w.api+"/accounts")
}

// A token goes to the API that it was issued for, also when another login takes the place of the first meanwhile.
func TestLoginDuringCall(t *testing.T) {
	w := newWorld(t, nil)
	w.login()
	files, err := program{}.openStore(w.folder)
	if err != nil {
		t.Fatal(err)
	}
	s, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := files.Signer()
	if err != nil {
		t.Fatal(err)
	}
	s.API = "https://other.example.com"
	if err := files.Save(s); err != nil {
		t.Fatal(err)
	}
	token, err := program{errOut: io.Discard}.app().Token(t.Context(), files, signer, w.api)
	if token != "" || err == nil || !strings.Contains(err.Error(), "the token is for https://other.example.com") {
		t.Errorf("%q, %v", token, err)
	}
}

func TestRefreshIsRefused(t *testing.T) {
	w := newWorld(t, shortLived)
	w.login()
	old := w.session()
	w.expect("accounts of alice", "", 0, "call", w.api+"/accounts")
	w.setSession(old)
	w.expect("", `you are not logged in: log in first (the login is over: "invalid_grant": "the refresh token was already used")`, 1,
		"call", w.api+"/accounts")
}

// Whoever copies the tokens but not the key has nothing.
func TestStolenTokens(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*authserver.Config)
		said   string
		reason string
	}{
		"the access token":  {nil, "the token is no longer accepted: log in again", "key_mismatch"},
		"the refresh token": {shortLived, "the proof is not made with the key that the refresh token is bound to", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.change)
			w.login()
			thief := filepath.Join(t.TempDir(), "native")
			files, err := program{}.openStore(thief)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := files.MakeSigner(); err != nil {
				t.Fatal(err)
			}
			stolen, owner := w.session(), w.folder
			w.folder = thief
			w.setSession(stolen)
			if test.reason != "" {
				w.refused(test.reason, test.said, "call", w.api+"/accounts")
			} else {
				w.expect("", test.said, 1, "call", w.api+"/accounts")
			}
			w.folder = owner
			w.expect("accounts of alice", "", 0, "call", w.api+"/accounts")
		})
	}
}

func TestFreshLogin(t *testing.T) {
	w := newWorld(t, nil)
	w.login()
	w.refused("login_too_weak", `acr_values="mfa"`, "call", w.api+"/accounts/close")
	w.login("-acr", "mfa", "-max-age", "0s")
	w.expect("", "204", 0, "call", w.api+"/accounts/close")
}

// Another page in the same browser can send requests to the port, and changes nothing by it.
func TestForeignAnswers(t *testing.T) {
	w := newWorld(t, nil)
	pages := map[string]string{}
	w.browse = func(address string) error {
		back := w.answer(address)
		good := back.Query()
		for name, change := range map[string]func(u *url.URL, q url.Values){
			"another state": func(_ *url.URL, q url.Values) { q.Set("state", "guess") },
			"no state":      func(_ *url.URL, q url.Values) { q.Del("state") },
			"state twice":   func(_ *url.URL, q url.Values) { q.Add("state", "guess") },
			"another path":  func(u *url.URL, _ url.Values) { u.Path += "/x" },
			"another host":  func(u *url.URL, _ url.Values) { u.Host = "localhost:" + u.Port() },
		} {
			u, q := *back, url.Values{}
			for k, v := range good {
				q[k] = v
			}
			change(&u, q)
			u.RawQuery = q.Encode()
			status, page, err := w.get(u.String())
			if err != nil {
				return err
			}
			pages[name] = cmp.Or(map[int]string{200: "accepted"}[status], page)
		}
		for _, method := range []string{"POST", "HEAD"} {
			r := httptest.NewRequestWithContext(t.Context(), method, back.String(), nil)
			response, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				return err
			}
			response.Body.Close()
			if response.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s", method, response.Status)
			}
		}
		if w.tokens.Load() != 0 {
			t.Error("a foreign answer was exchanged")
		}
		_, page, err := w.get(back.String())
		if !strings.Contains(page, "You are logged in") {
			t.Errorf("the good answer: %s", page)
		}
		return err
	}
	w.login()
	for name, want := range map[string]string{
		"another state": "another login", "no state": "another login", "state twice": "another login",
		"another path": "nothing here", "another host": "nothing here",
	} {
		if !strings.Contains(pages[name], want) {
			t.Errorf("%s: %s", name, pages[name])
		}
	}
}

func TestLoginFails(t *testing.T) {
	for name, test := range map[string]struct {
		change func(q url.Values) // of the answer
		said   string
	}{
		"mix-up":        {func(q url.Values) { q.Set("iss", "https://evil.example") }, `the answer is from the issuer "https://evil.example"`},
		"no issuer":     {func(q url.Values) { q.Del("iss") }, `the answer is from the issuer ""`},
		"foreign code":  {func(q url.Values) { q.Set("code", "guess") }, `"invalid_grant": "the code is unknown or its time is over"`},
		"no code":       {func(q url.Values) { q.Del("code") }, "the answer has no code"},
		"access denied": {func(q url.Values) { q.Set("error", "access_denied"); q.Set("error_description", "\x1b[2J") }, `"access_denied": "\x1b[2J"`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			w.browse = func(address string) error {
				back := w.answer(address)
				q := back.Query()
				test.change(q)
				back.RawQuery = q.Encode()
				status, page, err := w.get(back.String())
				if status != http.StatusBadGateway || !strings.Contains(page, "The login failed") {
					t.Errorf("the browser shows %d %s", status, page)
				}
				return err
			}
			w.expect("", test.said, 1, "login", "-issuer", w.issuer, "-api", w.api)
			w.expect("", "you are not logged in", 1, "call", w.api+"/accounts")
		})
	}
}

func TestNobodyLogsIn(t *testing.T) {
	w := newWorld(t, nil)
	w.browse = func(string) error { return nil }
	w.expect("", "nobody logged in within 50ms", 1, "login", "-issuer", w.issuer, "-api", w.api, "-wait", "50ms")
	ctx, cancel := context.WithCancel(t.Context())
	w.browse = func(string) error { cancel(); return nil }
	if _, said, status := w.runWith(ctx, "", "login", "-issuer", w.issuer, "-api", w.api); status != 1 || !strings.Contains(said, "canceled") {
		t.Errorf("%d %s", status, said)
	}
	_, said, _ := w.run("login", "-issuer", w.issuer, "-api", w.api, "-wait", "50ms", "-no-browser")
	if !strings.Contains(said, "Log in with a browser on this machine at\n\n  "+w.issuer+"/authorize?") {
		t.Errorf("without a browser: %s", said)
	}
}

// A login takes the place of the one before. At the authorization server it ends that only where it was another client's:
// one of the same client may be the same session there, which the new login goes on with.
func TestSecondLogin(t *testing.T) {
	for name, test := range map[string]struct {
		args  []string
		ended bool
	}{
		"the same client": {nil, false},
		"another client":  {[]string{"-client", "other"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(c *authserver.Config) {
				shortLived(c)
				other := c.Clients[0]
				other.ID = "other"
				c.Clients = append(c.Clients, other)
			})
			w.login()
			first := w.session()
			w.login(test.args...)
			w.expect("accounts of alice", "", 0, "call", w.api+"/accounts")
			w.setSession(first)
			if test.ended {
				w.expect("", "the refresh token is unknown or has been taken back", 1, "call", w.api+"/accounts")
			} else {
				w.expect("accounts of alice", "", 0, "call", w.api+"/accounts")
			}
		})
	}
}

func TestLogoutReachesTheServer(t *testing.T) {
	w := newWorld(t, shortLived)
	w.login()
	kept := w.session()
	w.expect("", "Logged out.", 0, "logout")
	w.setSession(kept)
	w.expect("", "the refresh token is unknown or has been taken back", 1, "call", w.api+"/accounts")

	w.login()
	w.stopIssuer()
	w.expect("", "the tokens here are deleted, but the server was not told", 1, "logout", "-forget-key")
	for _, name := range []string{"session.json", "key.pem"} {
		if _, err := os.Stat(filepath.Join(w.folder, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What servers say cannot steer the terminal; the API's answers go to the output as they are.
func TestTerminal(t *testing.T) {
	const steering = "\x1b]0;title\x07\u009b2J\u202e"
	w := newWorld(t, nil)
	w.login()
	raw := func(answer string) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
				_, _ = http.ReadRequest(bufio.NewReader(conn))
				_, _ = io.WriteString(conn, answer)
				_ = conn.Close()
			}
		}()
		return "http://" + listener.Addr().String()
	}
	api := raw("HTTP/1.1 403 No " + steering + "\r\nWWW-Authenticate: DPoP x=\"\u009b2J\"\r\n\r\nbody" + steering)
	files, err := program{}.openStore(w.folder)
	if err != nil {
		t.Fatal(err)
	}
	s, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	s.API = api
	if err := files.Save(s); err != nil {
		t.Fatal(err)
	}
	issuer := raw("HTTP/1.1 403 No " + steering + "\r\n\r\n")
	for _, args := range [][]string{{"call", api}, {"login", "-issuer", issuer, "-api", api}} {
		out, said, _ := w.run(args...)
		if strings.ContainsAny(said, steering[:1]+"\a\u009b\u202e") || !strings.Contains(said, "403 No ?]0;title") {
			t.Errorf("%s said %q", args[0], said)
		}
		if args[0] == "call" && out != "body"+steering {
			t.Errorf("the answer: %q", out)
		}
	}
}

// What cannot be read is deleted all the same, and the user learns what that leaves.
func TestLogoutWithUnreadableSession(t *testing.T) {
	w := newWorld(t, nil)
	w.login()
	file := filepath.Join(w.folder, "session.json")
	w.setSession([]byte("{"))
	w.expect("", "the tokens here are deleted, but the server was not told: "+file, 1, "logout", "-forget-key")
	for _, name := range []string{file, filepath.Join(w.folder, "key.pem")} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The token goes to the API alone, not where the user or a redirect leads to.
func TestOtherOrigins(t *testing.T) {
	w := newWorld(t, nil)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer other.Close()
	w.login()
	for _, address := range []string{other.URL + "/accounts", strings.Replace(w.api, "http", "https", 1), "/accounts", "%"} {
		w.expect("", "the token is for "+w.api+": it is not sent to", 1, "call", address)
	}
	w.expect("accounts of alice", "200", 0, "call", strings.Replace(w.api, "http", "HTTP", 1)+"/accounts")
	// A redirect within the API is followed, another neither with the token nor with the request.
	w.expect("accounts of alice", "200", 0, "call", w.api+"/moved?to=/accounts")
	w.expect("", "the API did not do it: it leads to "+other.URL+"/x, and the request is for the API alone", 1,
		"call", "-d", "secret", "-H", "X-Key: secret", w.api+"/moved?to="+other.URL+"/x")
}

func TestWrongArguments(t *testing.T) {
	w := newWorld(t, nil)
	for name, test := range map[string]struct {
		said   string
		status int
		args   []string
	}{
		"none":             {"usage: go run ./examples/native COMMAND", 2, nil},
		"unknown command":  {"usage: go run ./examples/native COMMAND", 2, []string{"dance"}},
		"unknown flag":     {"usage: go run ./examples/native login", 2, []string{"login", "-fast"}},
		"help":             {"the authorization server's issuer URL", 0, []string{"login", "-h"}},
		"no URL":           {"usage: go run ./examples/native call", 2, []string{"call"}},
		"login to nowhere": {"login needs -issuer and -api", 1, []string{"login"}},
		"two bodies":       {"-d and -f both give a body", 1, []string{"call", "-d", "1", "-f", "x", w.api}},
		"bad field":        {"write it as Name: value", 2, []string{"call", "-H", "x", w.api}},
		"API in the clear": {"use https", 1, []string{"login", "-issuer", w.issuer, "-api", "http://api.example.com"}},
		"no API":           {`-api is "…": give an address`, 1, []string{"login", "-issuer", w.issuer, "-api", "api"}},
		"issuer as a name": {`the issuer is "…"`, 1, []string{"login", "-issuer", "login", "-api", w.api}},
		"issuer in clear":  {"use https (http is for this machine alone)", 1, []string{"login", "-issuer", "http://login.example.com", "-api", w.api}},
		"not an issuer":    {"does not tell what it offers", 1, []string{"login", "-issuer", w.api, "-api", w.api}},
		"another issuer":   {"the metadata is that of the issuer", 1, []string{"login", "-issuer", w.issuer + "/", "-api", w.api}},
		"redirect to host": {"-redirect is", 1, []string{"login", "-issuer", w.issuer, "-api", w.api, "-redirect", "http://localhost/callback"}},
		"redirect abroad":  {"-redirect is", 1, []string{"login", "-issuer", w.issuer, "-api", w.api, "-redirect", "http://192.0.2.1/callback"}},
		"taken port":       {"cannot wait for the browser", 1, []string{"login", "-issuer", w.issuer, "-api", w.api, "-redirect", w.api + "/callback"}},
		"no such file":     {"no such file", 1, []string{"call", "-f", filepath.Join(w.folder, "nothing"), w.api}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "no such file" {
				w.login()
			}
			out, said, status := w.run(test.args...)
			if out != "" || !strings.Contains(said, test.said) || status != test.status {
				t.Errorf("status %d, %q\n%s\nwant status %d\n%s", status, out, said, test.status, test.said)
			}
		})
	}
}

package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/authserver"
)

// world is an authorization server, an API that demands nonces, and a user of both.
type world struct {
	*user
	issuer, api string
	as          *authserver.Server
	reason      atomic.Value // of the API's last decision; empty: it accepted
	handled     atomic.Int32
}

func newWorld(t *testing.T, change func(*authserver.Config)) *world {
	w := &world{user: newUser(t)}
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(server.Close)
	w.api = server.URL
	config := authserver.Config{
		Audiences: []string{w.api, "https://other.example.com"}, AutoApprove: "alice", RequireNonce: true,
		Users: []authserver.User{{Name: "alice", Password: "wonderland", ACRs: []string{"pwd", "mfa"}}},
		Clients: []authserver.Client{
			{ID: "app", RedirectURIs: []string{"http://127.0.0.1/callback"}, Scopes: []string{"read", "pay"}},
			{ID: "job", Secret: "s3cret", Scopes: []string{"read"}},
		},
	}
	if change != nil {
		change(&config)
	}
	var err error
	if w.as, err = authserver.Start(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.as.Close() })
	w.issuer = w.as.Issuer()
	guard, err := access.New(access.Config{
		Origins: []string{w.api}, Issuers: []access.Issuer{{URL: w.issuer, Audience: w.api}}, RequireNonce: true,
		Observer: access.Observer{Decided: func(_ context.Context, d access.Decision) { w.reason.Store(d.Reason()) }},
		Log:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	handler = w.routes(guard)
	return w
}

func (w *world) routes(guard *access.Guard) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/moved", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	})
	echo := func(rw http.ResponseWriter, r *http.Request) {
		w.handled.Add(1)
		body, _ := io.ReadAll(r.Body)
		rw.Header().Set("X-Said", "hello")
		rw.Header().Set("Set-Cookie", "id=secret")
		fmt.Fprintf(rw, "%s %s by %s with %q of %q, X-A %q, agent %q\n", r.Method, r.URL, access.GrantFrom(r.Context()).Subject,
			body, r.Header.Get("Content-Type"), r.Header["X-A"], r.UserAgent())
	}
	mux.Handle("/", guard.Handler(http.HandlerFunc(echo)))
	mux.Handle("/pay", guard.Handler(http.HandlerFunc(echo), access.Requirement{Scopes: []string{"pay"}}))
	mux.Handle("/close", guard.Handler(http.HandlerFunc(echo), access.Requirement{ACRValues: []string{"mfa"}}))
	return mux
}

// logIn runs the program and is the user who logs in at the address that it prints.
func (w *world) logIn(args ...string) outcome {
	w.Helper()
	command := w.start(w.Context(), append([]string{"curl", "--no-browser", "--issuer", w.issuer, "--client", "app"}, args...)...)
	var out strings.Builder
	command.Stdout = &out
	said, err := command.StderrPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := command.Start(); err != nil {
		w.Fatal(err)
	}
	var text strings.Builder
	for lines := bufio.NewScanner(said); lines.Scan(); {
		fmt.Fprintln(&text, lines.Text())
		if address := strings.TrimSpace(lines.Text()); strings.HasPrefix(address, w.issuer+"/authorize?") {
			response, err := http.Get(address)
			if err != nil {
				w.Fatal(err)
			}
			response.Body.Close()
		}
	}
	_ = command.Wait() // the exit code tells
	return outcome{out.String(), text.String(), command.ProcessState.ExitCode()}
}

// loggedIn is a world whose user is logged in.
func loggedIn(t *testing.T, args ...string) *world {
	t.Helper()
	w := newWorld(t, nil)
	got := w.logIn(append(args, w.api+"/a")...)
	if got.status != 0 || !strings.HasPrefix(got.out, "GET /a by alice") || !strings.Contains(got.said, "Logged in. The token is good for") {
		t.Fatalf("%+v", got)
	}
	return w
}

// A request with token and proof, the nonce learnt; the login is kept for the next, and taken back by logout.
func TestCurl(t *testing.T) {
	w := loggedIn(t)
	w.expect("", outcome{out: "GET /b?q by alice with \"\" of \"\", X-A [], agent \"senderlock/(devel)\"\n"}, "curl", w.api+"/b?q")
	w.expect("", outcome{said: "Logged out."}, "logout", w.api)
	w.expect("", outcome{said: "you are not logged in: log in first with --issuer and --client", status: 2}, "curl", w.api+"/b")
	if again := w.run("", "logout", w.api); again.said != "You were not logged in.\n" || again.status != 0 {
		t.Errorf("logged out twice: %+v", again)
	}
}

// What comes out of a pipe can be sent only once, whatever name it has: the second attempt would send what is left of it.
func TestCurlUploadOfAPipe(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: there is no /dev/stdin on Windows")
	}
	w := loggedIn(t)
	w.expect("streamed", outcome{out: `PUT /x by alice with "streamed" of ""`}, "curl", "-T", "/dev/stdin", w.api+"/x")
}

// The flags of curl mean what they mean there.
func TestCurlFlags(t *testing.T) {
	w := loggedIn(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte("a\r\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const form = `"application/x-www-form-urlencoded"`
	for name, test := range map[string]struct {
		stdin, out string
		args       []string
	}{
		"method":           {"", "DELETE /x by alice", []string{"-XDELETE"}},
		"form":             {"", `POST /x by alice with "a=1&b=2" of ` + form, []string{"-d", "a=1", "--data", "b=2"}},
		"no data":          {"", `POST /x by alice with "" of ` + form, []string{"-d", ""}},
		"file":             {"", `POST /x by alice with "ab" of ` + form, []string{"-d", "@" + file}},
		"file as it is":    {"", `with "a\r\nb\n" of`, []string{"--data-binary", "@" + file}},
		"stdin":            {"x\ny", `with "xy" of`, []string{"-d", "@-"}},
		"raw":              {"", `with "@x" of`, []string{"--data-raw", "@x"}},
		"JSON":             {"", `POST /x by alice with "{}" of "application/json"`, []string{"--json", "{}"}},
		"method with data": {"", `PATCH /x by alice with "a" of "text/plain"`, []string{"-X", "PATCH", "-d", "a", "-H", "content-type: text/plain"}},
		"fields":           {"", `X-A ["1" "2"]`, []string{"-H", "X-A: 1", "-H", "x-a:2"}},
		"agent":            {"", `agent "me"`, []string{"-A", "me"}},
		"upload":           {"", `PUT /x by alice with "a\r\nb\n" of ""`, []string{"-T", file}},
		"upload of stdin":  {"streamed", `PUT /x by alice with "streamed" of ""`, []string{"-T", "-"}},
		"header too":       {"", "HTTP/1.1 200 OK\nContent-Length: ", []string{"-i"}},
		"header alone":     {"", "X-Said: hello\n\n", []string{"-I"}},
		"some at once":     {"", "X-Said: hello\n\nGET /x", []string{"-sSi"}},
		"fine":             {"", "GET /x", []string{"-f", "-m", "30"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &world{user: &user{T: t, home: w.home}, api: w.api}
			w.expect(test.stdin, outcome{out: test.out}, append([]string{"curl", w.api + "/x"}, test.args...)...)
		})
	}
	saved := filepath.Join(folder, "saved")
	w.expect("", outcome{}, "curl", "-o", saved, w.api+"/x")
	if text, err := os.ReadFile(saved); err != nil || !strings.HasPrefix(string(text), "GET /x") {
		t.Errorf("%s, %v", text, err)
	}
}

// Refusals: what the API says, and what the user can do. The exit code is that of curl unless -f is given.
func TestCurlRefused(t *testing.T) {
	w := loggedIn(t, "--scope", "read")
	refused := func(reason string, want outcome, args ...string) {
		t.Helper()
		w.expect("", want, append([]string{"curl"}, args...)...)
		if got := w.reason.Load(); got != reason {
			t.Errorf("the API's reason is %q, want %q", got, reason)
		}
	}
	const advice = "the token lacks the scope that the answer names: ask for it, or let the issuer grant it to this client"
	got := w.run("", "curl", w.api+"/pay")
	if got.status != 0 || !strings.Contains(got.out, "{") || !strings.Contains(got.said, "403 Forbidden\nWWW-Authenticate: DPoP") ||
		!strings.Contains(got.said, advice) {
		t.Errorf("%+v", got)
	}
	refused("scope_missing", outcome{said: "senderlock curl: the API answers 403 Forbidden", status: 1}, "-f", w.api+"/pay")
	refused("scope_missing", outcome{status: 1}, "-fs", w.api+"/pay")
	refused("scope_missing", outcome{said: "the API answers 403 Forbidden", status: 1}, "-fsS", w.api+"/pay")
	refused("login_too_weak", outcome{said: `acr_values="mfa"`, status: 1}, "-f", w.api+"/close")

	if got := w.logIn("--scope", "read pay", "--acr", "mfa", w.api+"/close"); got.status != 0 || !strings.HasPrefix(got.out, "GET /close") {
		t.Errorf("a stronger login: %+v", got)
	}
	w.expect("", outcome{out: "GET /pay"}, "curl", w.api+"/pay")
	if got := w.logIn(w.api + "/pay"); strings.Contains(got.said, "Log in") || got.status != 0 {
		t.Errorf("the login that is there already: %+v", got)
	}
	if got := w.logIn("--login", w.api+"/pay"); !strings.Contains(got.said, "Logged in.") || got.status != 0 {
		t.Errorf("another login: %+v", got)
	}
}

func TestCurlClientCredentials(t *testing.T) {
	w := newWorld(t, nil)
	secret := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		if err := os.WriteFile(secret, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"curl", "--issuer", w.issuer, "--client", "job", "--client-secret-file", secret, w.api + "/a"}
	write("s3cret\n")
	w.expect("", outcome{out: "GET /a by job"}, args...)
	w.expect("", outcome{out: "GET /a by job"}, append(args, "--resource", w.api, "--scope", "read")...)
	w.expect("", outcome{said: `"invalid_target"`, status: 2}, append(args, "--resource", "https://nobody.example.com")...)
	w.expect("", outcome{said: "is the token for this API (--resource), not for \"https://other.example.com\"?", status: 1}, append(args, "-f", "--resource", "https://other.example.com")...)
	write("wrong")
	w.expect("", outcome{said: `"invalid_client"`, status: 2}, args...)
	write(" ")
	w.expect("", outcome{said: "has no secret in it", status: 2}, args...)
}

// A secret that others may read is not used, whichever flag names its file.
func TestSecretsThatOthersMayRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("access depends on more than a file's mode there")
	}
	w := newWorld(t, nil)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(secret, []byte("s3cret"), 0o600), os.Chmod(secret, 0o640)); err != nil {
		t.Fatal(err)
	}
	for flag, args := range map[string][]string{
		"--client-secret-file": {"curl", "--issuer", w.issuer, "--client", "job", "--client-secret-file", secret, w.api + "/a"},
		"--nonce-secret-file":  {"explain", "--nonce-secret-file", secret},
		"--cert":               {"curl", "--token-file", "-", "--cert", secret, "https://127.0.0.1:1/a"},
		"--cert-key":           {"curl", "--token-file", "-", "--cert", os.Args[0], "--cert-key", secret, "https://127.0.0.1:1/a"},
	} {
		got := w.run("GET / HTTP/1.1\nHost: a.example\nDPoP: a.b.c\n\n", args...)
		if got.status != 2 || !strings.Contains(got.said, flag+": ") || !strings.Contains(got.said, "others than the owner have access to the file: its mode is 0640") {
			t.Errorf("%s: %+v", flag, got)
		}
	}
}

// A token that was got elsewhere for the key of this program.
func TestCurlWithAToken(t *testing.T) {
	w := newWorld(t, nil)
	w.expect("x", outcome{said: "there is no key yet", status: 2}, "curl", "--token-file", "-", w.api)
	w.run("", "key", "new")
	jkt := strings.TrimSpace(w.run("", "key", "thumbprint").out)
	token, err := w.as.Mint(authserver.Token{Subject: "bob", ClientID: "app", Audience: w.api, JKT: jkt})
	if err != nil {
		t.Fatal(err)
	}
	w.expect(token, outcome{out: "GET /a by bob"}, "curl", "--token-file", "-", w.api+"/a")
	foreign, err := w.as.Mint(authserver.Token{Subject: "bob", ClientID: "app", Audience: w.api, JKT: strings.Repeat("A", 43)})
	if err != nil {
		t.Fatal(err)
	}
	w.expect(foreign, outcome{said: "the token is not accepted", status: 1}, "curl", "-f", "--token-file", "-", w.api+"/a")
	if got := w.reason.Load(); got != "key_mismatch" {
		t.Errorf("refused for %q", got)
	}
}

// What helps with a token that is refused is said by what the API says, what can be seen of the token, and where it came from.
func TestCurlAdviceAboutAToken(t *testing.T) {
	w := newWorld(t, nil)
	w.run("", "key", "new")
	jkt := strings.TrimSpace(w.run("", "key", "thumbprint").out)
	good := authserver.Token{Subject: "bob", ClientID: "app", Audience: w.api, JKT: jkt}
	mint := func(change func(*authserver.Token)) string {
		wanted := good
		change(&wanted)
		token, err := w.as.Mint(wanted)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	for name, test := range map[string]struct{ token, reason, want string }{
		"ended": {
			mint(func(t *authserver.Token) { t.Claims = map[string]any{"iat": 1_700_000_000, "exp": 1_700_000_300} }), "token_expired",
			"the token is not accepted (the access token has expired): it ended at 2023-11-14T22:18:20Z, and the API says that it is 20",
		},
		"of another key": {
			mint(func(t *authserver.Token) { t.JKT = strings.Repeat("A", 43) }), "key_mismatch",
			fmt.Sprintf("it is bound to the key %q, and the proof is of %q; give its key by --key, or get another token", strings.Repeat("A", 43), jkt),
		},
		"of what is no key": {
			mint(func(t *authserver.Token) { t.JKT = "x\nlogged in" }), "key_mismatch", `it is bound to the key "x\nlogged in", and`,
		},
		"of a certificate": {
			mint(func(t *authserver.Token) {
				t.JKT, t.Claims = "", map[string]any{"cnf": map[string]any{"x5t#S256": strings.Repeat("A", 43)}}
			}), "token_unbound", "it is bound to a certificate; give that by --cert",
		},
		"of nobody": {
			mint(func(t *authserver.Token) { t.JKT = "" }), "token_unbound", "it is bound to nobody; have the issuer bind it",
		},
		"for another API": {
			mint(func(t *authserver.Token) { t.Audience = "https://other.example.com" }), "token_audience_wrong",
			`nothing of it looks wrong from here; it may have been taken back (get another token), or the API takes none of issuer "` + w.issuer + `" for "https://other.example.com"`,
		},
		"opaque": {"opaque", "token_jws_malformed", "what it says is for its issuer to see; get another token"},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.run(test.token, "curl", "--token-file", "-", w.api+"/a")
			if reason := w.reason.Load(); reason != test.reason || !strings.Contains(got.said, test.want) {
				t.Errorf("refused for %q: %+v, want %q and %q", reason, got, test.reason, test.want)
			}
		})
	}
}

// A login is kept for the key with which it was made: with another, it is to be made anew.
func TestCurlAdviceAboutALogin(t *testing.T) {
	w := loggedIn(t)
	another := filepath.Join(t.TempDir(), "key.pem")
	w.run("", "key", "new", "--key", another)
	got := w.run("", "curl", "--key", another, w.api+"/a")
	if !strings.Contains(got.said, "give its key by --key, or log in again by --login") {
		t.Errorf("%+v", got)
	}
}

// What is sent and answered is said, the attempt without the nonce too, and no secret.
func TestCurlVerbose(t *testing.T) {
	w := newWorld(t, nil)
	w.run("", "key", "new")
	jkt := strings.TrimSpace(w.run("", "key", "thumbprint").out)
	token, err := w.as.Mint(authserver.Token{Subject: "bob", ClientID: "app", Audience: w.api, JKT: jkt})
	if err != nil {
		t.Fatal(err)
	}
	got := w.run(token, "curl", "-v", "--token-file", "-", "-H", "Cookie: id=secret",
		"-H", "Proxy-Authorization: Basic secret", w.api+"/a")
	host, _ := strings.CutPrefix(w.api, "http://")
	for _, want := range []string{"> GET /a\n", "> Host: " + host + "\n", "< HTTP/1.1 401 Unauthorized", "< Dpop-Nonce: ", "< HTTP/1.1 200 OK",
		fmt.Sprintf("> Authorization: DPoP … (%d octets)\n", len(token)), "> Dpop: … (", "> Cookie: … (9 octets)\n",
		"> Proxy-Authorization: Basic … (6 octets)\n", "< Set-Cookie: … (9 octets)\n"} {
		if !strings.Contains(got.said, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if strings.Contains(got.said, " eyJ") || strings.Contains(got.said, "secret") || strings.Count(got.said, "> GET /a") != 2 {
		t.Error(got.said)
	}
}

// The token and what is sent go to the API alone, not where a redirect leads.
func TestCurlRedirects(t *testing.T) {
	w := loggedIn(t)
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer other.Close()
	got := w.run("", "curl", "-i", w.api+"/moved?to=/a")
	if got.status != 0 || !strings.HasPrefix(got.out, "HTTP/1.1 307 ") {
		t.Errorf("not followed: %+v", got)
	}
	w.expect("", outcome{out: `POST /a by alice with "x" of`}, "curl", "-L", "-d", "x", w.api+"/moved?to=/a")
	got = w.run("", "curl", "-L", "-d", "x", w.api+"/moved?to="+other.URL+"/x")
	if want := "it leads to " + other.URL + "/x, and the request is for the API alone"; got.status != 1 || !strings.Contains(got.said, want) {
		t.Errorf("%+v", got)
	}
	w.expect("", outcome{said: "you are not logged in", status: 2}, "curl", other.URL+"/x")
}

// What servers say cannot steer the terminal; the body goes to the output as it is.
func TestCurlTerminal(t *testing.T) {
	const steering = "\x1b]0;title\x07\u009b2J\u202e"
	w := newWorld(t, nil)
	w.run("", "key", "new")
	const field = "\u009b2J\u202e" // what net/http lets through in one
	answer := "HTTP/1.1 403 No " + steering + "\r\nWWW-Authenticate: DPoP x=\"" + field + "\"\r\nX-Said: " + field + "\r\n\r\nbody" + steering
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	raw := "http://" + listener.Addr().String()
	steers := func(text string) bool { return strings.ContainsAny(text, "\x1b\a\u009b\u202e") }
	for _, flags := range [][]string{nil, {"-i"}, {"-v"}, {"-f"}} {
		got := w.run("token", append([]string{"curl", "--token-file", "-", raw}, flags...)...)
		head, body, _ := strings.Cut(got.out, "body")
		if steers(got.said) || !strings.Contains(got.said, "403 No ?]0;title") || steers(head) || body != "" && body != steering ||
			body == "" && flags == nil {
			t.Errorf("%q: %q, %q", flags, got.out, got.said)
		}
	}
	got := w.run("", "curl", "--issuer", raw, "--client", "app", w.api)
	if steers(got.said) || !strings.Contains(got.said, "403 No ?]0;title") || got.status != 2 {
		t.Errorf("the issuer: %q", got.said)
	}
}

func TestCurlWrong(t *testing.T) {
	w := newWorld(t, nil)
	w.run("", "key", "new")
	nothing := filepath.Join(t.TempDir(), "nothing")
	redirect := func(uri string) []string {
		return []string{"--issuer", w.issuer, "--client", "app", "--redirect", uri, w.api}
	}
	for name, test := range map[string]struct {
		said string
		args []string
	}{
		"no URL":                {"the URL is missing (usage: senderlock curl [flags] URL)", nil},
		"two URLs":              {"is one argument too many", []string{w.api, w.api}},
		"no scheme":             {"the URL is not an address such as https://", []string{"api.example.com/a"}},
		"another scheme":        {"the URL is not an address such as https://", []string{"ftp://api.example.com/a"}},
		"a password in the URL": {"the URL is not an address such as https://", []string{"https://u:p@api.example.com/a"}},
		"unknown flag":          {"unknown flag: --insecure (senderlock curl --help lists the flags)", []string{"--insecure", w.api}},
		"field without colon":   {"write it as Name: value", []string{"-H", "x", w.api}},
		"a token as a field":    {"token and proof come from this program: see --token-file", []string{"-H", "authorization: DPoP x", w.api}},
		"a proof as a field":    {"token and proof come from this program", []string{"-H", "dpop: x", w.api}},
		"no name of a file":     {"there is no name of a file behind @", []string{"-d", "@", w.api}},
		"no such data":          {"no such file", []string{"--token-file", "-", "-d", "@" + nothing, w.api}},
		"no such upload":        {"no such file", []string{"--token-file", "-", "-T", nothing, w.api}},
		"no such authorities":   {"no such file", []string{"--token-file", "-", "--cacert", nothing, w.api}},
		"no such token":         {"no such file", []string{"--token-file", nothing, w.api}},
		"two bodies":            {"-d and -T both give a body: choose one", []string{"-d", "x", "-T", "x", w.api}},
		"stdin twice":           {"the standard input cannot be both token and body", []string{"--token-file", "-", "-d", "@-", w.api}},
		"stdin twice, upload":   {"the standard input cannot be both token and body", []string{"--token-file", "-", "-T", "-", w.api}},
		"time":                  {"--max-time is -1: give a number of seconds", []string{"-m", "-1", w.api}},
		"method":                {"invalid method", []string{"-X", "GE T", w.api}},
		"two tokens":            {"--token-file is a token already", []string{"--token-file", "-", "--issuer", w.issuer, w.api}},
		"issuer alone":          {"--issuer needs --client", []string{"--issuer", w.issuer, w.api}},
		"secret alone":          {"--client-secret-file needs --issuer and --client", []string{"--client-secret-file", "x", w.api}},
		"API in the clear":      {"the URL is one of http://api.example.com: use https (http is for this machine alone)", []string{"--token-file", "-", "http://api.example.com/a"}},
		"issuer in the clear":   {"use https (http is for this machine alone)", []string{"--issuer", "http://login.example.com", "--client", "app", w.api}},
		"redirect abroad":       {`-redirect is "http://192.0.2.1/": give one such as`, redirect("http://192.0.2.1/")},
		"redirect to all":       {`-redirect is "http://0.0.0.0/": give one such as`, redirect("http://0.0.0.0/")},
		"redirect by name":      {`-redirect is "http://localhost/": give one such as`, redirect("http://localhost/")},
		"redirect over https":   {`-redirect is "https://127.0.0.1/": give one such as`, redirect("https://127.0.0.1/")},
		"redirect with query":   {`-redirect is "http://127.0.0.1/?a": give one such as`, redirect("http://127.0.0.1/?a")},
		"redirect, fragment":    {`-redirect is "http://127.0.0.1/#a": give one such as`, redirect("http://127.0.0.1/#a")},
	} {
		t.Run(name, func(t *testing.T) {
			u := &user{T: t, home: w.home}
			u.expect("token", outcome{said: test.said, status: 2}, append([]string{"curl", "--no-browser"}, test.args...)...)
		})
	}
}

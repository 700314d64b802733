package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/explain"
)

const address = "127.0.0.1:8080"

func newTestPage(t *testing.T) http.Handler {
	t.Helper()
	page, err := newPage(address)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// send sends a request as the page does, with fields that come in pairs; Host is one of them.
func send(page http.Handler, method, path, body string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = address
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, r)
	return w
}

func TestFields(t *testing.T) {
	page := newTestPage(t)
	for path, media := range map[string]string{
		"/": "text/html; charset=utf-8", "/app.js": "text/javascript; charset=utf-8", "/style.css": "text/css; charset=utf-8",
		"/look/style.css": "text/css; charset=utf-8", "/look/icon.svg": "image/svg+xml",
	} {
		w := send(page, "GET", path, "")
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != media {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Cross-Origin-Resource-Policy": "same-origin", "Access-Control-Allow-Origin": "", "Set-Cookie": "",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

// No script and no style is in the page, and nothing is loaded from elsewhere.
func TestNoInlineCode(t *testing.T) {
	page := newTestPage(t)
	shown := send(page, "GET", "/", "").Body.String()
	for _, form := range []string{"<style", "style=", " onclick", "javascript:", `href="http`, `src="http`} {
		if strings.Contains(shown, form) {
			t.Errorf("the page has %q", form)
		}
	}
	if !strings.Contains(shown, "goes to the program on this machine that serves the page, and no\n      further") {
		t.Error("the page does not say where what is typed goes")
	}
	if script := send(page, "GET", "/app.js", "").Body.String(); strings.Contains(script, "innerHTML") || strings.Contains(script, "http://") {
		t.Error("innerHTML is used, or another server")
	}
}

// Only our own page, by our own address, is answered. A name that leads to this machine (DNS rebinding) is another's.
func TestOthers(t *testing.T) {
	page := newTestPage(t)
	const scene = `{"name":"good"}`
	for name, test := range map[string]struct {
		method, path, body string
		fields             []string
		status             int
	}{
		"our page":                       {"POST", "/scene", scene, []string{"Origin", "http://" + address, "Sec-Fetch-Site", "same-origin"}, 200},
		"no browser":                     {"POST", "/scene", scene, nil, 200},
		"another name":                   {"POST", "/scene", scene, []string{"Host", "evil.example:8080"}, 421},
		"another name for the page":      {"GET", "/", "", []string{"Host", "evil.example:8080"}, 421},
		"localhost":                      {"GET", "/", "", []string{"Host", "localhost:8080"}, 421},
		"another port":                   {"GET", "/", "", []string{"Host", "127.0.0.1:8081"}, 421},
		"another name that is its own":   {"POST", "/scene", scene, []string{"Host", "evil.example:8080", "Origin", "http://evil.example:8080", "Sec-Fetch-Site", "same-origin"}, 421},
		"another site":                   {"POST", "/scene", scene, []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}, 403},
		"another site, an old browser":   {"POST", "/scene", scene, []string{"Origin", "https://evil.example"}, 403},
		"another port of this machine":   {"POST", "/scene", scene, []string{"Origin", "http://127.0.0.1:8081", "Sec-Fetch-Site", "same-site"}, 403},
		"an opaque origin":               {"POST", "/judge", "{}", []string{"Origin", "null"}, 403},
		"a form":                         {"POST", "/scene", scene, []string{"Content-Type", "text/plain"}, 415},
		"no type":                        {"POST", "/scene", scene, []string{"Content-Type", ""}, 415},
		"GET":                            {"GET", "/scene", scene, nil, 405},
		"GET of a decision":              {"GET", "/judge", "{}", nil, 405},
		"GET of a signature":             {"GET", "/sign", "{}", nil, 405},
		"a preflight":                    {"OPTIONS", "/judge", "", []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST"}, 405},
		"nothing":                        {"GET", "/nothing", "", nil, 404},
		"a file of the program":          {"GET", "/page.html", "", nil, 404},
		"no such scene":                  {"POST", "/scene", `{"name":"x"}`, nil, 422},
		"no JSON":                        {"POST", "/scene", `{`, nil, 400},
		"an unknown member":              {"POST", "/scene", `{"nam":"good"}`, nil, 400},
		"more behind it":                 {"POST", "/scene", scene + scene, nil, 400},
		"too much":                       {"POST", "/judge", `{"token":"` + strings.Repeat("x", most) + `"}`, nil, 413},
		"nobody's signature":             {"POST", "/sign", `{"header":"{}","claims":"{}","by":"x"}`, nil, 422},
		"nobody's proof":                 {"POST", "/proof", `{"method":"GET","url":"https://a.example/","by":"x"}`, nil, 422},
		"a proof for no address":         {"POST", "/proof", `{"method":"GET","url":"x","by":"owner"}`, nil, 422},
		"nothing pasted":                 {"POST", "/read", `{"text":""}`, nil, 422},
		"something else pasted":          {"POST", "/read", `{"text":"a secret"}`, nil, 422},
		"a request that is not one":      {"POST", "/judge", `{"method":"G T","url":"https://a.example/"}`, nil, 422},
		"a time that no calendar has":    {"POST", "/judge", `{"now":"x"}`, nil, 400},
		"credentials in the URL":         {"POST", "/judge", `{"method":"GET","url":"https://u:p@a.example/"}`, nil, 422},
		"no certificate":                 {"POST", "/judge", `{"method":"GET","url":"https://a.example/","certificate":"x"}`, nil, 422},
		"taken back, and nothing to say": {"POST", "/judge", `{"method":"GET","url":"https://a.example/","takenBack":true}`, nil, 422},
	} {
		w := send(page, test.method, test.path, test.body, test.fields...)
		if w.Code != test.status || strings.Contains(w.Body.String(), "secret") || w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, test.status)
		}
	}
}

// A line break in one field makes no other field.
func TestNoFieldIsInjected(t *testing.T) {
	d := newTestDemo(t)
	for name, change := range map[string]func(*inputs){
		"method": func(in *inputs) { in.Method = "GET / HTTP/1.1\r\nDPoP: x\r\nX:" },
		"scheme": func(in *inputs) { in.Scheme = "DPoP x\r\nAuthorization: Basic" },
		"token":  func(in *inputs) { in.Token += "\nDPoP: x" },
		"proof":  func(in *inputs) { in.Proof += "\r\nX-Forwarded-Host: evil.example" },
	} {
		in := d.played(t, "good")
		change(&in)
		if _, err := in.request(); err == nil || !strings.Contains(err.Error(), "the "+name+" has a line break") {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := d.played(t, "good")
	in.URL = "https://api.example.com/\r\nDPoP: x"
	if _, err := in.request(); err == nil {
		t.Error("a line break in the URL is taken")
	}
	in.URL = "https://api.example.com/a%0d%0aDPoP:%20x?b c"
	if r, err := in.request(); err == nil && len(r.Header["Dpop"]) != 1 {
		t.Errorf("%v", r.Header)
	}
	// But whoever wants more fields has a place to write them.
	in = d.played(t, "good")
	in.Fields = "X-A: 1\nX-B: 2\n"
	if r, err := in.request(); err != nil || r.Header.Get("X-A")+r.Header.Get("X-B") != "12" {
		t.Errorf("%v, %v", r, err)
	}
}

// Whatever is edited, the answer is a decision or a sentence, and comes at once.
func FuzzJudge(f *testing.F) {
	d, err := newDemo()
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"good", "certificate", "nonce", "takenBack"} {
		s, _ := sceneOf(name)
		in, err := d.play(s, time.Now())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(in.Method, in.URL, in.Scheme, in.Token, in.Proof, "X: y", in.Certificate, in.Now.Unix(), uint8(0))
	}
	f.Add("GET", "https://a.example", "", "", "", "", "", int64(1)<<62, uint8(15))
	f.Fuzz(func(t *testing.T, method, url, scheme, token, proof, fields, certificate string, now int64, switches uint8) {
		in := inputs{
			Method: method, URL: url, Scheme: scheme, Token: token, Proof: proof, Fields: fields, Certificate: certificate,
			Now: time.Unix(now, 0), Nonce: switches&1 != 0, Again: switches&2 != 0, TakenBack: switches&4 != 0, Named: switches&8 != 0,
		}
		report, err := d.judge(t.Context(), in)
		if err != nil {
			return
		}
		if report.Verdict.Accepted == (report.Verdict.Reason != "") || len(report.Steps) == 0 {
			t.Errorf("%+v", report)
		}
	})
}

// What is signed is signed as it was written, if that is JSON or not.
func TestSign(t *testing.T) {
	d := newTestDemo(t)
	for _, text := range []string{`{"alg":"none"}`, `{"alg":"HS256"}`, `{"alg":7}`, `{`, ""} {
		jwt, err := d.sign(text, text, "owner")
		if parts := strings.Split(jwt, "."); err != nil || len(parts) != 3 || (parts[2] == "") != (text == `{"alg":"none"}`) {
			t.Errorf("%s: %q, %v", text, jwt, err)
		}
	}
}

func TestArguments(t *testing.T) {
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":         {[]string{"-h"}, 0, "usage: go run ./examples/playground"},
		"unknown flag": {[]string{"-x"}, 2, "usage:"},
		"too many":     {[]string{"serve"}, 2, "usage:"},
		"port too big": {[]string{"-port", "70000"}, 1, "playground: -port 70000: give a port that is free"},
	} {
		var out, errOut bytes.Buffer
		status := program{story.Program{Name: "playground", Out: &out, Err: &errOut}}.run(t.Context(), test.args)
		if status != test.status || !strings.Contains(errOut.String(), test.says) || out.Len() != 0 {
			t.Errorf("%s: exit status %d, %q, %q", name, status, &errOut, &out)
		}
	}
}

// The program serves on this machine alone, and ends when it is told to.
func TestServes(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, out := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- program{story.Program{Name: "playground", Out: out, Err: t.Output()}}.run(ctx, nil)
		_ = out.Close()
	}()
	line := make([]byte, 200)
	n, err := said.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	url := strings.Fields(string(line[:n]))[1]
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("it says %q", line[:n])
	}
	answer, err := http.Post(url+"/scene", "application/json", strings.NewReader(`{"name":"good"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var in inputs
	if err := json.NewDecoder(answer.Body).Decode(&in); err != nil || in.Token == "" {
		t.Errorf("%v, %+v", err, in)
	}
	stop()
	if status := <-done; status != 0 {
		t.Errorf("it ended with %d", status)
	}
}

// What the page shows of a private key in a proof is not the key; what is sent is the reader's own affair.
func TestDecisionHidesPrivateKeys(t *testing.T) {
	page := newTestPage(t)
	in := send(page, "POST", "/scene", `{"name":"private"}`).Body.String()
	w := send(page, "POST", "/judge", in)
	var answer struct {
		Verdict explain.Verdict
		Proof   struct {
			Header struct{ JWK map[string]string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Verdict.Reason != "key_private" || answer.Proof.Header.JWK["d"] != "…" {
		t.Errorf("%v: %s", err, w.Body)
	}
}

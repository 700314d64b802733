package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/story"
)

// servers starts the three servers.
func servers(t *testing.T) *stage {
	t.Helper()
	s, err := start(program{story.Program{Name: "browser", Out: t.Output(), Err: t.Output()}, newAPI}, ports{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func portOf(t *testing.T, origin string) uint {
	t.Helper()
	u, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint(port)
}

// request sends a request and returns the answer with its body. The fields come in pairs; Host is one of them.
func request(t *testing.T, method, url string, fields ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	r.Host = r.Header.Get("Host")
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestPageHeaders(t *testing.T) {
	s := servers(t)
	policy := "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
		"connect-src 'self' " + s.at.api + " ws" + strings.TrimPrefix(s.at.api, "http") + " " + s.at.issuer + "; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
	for path, want := range map[string]struct {
		status    int
		mediaType string
	}{
		"/":               {200, "text/html; charset=utf-8"},
		"/app.js":         {200, "text/javascript; charset=utf-8"},
		"/dpop.js":        {200, "text/javascript; charset=utf-8"},
		"/style.css":      {200, "text/css; charset=utf-8"},
		"/look/style.css": {200, "text/css; charset=utf-8"},
		"/look/icon.svg":  {200, "image/svg+xml"},
		"/settings.json":  {200, "application/json"},
		"/log?request=x":  {404, "text/plain; charset=utf-8"},
		"/nowhere":        {404, "text/plain; charset=utf-8"},
	} {
		answer, _ := request(t, http.MethodGet, s.at.page+path)
		if got := answer.Header.Get("Content-Type"); answer.StatusCode != want.status || got != want.mediaType {
			t.Errorf("%s: %s, %s", path, answer.Status, got)
		}
		if got := answer.Header.Get("Cache-Control"); want.status == 200 && got != "no-store" {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
		for name, value := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
			"Access-Control-Allow-Origin": "",
		} {
			if got := answer.Header.Get(name); got != value {
				t.Errorf("%s: %s is %q, want %q", path, name, got, value)
			}
		}
	}
	if answer, _ := request(t, http.MethodPost, s.at.page+"/"); answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", answer.Status)
	}
}

// Under another name the page would be of another origin, which neither server knows.
func TestPageUnderAnotherName(t *testing.T) {
	s := servers(t)
	for _, path := range []string{"/", "/log?request=x"} {
		answer, _ := request(t, http.MethodGet, s.at.page+path, "Host", "localhost:8080")
		if got := answer.Header.Get("Location"); answer.StatusCode != http.StatusTemporaryRedirect || got != s.at.page+"/" {
			t.Errorf("%s: %s to %q", path, answer.Status, got)
		}
	}
}

// No script and no style is in the page itself, where the policy would not let it act.
func TestPageIsWithoutInlineCode(t *testing.T) {
	page, err := files.ReadFile("page/page.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"<style", "style=", " onclick", "javascript:", "http://", "https://"} {
		if strings.Contains(string(page), form) {
			t.Errorf("the page has %q", form)
		}
	}
	entries, err := files.ReadDir("page")
	if err != nil || len(entries) < 7 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, entry := range entries {
		text, err := files.ReadFile("page/" + entry.Name())
		if err != nil || strings.Contains(string(text), "innerHTML") {
			t.Errorf("%s: innerHTML is used, or %v", entry.Name(), err)
		}
	}
}

func TestAPIForOtherOrigins(t *testing.T) {
	s := servers(t)
	accounts := s.at.api + "/accounts"
	for name, test := range map[string]struct{ origin, allowed string }{
		"the page":               {s.at.page, s.at.page},
		"another origin":         {"http://127.0.0.1:1", ""},
		"the authorization site": {s.at.issuer, ""},
		"a longer name":          {s.at.page + ".evil.example", ""},
		"an opaque origin":       {"null", ""},
	} {
		preflight, _ := request(t, http.MethodOptions, accounts, "Origin", test.origin,
			"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "authorization,dpop")
		if got := preflight.Header.Get("Access-Control-Allow-Origin"); preflight.StatusCode != 204 || got != test.allowed {
			t.Errorf("%s: preflight: %s, %q", name, preflight.Status, got)
		}
		if got := preflight.Header.Get("Access-Control-Allow-Headers"); test.allowed != "" && got != "Authorization,DPoP" {
			t.Errorf("%s: preflight allows %q", name, got)
		}
		refusal, _ := request(t, http.MethodGet, accounts, "Origin", test.origin)
		if got := refusal.Header.Get("Access-Control-Allow-Origin"); refusal.StatusCode != 401 || got != test.allowed {
			t.Errorf("%s: %s, %q", name, refusal.Status, got)
		}
		if refusal.Header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are asked for", name)
		}
		exposed := strings.Join(refusal.Header.Values("Access-Control-Expose-Headers"), ",")
		for _, field := range []string{"WWW-Authenticate", "DPoP-Nonce", requestIDField} {
			if test.allowed != "" && !slices.Contains(strings.Split(exposed, ","), field) {
				t.Errorf("%s: %s is not exposed: %s", name, field, exposed)
			}
		}
	}
	if s.api.calls.Load() != 0 {
		t.Error("the handler ran")
	}
}

// The reason is in the page's window on the log, under the name of the request, and not in the API's answer.
func TestLog(t *testing.T) {
	s := servers(t)
	answer, body := request(t, http.MethodGet, s.at.api+"/accounts", requestIDField, "mine")
	id := answer.Header.Get(requestIDField)
	if answer.StatusCode != 401 || id == "" || id == "mine" || strings.Contains(body, "credentials_missing") {
		t.Errorf("%s, id %q: %s", answer.Status, id, body)
	}
	shown := func(id string) (status int, d decision) {
		answer, body := request(t, http.MethodGet, s.at.page+"/log?request="+id)
		if answer.StatusCode == http.StatusOK {
			if err := json.Unmarshal([]byte(body), &d); err != nil {
				t.Fatal(err)
			}
		}
		return answer.StatusCode, d
	}
	want := decision{Request: id, Outcome: "refused", Reason: "credentials_missing", Cause: "no credentials were sent"}
	if status, got := shown(id); status != 200 || got != want {
		t.Errorf("%d %+v", status, got)
	}
	for _, other := range []string{"", "mine"} {
		if status, _ := shown(other); status != 404 {
			t.Errorf("the log of %q: %d", other, status)
		}
	}
	for range keptDecisions {
		request(t, http.MethodGet, s.at.api+"/accounts")
	}
	if status, _ := shown(id); status != 404 {
		t.Errorf("a decision is remembered for ever: %d", status)
	}
	if answer, _ := request(t, http.MethodGet, s.at.api+"/log?request="+id); answer.StatusCode != 404 {
		t.Errorf("the API shows its log: %s", answer.Status)
	}
}

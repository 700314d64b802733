package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

// evil is a page of another origin that tries what it can with the user's cookie: each of these is sent, and none of
// the answers can be read.
const evil = `<!doctype html><title>evil</title><link rel="icon" href="data:,"><script>
const send = (method, path) => fetch(%[1]q + path, { method, body: method === "POST" ? "7" : undefined, mode: "no-cors", credentials: "include" });
(async () => {
  for (const request of ["GET /api/accounts", "POST /api/accounts", "GET /me", "POST /logout"]) await send(...request.split(" "));
  const form = document.forms[0];
  form.action = %[1]q + "/api/accounts";
  form.submit();
})();
</script><form method="post" enctype="text/plain"><input name="7"></form>`

// The whole story in a real browser: log in, call, be attacked from other origins, log out, be refused.
func TestInBrowser(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		w := newWorld(t, v)
		b := browsertest.Start(t)
		b.Open(w.origin)
		b.Wait(`document.body?.dataset.state === "out"`)
		b.Click("#call")
		b.Wait(entry("GET /api/accounts", 401, "not logged in"))

		b.Click("#login")
		b.Type("[name=username]", demoUser)
		b.Type("[name=password]", demoPassword)
		b.Click("form button")
		b.Wait(`document.body?.dataset.state === "in"`)
		b.Click("#call")
		b.Wait(entry("GET /api/accounts", 200, `"owner":"alice"`))
		b.Click("#pay")
		b.Wait(entry("POST /api/accounts", 201, `"amount":"7"`))
		b.Screenshot("logged-in")
		kept := browsertest.Value[string](b, `document.cookie + Object.keys(localStorage) + Object.keys(sessionStorage) + location.search`)
		if kept != "" || len(b.Troubles()) != 0 {
			t.Errorf("within reach of scripts: %q; troubles: %q", kept, b.Troubles())
		}

		attacker := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(rw, fmt.Sprintf(evil, w.origin))
		}))
		defer attacker.Close()
		for name, origin := range map[string]string{
			"another site":               attacker.URL, // 127.0.0.1, where we are localhost
			"another origin of our site": strings.Replace(attacker.URL, "127.0.0.1", "localhost", 1),
		} {
			before := strings.Count(w.log.String(), "request refused")
			b.Open(origin)
			b.Wait(`document.body?.innerText.includes("the request comes from another site")`) // what the form got
			if refused := strings.Count(w.log.String(), "request refused") - before; refused != 5 || w.reached.Load() != 2 {
				t.Errorf("%s: %d of 5 requests were refused, the API was reached %d times", name, refused, w.reached.Load())
			}
		}

		b.Open(w.origin)
		b.Wait(`document.body?.dataset.state === "in"`) // the attacker logged nobody out
		b.Click("#logout")
		b.Wait(`document.body?.dataset.state === "out"`)
		b.Click("#call")
		b.Wait(entry("GET /api/accounts", 401, "not logged in"))
		if w.reached.Load() != 2 {
			t.Errorf("the API was reached %d times", w.reached.Load())
		}
	})
}

// The browser keeps the session's cookie back when the authorization server, another site, sends it to the callback. A
// second login ends the first session all the same.
func TestSecondLoginInBrowser(t *testing.T) {
	each(t, func(t *testing.T, v variant) {
		v.lifetime = early
		w := newWorld(t, v)
		b := browsertest.Start(t)
		for range 2 {
			b.Open(w.origin)
			b.Click("#login")
			b.Type("[name=username]", demoUser)
			b.Type("[name=password]", demoPassword)
			b.Click("form button")
			b.Wait(`document.body?.dataset.state === "in"`)
		}
		_, rest, _ := strings.Cut(w.sent.String(), sessionCookie().Name+"=")
		first, _, _ := strings.Cut(rest, ";")
		w.later(early) // a sealed copy lives as long as its token
		copied := w.client()
		copied.cookies[sessionCookie().Name] = first
		copied.expect(401, "not logged in", "GET", "/api/accounts", "")
	})
}

// entry is true when the page shows a request with its answer last.
func entry(request string, status int, part string) string {
	return fmt.Sprintf(`(() => {
		const [request, status, text] = document.querySelector("#log li")?.children ?? [];
		return request?.textContent === %q && status.textContent === "%d" && text.textContent.includes(%q);
	})()`, request, status, part)
}

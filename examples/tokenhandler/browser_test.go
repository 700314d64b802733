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
const send = (method, path) => fetch(%[1]q + path, { method, body: method === "POST" ? "7" : undefined, mode: "no-cors", credentials: "include" }).catch(() => {});
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
		v.legs = &legs{}
		w := newWorld(t, v)
		b := browsertest.Start(t)
		b.Open(w.origin)
		b.Wait(`document.body?.dataset.state === "out"`)
		buttons(t, b, "login")
		called(t, b, 401)

		b.Click("#login")
		b.Type("[name=username]", demoUser)
		b.Type("[name=password]", demoPassword)
		b.Click("form button")
		b.Wait(`document.body?.dataset.state === "in"`)
		buttons(t, b, "call pay close logout")
		b.Click("#call")
		b.Wait(entry("GET /api/accounts", 200, `"owner":"alice"`))
		shownLeg(t, b, w, "401 use_dpop_nonce nonce, 200")
		b.Click("#pay")
		b.Wait(entry("POST /api/accounts", 201, `"amount":"7"`))
		shownLeg(t, b, w, "201")
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
		buttons(t, b, "login")
		called(t, b, 401)
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
			b.Wait(`document.body?.dataset.state`)
			browsertest.Value[bool](b, `(location.assign("/login"), true)`) // who is logged in has no button for it
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

// buttons compares the buttons that can be seen.
func buttons(t *testing.T, b *browsertest.Browser, want string) {
	t.Helper()
	const seen = `[...document.querySelectorAll("button")].filter((button) => button.checkVisibility()).map((button) => button.id).join(" ")`
	if got := browsertest.Value[string](b, seen); got != want {
		t.Errorf("the buttons are %q, want %q", got, want)
	}
}

// called sends a request that the page has no button for now.
func called(t *testing.T, b *browsertest.Browser, want int) {
	t.Helper()
	if got := browsertest.Value[int](b, `fetch("/api/accounts").then((answer) => answer.status)`); got != want {
		t.Errorf("the answer is %d, want %d", got, want)
	}
}

// shownLeg compares what the page shows of the requests to the API: each has a proof of its own, and nothing of a token.
func shownLeg(t *testing.T, b *browsertest.Browser, w *world, want string) {
	t.Helper()
	leg := browsertest.Value[[]struct {
		Request, Status, Code string
		Nonce                 bool
		Header, Payload       map[string]any
	}](b, `[...document.querySelectorAll("#log > li:first-child .leg > li")].map((item) => ({
		Request: item.querySelector(".request").textContent, Status: item.querySelector(".status").textContent,
		Code: item.querySelector(".code")?.textContent ?? "", Nonce: item.textContent.includes("One came with the answer"),
		Header: JSON.parse(item.querySelector(".header").textContent), Payload: JSON.parse(item.querySelector(".payload").textContent),
	}))`)
	var got []string
	seen := map[any]bool{}
	for _, s := range leg {
		words := s.Status + " " + s.Code
		if s.Nonce {
			words += " nonce"
		}
		got = append(got, strings.Join(strings.Fields(words), " "))
		method, address, _ := strings.Cut(s.Request, " ")
		if address != w.api+"/accounts" || s.Header["typ"] != "dpop+jwt" || s.Payload["htm"] != method || s.Payload["htu"] != address ||
			s.Payload["ath"] == nil || (s.Payload["nonce"] == nil) != (s.Code == "use_dpop_nonce") || seen[s.Payload["jti"]] {
			t.Errorf("%+v", s)
		}
		seen[s.Payload["jti"]] = true
	}
	if got := strings.Join(got, ", "); got != want {
		t.Errorf("the requests to the API: %s, want %s", got, want)
	}
}

// The page can be read and used on a phone and on a desk, by day and by night; it asks for another login where the API does.
func TestAppearance(t *testing.T) {
	w := newWorld(t, variant{legs: &legs{}})
	b := browsertest.Start(t)
	b.Open(w.origin)
	b.Wait(`document.body?.dataset.state === "out"`)
	flaws := b.Look("out")
	b.Click("#login")
	b.Type("[name=username]", demoUser)
	b.Type("[name=password]", demoPassword)
	b.Click("form button")
	b.Wait(`document.body?.dataset.state === "in"`)
	b.Click("#call")
	b.Wait(entry("GET /api/accounts", 200, `"owner":"alice"`))
	b.Click("summary")
	for _, flaw := range append(flaws, b.Look("in")...) {
		t.Error(flaw)
	}
	if troubles := b.Troubles(); len(troubles) != 0 {
		t.Errorf("troubles: %q", troubles)
	}
}

// Where the API wants another login, the button for that is there again, and leads to the login that is wanted.
func TestAnotherLogin(t *testing.T) {
	w := newWorld(t, variant{api: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("WWW-Authenticate", `DPoP error="insufficient_user_authentication", max_age="10"`)
		rw.WriteHeader(http.StatusUnauthorized)
	})})
	b := browsertest.Start(t)
	b.Open(w.origin)
	b.Click("#login")
	b.Type("[name=username]", demoUser)
	b.Type("[name=password]", demoPassword)
	b.Click("form button")
	b.Wait(`document.body?.dataset.state === "in"`)
	b.Click("#close")
	b.Wait(`document.body?.dataset.state === "again"`)
	buttons(t, b, "login call pay close logout")
	if to := browsertest.Value[string](b, `document.querySelector("#login").dataset.to`); to != "/login?max_age=10" {
		t.Errorf("the login is at %s", to)
	}
}

// Only in the demo is the page shown what its backend sends.
func TestLegs(t *testing.T) {
	for _, shown := range []*legs{nil, {}} {
		w := newWorld(t, variant{legs: shown})
		b := w.client()
		b.login()
		name := b.expect(200, "alice", "GET", "/api/accounts", "").Header.Get(legField)
		if (name != "") != (shown != nil) {
			t.Errorf("the leg is called %q", name)
		}
		if shown == nil {
			b.expect(404, "", "GET", "/legs/x", "")
			continue
		}
		b.expect(200, `"code":"use_dpop_nonce","nonce":true`, "GET", "/legs/"+name, "")
		b.expect(404, "no such request", "GET", "/legs/x", "")
		for range keptLegs {
			b.expect(200, "alice", "GET", "/api/accounts", "")
		}
		b.expect(404, "no such request", "GET", "/legs/"+name, "")
		b.header.Set("Sec-Fetch-Site", "cross-site")
		b.expect(403, "another site", "GET", "/legs/"+name, "")
	}
}

// entry is true when the page shows a request with its answer last.
func entry(request string, status int, part string) string {
	return fmt.Sprintf(`(() => {
		const text = (name) => document.querySelector("#log > li:first-child > .exchange " + name)?.textContent;
		return text(".request") === %q && text(".status") === "%d" && text(".body").includes(%q);
	})()`, request, status, part)
}

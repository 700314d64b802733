package browsertest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

const page = `<!doctype html><title>t</title><p id="said"></p><button onclick="said.textContent = 'clicked'">go</button>
<button id="bad" onclick="nowhere()">bad</button>`

func TestBrowser(t *testing.T) {
	b := browsertest.Start(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/strict" {
			w.Header().Set("Content-Security-Policy", "default-src 'none'")
		}
		_, _ = io.WriteString(w, page)
	}))
	defer server.Close()
	b.Open(server.URL)
	b.Click("button")
	b.Wait(`said.textContent === "clicked"`)
	if got := browsertest.Value[int](b, `Promise.resolve(7)`); got != 7 {
		t.Errorf("got %d", got)
	}
	if got := b.Troubles(); len(got) != 0 {
		t.Errorf("troubles before any: %q", got)
	}
	b.Click("#bad")
	b.Wait("true")
	b.Open(server.URL + "/strict")
	b.Click("button")
	got := strings.Join(b.Troubles(), "\n")
	if !strings.Contains(got, "nowhere is not defined") || !strings.Contains(got, "Content Security Policy") {
		t.Errorf("troubles: %s", got)
	}
	b.Screenshot("strict")
}

// Each of these pages has one flaw, and the first has none.
func TestLook(t *testing.T) {
	b := browsertest.Start(t)
	const head = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>t</title><h1>h</h1>`
	for _, test := range []struct{ page, says string }{
		{head + `<style>input, button { min-height: 24px }</style><p>fine <label>name <input></label><button>go on</button>`, ""},
		{head + `<p style="width: 500px">wide</p><p style="width: 2000px">wider</p>`, "wider than the screen"},
		{`<!doctype html><meta name="viewport" content="width=device-width"><title>t</title><h1>h</h1>`, "its language"},
		{`<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><h1>h</h1>`, "no title"},
		{`<!doctype html><html lang="en"><title>t</title><h1>h</h1>`, "no viewport"},
		{head + `<h1>again</h1>`, "one h1"},
		{head + `<p id="x">x<p id="x">x`, "is there twice"},
		{head + `<input>`, "has no label"},
		{head + `<button style="font-size: 8px">small</button>`, "(2.5.8)"},
		{head + `<p style="color: #999; background: #fff">faint`, "a contrast of 2.8"},
		{head + `<label>name <input style="border: 1px solid #ccc; background: #fff; color: #000"></label>`, "the edge of"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, test.page)
		}))
		b.Open(server.URL)
		found := strings.Join(b.Look("look"), "\n")
		server.Close()
		if found != "" && test.says == "" || !strings.Contains(found, test.says) {
			t.Errorf("%s: %q, want %q", test.page, found, test.says)
		}
	}
}

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

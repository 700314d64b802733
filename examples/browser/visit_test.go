package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/examples/internal/story"
)

// visit is a browser that looks at the page.
type visit struct {
	*testing.T
	*browsertest.Browser
	*stage
	sent *recorder
}

// recorder keeps what reaches the API, but for preflights.
type recorder struct {
	mu       sync.Mutex
	requests []http.Header
}

func (r *recorder) record(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		r.keep(c.Request())
		return next(c)
	}
}

func (r *recorder) keep(request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if request.Method != http.MethodOptions {
		r.requests = append(r.requests, request.Header.Clone())
	}
}

func (r *recorder) all() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// visitPage starts the servers and opens the page.
func visitPage(t *testing.T, b *browsertest.Browser, makeAPI apiMaker) *visit {
	t.Helper()
	v := &visit{T: t, Browser: b, sent: &recorder{}}
	recorded := func(at origins, d *decisions, log io.Writer) (*api, error) {
		a, err := makeAPI(at, d, log)
		if err == nil {
			a.Pre(v.sent.record)
		}
		return a, err
	}
	var err error
	if v.stage, err = start(program{story.Program{Name: "browser", Out: t.Output(), Err: t.Output()}, recorded}, ports{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.close)
	v.load("/")
	return v
}

// load opens an address of the page and waits until its script has run.
func (v *visit) load(path string) {
	v.Helper()
	v.Open(v.at.page + path)
	v.Wait(`!document.querySelector("#login").disabled`)
}

// leaveForLogin goes as far as the form of the authorization server.
func (v *visit) leaveForLogin() {
	v.Helper()
	v.Click("#login")
	v.Wait(`location.pathname === "/authorize"`)
}

func (v *visit) logIn() entry {
	v.Helper()
	v.load("/")
	v.leaveForLogin()
	return v.enterPassword()
}

// enterPassword comes back from the authorization server with a code, and returns what comes of it.
func (v *visit) enterPassword() entry {
	v.Helper()
	v.Type("[name=username]", userName)
	v.Type("[name=password]", password)
	v.Click("form button")
	return v.waitForEntry(1)
}

// thumbprint returns that of the key, while the page is logged in.
func (v *visit) thumbprint() string {
	v.Helper()
	return browsertest.Value[string](v.Browser, `document.querySelector("#thumbprint").innerText`)
}

// press presses a button and returns the entry that it adds.
func (v *visit) press(id string) entry {
	v.Helper()
	before := browsertest.Value[int](v.Browser, `document.querySelectorAll("#entries > li").length`)
	v.Click("#" + id)
	return v.waitForEntry(before + 1)
}

// entry is what the page shows of one press.
type entry struct {
	Title, Verdict, Announced string
	Good                      bool
	Exchanges                 []exchange
}

// exchange is what the page shows of one request and its answer.
type exchange struct {
	Request, Authorization, Status, Code, Description, Body, Reason string
	Nonce                                                           bool // one came with the answer
	Header, Payload                                                 map[string]any
}

// String gives status, code and reason.
func (e exchange) String() string {
	return strings.Join(strings.Fields(e.Status+" "+e.Code+" "+e.Reason), " ")
}

func (e entry) String() string {
	var all []string
	for _, exchange := range e.Exchanges {
		all = append(all, exchange.String())
	}
	return strings.Join(all, ", ") + ": " + e.Verdict
}

// shownEntry reads the newest entry from the page, as its reader sees it.
const shownEntry = `(() => {
	const item = document.querySelector("#entries > li");
	const text = (node, selector) => node.querySelector(selector)?.innerText ?? "";
	const json = (node, selector) => JSON.parse(node.querySelector(selector)?.textContent ?? "{}");
	return {
		Title: text(item, "h3"), Verdict: text(item, ".verdict"), Good: item.matches(".good"),
		Announced: text(document, "[role=status]"),
		Exchanges: [...item.querySelectorAll(".exchange")].map((node) => ({
			Request: text(node, ".request"), Authorization: text(node, ".authorization"), Status: text(node, ".status"),
			Code: text(node, ".code"), Description: text(node, ".description"), Body: text(node, ".body"),
			Reason: text(node, ".reason"), Nonce: text(node, "dl").includes("One came with the answer"),
			Header: json(node, ".header"), Payload: json(node, ".payload"),
		})),
	};
})()`

// waitForEntry waits until the page shows so many entries, and returns the newest.
func (v *visit) waitForEntry(count int) entry {
	v.Helper()
	v.Wait(fmt.Sprintf(`document.querySelectorAll("#entries > li").length === %d`, count))
	return browsertest.Value[entry](v.Browser, shownEntry)
}

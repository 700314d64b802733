package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
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
		r.mu.Lock()
		defer r.mu.Unlock()
		if c.Request().Method != http.MethodOptions {
			r.requests = append(r.requests, c.Request().Header.Clone())
		}
		return next(c)
	}
}

// open starts the servers and opens the page.
func open(t *testing.T, makeAPI apiMaker) *visit {
	t.Helper()
	v := &visit{T: t, Browser: browsertest.Start(t), sent: &recorder{}}
	recorded := func(at origins, d *decisions, log io.Writer) (*api, error) {
		a, err := makeAPI(at, d, log)
		if err == nil {
			a.Pre(v.sent.record)
		}
		return a, err
	}
	var err error
	if v.stage, err = start(program{newAPI: recorded, out: t.Output(), errOut: t.Output()}, ports{}); err != nil {
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
	v.leaveForLogin()
	v.Type("[name=username]", userName)
	v.Type("[name=password]", password)
	v.Click("form button")
	return v.waitForEntry(1)
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
			Reason: text(node, ".reason"), Nonce: text(node, "dl").includes("A new one came"),
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

// untroubled fails the test if a script failed, or the browser refused something for the page's safety.
func (v *visit) untroubled() {
	v.Helper()
	if troubles := v.Troubles(); len(troubles) != 0 {
		v.Errorf("troubles: %q", troubles)
	}
}

const (
	ownerAccepted = "200 accepted: Accepted, as it should be."
	nonceFirst    = "401 use_dpop_nonce nonce_missing, "
)

func TestButtons(t *testing.T) {
	v := open(t, newAPI)
	if got := v.logIn(); got.String() != "400 use_dpop_nonce, 200: Accepted, as it should be." || !got.Good {
		t.Errorf("log in: %s", got)
	}
	presses := []struct{ button, title, want string }{
		{"call", "Call the API", nonceFirst + ownerAccepted},
		{"call", "Call the API", ownerAccepted},
		{"replay", "Replay the same proof", "200 accepted, 401 invalid_dpop_proof proof_replayed: Refused, as it should be."},
		{"otherKey", "Use the token with another key", nonceFirst + "401 invalid_token key_mismatch: Refused, as it should be."},
		{"bearer", "Use the token as a bearer token", "401 invalid_token bound_token_as_bearer: Refused, as it should be."},
		{"takeKey", "Take the key away", ": Refused by the browser, as it should be."},
		{"renew", "Renew the token", "200: Accepted, as it should be."},
		{"call", "Call the API", ownerAccepted},
	}
	accepted := int64(0)
	for _, press := range presses {
		got := v.press(press.button)
		if got.Title != press.title || got.String() != press.want || !got.Good {
			t.Errorf("%s: %s\nwant %s", got.Title, got, press.want)
		}
		if got.Announced != got.Title+": "+got.Verdict {
			t.Errorf("%s: announced is %q", got.Title, got.Announced)
		}
		for _, exchange := range got.Exchanges {
			if exchange.Request == "GET "+v.at.api+"/accounts" && exchange.Status == "200" {
				accepted++
				if want := fmt.Sprintf(`"calls":%d`, accepted); !strings.Contains(exchange.Body, want) {
					t.Errorf("%s: the answer is %s, want %s", got.Title, exchange.Body, want)
				}
			}
		}
	}
	v.Screenshot("all-pressed")
	if ran := v.api.calls.Load(); ran != accepted || ran != 4 {
		t.Errorf("the handler ran %d times for %d accepted calls, want 4", ran, accepted)
	}
	if got := v.press("logOut"); got.String() != ": Done." || !got.Good {
		t.Errorf("log out: %s", got)
	}
	v.untroubled()
}

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/revocation"
)

const (
	ownerAccepted = "200 accepted: Accepted, as it should be."
	nonceFirst    = "401 use_dpop_nonce nonce_missing, " // and the request once more, through CORS
)

// TestInBrowser is all that one browser is shown. Each test has servers of its own, so to the browser they are strangers.
func TestInBrowser(t *testing.T) {
	b := browsertest.Start(t)
	for _, test := range []struct {
		name string
		run  func(*testing.T, *browsertest.Browser)
	}{
		{"buttons", testButtons},
		{"shown requests", testShownRequests},
		{"authorization request", testAuthorizationRequest},
		{"what is left", testWhatIsLeft},
		{"forged answers of a login", testForgedAnswersOfALogin},
		{"deceptive authorization server", testDeceptiveAuthorizationServer},
		{"sender", testSender},
		{"lines of the book", testBookLines},
		{"impatience", testImpatience},
		{"weakened API", testWeakenedAPI},
		{"socket", testSocket},
		{"third origin", testThirdOrigin},
		{"gateway", testGateway},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, b) })
	}
	if troubles := b.Troubles(); len(troubles) != 0 {
		t.Errorf("a script failed, or the browser refused something for the page's safety: %q", troubles)
	}
}

func testButtons(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	if got := v.logIn(); got.String() != "400 use_dpop_nonce, 200: Accepted, as it should be." || !got.Good {
		t.Errorf("log in: %s", got)
	}
	accepted := int64(0)
	for _, press := range []struct{ button, title, want string }{
		{"call", "Call the API", nonceFirst + ownerAccepted},
		{"call", "Call the API", ownerAccepted},
		{"replay", "Replay the same proof", "200 accepted, 401 invalid_dpop_proof proof_replayed: Refused, as it should be."},
		{"otherKey", "Use it with another key", nonceFirst + "401 invalid_token key_mismatch: Refused, as it should be."},
		{"bearer", "Use it as a bearer token", "401 invalid_token bound_token_as_bearer: Refused, as it should be."},
		{"takeKey", "Take the key away", ": Refused by the browser, as it should be (InvalidAccessError)."},
		{"watch", "Watch the account", "200 accepted: Accepted, as it should be."},
		{"connect", "Open a WebSocket", "200 accepted: Accepted, as it should be."},
		{"renew", "Renew the token", "200: Accepted, as it should be."},
		{"call", "Call the API", ownerAccepted},
	} {
		got := v.press(press.button)
		if got.Title != press.title || got.String() != press.want || !got.Good {
			t.Errorf("%s: %s\nwant %s", got.Title, got, press.want)
		}
		if got.Announced != got.Title+": "+got.Verdict {
			t.Errorf("%s: announced is %q", got.Title, got.Announced)
		}
		for _, x := range got.Exchanges {
			if x.Request == "GET "+v.at.api+"/accounts" && x.Status == "200" {
				accepted++
				if want := fmt.Sprintf(`"calls": %d,`, accepted); !strings.Contains(x.Body, want) {
					t.Errorf("%s: the answer is %s, want %s", got.Title, x.Body, want)
				}
			}
		}
	}
	if opens := v.api.opens.Load(); opens != 2 {
		t.Errorf("events and sockets were opened %d times, want one of each: a ticket is good once", opens)
	}
	if ran := v.api.calls.Load(); ran != accepted || ran != 4 {
		t.Errorf("the handler ran %d times for %d accepted calls, want 4", ran, accepted)
	}
	if got := v.press("logOut"); got.String() != ": Done." || !got.Good {
		t.Errorf("log out: %s", got)
	}
}

// Page and login can be read and used on a phone and on a desk, by day and by night.
func TestAppearance(t *testing.T) {
	v := visitPage(t, browsertest.Start(t), newAPI)
	flaws := v.Look("page")
	v.leaveForLogin()
	flaws = append(flaws, v.Look("login")...)
	v.Type("[name=username]", userName)
	v.Type("[name=password]", "wrong")
	v.Click("form button")
	v.Wait(`document.querySelector("[role=alert]")`)
	flaws = append(flaws, v.Look("login-failed")...)
	v.enterPassword()
	v.press("call")
	v.press("otherKey")
	v.Click("summary")
	flaws = append(flaws, v.Look("pressed")...)
	for _, flaw := range flaws {
		t.Error(flaw)
	}
}

// What is shown of a request is what was sent, but for the token.
func testShownRequests(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	login := v.logIn()
	for i, x := range login.Exchanges {
		if x.Request != "POST "+v.at.issuer+"/token" || x.Payload["htm"] != "POST" || x.Payload["htu"] != v.at.issuer+"/token" || x.Payload["ath"] != nil {
			t.Errorf("log in, request %d: %+v", i, x)
		}
	}
	call := v.press("call")
	replay := v.press("replay")
	bearer := v.press("bearer")
	if len(call.Exchanges) != 2 || len(replay.Exchanges) != 2 || len(bearer.Exchanges) != 1 {
		t.Fatalf("%s\n%s\n%s", call, replay, bearer)
	}
	first, second := call.Exchanges[0], call.Exchanges[1]
	if first.Payload["nonce"] != nil || !first.Nonce || second.Payload["nonce"] == nil || first.Payload["jti"] == second.Payload["jti"] {
		t.Errorf("the request without nonce: %+v\nonce more: %+v", first, second)
	}
	if first.Description != "the proof carries no nonce and one is required" {
		t.Errorf("description %q", first.Description)
	}
	for i, x := range append(call.Exchanges, replay.Exchanges...) {
		if x.Request != "GET "+v.at.api+"/accounts" || x.Header["typ"] != "dpop+jwt" || x.Header["alg"] != "ES256" ||
			x.Payload["htm"] != "GET" || x.Payload["htu"] != v.at.api+"/accounts" || x.Payload["ath"] == nil {
			t.Errorf("request %d: %+v", i, x)
		}
	}
	if a, b := replay.Exchanges[0], replay.Exchanges[1]; a.Payload["jti"] != b.Payload["jti"] {
		t.Errorf("the replayed proof is another one: %v, %v", a.Payload, b.Payload)
	}
	sent := v.sent.all()
	if len(sent) != 5 || sent[2].Get("DPoP") != sent[3].Get("DPoP") {
		t.Fatalf("%d requests: %v", len(sent), sent)
	}

	_, token, _ := strings.Cut(sent[0].Get("Authorization"), " ")
	short := token[:6] + "…" + token[len(token)-6:]
	if len(token) < 100 || second.Authorization != "DPoP "+short || bearer.Exchanges[0].Authorization != "Bearer "+short {
		t.Errorf("shown as %q and %q: %s", second.Authorization, bearer.Exchanges[0].Authorization, token)
	}
	text := browsertest.Value[string](v.Browser, `document.documentElement.outerHTML`)
	if strings.Contains(text, token) || !strings.Contains(text, short) {
		t.Error("the whole token is in the page")
	}
}

// The login asks for a code that is of use to the holder of the key and of the verifier alone.
func testAuthorizationRequest(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	v.leaveForLogin()
	query, err := url.ParseQuery(browsertest.Value[string](v.Browser, `location.search.slice(1)`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"response_type": "code", "client_id": clientID, "redirect_uri": v.at.page + "/", "scope": scope,
		"code_challenge_method": "S256",
	} {
		if got := query.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(query.Get("state")) < 22 || len(query.Get("code_challenge")) != 43 || query.Get("state") == query.Get("code_challenge") {
		t.Errorf("state %q, code_challenge %q", query.Get("state"), query.Get("code_challenge"))
	}
	got := v.enterPassword()
	if want := v.thumbprint(); query.Get("dpop_jkt") != want || len(want) != 43 {
		t.Errorf("dpop_jkt is %q, the key %q", query.Get("dpop_jkt"), want)
	}
	if want := "the proof carries no nonce and one is required"; len(got.Exchanges) != 2 || got.Exchanges[0].Description != want {
		t.Errorf("the token request: %+v", got)
	}
}

// keptKey is the key in IndexedDB.
const keptKey = `import("/keystore.js").then((store) => store.loadKey())`

// Nothing that a login needs or gives is left where it can be found later, but for the key, which cannot be read.
func testWhatIsLeft(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	v.logIn()
	left := browsertest.Value[string](v.Browser,
		`document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.search + location.hash`)
	if left != "{}{}" {
		t.Errorf("left behind: %s", left)
	}
	exported := browsertest.Value[[]string](v.Browser, keptKey+`.then(({ privateKey }) => Promise.all(
		["jwk", "pkcs8", "raw"].map((format) => crypto.subtle.exportKey(format, privateKey).then(() => "exported", (error) => error.name))))`)
	if got := strings.Join(exported, " "); strings.Contains(got, "exported") || exported[0] != "InvalidAccessError" {
		t.Errorf("exporting the private key: %s", got)
	}
	if browsertest.Value[bool](v.Browser, keptKey+`.then((key) => key.privateKey.extractable)`) {
		t.Error("the private key is extractable")
	}

	thumbprint := func() string {
		return browsertest.Value[string](v.Browser, `document.querySelector("#thumbprint").innerText`)
	}
	before := thumbprint()
	v.load("/")
	if !browsertest.Value[bool](v.Browser, `document.querySelector("#call").disabled`) {
		t.Error("the page can call after a reload, without its tokens")
	}
	if v.logIn(); v.thumbprint() != before {
		t.Error("the key is lost on the way to the login")
	}
	v.press("logOut")
	if !browsertest.Value[bool](v.Browser, keptKey+`.then((key) => key === undefined)`) {
		t.Error("the key outlives the log-out")
	}
	v.load("/")
	if v.logIn(); v.thumbprint() == before {
		t.Error("the key outlives the log-out")
	}
}

// The page redeems no code that does not answer a login that it began at its authorization server.
func testForgedAnswersOfALogin(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	begin := func() (state string) {
		v.leaveForLogin()
		return browsertest.Value[string](v.Browser, `new URLSearchParams(location.search).get("state")`)
	}
	for _, test := range []struct {
		name, says string
		answer     func() url.Values
	}{
		{"no login began", "(state)", func() url.Values {
			return url.Values{"code": {"c"}, "state": {"null"}, "iss": {v.at.issuer}}
		}},
		{"no login began, no state", "(state)", func() url.Values { return url.Values{"code": {"c"}, "iss": {v.at.issuer}} }},
		{"another state", "(state)", func() url.Values {
			begin()
			return url.Values{"code": {"c"}, "state": {"forged"}, "iss": {v.at.issuer}}
		}},
		{"no state", "(state)", func() url.Values {
			begin()
			return url.Values{"code": {"c"}, "iss": {v.at.issuer}}
		}},
		{"another issuer", "(iss)", func() url.Values {
			return url.Values{"code": {"c"}, "state": {begin()}, "iss": {"https://evil.example"}}
		}},
		{"no issuer", "(iss)", func() url.Values { return url.Values{"code": {"c"}, "state": {begin()}} }},
		{"an error", "the login was refused: access_denied.", func() url.Values {
			return url.Values{"error": {"access_denied"}, "state": {begin()}, "iss": {v.at.issuer}}
		}},
		{"an error with markup", "<img src=x>", func() url.Values {
			return url.Values{"error": {"<img src=x>"}, "state": {begin()}, "iss": {v.at.issuer}}
		}},
		{"an error of a forger", "(state)", func() url.Values {
			return url.Values{"error": {"access_denied"}, "state": {"forged"}, "iss": {v.at.issuer}}
		}},
	} {
		v.load("/?" + test.answer().Encode())
		got := v.waitForEntry(1)
		if got.Good || len(got.Exchanges) != 0 || !strings.Contains(got.Verdict, test.says) {
			t.Errorf("%s: %s", test.name, got)
		}
		left := browsertest.Value[string](v.Browser, `JSON.stringify(sessionStorage) + location.search`)
		if left != "{}" {
			t.Errorf("%s: left behind: %s", test.name, left)
		}
	}
}

// A page of a third origin gets neither an answer nor a preflight that lets it send credentials.
func testThirdOrigin(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!doctype html><title>other</title>`)
	}))
	defer other.Close()
	try := func(url, options string) string {
		return browsertest.Value[string](v.Browser, fmt.Sprintf(`fetch(%q, %s).then((r) => "read " + r.status, (e) => e.name)`, url, options))
	}
	const credentials = `{ headers: { Authorization: "DPoP t", DPoP: "p" } }`
	if got := try(v.at.api+"/accounts", credentials); got != "read 401" {
		t.Errorf("our own page: %s", got)
	}
	sent := len(v.sent.all())
	v.Open(other.URL)
	for _, test := range []struct{ url, options string }{
		{v.at.api + "/accounts", `{}`},
		{v.at.api + "/accounts", credentials},
		{v.at.issuer + "/token", `{ method: "POST", body: new URLSearchParams({ grant_type: "refresh_token" }) }`},
		{v.at.page + "/log?request=x", `{}`},
	} {
		if got := try(test.url, test.options); got != "TypeError" {
			t.Errorf("another page, %s %s: %s", test.url, test.options, got)
		}
	}
	for _, header := range v.sent.all()[sent:] {
		if header.Get("Authorization") != "" || header.Get("DPoP") != "" {
			t.Errorf("a request of another page came with credentials: %v", header)
		}
	}
}

// amnesiac is a replay store that forgets at once.
type amnesiac struct{}

func (amnesiac) Claim(context.Context, dpop.ReplayKey, time.Time) (bool, error) { return true, nil }
func (amnesiac) Since() time.Time                                               { return time.Time{} }
func (amnesiac) Window() time.Duration                                          { return time.Hour }

// The page says so when an API lets a thief in, or does not let the owner in.
// A WebSocket that a ticket has opened says something, and ends when the token does.
func testSocket(t *testing.T, b *browsertest.Browser) {
	store, err := revocation.NewMemory(revocation.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	v := visitPage(t, b, func(at origins, decisions *decisions, _ io.Writer) (*api, error) {
		return protect(at, decisions, access.Config{
			Origins: []string{at.api}, Issuers: []access.Issuer{{URL: at.issuer, Audience: at.api}}, RequireNonce: true,
			Revocation: store, Observer: access.Observer{Decided: decisions.keep}, Log: slog.New(slog.DiscardHandler),
		})
	})
	v.logIn()
	if got := v.press("connect"); !got.Good {
		t.Fatal(got)
	}
	v.Wait(`document.querySelector("#socket").innerText === "the balance of alice is 100"`)
	if opens := v.api.opens.Load(); opens != 1 {
		t.Errorf("the socket was opened %d times, want once: the ticket is good once", opens)
	}
	all := revocation.Entry{Issuer: v.at.issuer, By: revocation.BySubject, Value: userName, Before: time.Now().Add(time.Second)}
	if err := store.Revoke(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	v.Wait(`document.querySelector("#socket").innerText === "ended, 1008 subject_revoked"`)
}

func testWeakenedAPI(t *testing.T, b *browsertest.Browser) {
	for _, test := range []struct {
		name, button, verdict string
		change                func(*access.Config)
	}{
		{"no replay memory", "replay", "This should not happen: expected 401 invalid_dpop_proof proof_replayed, got 200.",
			func(c *access.Config) { c.Replay = amnesiac{} }},
		{"an API that refuses everyone", "call", "This should not happen: expected 200, got 401 invalid_token token_audience_wrong.",
			func(c *access.Config) { c.Issuers[0].Audience = "https://other.example.com" }},
		{"an API that is ten minutes ahead", "call", "This should not happen: the token has expired. Renew it and try again.",
			func(c *access.Config) { c.Now = func() time.Time { return time.Now().Add(10 * time.Minute) } }},
	} {
		v := visitPage(t, b, func(at origins, decisions *decisions, _ io.Writer) (*api, error) {
			config := access.Config{
				Origins: []string{at.api}, Issuers: []access.Issuer{{URL: at.issuer, Audience: at.api}}, RequireNonce: true,
				Observer: access.Observer{Decided: decisions.keep}, Log: slog.New(slog.DiscardHandler),
			}
			test.change(&config)
			return protect(at, decisions, config)
		})
		v.logIn()
		if got := v.press(test.button); got.Good || got.Verdict != test.verdict {
			t.Errorf("%s: %s", test.name, got)
		}
	}
}

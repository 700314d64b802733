package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/explain"
)

// visit is a browser that looks at the page.
type visit struct {
	*testing.T
	*browsertest.Browser
}

func startPage(t *testing.T) (address string) {
	t.Helper()
	var servers story.Servers
	listener, address, err := servers.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { servers.Close(story.Program{Name: "playground", Err: t.Output()}) })
	page, err := newPage(address)
	if err != nil {
		t.Fatal(err)
	}
	servers.Serve(listener, page)
	return address
}

const ready = `document.body?.dataset.state === "ready"`

// shown is what the page shows of a decision.
type shown struct {
	Decision, Reason, Story, Bar, Changed, Pressed string
	Refused                                        string // the step
	Steps                                          int
}

const shownNow = `(() => {
	const text = (selector) => document.querySelector(selector)?.textContent ?? "";
	const why = Object.fromEntries([...document.querySelectorAll("#why dt")].map((dt) => [dt.textContent, dt.nextElementSibling.textContent]));
	return {
		Decision: text("#decision"), Reason: why.Reason ?? "", Story: text("#story"), Bar: text("#bar"),
		Changed: document.querySelector(".changed")?.id ?? "", Pressed: document.querySelector("[aria-pressed=true]")?.dataset.scene ?? "",
		Refused: text("#steps .refused span:nth-child(2)"),
		Steps: document.querySelectorAll("#steps li").length,
	};
})()`

func (v visit) now() shown {
	v.Helper()
	v.Wait(ready)
	return browsertest.Value[shown](v.Browser, shownNow)
}

func (v visit) press(selector string) shown {
	v.Helper()
	v.Click(selector)
	return v.now()
}

// set edits a field as its reader does.
func (v visit) set(id, value string) shown {
	v.Helper()
	browsertest.Value[bool](v.Browser, fmt.Sprintf(`(() => {
		const field = document.getElementById(%q);
		field.value = %q;
		return field.dispatchEvent(new Event("input"));
	})()`, id, value))
	return v.now()
}

func openPage(t *testing.T) visit {
	t.Helper()
	v := visit{t, browsertest.Start(t)}
	v.Open("http://" + startPage(t))
	v.Wait(ready)
	return v
}

func TestInBrowser(t *testing.T) {
	v := openPage(t)
	if got := v.now(); got.Decision != "Accepted" || got.Pressed != "good" || got.Refused != "" {
		t.Errorf("at first: %+v", got)
	}
	v.buttons()
	v.edits()
	v.pasted(newTestDemo(t))
	v.markup()
	v.large()
	if troubles := v.Troubles(); len(troubles) != 0 {
		t.Errorf("a script failed, or the browser refused something for the page's safety: %q", troubles)
	}
}

// The page can be read and used on a phone and on a desk, by day and by night.
func TestAppearance(t *testing.T) {
	v := openPage(t)
	flaws := v.Look("good")
	v.press("[data-scene=noNonce]")
	v.Click("#part-paste summary")
	for _, flaw := range append(flaws, v.Look("refused")...) {
		t.Error(flaw)
	}
}

// Each button fills the page, says what happens, marks the part that it changes, and shows the step that catches it.
func (v visit) buttons() {
	for _, g := range groups {
		for _, s := range g.Scenes {
			got := v.press("[data-scene=" + s.Name + "]")
			_, step, _ := explain.StepOf(reasons[s.Name])
			if step != "" {
				step += ": refused"
			}
			part := ""
			if s.Part != "" {
				part = "part-" + s.Part
			}
			if got.Reason != reasons[s.Name] || got.Refused != step || got.Story != s.Story || got.Changed != part || got.Pressed != s.Name {
				v.Errorf("%s: %+v", s.Name, got)
			}
			accepted := reasons[s.Name] == ""
			if strings.HasPrefix(got.Decision, "Accepted") != accepted || !strings.HasPrefix(got.Bar, got.Decision) {
				v.Errorf("%s: %+v", s.Name, got)
			}
		}
	}
}

// What is edited by hand is signed again, and judged.
func (v visit) edits() {
	claims := func(jwt, change string) string {
		return browsertest.Value[string](v.Browser, fmt.Sprintf(`(() => {
			const claims = JSON.parse(document.getElementById("%s-claims").value);
			%s;
			return JSON.stringify(claims);
		})()`, jwt, change))
	}
	good := "[data-scene=good]"
	for _, test := range []struct {
		name, reason string
		do           func() shown
	}{
		{"another method", "htm_mismatch", func() shown {
			v.press(good)
			return v.set("method", "POST")
		}},
		{"and a proof for it", "", func() shown { return v.press("[data-proof=owner]") }},
		{"the thief's proof", "key_mismatch", func() shown { return v.press("[data-proof=thief]") }},
		{"another htu", "htu_mismatch", func() shown {
			v.press(good)
			return v.set("proof-claims", claims("proof", `claims.htu += "/7"`))
		}},
		{"another ath", "ath_mismatch", func() shown {
			v.press(good)
			return v.set("token-claims", claims("token", `claims.sub = "bob"`))
		}},
		{"and a proof for the token", "", func() shown { return v.press("[data-proof=owner]") }},
		{"the token by somebody else", "token_signature_invalid", func() shown {
			v.set("token-by", "stranger")
			return v.press("[data-proof=owner]")
		}},
		{"a member twice", "json_invalid", func() shown {
			v.press(good)
			return v.set("proof-claims", `{"jti":"a","jti":"b"}`)
		}},
		{"no JSON", "json_invalid", func() shown { return v.set("proof-claims", `{`) }},
		{"no JWT", "jws_malformed", func() shown { return v.set("proof", "a.b") }},
		{"later", "iat_too_old", func() shown {
			v.press(good)
			return v.set("offset", "61")
		}},
		{"in time", "", func() shown { return v.set("seconds", "60") }},
		{"too early", "iat_in_future", func() shown { return v.set("seconds", "-11") }},
		{"another scope", "scope_missing", func() shown {
			v.press(good)
			return v.set("scope", "accounts:read admin")
		}},
		{"a second Authorization", "token_sent_twice", func() shown { return v.set("fields", "Authorization: DPoP x") }},
		{"nonce demanded", "nonce_missing", func() shown {
			v.press(good)
			return v.press("#nonce")
		}},
		{"with the nonce that came", "", func() shown { return v.press("#takeNonce") }},
		{"again", "proof_replayed", func() shown { return v.press("#again") }},
	} {
		if got := test.do(); got.Reason != test.reason || strings.HasPrefix(got.Decision, "Accepted") != (test.reason == "") || got.Steps < 25 {
			v.Errorf("%s: %+v", test.name, got)
		}
	}
	if got := v.set("url", "api.example.com"); got.Decision != "the URL is not an address such as https://api.example.com/accounts" || got.Steps != 0 {
		v.Errorf("no address: %+v", got)
	}
}

// A request of the reader's own, from another issuer: all is judged but what needs that issuer's keys.
func (v visit) pasted(d *demo) {
	in := d.played(v.T, "strangers")
	v.Click("#part-paste summary")
	v.set("pasted", "> GET /accounts HTTP/2\n> Host: api.example.com\n> Authorization: DPoP "+in.Token+"\n> DPoP: "+in.Proof+"\n> X-More: yes\n")
	got := v.press("#read")
	if want := "Accepted, if this holds: the signature is the issuer's"; got.Decision != want {
		v.Errorf("%+v, want %s", got, want)
	}
	if more := browsertest.Value[string](v.Browser, `document.querySelector("#fields").value`); more != "X-More: yes" {
		v.Errorf("further fields: %q", more)
	}
	if got := v.set("url", "https://api.example.com/other"); got.Reason != "htu_mismatch" {
		v.Errorf("at another address: %+v", got)
	}
}

// What looks like HTML is text, wherever it comes from.
func (v visit) markup() {
	const markup = `<img src=x onerror="document.title='run'"><script>document.title='run'</script>`
	quoted := strings.ReplaceAll(markup, `"`, `\"`)
	v.press("[data-scene=good]")
	v.set("token-claims", `{"iss":"`+quoted+`"}`)
	v.press("[data-proof=owner]")
	v.set("proof-claims", `{"jti":"`+quoted+`","htm":"`+quoted+`","htu":"`+quoted+`","iat":1}`)
	for id, text := range map[string]string{"method": "GET", "scope": markup, "url": "https://" + `x/` + markup, "fields": "X: " + markup, "certificate": markup, "scheme": markup} {
		v.set(id, text)
	}
	if images := browsertest.Value[int](v.Browser, `document.querySelectorAll("img").length`); images != 0 {
		v.Errorf("%d images", images)
	}
	if title := browsertest.Value[string](v.Browser, `document.title`); title == "run" {
		v.Error("a script ran")
	}
}

// What would take no end ends: of the fields that a reader can fill, the largest.
func (v visit) large() {
	v.press("[data-scene=good]")
	fill := func(octets int) string { return strings.Repeat("x", octets) }
	for _, test := range []struct{ id, text, want string }{
		{"proof", fill(100_000), "proof_too_large"}, {"token", fill(most), "that is more than 262144 octets"}, {"token-claims", fill(most), "that is more than 262144 octets"},
		{"seconds", "1e300", ""},
	} {
		v.press("[data-scene=good]")
		if got := v.set(test.id, test.text); got.Reason != test.want && got.Decision != test.want && test.want != "" {
			v.Errorf("%s of %d: %+v", test.id, len(test.text), got)
		}
	}
}

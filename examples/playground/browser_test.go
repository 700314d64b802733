package main

import (
	"fmt"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/examples/internal/story"
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
	OK, NotReached                                 int
}

const shownNow = `(() => {
	const text = (selector) => document.querySelector(selector)?.textContent ?? "";
	const why = Object.fromEntries([...document.querySelectorAll("#why dt")].map((dt) => [dt.textContent, dt.nextElementSibling.textContent]));
	return {
		Decision: text("#decision"), Reason: why.Reason ?? "", Story: text("#story"), Bar: text("#bar"),
		Changed: document.querySelector(".changed")?.id ?? "", Pressed: document.querySelector("[aria-pressed=true]")?.dataset.scene ?? "",
		Refused: text("#steps .refused span:nth-child(2)"),
		OK: document.querySelectorAll("#steps .ok").length, NotReached: document.querySelectorAll("#steps .not-reached").length,
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

func TestInBrowser(t *testing.T) {
	v := visit{t, browsertest.Start(t)}
	v.Open("http://" + startPage(t))
	v.Wait(ready)
	for _, flaw := range v.Look("good") {
		t.Error(flaw)
	}
	v.press("[data-scene=thief]")
	for _, flaw := range v.Look("thief") {
		t.Error(flaw)
	}
	if troubles := v.Troubles(); len(troubles) != 0 {
		t.Errorf("a script failed, or the browser refused something for the page's safety: %q", troubles)
	}
}

package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

var importLine = regexp.MustCompile(`import (\{.*\}) from ("\./\w+\.js");`)

// The lines of docs/clients.md, as they stand, send a token with a proof of a key that is kept and cannot be read.
func testBookLines(t *testing.T, b *browsertest.Browser) {
	page, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Browser\n")
	_, code, _ := strings.Cut(section, "```js\n")
	code, _, ended := strings.Cut(code, "```\n")
	if !ended {
		t.Fatal("the page has no code for browsers")
	}
	code = importLine.ReplaceAllString(code, `const $1 = await import($2);`) // which a script can do anywhere
	v := visitPage(t, b, newAPI)
	got := browsertest.Value[string](v.Browser, fmt.Sprintf(`(async () => {
		const requests = [], token = "t";
		const fetch = window.fetch;
		window.fetch = async (request) => { requests.push(request); return new Response("{}"); };
		try {
			%s
			const kept = await loadKey();
			const [{ url, headers }] = requests;
			return [url, headers.get("Authorization"), headers.get("DPoP").split(".").length, kept.privateKey.extractable, response.status].join();
		} finally {
			window.fetch = fetch;
		}
	})()`, code))
	if want := "https://api.example.com/accounts,DPoP t,3,false,200"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

package main

import (
	"fmt"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

// stubbed runs a script against page/dpop.js, with a fetch that answers the same to every request, and counts them.
const stubbed = `import("/dpop.js").then(async ({ newKey, Sender, prove }) => {
	const key = await newKey();
	const real = window.fetch;
	const requests = [];
	window.fetch = async (request) => {
		requests.push(request);
		return new Response(%[1]q, { status: %[2]d, headers: %[3]s });
	};
	const claims = (proof) => JSON.parse(atob(proof.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
	try {
		%[4]s
	} finally {
		window.fetch = real;
	}
})`

func testSender(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	const (
		challenge  = `{ "WWW-Authenticate": 'DPoP error="use_dpop_nonce", error_description="d"', "DPoP-Nonce": "n" }`
		onlyNonce  = `{ "DPoP-Nonce": "n" }`
		noNonce    = `{ "WWW-Authenticate": 'DPoP error="use_dpop_nonce"' }`
		otherError = `{ "WWW-Authenticate": 'DPoP error="invalid_token", error_description="not use_dpop_nonce"', "DPoP-Nonce": "n" }`
		send       = `await new Sender(key).send("https://api.example.com/a"); return String(requests.length);`
		twice      = `const sender = new Sender(key);
			await sender.send("https://api.example.com/a");
			await sender.send(%q);
			return String(claims(requests.at(-1).headers.get("DPoP")).nonce);`
		prove = `return Object.entries(claims(await prove(key, %s))).filter(([name]) => !/iat|jti/.test(name)).join();`
	)
	for _, test := range []struct {
		name, script string
		status       int
		headers      string
		body         string
		want         string
	}{
		{"the API asks for a nonce, and again", send, 401, challenge, ``, "2"},
		{"the API asks without a nonce", send, 401, noNonce, ``, "1"},
		{"the API refuses, with a nonce", send, 401, otherError, ``, "1"},
		{"the API accepts, with a nonce", send, 200, onlyNonce, ``, "1"},
		{"the API asks with the wrong status", send, 403, challenge, ``, "1"},
		{"the token endpoint asks for a nonce, and again", send, 400, onlyNonce, `{"error":"use_dpop_nonce"}`, "2"},
		{"the token endpoint refuses, with a nonce", send, 400, onlyNonce, `{"error":"invalid_grant"}`, "1"},
		{"the token endpoint answers no JSON", send, 400, onlyNonce, `no`, "1"},
		{"a nonce is kept for its server", fmt.Sprintf(twice, "https://api.example.com/b"), 200, onlyNonce, ``, "n"},
		{"a nonce is not for another server", fmt.Sprintf(twice, "https://other.example.com/a"), 200, onlyNonce, ``, "undefined"},
		{"no cookies, no cache, no redirect", `await new Sender(key).send("https://api.example.com/a", { token: "t" });
			const { credentials, cache, redirect, headers } = requests[0];
			return [credentials, cache, redirect, headers.get("Authorization")].join();`, 200, `{}`, ``, "omit,no-store,error,DPoP t"},
		{"htm and htu are what is sent", `await new Sender(key).send("/a", { method: "post" });
			const { method, headers } = requests[0], { htm, htu } = claims(headers.get("DPoP"));
			return [method, htm, htu === location.origin + "/a"].join();`, 200, `{}`, ``, "POST,POST,true"},
		{"htu has neither query nor fragment", fmt.Sprintf(prove, `{ method: "GET", url: "https://a.example/b%2Fc?d#e" }`), 200, `{}`, ``,
			"htm,GET,htu,https://a.example/b%2Fc"},
		{"ath as in RFC 9449 §7.1", fmt.Sprintf(prove, `{ method: "GET", url: "https://a.example/", nonce: "n",
				token: "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU" }`), 200, `{}`, ``,
			"htm,GET,htu,https://a.example/,ath,fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo,nonce,n"},
	} {
		got := browsertest.Value[string](v.Browser, fmt.Sprintf(stubbed, test.body, test.status, test.headers, test.script))
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// The page takes no token that is bound to nobody, and no metadata of another server.
func testDeceptiveAuthorizationServer(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	const (
		metadata      = "/.well-known/oauth-authorization-server"
		otherMetadata = `{ issuer: "https://evil.example", token_endpoint: "https://evil.example/token" }`
		otherIssuer   = "This should not happen: the metadata is of another authorization server."
	)
	v.answerOnce(metadata, otherMetadata)
	if got := v.press("login"); got.Good || got.Verdict != otherIssuer {
		t.Errorf("log in: %s", got)
	}
	v.logIn()
	for _, test := range []struct{ path, answer, says string }{
		{"/token", `{ access_token: "t", token_type: "Bearer", expires_in: 300 }`, "This should not happen: the token is bound to nobody."},
		{metadata, otherMetadata, otherIssuer},
	} {
		v.answerOnce(test.path, test.answer)
		if got := v.press("renew"); got.Good || got.Verdict != test.says {
			t.Errorf("%s", got)
		}
	}
	if got := v.press("call"); !got.Good {
		t.Errorf("the token from before is lost: %s", got)
	}
}

// answerOnce answers the next request of the page for this path in the place of the authorization server.
func (v *visit) answerOnce(path, answer string) {
	v.Helper()
	browsertest.Value[any](v.Browser, fmt.Sprintf(`(() => {
		const real = window.fetch;
		window.fetch = async (request, options) => {
			if (!(request.url ?? request).endsWith(%q)) return real(request, options);
			window.fetch = real;
			return Response.json(%s);
		};
	})()`, path, answer))
}

// Whatever is pressed in one moment is done one after the other.
func testImpatience(t *testing.T, b *browsertest.Browser) {
	v := visitPage(t, b, newAPI)
	v.logIn()
	browsertest.Value[any](v.Browser, `["call", "renew", "replay", "logOut"].forEach((id) => document.getElementById(id).click())`)
	got := v.waitForEntry(5)
	titles := browsertest.Value[string](v.Browser, `[...document.querySelectorAll("#entries h3")].map((h) => h.innerText).reverse().join()`)
	if titles != "Log in,Call the API,Renew the token,Replay the same proof,Log out" || !got.Good {
		t.Errorf("%s\n%s", titles, got)
	}
}

//go:build unix

package providers_test

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/internal/poptest"
)

// clientCredentials is a machine that gets a token bound to its key, and a thief who has the token alone.
func (a *api) clientCredentials() {
	a.t.Helper()
	s := a.newSender("client", a.machine, a.machineSecret, "read")
	a.get(s.Client, "/api/read", http.StatusOK)
	a.get(s.Client, "/api/items/7", http.StatusOK)
	a.get(s.Client, "/api/write", http.StatusForbidden)
	a.get(s.Client, "/api/stepup", http.StatusUnauthorized)

	stolen, err := s.token(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	a.get(http.DefaultClient, "/api/read", http.StatusUnauthorized, "Authorization", "Bearer "+stolen)
	a.get(http.DefaultClient, "/api/read", http.StatusUnauthorized, "Authorization", "DPoP "+stolen)
	thief := a.newSender("thief", a.machine, a.machineSecret, "read")
	thief.tokens = s.tokens
	a.get(thief.Client, "/api/read", http.StatusUnauthorized)
	a.decision("key_mismatch")
}

// expiry is a token that lives for seconds: it opens the API, and then no longer.
func (a *api) expiry(client, secret string) {
	a.t.Helper()
	var token *oauth2.Token
	one := a.newSender("client", client, secret, "read")
	a.untilAsked(http.StatusOK, func() *http.Client { // another token each time, should one expire on its way
		var err error
		if token, err = a.newSender("client", client, secret, "read").tokens.Token(); err != nil {
			a.t.Fatal(err)
		}
		one.tokens = fixed{token}
		return one.Client
	})
	a.until(one.Client, http.StatusUnauthorized)
	a.decision("token_expired")
}

// until calls the API until it answers with a status: that is for a time to pass at the provider or the API.
func (a *api) until(client *http.Client, status int) {
	a.t.Helper()
	a.untilAsked(status, func() *http.Client { return client })
}

func (a *api) untilAsked(status int, client func() *http.Client) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		resp, err := client().Get(a.url + "/api/read")
		if err != nil {
			a.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == status {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("still %d, want %d", resp.StatusCode, status)
		}
	}
}

// rotation is a provider that signs by another key after a change: the API fetches it and goes on.
func (a *api) rotation(change func()) {
	a.t.Helper()
	signedBy := func(s *sender) string {
		token, err := s.token(a.t.Context())
		if err != nil {
			a.t.Fatal(err)
		}
		header, _, _ := strings.Cut(token, ".")
		return header // which names the key
	}
	before := a.newSender("client", a.machine, a.machineSecret, "read")
	a.get(before.Client, "/api/read", http.StatusOK)
	change()
	after := a.newSender("client", a.machine, a.machineSecret, "read")
	a.until(after.Client, http.StatusOK) // once the keys may be fetched again
	if signedBy(before) == signedBy(after) {
		a.t.Error("the provider signs by the key of before")
	}
}

// fixed is the source of one token.
type fixed struct{ token *oauth2.Token }

func (f fixed) Token() (*oauth2.Token, error) { return f.token, nil }

// refresh is a user whose tokens live for some seconds: the app goes on with others.
func (a *api) refresh(app string, args ...string) {
	a.t.Helper()
	a.app = app
	folder := filepath.Join(a.t.TempDir(), "native")
	a.logIn(folder, args...)
	a.goesOn(app, func() { a.call(folder, "/api/read", `"binding":"DPoP"`) })
}

// refreshAfterTwoLogins is refresh for a user who logs in twice by a browser in which the provider knows them: the end of the
// first login does not end the second, although both are one session there.
func (a *api) refreshAfterTwoLogins(app string, args ...string) {
	a.t.Helper()
	a.app = app
	folder := filepath.Join(a.t.TempDir(), "native")
	b := a.logIn(folder, args...)
	a.logInBy(b, func(*browsertest.Browser) {}, folder, args...)
	a.goesOn(app, func() { a.call(folder, "/api/read", `"binding":"DPoP"`) })
}

// goesOn has a client call the API until that has accepted two of its tokens.
func (a *api) goesOn(client string, call func()) {
	a.t.Helper()
	accepted := regexp.MustCompile(`"msg":"request accepted".*"client":"` + client + `".*"jti":"([^"]+)"`)
	for deadline := time.Now().Add(patience); !a.t.Failed(); time.Sleep(time.Second) {
		call()
		seen := map[string]bool{}
		for _, m := range accepted.FindAllStringSubmatch(a.Text(), -1) {
			seen[m[1]] = true
		}
		if len(seen) >= 2 {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("the API accepted the tokens %v of %s, want two", seen, client)
		}
	}
}

// tokenHandler is a user in a browser whose tokens examples/tokenhandler keeps.
func (a *api) tokenHandler(port string, args ...string) {
	a.t.Helper()
	b := a.logInByTokenHandler(port, args...)
	a.callFrom(b)
	b.Click("#logout")
	b.Wait(`document.body?.dataset.state === "out"`)
	if got := browsertest.Value[int](b, `fetch("/api/read").then((a) => a.status)`); got != http.StatusUnauthorized {
		a.t.Errorf("after the logout the page got %d", got)
	}
}

// refreshByTokenHandler is refresh where examples/tokenhandler is the client.
func (a *api) refreshByTokenHandler(port, client, secret string, args ...string) {
	a.t.Helper()
	a.web, a.webSecret = client, secret
	b := a.logInByTokenHandler(port, args...)
	a.goesOn(client, func() { a.callFrom(b) })
}

// refreshByTokenHandlerAfterTwoLogins is refreshAfterTwoLogins likewise.
func (a *api) refreshByTokenHandlerAfterTwoLogins(port, client, secret string, args ...string) {
	a.t.Helper()
	a.web, a.webSecret = client, secret
	b := a.logInByTokenHandler(port, args...)
	browsertest.Value[bool](b, `(document.body.dataset.state = "again", location.assign("/login"), true)`)
	b.Wait(`document.body?.dataset.state === "in"`)
	a.goesOn(client, func() { a.callFrom(b) })
}

func (a *api) logInByTokenHandler(port string, args ...string) *browsertest.Browser {
	a.t.Helper()
	backend := start(a.t, map[string]string{"TOKENHANDLER_SECRET": a.webSecret}, filepath.Join(programs, "tokenhandler"),
		append([]string{"-listen", "localhost:" + port, "-issuer", a.issuer, "-client", a.web, "-api", a.url + "/api"}, args...)...)
	backend.line("Open http://localhost:" + port)
	b := browsertest.Start(a.t)
	b.Open("http://localhost:" + port)
	b.Wait(`document.body?.dataset.state === "out"`)
	b.Click("#login")
	a.signIn(b)
	b.Wait(`document.body?.dataset.state === "in"`)
	return b
}

func (a *api) callFrom(b *browsertest.Browser) {
	a.t.Helper()
	if got := browsertest.Value[string](b, `fetch("/api/read").then(async (a) => a.status + await a.text())`); !strings.HasPrefix(got, "200") {
		a.t.Errorf("the page got %s", got)
	}
}

// noNonces is a provider that hands out no nonces at its token endpoint: it gives a token for a proof with one of nobody,
// and its answers carry none.
func (a *api) noNonces(client, secret string) {
	a.t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}}
	endpoint := a.tokens(a.t)
	r, err := http.NewRequestWithContext(a.t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		a.t.Fatal(err)
	}
	r.SetBasicAuth(client, secret)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("DPoP", poptest.Proof{
		Method: http.MethodPost, URL: endpoint, IssuedAt: time.Now(), Nonce: "of-nobody",
	}.String())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Header["Dpop-Nonce"] != nil {
		body, _ := httputil.DumpResponse(answer, true)
		a.t.Errorf("want a token and no nonce:\n%s", body)
	}
}

// unbound is a client of which the provider demands no proof, and whose token is nobody's.
func (a *api) unbound(client, secret string) {
	a.t.Helper()
	config := clientcredentials.Config{ClientID: client, ClientSecret: secret, TokenURL: a.tokens(a.t), Scopes: []string{"read"}}
	token, err := config.Token(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	a.get(http.DefaultClient, "/api/read", http.StatusUnauthorized, "Authorization", "Bearer "+token.AccessToken)
	a.decision("token_unbound")
}

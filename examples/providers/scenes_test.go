//go:build unix

package providers_test

import (
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
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
	s := a.newSender("client", client, secret, "read")
	token, err := s.tokens.Token()
	if err != nil {
		a.t.Fatal(err)
	}
	a.get(s.Client, "/api/read", http.StatusOK)
	old := a.newSender("client", client, secret, "read")
	old.tokens = fixed{token}
	a.until(old.Client, http.StatusUnauthorized)
	a.decision("token_expired")
}

// until calls the API until it answers with a status: that is for a time to pass at the provider or the API.
func (a *api) until(client *http.Client, status int) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Second) {
		resp, err := client.Get(a.url + "/api/read")
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
	a.call(folder, "/api/read", `"binding":"DPoP"`)
	time.Sleep(6 * time.Second)
	a.call(folder, "/api/read", `"binding":"DPoP"`)
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`"msg":"request accepted".*"client":"`+app+`".*"jti":"([^"]+)"`).FindAllStringSubmatch(a.Text(), -1) {
		seen[m[1]] = true
	}
	if len(seen) != 2 {
		a.t.Errorf("the API saw the tokens %v, want two", seen)
	}
}

// tokenHandler is a user in a browser whose tokens examples/tokenhandler keeps.
func (a *api) tokenHandler(port string, args ...string) {
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
	if got := browsertest.Value[string](b, `fetch("/api/read").then(async (a) => a.status + await a.Text())`); !strings.HasPrefix(got, "200") {
		a.t.Errorf("the page got %s", got)
	}
	b.Click("#logout")
	b.Wait(`document.body?.dataset.state === "out"`)
	if got := browsertest.Value[int](b, `fetch("/api/read").then((a) => a.status)`); got != http.StatusUnauthorized {
		a.t.Errorf("after the logout the page got %d", got)
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

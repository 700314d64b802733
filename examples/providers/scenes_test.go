package providers_test

import (
	"net/http"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
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

// fixed is the source of one token.
type fixed struct{ token *oauth2.Token }

func (f fixed) Token() (*oauth2.Token, error) { return f.token, nil }

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

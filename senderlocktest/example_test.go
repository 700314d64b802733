package senderlocktest_test

import (
	"crypto/tls"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/revocation/events"
	"github.com/senderlock/senderlock/senderlocktest"
)

// A test of a whole server: the owner of a token, a thief who has a copy of it, and the owner when its time is over. In
// a test of yours, testing.T takes the place of log and fmt.
func Example() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	owner, thief := senderlocktest.NewClient(clock), senderlocktest.NewClient(clock)
	guard, err := access.New(senderlocktest.Config(issuer, clock))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	accounts := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "accounts of %s\n", access.GrantFrom(r.Context()).Subject)
	}), access.Requirement{Scopes: []string{"accounts:read"}})

	token := issuer.Token(senderlocktest.Token{Client: owner, Subject: "alice", Scopes: []string{"accounts:read"}})
	send := func(client *senderlocktest.Client) {
		w := httptest.NewRecorder()
		accounts.ServeHTTP(w, client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil), token))
		fmt.Print(w.Code, " ", w.Body)
	}
	send(owner)
	send(thief)
	clock.Advance(time.Hour)
	send(owner)
	// Output:
	// 200 accounts of alice
	// 401 {"message":"the proof is not made with the key that the access token is bound to"}
	// 401 {"message":"the access token has expired"}
}

// A server that wants its nonce in each proof says so with the nonce, and the client signs once more.
func ExampleClient_SignWithNonce() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	config := senderlocktest.Config(issuer, clock)
	config.RequireNonce = true
	guard, err := access.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	api := guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))

	client := senderlocktest.NewClient(clock)
	token := issuer.Token(senderlocktest.Token{Client: client})
	request := func() *http.Request { return httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil) }
	call := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code)
		return w
	}
	w := call(client.Sign(request(), token))
	call(client.SignWithNonce(request(), token, w.Header().Get("DPoP-Nonce")))
	// Output:
	// 401
	// 200
}

// A logout at the identity provider ends the tokens of the session. Guard, store and receiver go by the same clock.
func ExampleIssuer_LogoutToken() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	store, err := revocation.NewMemory(revocation.Options{Now: clock.Now})
	if err != nil {
		log.Fatal(err)
	}
	config := senderlocktest.Config(issuer, clock)
	config.Revocation = store
	guard, err := access.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	logout, err := events.NewBackChannelLogout(events.BackChannelLogoutConfig{
		Provider:  events.Provider{URL: issuer.URL(), Log: config.Log, Now: clock.Now},
		ClientIDs: []string{"client-1"},
		Store:     store,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer logout.Close()
	accounts := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "accounts of %s\n", access.GrantFrom(r.Context()).Subject)
	})
	mux := http.NewServeMux() // your API
	mux.Handle("POST /backchannel-logout", logout)
	mux.Handle("GET /accounts", guard.Handler(accounts))

	alice := senderlocktest.NewClient(clock)
	call := func(token string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, alice.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil), token))
		fmt.Print(w.Code, " ", w.Body)
	}
	login := senderlocktest.Token{Client: alice, Subject: "alice", Session: "s-1"}
	token := issuer.Token(login)
	call(token)

	form := url.Values{"logout_token": {issuer.LogoutToken(senderlocktest.Logout{Subject: "alice", Session: "s-1"})}}
	r := httptest.NewRequest("POST", "/backchannel-logout", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println("logout:", w.Code)
	call(token)
	// Output:
	// 200 accounts of alice
	// logout: 200
	// 401 {"message":"the token has been taken back"}
}

// A token that is bound to a certificate, which arrives over TLS.
func ExampleWithCertificate() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	config := senderlocktest.Config(issuer, clock)
	config.Certificates = mtls.FromTLS
	guard, err := access.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	own, others := senderlocktest.NewCertificate("client"), senderlocktest.NewCertificate("thief")
	token := issuer.Token(senderlocktest.Token{Certificate: own.Leaf})
	for _, certificate := range []tls.Certificate{own, others} {
		r := httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		_, err := guard.Check(senderlocktest.WithCertificate(r, certificate))
		fmt.Printf("refused for %q\n", reason.Of(err))
	}
	// Output:
	// refused for ""
	// refused for "certificate_mismatch"
}

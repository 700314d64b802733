package access_test

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
	"github.com/senderlock/senderlock/senderlocktest"
)

// Two routes that demand more than a token of its sender: one a scope, the other also a login of the last minutes, which
// the challenge of its refusal asks for.
func ExampleRequirement() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	client := senderlocktest.NewClient(clock)
	guard, err := access.New(senderlocktest.Config(issuer, clock))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "done") })
	mux := http.NewServeMux()
	mux.Handle("GET /accounts", guard.Handler(done, access.Requirement{AnyScope: []string{"accounts:read", "accounts:write"}}))
	mux.Handle("POST /transfer", guard.Handler(done, access.Requirement{
		Scopes: []string{"accounts:write"}, MaxAuthAge: 5 * time.Minute,
	}))

	token := issuer.Token(senderlocktest.Token{
		Client: client, Scopes: []string{"accounts:write"}, AuthTime: clock.Now().Add(-time.Hour),
	})
	for _, r := range []*http.Request{
		httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil),
		httptest.NewRequest("POST", senderlocktest.Origin+"/transfer", nil),
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, client.Sign(r, token))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 done
	// 401 {"message":"a more recent login is required"}
}

// Server-sent events end when the token of their request is taken back.
func ExampleGuard_Stream() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	client := senderlocktest.NewClient(clock)
	store, err := revocation.NewMemory(revocation.Options{Now: clock.Now}) // revocation.Open outlives a restart
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	config := senderlocktest.Config(issuer, clock)
	config.Revocation = store
	guard, err := access.New(config)
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	began := make(chan struct{})
	events := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		close(began)
		<-r.Context().Done() // where there are further events, select
		fmt.Println("ended:", reason.Of(context.Cause(r.Context())))
	})
	server := guard.Stream(events, access.Stream{Every: 10 * time.Millisecond})

	go func() { // somebody logs alice out
		<-began
		err := store.Revoke(context.Background(), revocation.Entry{
			Issuer: issuer.URL(), By: revocation.BySubject, Value: "alice",
		})
		if err != nil {
			log.Fatal(err)
		}
	}()
	token := issuer.Token(senderlocktest.Token{Client: client, Subject: "alice"})
	server.ServeHTTP(httptest.NewRecorder(), client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/events", nil), token))
	// Output:
	// ended: subject_revoked
}

// A page opens an EventSource, which can set no Authorization: it asks for a ticket by a POST, and the ticket opens one
// stream.
func ExampleTickets() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	page := senderlocktest.NewClient(clock)
	guard, err := access.New(senderlocktest.Config(issuer, clock))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()
	tickets, err := guard.Tickets(access.TicketsConfig{})
	if err != nil {
		log.Fatal(err)
	}
	events := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "data: hello, %s\n", access.GrantFrom(r.Context()).Subject)
	})
	mux := http.NewServeMux()
	mux.Handle("POST /events/ticket", tickets.Issue())
	mux.Handle("GET /events", tickets.Stream(events, access.Stream{}))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, page.Sign(httptest.NewRequest("POST", senderlocktest.Origin+"/events/ticket", nil),
		issuer.Token(senderlocktest.Token{Client: page, Subject: "alice"})))
	var answer struct {
		Ticket string `json:"ticket"`
	}
	if err := json.NewDecoder(w.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	for range 2 { // what somebody has read in a log comes too late
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", senderlocktest.Origin+"/events?ticket="+answer.Ticket, nil))
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 data: hello, alice
	// 401 {"message":"the ticket is unknown, used or too old"}
}

// Opaque tokens, about which the authorization server is asked.
func ExampleNewIntrospection() {
	clock := senderlocktest.NewClock()
	client := senderlocktest.NewClient(clock)
	const issuer = "https://login.example.com"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // stands in for it
		answer := map[string]any{"active": false}
		if r.FormValue("token") == "token-1" {
			answer = map[string]any{
				"active": true, "iss": issuer, "aud": senderlocktest.Origin, "sub": "alice",
				"iat": clock.Now().Unix(), "exp": clock.Now().Add(5 * time.Minute).Unix(),
				"cnf": map[string]any{"jkt": client.Thumbprint()},
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			log.Print(err)
		}
	}))
	defer server.Close()

	introspection, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint:     server.URL, // such as https://login.example.com/introspect
		Issuer:       issuer,
		Audience:     senderlocktest.Origin,
		ClientID:     "api",
		ClientSecret: "secret",
		Now:          clock.Now,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer introspection.Close()
	guard, err := access.New(access.Config{
		Origins:               []string{senderlocktest.Origin},
		Tokens:                introspection,
		InsecureForgetAtStart: true, // so that the example need not wait
		Log:                   slog.New(slog.DiscardHandler),
		Now:                   clock.Now,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	for _, token := range []string{"token-1", "token-2"} {
		r := client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil), token)
		grant, err := guard.Check(r)
		if err != nil {
			fmt.Println("refused:", reason.Of(err))
			continue
		}
		fmt.Println("accepted:", grant.Subject)
	}
	// Output:
	// accepted: alice
	// refused: token_inactive
}

// Tokens that are bound to a client's certificate instead of a DPoP key, on a server that ends TLS itself: see
// [mtls.ServerTLS] for how it asks for certificates.
func ExampleConfig_certificates() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	config := senderlocktest.Config(issuer, clock)
	config.Certificates = mtls.FromTLS // behind a proxy: mtls.FromProxy
	config.WithoutDPoP = true
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
		fmt.Println(cmp.Or(reason.Of(err), "accepted"))
	}
	// Output:
	// accepted
	// certificate_mismatch
}

// A token for a Validator of your own: the claims that the application has in its table, or read elsewhere.
func ExampleNewToken() {
	token, err := access.NewToken(map[string]any{
		"sub": "alice", "scope": "accounts:read", "iat": 1893499200, "exp": 1893499500, "plan": "pro",
	})
	if err != nil {
		log.Fatal(err)
	}
	var own struct {
		Plan string `json:"plan"`
	}
	if err := token.Claims(&own); err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Subject, token.Scopes, own.Plan, token.Expiry.Sub(token.IssuedAt))
	// Output:
	// alice [accounts:read] pro 5m0s
}

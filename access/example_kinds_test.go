package access_test

import (
	"fmt"
	"log"
	"net/http/httptest"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/senderlocktest"
)

// The authorization server's other tokens are none of the API's, though it signs them with the same key.
func Example_otherTokens() {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	client := senderlocktest.NewClient(clock)
	guard, err := access.New(senderlocktest.Config(issuer, clock))
	if err != nil {
		log.Fatal(err)
	}
	defer guard.Close()

	call := func(kind, token string) {
		_, err := guard.Check(client.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil), token))
		fmt.Printf("%s: %q\n", kind, reason.Of(err))
	}
	call("access token", issuer.Token(senderlocktest.Token{Client: client}))
	call("ID token", issuer.Token(senderlocktest.Token{Client: client, Audience: "client-1"}))
	call("refresh token", "8xLOxBtZp8")
	// Output:
	// access token: ""
	// ID token: "token_audience_wrong"
	// refresh token: "token_jws_malformed"
}

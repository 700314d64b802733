package senderlocktest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/senderlocktest"
)

// accounts is what you want to test.
func accounts(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, "accounts of ", access.GrantFrom(r.Context()).Subject)
}

// TestAccounts is a test of a whole server: the owner of a token, and a thief who has a copy of it.
func TestAccounts(t *testing.T) {
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(t, clock)
	owner, thief := senderlocktest.NewClient(t, clock), senderlocktest.NewClient(t, clock)
	guard, err := access.New(senderlocktest.Config(issuer, clock))
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	handler := guard.Handler(http.HandlerFunc(accounts), access.Requirement{Scopes: []string{"accounts:read"}})

	token := issuer.Token(senderlocktest.Token{Client: owner, Subject: "alice", Scopes: []string{"accounts:read"}})
	for _, test := range []struct {
		sender *senderlocktest.Client
		status int
		body   string
	}{
		{owner, http.StatusOK, "accounts of alice"},
		{thief, http.StatusUnauthorized, "the proof is not made with the key that the access token is bound to"},
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, test.sender.Sign(httptest.NewRequest("GET", senderlocktest.Origin+"/accounts", nil), token))
		if w.Code != test.status || !strings.Contains(w.Body.String(), test.body) {
			t.Errorf("got %d %s", w.Code, w.Body)
		}
	}
}

// TestAccountsAlone is a test of a handler without a Guard, a token and a proof.
func TestAccountsAlone(t *testing.T) {
	r := httptest.NewRequest("GET", "/accounts", nil)
	r = r.WithContext(access.WithGrant(r.Context(), &access.Grant{Token: access.Token{Subject: "alice"}}))
	w := httptest.NewRecorder()
	accounts(w, r)
	if w.Body.String() != "accounts of alice" {
		t.Errorf("got %s", w.Body)
	}
}

func Example() {
	// TestAccounts tests a whole server, TestAccountsAlone a handler.
}

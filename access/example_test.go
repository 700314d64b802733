package access_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
)

// A Guard works in any net/http handler. The clock and the key set of the issuer are fixed here only so that the
// example has one outcome.
func ExampleGuard_Check() {
	origins, err := dpop.NewOrigins([]string{"https://api.example.com"}, nil)
	if err != nil {
		log.Fatal(err)
	}
	clock := poptest.NewClock().Now
	guard := &access.Guard{
		Tokens: &access.JWT{Issuers: []access.Issuer{{
			URL: "https://login.example.com", Audience: "https://api.example.com",
			JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}),
		}}, Now: clock},
		DPoP: &dpop.Verifier{Origins: origins, InsecureForgetAtStart: true, Now: clock},
		Now:  clock,
	}
	if err := guard.Validate(); err != nil {
		log.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		grant, err := guard.Check(r)
		if err != nil {
			access.WriteError(w, err)
			return
		}
		grant.SetHeaders(w.Header())
		fmt.Fprintf(w, "accounts of %s\n", grant.Subject)
	})

	token := poptest.Token{JKT: poptest.ClientKey().Thumbprint()}.String()
	proof := poptest.Proof{Token: token, URL: "https://api.example.com/accounts"}.String()
	for range 2 {
		r := httptest.NewRequest(http.MethodGet, "https://api.example.com/accounts", nil)
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", proof)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Print(w.Code, " ", w.Body)
	}
	// Output:
	// 200 accounts of user-1
	// 401 {"message":"the proof was already used"}
}

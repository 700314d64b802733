package extauthz_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
)

// Pages of the origin may read what is accepted and what is refused, whatever the service says of it, and get 204 to a
// preflight, of which the service hears nothing. Those of others may not.
func TestCrossOrigin(t *testing.T) {
	const page = "https://app.example.com"
	clock := senderlocktest.NewClock()
	issuer := senderlocktest.NewIssuer(clock)
	defer issuer.Close()
	owner := senderlocktest.NewClient(clock)
	c := senderlocktest.Config(issuer, clock)
	c.Log = slog.New(slog.DiscardHandler)
	guard, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	client := askFor(t, page, guard, loopback, gateway.Route{Pattern: "GET /orders"}, gateway.Route{Pattern: "OPTIONS /orders", Public: true})
	token := issuer.Token(senderlocktest.Token{Client: owner})
	for name, test := range map[string]struct {
		method, target string
		token          string
		asks           string // Access-Control-Request-Method
		want           int
	}{
		"accepted":                   {"GET", "/orders", token, "", 200},
		"no credentials":             {"GET", "/orders", "", "", 401},
		"unlisted":                   {"GET", "/admin", token, "", 404},
		"preflight":                  {"OPTIONS", "/orders", "", "DELETE", 204},
		"OPTIONS without a question": {"OPTIONS", "/admin", "", "", 404},
	} {
		for _, origin := range []string{page, "https://evil.example"} {
			r := httptest.NewRequest(test.method, senderlocktest.Origin+test.target, nil)
			r.RequestURI = test.target
			r.Header.Set("Origin", origin)
			if test.asks != "" {
				r.Header.Set("Access-Control-Request-Method", test.asks)
			}
			if test.token != "" {
				r = owner.Sign(r, test.token)
			}
			answer, err := client.Check(t.Context(), question(r, ""))
			if err != nil {
				t.Fatal(err)
			}
			said, status, action := answer.GetOkResponse().GetResponseHeadersToAdd(), 200, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
			if denied := answer.GetDeniedResponse(); denied != nil {
				said, status, action = denied.GetHeaders(), int(denied.GetStatus().GetCode()), corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
			}
			shown := http.Header{}
			for _, o := range said {
				shown.Add(o.GetHeader().GetKey(), o.GetHeader().GetValue())
				if o.GetHeader().GetKey() == "access-control-allow-origin" && o.GetAppendAction() != action {
					t.Errorf("%s: beside what the service says: %v", name, o)
				}
			}
			var want []string
			if origin == page {
				want = []string{page}
			}
			if got := shown.Values("Access-Control-Allow-Origin"); status != test.want || !slices.Equal(got, want) || shown.Get("Vary") != "Origin" {
				t.Errorf("%s of %s: %d, want %d; the client gets %v", name, origin, status, test.want, shown)
			}
		}
	}
}

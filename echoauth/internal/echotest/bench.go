package echotest

import (
	"net/http"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// discard is a response writer that costs next to nothing.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// BenchmarkRequest is a whole request through Echo, without the socket: routing, proof, token, policy, replay
// claim, handler. The server demands accounts:read for GET /accounts. x-bare-verify is the cost as a multiple of one bare
// ECDSA verification in the same run.
func BenchmarkRequest(b *testing.B, server func(*access.Guard) http.Handler) {
	token := bound()
	thief := poptest.Keyed("ES256", "thief")
	hostile := poptest.Compact(`{"typ":"dpop+jwt","alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"`+strings.Repeat("A", 5500)+`"}}`, `{}`, thief)
	authorization := "DPoP " + token
	for name, test := range map[string]struct {
		status int
		make   func() (authorization, proof string)
	}{
		"known token": {200, func() (string, string) { return authorization, poptest.Proof{Token: token}.String() }},
		"new token": {200, func() (string, string) {
			t := bound()
			return "DPoP " + t, poptest.Proof{Token: t}.String()
		}},
		"refused, bad syntax":    {401, func() (string, string) { return authorization, "x.y.z" }},
		"refused, wrong key":     {401, func() (string, string) { return authorization, poptest.Proof{Token: token, Key: thief}.String() }},
		"refused, hostile key":   {401, func() (string, string) { return authorization, hostile }},
		"refused, no credential": {401, func() (string, string) { return "", "" }},
	} {
		b.Run(name, func(b *testing.B) {
			h := server(NewGuard(b))
			request := func() *http.Request {
				r := get("/accounts") // as it comes over the wire
				r.Host = "api.example.com"
				if authorization, proof := test.make(); authorization != "" {
					r.Header["Authorization"], r.Header["Dpop"] = []string{authorization}, []string{proof}
				}
				return r
			}
			w := &discard{header: http.Header{}}
			for range 3 { // fill the caches
				h.ServeHTTP(w, signed(get(poptest.URL), token, poptest.URL))
			}
			requests := make([]*http.Request, b.N)
			for i := range requests {
				requests[i] = request()
			}
			b.ReportAllocs()
			b.ResetTimer()
			for _, r := range requests {
				clear(w.header)
				h.ServeHTTP(w, r)
				if w.status != test.status {
					b.Fatalf("status %d, want %d: %v", w.status, test.status, w.header)
				}
			}
			poptest.ReportRatio(b)
		})
	}
}

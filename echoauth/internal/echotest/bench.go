package echotest

import (
	"fmt"
	"net/http"
	"runtime"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
)

// BenchmarkRequest is a whole request through Echo, without the socket: routing, proof, token, policy, replay claim,
// handler, in multiples of one bare ECDSA verification. The server demands accounts:read for GET /accounts.
func BenchmarkRequest(b *testing.B, server func(*access.Guard) http.Handler) {
	token := bound()
	for _, precomputed := range []int{0, 4} {
		settings := func(c *access.Config) { c.PrecomputedKeys, c.PrecomputedIssuerKeys = precomputed, precomputed }
		suffix := fmt.Sprintf(", precomputed=%d", precomputed)
		b.Run("token known"+suffix, func(b *testing.B) {
			compare(b, server, settings, token, 200, func() (string, string) { return token, poptest.Proof{Token: token}.String() })
		})
		b.Run("token new"+suffix, func(b *testing.B) {
			compare(b, server, settings, token, 200, func() (string, string) {
				t := bound()
				return t, poptest.Proof{Token: t}.String()
			})
		})
	}
	for name, proof := range poptest.HostileProofs(token) {
		b.Run("refused, "+name, func(b *testing.B) {
			compare(b, server, func(*access.Config) {}, token, 401, func() (string, string) { return token, proof() })
		})
	}
	b.Run("refused, no credentials", func(b *testing.B) {
		compare(b, server, func(*access.Config) {}, token, 401, func() (string, string) { return "", "" })
	})
}

// compare compares requests to a server that knows poptest's client, the issuer and a token.
func compare(b *testing.B, server func(*access.Guard) http.Handler, settings func(*access.Config), known string, status int, credentials func() (token, proof string)) {
	var wanted int
	guard := NewGuard(b, settings, func(c *access.Config) { wanted = min(1, c.PrecomputedKeys) })
	h, w := server(guard), poptest.NewSink()
	for range 4 {
		if h.ServeHTTP(w, signed(get(poptest.URL), known, poptest.URL)); w.Status != http.StatusOK {
			b.Fatalf("status %d: %v", w.Status, w.Fields)
		}
	}
	for guard.PrecomputedStats().Held < wanted {
		runtime.Gosched()
	}
	poptest.ComparePrepared(b, func() func() {
		r := get("/accounts") // as it comes over the wire
		r.Host = "api.example.com"
		if token, proof := credentials(); token != "" {
			r.Header["Authorization"], r.Header["Dpop"] = []string{"DPoP " + token}, []string{proof}
		}
		return func() {
			clear(w.Fields)
			if h.ServeHTTP(w, r); w.Status != status {
				b.Fatalf("status %d, want %d: %v", w.Status, status, w.Fields)
			}
		}
	})
}

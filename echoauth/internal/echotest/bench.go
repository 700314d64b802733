package echotest

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

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

// BenchmarkRequest is a whole request through Echo, without the socket: routing, proof, token, policy, replay claim,
// handler, in multiples of one bare ECDSA verification. The server demands accounts:read for GET /accounts.
func BenchmarkRequest(b *testing.B, server func(*access.Guard) http.Handler) {
	token, thief := bound(), poptest.Keyed("ES256", "thief")
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
	header := func(rest string) string {
		return poptest.Proof{Token: token, RawHeader: `{"typ":"dpop+jwt",` + rest + `}`}.String()
	}
	for name, proof := range map[string]func() string{
		"garbage":   func() string { return "x.y.z" },
		"old":       func() string { return poptest.Proof{Token: token, IssuedAt: poptest.Now.Add(-time.Hour)}.String() },
		"wrong key": func() string { return poptest.Proof{Token: token, Key: thief}.String() },
		"small order": func() string {
			return header(`"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `"}`)
		},
		"RSA 16 kbit": func() string {
			return header(`"alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 2731) + `"}`)
		},
	} {
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
	h, w := server(guard), &discard{header: http.Header{}}
	for range 4 {
		if h.ServeHTTP(w, signed(get(poptest.URL), known, poptest.URL)); w.status != http.StatusOK {
			b.Fatalf("status %d: %v", w.status, w.header)
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
			clear(w.header)
			if h.ServeHTTP(w, r); w.status != status {
				b.Fatalf("status %d, want %d: %v", w.status, status, w.header)
			}
		}
	})
}

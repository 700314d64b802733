package dpop_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/internal/speed"
	"github.com/senderlock/senderlock/reason"
)

func alwaysFresh(context.Context, dpop.ReplayKey, time.Time) (bool, error) { return true, nil }

// BenchmarkVerify is a whole acceptance of an ES256 proof, the replay claim included.
func BenchmarkVerify(b *testing.B) {
	for _, precomputed := range []int{0, 10} {
		settings := func(c *dpop.Config) { c.PrecomputedKeys = precomputed }
		suffix := fmt.Sprintf(", PrecomputedKeys=%d", precomputed)
		b.Run("known key"+suffix, func(b *testing.B) {
			v := acquainted(b, settings)
			poptest.ComparePrepared(b, func() func() { return acceptance(b, v, requestWith(mint(poptest.Proof{}))) })
		})
		b.Run("known key and nonce"+suffix, func(b *testing.B) {
			v := acquainted(b, settings)
			nonce := v.Nonce()
			poptest.ComparePrepared(b, func() func() { return acceptance(b, v, requestWith(mint(poptest.Proof{Nonce: nonce}))) })
		})
	}
	b.Run("new key", func(b *testing.B) {
		v, _ := newServer(b, nil)
		n := 0
		poptest.ComparePrepared(b, func() func() {
			n++ // another header is another key to the cache
			return acceptance(b, v, requestWith(header(members{"kid": fmt.Sprint(n)})))
		})
	})
}

func TestSpeedTable(t *testing.T) { speed.Runs(t, "..", "dpop") }

// acquainted returns a Verifier that knows the key of poptest's client, with its table if there are to be any.
func acquainted(b *testing.B, settings func(*dpop.Config)) *dpop.Verifier {
	v, _ := newServer(b, settings)
	var first string
	for range 4 {
		first = mint(poptest.Proof{})
		accepts(b, v, requestWith(first))
	}
	if !v.HeaderCached(strings.Split(first, ".")[0]) {
		b.Fatal("the key is not known")
	}
	for v.PrecomputedStats().Held < min(1, v.PrecomputedKeys()) {
		runtime.Gosched()
	}
	return v
}

func acceptance(b *testing.B, v *dpop.Verifier, r *http.Request) func() {
	return func() {
		if _, err := v.Verify(r, accessToken); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefuse is what a request costs that proves nothing: far less than a verification.
func BenchmarkRefuse(b *testing.B) {
	hostile := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 2048)))
	for _, c := range []struct {
		name  string
		proof string
		want  *reason.Error
	}{
		{"bad syntax", strings.Repeat("A", 8000), dpop.ErrMalformed},
		{"bad JSON", rawPayload(strings.TrimSuffix(text(1), "}")), dpop.ErrJSON},
		{"deep JSON", rawPayload(strings.Repeat(`{"a":`, 900)), dpop.ErrJSON},
		{"many members", rawHeader(manyMembers()), dpop.ErrJSON},
		{"wrong htu", claims(members{"htu": poptest.Audience + "/transfer"}), dpop.ErrTarget},
		{"old", mint(poptest.Proof{IssuedAt: poptest.Now.Add(-time.Hour)}), dpop.ErrStale},
		{"hostile RSA key", jwk("RS256", members{"n": hostile}), dpop.ErrKey},
		{"point not on its curve", jwk("ES512", members{"y": b64(make([]byte, 66))}), dpop.ErrKey},
		{"Ed25519 of small order", jwk("EdDSA", members{"x": b64(make([]byte, 32))}), dpop.ErrKey},
		{"foreign nonce", withNonce(b64(make([]byte, 32))), dpop.ErrNonceForeign},
	} {
		b.Run(c.name, func(b *testing.B) {
			v, _ := newServer(b, func(config *dpop.Config) { config.RequireNonce = c.want == dpop.ErrNonceForeign })
			r := requestWith(c.proof)
			poptest.ComparePrepared(b, func() func() {
				return func() {
					if _, err := v.Read(r, accessToken); !errors.Is(err, c.want) {
						b.Fatal(err)
					}
				}
			})
		})
	}
	b.Run("read alone, to compare the thumbprint", func(b *testing.B) {
		v, _ := newServer(b, nil)
		r := requestWith(mint(poptest.Proof{}))
		poptest.ComparePrepared(b, func() func() {
			return func() {
				if p, err := v.Read(r, accessToken); err != nil || p.Thumbprint() == "" {
					b.Fatal(err)
				}
			}
		})
	})
}

func manyMembers() string {
	var s strings.Builder
	for i := 0; s.Len() < 5000; i++ {
		fmt.Fprintf(&s, `"%x":0,`, i)
	}
	return "{" + s.String() + `"typ":"x","alg":"ES256"}`
}

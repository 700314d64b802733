package poptest

import (
	"net/http"
	"strings"
	"time"
)

// HostileProofs makes proofs for a token that are refused, for benchmarks of what a refusal costs.
func HostileProofs(token string) map[string]func() string {
	header := func(rest string) string {
		return Proof{Token: token, RawHeader: `{"typ":"dpop+jwt",` + rest + `}`}.String()
	}
	thief := Keyed("ES256", "thief")
	return map[string]func() string{
		"garbage":   func() string { return "x.y.z" },
		"old":       func() string { return Proof{Token: token, IssuedAt: Now.Add(-time.Hour)}.String() },
		"wrong key": func() string { return Proof{Token: token, Key: thief}.String() },
		"small order": func() string {
			return header(`"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":"` + strings.Repeat("A", 43) + `"}`)
		},
		"RSA 16 kbit": func() string {
			return header(`"alg":"RS256","jwk":{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 2731) + `"}`)
		},
	}
}

// Sink is a response writer that costs next to nothing.
type Sink struct {
	Fields http.Header
	Status int
}

// NewSink makes one.
func NewSink() *Sink { return &Sink{Fields: http.Header{}} }

// Header implements [http.ResponseWriter].
func (s *Sink) Header() http.Header { return s.Fields }

// Write implements [http.ResponseWriter].
func (s *Sink) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements [http.ResponseWriter].
func (s *Sink) WriteHeader(status int) { s.Status = status }

package conformance_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/conformance"
	"github.com/senderlock/senderlock/internal/mint"
)

// seen is a request as a careless server looks at it: it believes whatever it reads.
type seen struct {
	*http.Request
	*recall
	scheme, token      string
	header, claims     map[string]any // of the token
	field              string         // the DPoP field
	proof, proofHeader map[string]any
}

// recall is what a careless server has accepted before, and how many requests it had accepted by then.
type recall struct {
	mu       sync.Mutex
	known    map[string]int
	accepted int
}

// before reports whether a request with this text was accepted.
func (m *recall) before(text string) bool { return m.known[text] > 0 }

func parts(jws string, n int) map[string]any {
	list := strings.Split(jws, ".")
	if n >= len(list) {
		return nil
	}
	raw, _ := base64.RawURLEncoding.DecodeString(list[n])
	var m map[string]any
	_ = json.Unmarshal(raw, &m)
	return m
}

func signatureOf(jws string) string { return jws[strings.LastIndexByte(jws, '.')+1:] }

func unsigned(jws string) string { return jws[:strings.LastIndexByte(jws, '.')+1] }

func text(m map[string]any, name string) string { s, _ := m[name].(string); return s }

func (s *seen) jti() string { return text(s.proof, "jti") }

func (s *seen) htu() string { return text(s.proof, "htu") }

func (s *seen) own() string { return origin + s.URL.EscapedPath() }

func (s *seen) key() string { return mint.Marshal(s.proofHeader["jwk"]) }

// texts are what a request is known by.
func (s *seen) texts() []string {
	return []string{s.token, unsigned(s.token), signatureOf(s.token), s.field, signatureOf(s.field), "key " + s.key(),
		"kid " + text(s.header, "kid"), "jti " + strings.ToLower(strings.TrimSpace(s.jti())),
		"head " + s.jti()[:min(64, len(s.jti()))], "tail " + s.jti()[max(0, len(s.jti())-64):]}
}

// rule is what a careless server answers, whatever our middleware would: 200, another status, or 0 for neither.
type rule func(*seen) int

// accepts is a rule that lets in what it should not.
func accepts(when func(*seen) bool) rule {
	return func(s *seen) int {
		if when(s) {
			return http.StatusOK
		}
		return 0
	}
}

// refuses is a rule that keeps out a good client.
func refuses(when func(*seen) bool) rule {
	return func(s *seen) int {
		if when(s) {
			return http.StatusUnauthorized
		}
		return 0
	}
}

// careless puts a rule before our middleware.
func careless(r rule) func(*testing.T) defects { return around(r.before) }

func (r rule) before(next http.Handler) http.Handler {
	m := &recall{known: map[string]int{}}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		s := &seen{Request: q, recall: m, field: q.Header.Get("DPoP")}
		s.scheme, s.token, _ = strings.Cut(q.Header.Get("Authorization"), " ")
		s.header, s.claims = parts(s.token, 0), parts(s.token, 1)
		s.proofHeader, s.proof = parts(s.field, 0), parts(s.field, 1)
		m.mu.Lock()
		answer := r(s)
		m.mu.Unlock()
		switch answer {
		case 0:
		case http.StatusOK:
			_, _ = io.WriteString(w, "ok\n")
			return
		case http.StatusTeapot:
			panic(http.ErrAbortHandler) // cuts the connection
		default:
			w.Header().Set("WWW-Authenticate", `DPoP error="invalid_dpop_proof"`)
			w.WriteHeader(answer)
			return
		}
		out := &changed{ResponseWriter: w, change: func(_ http.Header, code *int) {
			if *code/100 == 2 {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.accepted++
				for _, text := range s.texts() {
					m.known[text] = m.accepted
				}
			}
		}}
		next.ServeHTTP(out, q)
	})
}

func half(a, b string) bool { return len(a) > 20 && len(b) > 20 && a[:20] == b[:20] }

func lastHalf(a, b string) bool {
	return len(a) == len(b) && len(a) > 20 && a[len(a)-20:] == b[len(b)-20:]
}

// at is a rule for one route.
func at(path string, when func(*seen) bool) rule {
	return accepts(func(s *seen) bool { return s.URL.Path == path && when(s) })
}

const (
	strong = "urn:conformance:strong"
	write  = "conformance:write"
)

func scopes(s *seen) []string { return strings.Split(text(s.claims, "scope"), " ") }

func anyScope(s *seen, when func(string) bool) bool {
	for _, scope := range scopes(s) {
		if when(scope) {
			return true
		}
	}
	return false
}

// forwarded is a rule that believes a field about the origin.
func forwarded(name string, moved func(value string) string) rule {
	return accepts(func(s *seen) bool {
		value := s.Header.Get(name)
		return value != "" && s.htu() == moved(value)+s.URL.EscapedPath()
	})
}

func macBy(s *seen, secret []byte) bool {
	sum := hmac.New(sha256.New, secret)
	sum.Write([]byte(strings.TrimSuffix(unsigned(s.field), ".")))
	return text(s.proofHeader, "alg") == "HS256" && signatureOf(s.field) == mint.Base64(sum.Sum(nil))
}

// carelessness are servers that attackers look for, each with the case that must find it.
var carelessness = []planted{
	// What was accepted once is taken for granted.
	{name: "a token is good with any key once it was accepted", finds: "known-thief",
		config: careless(accepts(func(s *seen) bool { return s.before(s.token) && s.scheme == "DPoP" && s.proof != nil }))},
	{name: "the same, when asked in another way", finds: "binding-other-key@warm",
		config: careless(accepts(func(s *seen) bool { return s.before(s.token) && s.scheme == "DPoP" && s.proof != nil }))},
	{name: "a token needs no proof once it was accepted", finds: "known-no-proof",
		config: careless(accepts(func(s *seen) bool { return s.before(s.token) && s.field == "" && s.scheme == "DPoP" }))},
	{name: "a token is a bearer token once it was accepted", finds: "known-bearer",
		config: careless(accepts(func(s *seen) bool { return s.before(s.token) && s.scheme == "Bearer" }))},
	{name: "a token is known by its header and claims", finds: "known-token-signature-flip",
		config: careless(accepts(func(s *seen) bool { return s.token != "" && s.before(unsigned(s.token)) && !s.before(s.field) }))},
	{name: "a token is known by its signature", finds: "known-token-key",
		config: careless(accepts(func(s *seen) bool {
			return s.token != "" && s.before(signatureOf(s.token)) && !s.before(s.token)
		}))},
	{name: "a proof is known by its signature", finds: "known-proof-signature",
		config: careless(accepts(func(s *seen) bool {
			return s.field != "" && s.before(signatureOf(s.field)) && !s.before(s.field)
		}))},
	{name: "a key needs no signature once it was accepted", finds: "signature-other-key@warm",
		config: careless(accepts(func(s *seen) bool { return s.proof != nil && s.before("key "+s.key()) && !s.before(s.field) }))},
	{name: "a token lives for as long as it is known", finds: "known-expired",
		config: careless(accepts(func(s *seen) bool { return s.before(s.token) && !s.before(s.field) }))},
	{name: "scopes are judged once a token", finds: "known-scope",
		config: careless(at("/scope", func(s *seen) bool { return s.before(s.token) }))},
	{name: "the login is judged once a token", finds: "known-stepup",
		config: careless(at("/strong", func(s *seen) bool { return s.before(s.token) }))},
	{name: "the certificate is compared once a token", finds: "known-certificate",
		config: careless(at("/mtls", func(s *seen) bool { return s.before(s.token) }))},
	{name: "keys of an issuer never go", finds: "known-rotated-old",
		config: careless(accepts(func(s *seen) bool {
			return s.token != "" && s.before("kid "+text(s.header, "kid")) && !s.before(s.token)
		}))},
	{name: "keys of an issuer are fetched once", finds: "known-rotated-new",
		config: careless(refuses(func(s *seen) bool {
			return strings.HasSuffix(text(s.claims, "iss"), "/rotating") && s.accepted > 1 && !s.before("kid "+text(s.header, "kid"))
		}))},
	// What a memory of used proofs overlooks.
	{name: "a memory of fifty proofs", finds: "replay-flood",
		config: careless(accepts(func(s *seen) bool { return s.before(s.field) && s.accepted-s.known[s.field] > 50 }))},
	{name: "a memory for short jti", finds: "replay-jti-100",
		config: careless(accepts(func(s *seen) bool { return s.before(s.field) && len(s.jti()) > 64 }))},
	{name: "a memory for long jti", finds: "replay-jti-one",
		config: careless(accepts(func(s *seen) bool { return s.before(s.field) && len(s.jti()) < 8 }))},
	{name: "a memory for requests without a body", finds: "replay-body",
		config: careless(accepts(func(s *seen) bool { return s.before(s.field) && s.ContentLength > 0 }))},
	{name: "a memory for GET", finds: "replay-DELETE",
		config: careless(accepts(func(s *seen) bool { return s.before(s.field) && s.Method == "DELETE" }))},
	{name: "a memory for JWTs", finds: "replay-opaque",
		config: careless(accepts(func(s *seen) bool { return s.before(s.field) && s.claims == nil && s.token != "" }))},
	{name: "a memory for connections without a certificate", finds: "replay-certificate",
		config: careless(accepts(func(s *seen) bool {
			return s.field != "" && s.before(s.field) && s.TLS != nil && len(s.TLS.PeerCertificates) > 0
		}))},
	{name: "jti in any case", finds: "replay-distinct-case",
		config: careless(refuses(func(s *seen) bool { return s.field != "" && s.before("jti "+strings.ToLower(s.jti())) }))},
	{name: "jti without the spaces around it", finds: "replay-distinct-space",
		config: careless(refuses(func(s *seen) bool {
			return s.field != "" && s.before("jti "+strings.ToLower(strings.TrimSpace(s.jti())))
		}))},
	{name: "the first 64 characters of jti", finds: "replay-distinct-last",
		config: careless(refuses(func(s *seen) bool { return len(s.jti()) > 64 && s.before("head "+s.jti()[:64]) }))},
	{name: "the last 64 characters of jti", finds: "replay-distinct-first",
		config: careless(refuses(func(s *seen) bool { return len(s.jti()) > 64 && s.before("tail "+s.jti()[len(s.jti())-64:]) }))},
	{name: "a refused copy gets a 500", finds: "replay-race", config: late(http.StatusInternalServerError)},
	{name: "a refused copy is cut off", finds: "replay-race", config: late(http.StatusTeapot)},
	// htu is compared with something else than the request.
	{name: "htu is compared with the mount point", finds: "path-not-mount",
		config: careless(accepts(func(s *seen) bool {
			return s.htu() == origin+"/resource" && strings.HasPrefix(s.URL.Path, "/resource/")
		}))},
	{name: "index.html is left out of htu", finds: "htu-index",
		config: careless(accepts(func(s *seen) bool { return s.htu() == s.own()+"/index.html" }))},
	{name: "index.html is left out of the path", finds: "path-not-index",
		config: careless(accepts(func(s *seen) bool { return s.htu() == strings.TrimSuffix(s.own(), "index.html") && s.htu() != s.own() }))},
	{name: ".json is left out of htu", finds: "htu-json",
		config: careless(accepts(func(s *seen) bool { return s.htu() == s.own()+".json" }))},
	{name: "a suffix is left out of the path", finds: "path-not-suffix",
		config: careless(accepts(func(s *seen) bool { return s.htu()+".json" == s.own() }))},
	{name: "www is left out of htu", finds: "htu-www",
		config: careless(accepts(func(s *seen) bool {
			return strings.Replace(s.htu(), "//www.", "//", 1) == s.own() && s.htu() != s.own()
		}))},
	{name: "letters are composed", finds: "path-not-composed", config: careless(normalised("z%CC%87", "%C5%BC"))},
	{name: "letters are decomposed", finds: "path-not-decomposed", config: careless(normalised("z%CC%87", "%C5%BC"))},
	{name: "wide letters are folded", finds: "htu-fullwidth", config: careless(normalised("\uff52", "r"))},
	{name: "ligatures are folded", finds: "path-not-compatible", config: careless(normalised("%EF%AC%81", "fi"))},
	{name: "marks that nothing shows are left out", finds: "htu-accent", config: careless(normalised("\u034f", ""))},
	// Fields that anybody may send.
	{name: "X-Forwarded-Port is believed", finds: "forwarded-origin-X-Forwarded-Port",
		config: careless(forwarded("X-Forwarded-Port", func(port string) string { return origin + ":" + port }))},
	{name: "X-Forwarded-Ssl is believed", finds: "forwarded-origin-X-Forwarded-Ssl", config: careless(forwarded("X-Forwarded-Ssl", secure))},
	{name: "Front-End-Https is believed", finds: "forwarded-origin-Front-End-Https", config: careless(forwarded("Front-End-Https", secure))},
	{name: "X-Forwarded-Path is believed", finds: "forwarded-path-X-Forwarded-Path",
		config: careless(accepts(func(s *seen) bool {
			path := s.Header.Get("X-Forwarded-Path")
			return path != "" && s.htu() == origin+path
		}))},
	// Ways around.
	{name: "OPTIONS is open", finds: "options-bare",
		config: careless(accepts(func(s *seen) bool { return s.Method == http.MethodOptions }))},
	{name: "OPTIONS with a bad proof is open", finds: "options-proof",
		config: careless(accepts(func(s *seen) bool { return s.Method == http.MethodOptions && s.field != "" }))},
	{name: "a preflight is open", finds: "options-preflight",
		config: careless(accepts(func(s *seen) bool { return s.Header.Get("Access-Control-Request-Method") != "" }))},
	{name: "a token in the query of a POST", finds: "query-token-post",
		config: careless(accepts(func(s *seen) bool { return s.Method == http.MethodPost && s.URL.Query().Has("access_token") }))},
	{name: "two Authorization fields: one of them is a bearer token", finds: "auth-twice-bearer-last",
		config: careless(accepts(func(s *seen) bool { return len(s.Header["Authorization"]) > 1 && s.field == "" }))},
	// Demands are compared in part.
	{name: "acr: a longer one is enough", finds: "stepup-acr-longer",
		config: careless(at("/strong", func(s *seen) bool { return strings.HasPrefix(text(s.claims, "acr"), strong) }))},
	{name: "acr: the beginning is enough", finds: "stepup-acr-shorter",
		config: careless(at("/strong", func(s *seen) bool {
			return len(text(s.claims, "acr")) > 5 && strings.HasPrefix(strong, text(s.claims, "acr"))
		}))},
	{name: "acr: holding it is enough", finds: "stepup-acr-suffix",
		config: careless(at("/strong", func(s *seen) bool { return strings.Contains(text(s.claims, "acr"), strong) }))},
	{name: "acr in any case", finds: "stepup-acr-case",
		config: careless(at("/strong", func(s *seen) bool { return strings.EqualFold(text(s.claims, "acr"), strong) }))},
	{name: "acr: a wildcard", finds: "stepup-acr-wildcard",
		config: careless(at("/strong", func(s *seen) bool { return strings.HasSuffix(text(s.claims, "acr"), ":*") }))},
	{name: "acr is a list", finds: "stepup-acr-list",
		config: careless(at("/strong", func(s *seen) bool { return strings.Contains(text(s.claims, "acr"), " "+strong) }))},
	{name: "scopes: the beginning is enough", finds: "scope-shorter",
		config: careless(at("/scope", func(s *seen) bool {
			return anyScope(s, func(scope string) bool { return len(scope) > 5 && strings.HasPrefix(write, scope) })
		}))},
	{name: "scopes: holding it is enough", finds: "scope-suffix",
		config: careless(at("/scope", func(s *seen) bool { return strings.Contains(text(s.claims, "scope"), write) }))},
	{name: "scopes in any case", finds: "scope-case",
		config: careless(at("/scope", func(s *seen) bool {
			return anyScope(s, func(scope string) bool { return strings.EqualFold(scope, write) })
		}))},
	{name: "scopes: a wildcard", finds: "scope-wildcard",
		config: careless(at("/scope", func(s *seen) bool {
			return anyScope(s, func(scope string) bool { return strings.HasSuffix(scope, ":*") })
		}))},
	{name: "scopes are separated by any white space", finds: "scope-newline",
		config: careless(at("/scope", func(s *seen) bool { return strings.Contains(text(s.claims, "scope"), "\n"+write) }))},
	{name: "aud: the beginning is enough", finds: "token-aud-shorter",
		config: careless(accepts(func(s *seen) bool {
			return len(text(s.claims, "aud")) > 5 && strings.HasPrefix(origin, text(s.claims, "aud")) && text(s.claims, "aud") != origin
		}))},
	{name: "aud: holding it is enough", finds: "token-aud-middle",
		config: careless(accepts(func(s *seen) bool { return strings.Contains(text(s.claims, "aud"), "="+origin) }))},
	{name: "aud in any case", finds: "token-aud-case",
		config: careless(accepts(func(s *seen) bool {
			return strings.EqualFold(text(s.claims, "aud"), origin) && text(s.claims, "aud") != origin
		}))},
	{name: "aud: a star", finds: "token-aud-star",
		config: careless(accepts(func(s *seen) bool { return text(s.claims, "aud") == "*" }))},
	{name: "a login two minutes ahead is fresh", finds: "stepup-ahead",
		config: careless(at("/fresh", func(s *seen) bool {
			t, _ := s.claims["auth_time"].(float64)
			iat, _ := s.claims["iat"].(float64)
			return t > iat
		}))},
	{name: "the first half of ath", finds: "ath-half",
		config: careless(accepts(func(s *seen) bool {
			return half(text(s.proof, "ath"), mint.ATH(s.token)) && text(s.proof, "ath") != mint.ATH(s.token)
		}))},
	{name: "the last half of ath", finds: "ath-half-last",
		config: careless(accepts(func(s *seen) bool {
			return lastHalf(text(s.proof, "ath"), mint.ATH(s.token)) && text(s.proof, "ath") != mint.ATH(s.token)
		}))},
	{name: "ath in any case", finds: "ath-upper",
		config: careless(accepts(func(s *seen) bool { return text(s.proof, "ath") == strings.ToUpper(mint.ATH(s.token)) }))},
	{name: "HS256 with the secret in the jwk", finds: "alg-oct-bound",
		config: careless(accepts(func(s *seen) bool {
			jwk, _ := s.proofHeader["jwk"].(map[string]any)
			secret, err := base64.RawURLEncoding.DecodeString(fmt.Sprint(jwk["k"]))
			return err == nil && macBy(s, secret)
		}))},
	{name: "HS256 with the jwk as secret", finds: "alg-HS256-jwk",
		config: careless(accepts(func(s *seen) bool { return macBy(s, []byte(s.key())) }))},
}

// late answers copies of a proof that was accepted with something else than a refusal. It takes one request after the
// other, so that copies that come at once are copies of one that was accepted.
func late(status int) func(*testing.T) defects {
	copied := rule(func(s *seen) int {
		if s.before(s.field) {
			return status
		}
		return 0
	})
	return around(func(next http.Handler) http.Handler {
		var turn sync.Mutex
		handler := copied.before(next)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			turn.Lock()
			defer turn.Unlock()
			handler.ServeHTTP(w, r)
		})
	})
}

// normalised is a rule that compares paths after it has replaced letters.
func normalised(from, to string) rule {
	fold := func(text string) string { return strings.ReplaceAll(text, from, to) }
	return accepts(func(s *seen) bool { return fold(s.htu()) == fold(s.own()) && s.htu() != s.own() })
}

// secure is the origin with the scheme that "on" and "off" say.
func secure(value string) string {
	return map[string]string{"on": "https:", "off": "http:"}[value] + strings.TrimPrefix(origin, "https:")
}

// A careless server is found, each by the case that is named beside it.
func TestCareless(t *testing.T) {
	careful := slices.Clone(carelessness)
	for i := range careful {
		careful[i].config = nil
	}
	t.Run("none", func(t *testing.T) { pass(t, careful...) })
	for _, m := range carelessness {
		t.Run(m.name, func(t *testing.T) {
			if got := outcome(t, m); got != conformance.Fail {
				t.Errorf("%s does not find it: %s", m.finds, got)
			}
		})
	}
}

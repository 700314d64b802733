package poptest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v2/jwa"
	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/lestrrat-go/jwx/v2/jws"

	"github.com/senderlock/senderlock/internal/poptest"
)

var algorithms = []string{
	"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519",
}

// jwxAlg maps the one name that jwx does not know.
func jwxAlg(alg string) jwa.SignatureAlgorithm {
	if alg == "Ed25519" {
		alg = "EdDSA"
	}
	return jwa.SignatureAlgorithm(alg)
}

func verify(t *testing.T, compact, alg string, jwkJSON any) error {
	t.Helper()
	text, err := json.Marshal(jwkJSON)
	if err != nil {
		t.Fatal(err)
	}
	key, err := jwk.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	i := strings.LastIndexByte(compact, '.')
	sig, err := base64.RawURLEncoding.Strict().DecodeString(compact[i+1:])
	if err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := key.Raw(&raw); err != nil {
		t.Fatal(err)
	}
	v, err := jws.NewVerifier(jwxAlg(alg))
	if err != nil {
		t.Fatal(err)
	}
	if alg != "Ed25519" { // the whole JWS, where jwx knows the header's alg
		if _, err := jws.Verify([]byte(compact), jws.WithKey(jwxAlg(alg), raw)); err != nil {
			return err
		}
	}
	return v.Verify([]byte(compact[:i]), sig, raw)
}

func part(t *testing.T, compact string, i int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.Strict().DecodeString(strings.Split(compact, ".")[i])
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestEveryAlgorithmVerifies(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			for _, k := range []*poptest.Key{poptest.NewKey(alg), poptest.Keyed(alg, "a")} {
				proof := poptest.Proof{Key: k}.String()
				header := part(t, proof, 0)
				if header["alg"] != alg || header["typ"] != "dpop+jwt" {
					t.Errorf("header = %v", header)
				}
				if err := verify(t, proof, alg, header["jwk"]); err != nil {
					t.Errorf("proof: %v", err)
				}
				if err := verify(t, poptest.Tampered(proof), alg, header["jwk"]); err == nil {
					t.Error("tampered proof verifies")
				}
				if err := verify(t, poptest.Token{Key: k}.String(), alg, k.JWK()); err != nil {
					t.Errorf("token: %v", err)
				}
				forged := poptest.Proof{Key: k, Signer: poptest.NewKey(alg)}.String()
				if err := verify(t, forged, alg, k.JWK()); err == nil {
					t.Error("proof by another signer verifies")
				}
			}
		})
	}
}

func TestThumbprintsAgreeWithJWX(t *testing.T) {
	for _, alg := range algorithms {
		k := poptest.Keyed(alg, "a")
		text, _ := json.Marshal(k.JWK())
		key, err := jwk.ParseKey(text)
		if err != nil {
			t.Fatal(err)
		}
		want, err := key.Thumbprint(crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Thumbprint(); got != base64.RawURLEncoding.EncodeToString(want) {
			t.Errorf("%s: thumbprint = %s", alg, got)
		}
	}
}

func TestKeysAreTheSameOrNot(t *testing.T) {
	for _, alg := range algorithms {
		a, again, b := poptest.Keyed(alg, "a"), poptest.Keyed(alg, "a"), poptest.Keyed(alg, "b")
		if a.Thumbprint() != again.Thumbprint() {
			t.Errorf("%s: same seed, different keys", alg)
		}
		again.Alg = "none"
		if poptest.Keyed(alg, "a").Alg != alg {
			t.Errorf("%s: a change to one key reached another", alg)
		}
		if a.Thumbprint() == b.Thumbprint() {
			t.Errorf("%s: different seeds, same key", alg)
		}
		seen := map[string]bool{a.Thumbprint(): true, b.Thumbprint(): true}
		for range 4 {
			print := poptest.NewKey(alg).Thumbprint()
			if seen[print] {
				t.Errorf("%s: key came twice", alg)
			}
			seen[print] = true
		}
	}
	if got := len(poptest.Keyed("ES256", "a").JWK()); got != 4 {
		t.Errorf("EC JWK has %d members, want 4", got)
	}
	if a, b := poptest.RSA("PS256", 1024), poptest.RSA("RS256", 1024); a.Thumbprint() != b.Thumbprint() {
		t.Error("RSA keys of one size differ")
	}
}

func TestRenamedKeysSignAnyway(t *testing.T) {
	ec := poptest.NewKey("ES256")
	ec.Alg = "none"
	if sig := ec.Sign("x"); len(sig) != 0 {
		t.Errorf("none: %d octets of signature", len(sig))
	}
	ec.Alg = "RS512"
	if sig := ec.Sign("x"); len(sig) != 64 {
		t.Errorf("EC key as RS512: %d octets of signature", len(sig))
	}
	ec.Alg = "HS256"
	mac := hmac.New(sha256.New, ec.PublicPEM())
	mac.Write([]byte("x"))
	if !hmac.Equal(mac.Sum(nil), ec.Sign("x")) {
		t.Error("HS256 is not an HMAC under the public key")
	}
}

func TestProofDefaultsAndChanges(t *testing.T) {
	claims := part(t, poptest.Proof{}.String(), 1)
	if claims["htm"] != "GET" || claims["htu"] != poptest.URL || claims["iat"] != float64(poptest.Now.Unix()) {
		t.Errorf("claims = %v", claims)
	}
	if len(claims) != 4 || claims["jti"] == part(t, poptest.Proof{}.String(), 1)["jti"] {
		t.Errorf("claims = %v, want four with a new jti", claims)
	}
	p := poptest.Proof{
		Method: "POST", URL: "https://a.example/b?c#d", Token: "t", Nonce: "n", JTI: "j", IssuedAt: time.Unix(7, 0),
		Header: map[string]any{"typ": nil, "crit": []string{"x"}},
		Claims: map[string]any{"htm": json.RawMessage("null"), "iat": "7"},
	}
	one := p.String()
	if one != p.String() {
		t.Error("the same proof twice differs, although its jti is set")
	}
	claims, header := part(t, one, 1), part(t, one, 0)
	if v, ok := claims["htm"]; !ok || v != nil {
		t.Error("htm is not null")
	}
	if claims["htu"] != "https://a.example/b" || claims["iat"] != "7" || claims["nonce"] != "n" || claims["ath"] != poptest.ATH("t") {
		t.Errorf("claims = %v", claims)
	}
	if _, ok := header["typ"]; ok || header["crit"] == nil {
		t.Errorf("header = %v", header)
	}
	raw := poptest.Proof{RawHeader: `{"a":1,"a":2}`, RawPayload: "[]"}.String()
	if !strings.HasPrefix(raw, base64.RawURLEncoding.EncodeToString([]byte(`{"a":1,"a":2}`))+".W10.") {
		t.Errorf("raw = %s", raw)
	}
}

func TestTokenDefaultsAndChanges(t *testing.T) {
	token := poptest.Token{JKT: "j", X5T: "x", Claims: map[string]any{"scope": nil, "auth_time": 1}}.String()
	header, claims := part(t, token, 0), part(t, token, 1)
	if header["typ"] != "at+jwt" || header["kid"] != poptest.KeyID || header["alg"] != "ES256" {
		t.Errorf("header = %v", header)
	}
	cnf, _ := claims["cnf"].(map[string]any)
	if cnf["jkt"] != "j" || cnf["x5t#S256"] != "x" {
		t.Errorf("cnf = %v", cnf)
	}
	if claims["exp"].(float64)-claims["iat"].(float64) != 300 || claims["iss"] != poptest.Issuer || claims["aud"] != poptest.Audience {
		t.Errorf("claims = %v", claims)
	}
	if _, ok := claims["scope"]; ok || claims["auth_time"] != 1.0 {
		t.Errorf("claims = %v", claims)
	}
	if _, ok := part(t, poptest.Token{}.String(), 1)["cnf"]; ok {
		t.Error("a zero token is bound")
	}
}

func TestClock(t *testing.T) {
	c := poptest.NewClock()
	c.Advance(time.Minute)
	if got := c.Now().Sub(poptest.Now); got != time.Minute {
		t.Errorf("advanced by %v", got)
	}
	c.Set(poptest.Now)
	if !c.Now().Equal(poptest.Now) {
		t.Error("not set")
	}
}

func TestVectors(t *testing.T) {
	v := poptest.Vectors()
	for name, c := range map[string][2]string{
		"RFC 9449 jkt": {poptest.Thumbprint(v.RFC9449.PublicJWK), v.RFC9449.JKT},
		"RFC 9449 ath": {poptest.ATH(v.RFC9449.OpaqueAccessToken), v.RFC9449.ATH},
		"RFC 9449 cnf": {v.RFC9449.JWTAccessToken.Claims.CNF.JKT, v.RFC9449.JKT},
		"RFC 7638":     {poptest.Thumbprint(v.RFC7638.Section31.JWK), v.RFC7638.Section31.Thumbprint},
		"RFC 8037":     {poptest.Thumbprint(v.RFC8037.AppendixA3.JWK), v.RFC8037.AppendixA3.Thumbprint},
	} {
		if c[0] != c[1] || c[0] == "" {
			t.Errorf("%s: %q, want %q", name, c[0], c[1])
		}
	}
	if len(v.RFC9449.Proofs) != 3 || len(v.RFC9449.ChallengeExamples) != 6 || len(v.RFC9449.NonceExamples) != 2 {
		t.Fatal("vectors are missing")
	}
	for _, p := range v.RFC9449.Proofs {
		if err := verify(t, p.Proof, "ES256", v.RFC9449.PublicJWK); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		claims := part(t, p.Proof, 1)
		if claims["jti"] != p.Claims.JTI || claims["htm"] != p.Request.Method || claims["htu"] != p.Request.URI || claims["iat"] != float64(p.Claims.IAT) {
			t.Errorf("%s: claims = %v", p.Name, claims)
		}
	}
	if err := verify(t, v.RFC7515.AppendixA3.JWS, "ES256", v.RFC7515.AppendixA3.JWK); err != nil {
		t.Errorf("RFC 7515: %v", err)
	}
	for _, c := range v.RFC9449.ChallengeExamples {
		if c.Status == 0 || c.WWWAuthenticate == "" {
			t.Errorf("challenge %q is incomplete", c.Case)
		}
	}
	block, _ := pem.Decode([]byte(v.RFC8705.AppendixA.CertificatePEM))
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if got := poptest.X5T(cert); got != v.RFC8705.AppendixA.X5T {
		t.Errorf("x5t#S256 = %s", got)
	}
	odd, err := base64.RawURLEncoding.DecodeString(v.RFC8705.Section31.CNF.X5T)
	if err != nil || base64.RawURLEncoding.EncodeToString(odd) != v.RFC8705.Section31.Canonical {
		t.Errorf("RFC 8705 section 3.1: %v", err)
	}
}

func fetch(t *testing.T, s *poptest.IssuerServer, path string) (int, string) {
	t.Helper()
	client := *s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Get(s.URL() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestIssuerServer(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *poptest.IssuerServer{
		"https": poptest.NewIssuerServer, "http": poptest.NewPlainIssuerServer,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			if !strings.HasPrefix(s.URL(), name+"://") {
				t.Errorf("URL = %s", s.URL())
			}
			for _, path := range []string{poptest.MetadataPath, poptest.OpenIDPath} {
				_, body := fetch(t, s, path)
				var m struct {
					Issuer string
					JWKS   string `json:"jwks_uri"`
				}
				if err := json.Unmarshal([]byte(body), &m); err != nil || m.Issuer != s.URL() || m.JWKS != s.URL()+poptest.JWKSPath {
					t.Errorf("%s: %s", path, body)
				}
			}
			if s.Fetches() != 0 || s.FetchesOf(poptest.MetadataPath) != 1 {
				t.Error("fetches are miscounted")
			}
			s.SetKeys(map[string]*poptest.Key{"b": poptest.NewKey("PS256"), "a": poptest.Keyed("EdDSA", "a")})
			_, body := fetch(t, s, poptest.JWKSPath)
			set, err := jwk.Parse([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			token := s.Token(poptest.Token{KeyID: "b"})
			if _, err := jws.Verify([]byte(token), jws.WithKeySet(set)); err != nil {
				t.Error(err)
			}
			if part(t, token, 1)["iss"] != s.URL() || s.Fetches() != 1 {
				t.Error("iss or the count of fetches is wrong")
			}
		})
	}
}

func TestIssuerServerMisbehaves(t *testing.T) {
	s := poptest.NewIssuerServer(t)
	s.SetRawJWKS([]byte("{"))
	if _, body := fetch(t, s, poptest.JWKSPath); body != "{" {
		t.Errorf("raw key set = %q", body)
	}
	s.LimitTo(poptest.JWKSPath)
	s.SetFailing(true)
	if code, _ := fetch(t, s, poptest.JWKSPath); code != 500 {
		t.Errorf("failing: %d", code)
	}
	if code, _ := fetch(t, s, poptest.MetadataPath); code != 200 {
		t.Errorf("metadata while only the key set fails: %d", code)
	}
	s.SetFailing(false)
	s.SetRedirect("https://elsewhere.example/")
	if code, _ := fetch(t, s, poptest.JWKSPath); code != 302 {
		t.Errorf("redirect: %d", code)
	}
	s.SetRedirect("")
	s.SetPadding(1 << 20)
	if _, body := fetch(t, s, poptest.JWKSPath); len(body) != 1<<20+1 || !strings.HasSuffix(body, " {") {
		t.Errorf("padded body has %d octets", len(body))
	}
	s.SetPadding(0)
	s.SetMetadata(map[string]any{"issuer": "https://other.example", "jwks_uri": nil})
	if _, body := fetch(t, s, poptest.MetadataPath); !strings.Contains(body, "other.example") || strings.Contains(body, "jwks_uri") {
		t.Errorf("metadata = %s", body)
	}
	s.Handle("/introspect", http.NotFoundHandler())
	if code, _ := fetch(t, s, "/introspect"); code != 404 || s.FetchesOf("/introspect") != 1 {
		t.Errorf("added endpoint: %d", code)
	}

	s.Hang()
	ctx, cancel := context.WithCancel(t.Context())
	given, waiting := hangingFetch(ctx, t, s), hangingFetch(t.Context(), t, s)
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("request given up: %v", err)
	}
	select {
	case err := <-waiting:
		t.Errorf("request answered while the server hangs: %v", err)
	default:
	}
	s.Release()
	if err := <-waiting; err != nil {
		t.Errorf("released request: %v", err)
	}
	s.Hang() // the clean-up must not wait for it
	s.Close()
	if _, err := s.Client().Get(s.URL()); err == nil {
		t.Error("a closed server answers")
	}
}

// hangingFetch asks for the key set and returns once the request has arrived.
func hangingFetch(ctx context.Context, t *testing.T, s *poptest.IssuerServer) <-chan error {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL()+poptest.JWKSPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	before, done := s.Fetches(), make(chan error, 1)
	go func() {
		resp, err := s.Client().Do(req)
		if err == nil {
			err = resp.Body.Close()
		}
		done <- err
	}()
	for s.Fetches() == before {
		runtime.Gosched()
	}
	return done
}

func TestCertificates(t *testing.T) {
	ca := poptest.NewCA(t)
	good := ca.Issue(t, "client-1")
	options := x509.VerifyOptions{
		Roots: ca.Pool(), CurrentTime: poptest.Now, DNSName: "client-1",
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if _, err := good.Leaf.Verify(options); err != nil {
		t.Error(err)
	}
	if _, err := poptest.SelfSigned(t, "client-1").Leaf.Verify(options); err == nil {
		t.Error("a self-signed certificate verifies")
	}
	if _, err := poptest.NewCA(t).Issue(t, "client-1").Leaf.Verify(options); err == nil {
		t.Error("another authority's certificate verifies")
	}
	expired := ca.Issue(t, "client-1", func(c *x509.Certificate) { c.NotAfter = poptest.Now.Add(-time.Second) })
	if _, err := expired.Leaf.Verify(options); err == nil {
		t.Error("an expired certificate verifies")
	}
	pair, err := tls.X509KeyPair(poptest.PEM(t, good))
	if err != nil || !bytes.Equal(pair.Certificate[0], good.Certificate[0]) {
		t.Errorf("PEM: %v", err)
	}
}

func TestCertificatesShakeHands(t *testing.T) {
	ca := poptest.NewCA(t)
	client := ca.Issue(t, "client-1")
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, poptest.X5T(r.TLS.PeerCertificates[0]))
	}))
	s.TLS = &tls.Config{
		Certificates: []tls.Certificate{ca.Issue(t, "api.example.com")},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool(),
	}
	s.StartTLS()
	defer s.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{client}}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); string(body) != poptest.X5T(client.Leaf) {
		t.Errorf("server saw %s", body)
	}
}

func TestImportsNothingOfThisModule(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal("go list:", err)
	}
	if got := strings.Fields(string(out)); len(got) != 2 { // mint and itself
		t.Errorf("dependencies outside the standard library: %v", got)
	}
}

//go:build unix

package providers_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

// startOIDCProvider starts the program that examples/api/README.md prints, with its two addresses changed to free ones
// and, for what a reader would change by hand, these texts in place of others.
func startOIDCProvider(t *testing.T, apiPort string, changes ...string) provider {
	t.Helper()
	p, _ := startOIDCProviderAt(t, free(t), apiPort, changes...)
	return p
}

func startOIDCProviderAt(t *testing.T, port, apiPort string, changes ...string) (provider, *process) {
	t.Helper()
	readme, err := os.ReadFile("../api/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(readme), "```js\n")
	program, _, found := strings.Cut(program, "```")
	if !found {
		t.Fatal("README.md has no program in JavaScript")
	}
	for _, change := range [][]string{{"127.0.0.1:8080", "127.0.0.1:" + apiPort}, {"9000", port}, changes} {
		for i := 0; i+1 < len(change); i += 2 {
			if !strings.Contains(program, change[i]) {
				t.Fatalf("the program does not say %s", change[i])
			}
			program = strings.ReplaceAll(program, change[i], change[i+1])
		}
	}
	folder := t.TempDir()
	if err := os.Symlink(filepath.Join(find(t, "oidc-provider-*"), "node_modules"), filepath.Join(folder, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "server.mjs"), []byte(program+"console.log('listening');\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := start(t, nil, "node", filepath.Join(folder, "server.mjs"))
	server.line("listening")
	return provider{
		issuer: "http://127.0.0.1:" + port, audience: "http://127.0.0.1:" + apiPort,
		machine: "machine", machineSecret: "machine-secret", app: "app", web: "web", webSecret: "web-secret",
		signIn: func(b *browsertest.Browser) {
			b.Type(`[name=login]`, "alice")
			b.Type(`[name=password]`, "anything")
			b.Click(".login-submit")
			b.Wait(`document.querySelector("[name=prompt]")?.value === "consent"`)
			b.Click(".login-submit")
		},
	}, server
}

// signingKey is the setting with which the program signs by a new key, of a name.
func signingKey(t *testing.T, name string) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	part := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	encoded, err := json.Marshal(map[string]string{
		"kty": "RSA", "kid": name, "use": "sig", "alg": "RS256", "n": part(key.N), "e": part(big.NewInt(int64(key.E))), "d": part(key.D),
		"p": part(key.Primes[0]), "q": part(key.Primes[1]), "dp": part(key.Precomputed.Dp), "dq": part(key.Precomputed.Dq), "qi": part(key.Precomputed.Qinv),
	})
	if err != nil {
		t.Fatal(err)
	}
	return "jwks: { keys: [" + string(encoded) + "] },\n  clients: [{"
}

func TestOIDCProvider(t *testing.T) {
	port, web := free(t), free(t)
	p := startOIDCProvider(t, port, "http://localhost:3000", "http://localhost:"+web)
	a := p.startAPI(t, port, map[string]string{"LOGOUT_CLIENT_ID": "app"})

	t.Run("client credentials", func(t *testing.T) { a.in(t).clientCredentials() })
	t.Run("a user in a browser", func(t *testing.T) {
		a, folder := a.in(t), filepath.Join(t.TempDir(), "native")
		b := a.logIn(folder, "-scope", "openid read", "-resource", p.audience, "-max-age", "5m")
		a.call(folder, "/api/read", `"binding":"DPoP"`)
		a.call(folder, "/api/write", "insufficient_scope")
		a.call(folder, "/api/stepup", "login is too old or too weak") // its pages for development reach no acr
		a.told("login_too_weak")
		b.Open(p.metadata(t, "end_session_endpoint"))
		b.Click("[name=logout]")
		a.told("logout received")
		a.call(folder, "/api/read", "invalid_token")
	})
	t.Run("token handler", func(t *testing.T) { a.in(t).tokenHandler(web, "-scope", "openid read", "-resource", p.audience) })
}

// A client of which the provider demands no proof gets a token that is nobody's.
func TestOIDCProviderUnbound(t *testing.T) {
	port := free(t)
	p := startOIDCProvider(t, port, "...bound, client_id: 'machine'", "client_id: 'machine'")
	p.startAPI(t, port, nil).unbound(p.machine, p.machineSecret)
}

// The keys of the provider are others, behind the same address: the API fetches them and goes on.
func TestOIDCProviderRotation(t *testing.T) {
	own, port := free(t), free(t)
	p, server := startOIDCProviderAt(t, own, port, "clients: [{", signingKey(t, "first"))
	p.startAPI(t, port, nil).rotation(func() {
		server.Kill()
		startOIDCProviderAt(t, own, port, "clients: [{", signingKey(t, "second"))
	})
}

// Opaque tokens are asked about at the provider, which knows what they are bound to.
func TestOIDCProviderIntrospection(t *testing.T) {
	port := free(t)
	p := startOIDCProvider(t, port, "'jwt'", "'opaque'")
	a := p.startAPI(t, port, map[string]string{
		"INTROSPECTION_ENDPOINT": p.metadata(t, "introspection_endpoint"), "INTROSPECTION_CLIENT_ID": "machine", "INTROSPECTION_CLIENT_SECRET": "machine-secret",
	})
	a.clientCredentials()
	segment := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	jwt := func(alg, issuer, signature string) string {
		return segment(`{"alg":"`+alg+`","typ":"at+jwt"}`) + "." + segment(`{"iss":"`+issuer+`"}`) + "." + signature
	}
	// What nobody issued is refused, and never trouble of ours.
	for what, token := range map[string]string{
		"opaque, unknown to the provider": "nobody-issued-this",
		"a JWT of another issuer":         jwt("RS256", "https://evil.example.com", segment("x")),
		"of the issuer and a slash":       jwt("RS256", p.issuer+"/", segment("x")),
		"a wrong signature":               jwt("RS256", p.issuer, segment("x")),
		"alg none":                        jwt("none", p.issuer, ""),
		"without a signature":             segment(`{"alg":"RS256"}`) + "." + segment(`{"iss":"`+p.issuer+`"}`),
		"an encrypted one of nobody":      segment(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".a.b.c.d",
	} {
		t.Run(what, func(t *testing.T) {
			a.in(t).get(http.DefaultClient, "/api/read", http.StatusUnauthorized, "Authorization", "Bearer "+token)
		})
	}
}

// The provider demands nonces at its token endpoint, and the API demands its own.
func TestOIDCProviderNonces(t *testing.T) {
	port := free(t)
	p := startOIDCProvider(t, port, "dPoP: { enabled: true }", "dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true }")
	a := p.startAPI(t, port, map[string]string{"DPOP_NONCE": "required"})
	a.get(a.newSender("client", a.machine, a.machineSecret, "read").Client, "/api/read", http.StatusOK)
}

func TestOIDCProviderExpiry(t *testing.T) {
	port := free(t)
	p := startOIDCProvider(t, port, "accessTokenTTL: 600", "accessTokenTTL: 5")
	a := p.startAPI(t, port, nil)
	t.Run("expiry", func(t *testing.T) { a.in(t).expiry(p.machine, p.machineSecret) })
	t.Run("refresh", func(t *testing.T) { a.in(t).refresh(p.app, "-scope", "openid read", "-resource", p.audience) })
}

// Beside its port in the clear it has one that asks for certificates.
func TestOIDCProviderCertificates(t *testing.T) {
	c, port, securePort := newCertificates(t), free(t), free(t)
	p := startOIDCProvider(t, port,
		"...bound, client_id: 'machine'", "tls_client_certificate_bound_access_tokens: true, client_id: 'machine'",
		"new Provider('http", "const provider = new Provider('http",
		"dPoP: { enabled: true }", `dPoP: { enabled: true },
			mTLS: { enabled: true, certificateBoundAccessTokens: true, getCertificate: (ctx) => ctx.socket.getPeerX509Certificate?.() }`,
		"}).listen(", `});
			const { createServer } = await import('node:https'), { readFileSync } = await import('node:fs');
			createServer({
				cert: readFileSync('`+c.file("server.pem")+`'), key: readFileSync('`+c.file("server-key.pem")+`'),
				requestCert: true, rejectUnauthorized: false,
			}, provider.callback()).listen(`+securePort+`, '127.0.0.1');
			provider.listen(`)
	a, endpoint := p.startTLSAPI(t, c), "https://127.0.0.1:"+securePort+"/token"
	config := clientcredentials.Config{ClientID: p.machine, ClientSecret: p.machineSecret, Scopes: []string{"read"}, TokenURL: endpoint}
	a.certificateBound(c, config)
	for what, test := range map[string]struct {
		tokens oauth2.TokenSource
		want   string
	}{
		"a certificate and a proof": {
			a.newSenderOver(c.transport("client"), endpoint, "client", p.machine, p.machineSecret, "read").tokens,
			"multiple proof-of-possession mechanisms are not allowed",
		},
		"no certificate": {
			config.TokenSource(context.WithValue(t.Context(), oauth2.HTTPClient, c.with())),
			"invalid_grant",
		},
	} {
		t.Run(what, func(t *testing.T) {
			if _, err := test.tokens.Token(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the provider answers %v, want %q in it", err, test.want)
			}
		})
	}
}

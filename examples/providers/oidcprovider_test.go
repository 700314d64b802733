//go:build unix

package providers_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

// startOIDCProvider starts the program that examples/api/README.md prints, with its two addresses changed to free ones
// and, for what a reader would change by hand, these texts in place of others.
func startOIDCProvider(t *testing.T, apiPort string, changes ...string) provider {
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
	port := free(t)
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
	start(t, nil, "node", filepath.Join(folder, "server.mjs")).line("listening")
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
	}
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

// Opaque tokens are asked about at the provider, which knows what they are bound to.
func TestOIDCProviderIntrospection(t *testing.T) {
	port := free(t)
	p := startOIDCProvider(t, port, "'jwt'", "'opaque'")
	a := p.startAPI(t, port, map[string]string{
		"INTROSPECTION_ENDPOINT": p.metadata(t, "introspection_endpoint"), "INTROSPECTION_CLIENT_ID": "machine", "INTROSPECTION_CLIENT_SECRET": "machine-secret",
	})
	a.clientCredentials()
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

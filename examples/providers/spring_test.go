//go:build unix

package providers_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

// startSpring starts the Spring Authorization Server of testdata/spring.
func startSpring(t *testing.T, web string) provider {
	t.Helper()
	p, _ := startSpringAt(t, free(t), web)
	return p
}

func startSpringAt(t *testing.T, port, web string) (provider, *process) {
	t.Helper()
	p := provider{
		issuer: "http://127.0.0.1:" + port, audience: "https://api.example.com",
		machine: "machine", machineSecret: "machine-secret", app: "app", web: "web", webSecret: "web-secret",
		signIn: func(b *browsertest.Browser) {
			b.Type("[name=username]", "alice")
			b.Type("[name=password]", "wonderland")
			b.Click("button[type=submit]")
		},
	}
	server := start(t, nil, "java", "-Xmx300m", "-jar", filepath.Join(find(t, "spring-*"), "provider.jar"), "--server.port="+port,
		"--issuer="+p.issuer, "--audience="+p.audience, "--web=http://localhost:"+web)
	server.line("Started Provider")
	return p, server
}

// The program makes a key at each start: the API fetches the new one and goes on.
func TestSpringRotation(t *testing.T) {
	own, web := free(t), free(t)
	p, server := startSpringAt(t, own, web)
	p.startAPI(t, free(t), nil).rotation(func() {
		server.Kill()
		startSpringAt(t, own, web)
	})
}

func TestSpring(t *testing.T) {
	port, web := free(t), free(t)
	p := startSpring(t, web)
	a := p.startAPI(t, port, nil)

	t.Run("client credentials", func(t *testing.T) { a.in(t).clientCredentials() })
	t.Run("no binding", func(t *testing.T) { a.in(t).unbound(p.machine, p.machineSecret) })
	t.Run("nonces", func(t *testing.T) {
		a := p.startAPI(t, free(t), map[string]string{"DPOP_NONCE": "required"})
		a.get(a.newSender("client", p.machine, p.machineSecret, "read").Client, "/api/read", http.StatusOK)
	})
	t.Run("expiry", func(t *testing.T) { a.in(t).expiry("expiring", "expiring-secret") })
	t.Run("a user in a browser", func(t *testing.T) {
		a, folder := a.in(t), filepath.Join(t.TempDir(), "native")
		a.logIn(folder, "-scope", "openid read")
		a.call(folder, "/api/read", `"binding":"DPoP"`)
		a.call(folder, "/api/write", "insufficient_scope")
	})
	t.Run("token handler", func(t *testing.T) { a.in(t).tokenHandler(web, "-scope", "openid read") })
}

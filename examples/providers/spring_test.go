//go:build unix

package providers_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

// spring is the Spring Authorization Server of testdata/spring.
type spring struct {
	provider
	process *process
	args    []string
	tls     string // its token endpoint that asks for certificates
}

// startSpring starts it, for a web client behind a port.
func startSpring(t *testing.T, web string, c *certificates) *spring {
	t.Helper()
	port, securePort := free(t), free(t)
	s := &spring{provider: provider{
		issuer: "http://127.0.0.1:" + port, audience: "https://api.example.com",
		machine: "machine", machineSecret: "machine-secret", app: "app", web: "web", webSecret: "web-secret",
		signIn: func(b *browsertest.Browser) {
			b.Type("[name=username]", "alice")
			b.Type("[name=password]", "wonderland")
			b.Click("button[type=submit]")
		},
	}}
	s.tls = "https://127.0.0.1:" + securePort + "/oauth2/token"
	s.args = []string{"-Xmx300m", "-Djava.io.tmpdir=" + t.TempDir(), "-jar", filepath.Join(find(t, "spring-*"), "provider.jar"),
		"--plain=" + port, "--server.port=" + securePort, "--server.ssl.client-auth=want",
		"--server.ssl.certificate=" + c.file("server.pem"), "--server.ssl.certificate-private-key=" + c.file("server-key.pem"),
		"--server.ssl.trust-certificate=" + c.file("ca.pem"), "--certificate=" + c.byName["client"].Leaf.Subject.String(),
		"--issuer=" + s.issuer, "--audience=" + s.audience, "--web=http://localhost:" + web,
	}
	s.start(t)
	return s
}

func (s *spring) start(t *testing.T) {
	t.Helper()
	s.process = start(t, nil, "java", s.args...)
	s.process.line("Started Provider")
}

func TestSpring(t *testing.T) {
	c, web := newCertificates(t), free(t)
	s := startSpring(t, web, c)
	a := s.startAPI(t, free(t), map[string]string{
		"INTROSPECTION_ENDPOINT": s.metadata(t, "introspection_endpoint"), "INTROSPECTION_CLIENT_ID": s.machine, "INTROSPECTION_CLIENT_SECRET": s.machineSecret,
	})

	t.Run("client credentials", func(t *testing.T) { a.in(t).clientCredentials() })
	t.Run("introspection", func(t *testing.T) {
		a := a.in(t)
		a.machine, a.machineSecret = "opaque", "opaque-secret"
		a.clientCredentials()
	})
	t.Run("no binding", func(t *testing.T) { a.in(t).unbound(s.machine, s.machineSecret) })
	t.Run("nonces", func(t *testing.T) {
		a := s.startAPI(t, free(t), map[string]string{"DPOP_NONCE": "required"})
		a.get(a.newSender("client", s.machine, s.machineSecret, "read").Client, "/api/read", http.StatusOK)
		a.noNonces(s.machine, s.machineSecret)
	})
	t.Run("certificates", func(t *testing.T) {
		a := s.startTLSAPI(t, c)
		a.certificateBound(c, clientcredentials.Config{
			ClientID: "certificate", Scopes: []string{"read"}, TokenURL: s.tls, AuthStyle: oauth2.AuthStyleInParams,
		})
		a.both(c, s.tls, "certificate", "")
	})
	t.Run("expiry", func(t *testing.T) { a.in(t).expiry("expiring", "expiring-secret") })
	t.Run("a user in a browser", func(t *testing.T) {
		a, folder := a.in(t), filepath.Join(t.TempDir(), "native")
		a.logIn(folder, "-scope", "openid read")
		a.call(folder, "/api/read", `"binding":"DPoP"`)
		a.call(folder, "/api/write", "insufficient_scope")
		a.call(folder, "/api/stepup", `"binding":"DPoP"`)
	})
	t.Run("token handler", func(t *testing.T) { a.in(t).tokenHandler(web, "-scope", "openid read") })
	t.Run("refresh", func(t *testing.T) {
		a.in(t).refreshByTokenHandler(web, "short-web", "short-web-secret", "-scope", "openid read")
	})
	t.Run("what it cannot do", func(t *testing.T) {
		a.in(t)
		if metadata := s.allMetadata(t); metadata["backchannel_logout_supported"] != nil {
			t.Errorf("it can tell of logouts now: %v", metadata)
		}
	})
	// The program makes a key at each start.
	t.Run("key rotation", func(t *testing.T) {
		a.in(t).rotation(func() {
			s.process.Kill()
			s.start(t)
		})
	})
}

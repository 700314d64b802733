//go:build unix

package providers_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
	"github.com/senderlock/senderlock/internal/poptest"
)

// keycloak is a Keycloak that runs, with the realm demo.
type keycloak struct {
	provider
	t     *testing.T
	admin string // where its realms are administrated
	token string // of the administrator
}

// startKeycloak starts it, and sets up the API, a user and clients through its administration, by the steps of
// examples/api/README.md.
func startKeycloak(t *testing.T, apiURL string, options ...string) *keycloak {
	t.Helper()
	port := free(t)
	base := "http://127.0.0.1:" + port
	server := start(t, map[string]string{
		"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin", "JAVA_OPTS_APPEND": "-Xmx600m",
	}, filepath.Join(find(t, "keycloak-*"), "bin", "kc.sh"),
		append([]string{"start-dev", "--db=dev-mem", "--http-host=127.0.0.1", "--http-port=" + port}, options...)...)
	server.line("Listening on:")

	k := &keycloak{t: t, admin: base + "/admin/realms", provider: provider{
		issuer: base + "/realms/demo", audience: "https://api.example.com",
		machine: "machine", machineSecret: "machine-secret", app: "app", web: "web", webSecret: "web-secret",
		signIn: func(b *browsertest.Browser) {
			b.Type("#username", "alice")
			b.Type("#password", "wonderland")
			b.Click("#kc-login")
		},
	}}
	k.signInAsAdministrator(base)
	k.post("", map[string]any{
		"realm": "demo", "enabled": true, "accessTokenLifespan": 300,
		"attributes": map[string]string{"acr.loa.map": `{"urn:interop:gold":"1"}`},
		"users": []any{map[string]any{
			"username": "alice", "enabled": true, "email": "alice@example.com", "emailVerified": true, "firstName": "Alice", "lastName": "Liddell",
			"credentials": []any{map[string]string{"type": "password", "value": "wonderland"}},
		}},
	})
	for _, scope := range []string{"read", "write"} {
		k.post("/demo/client-scopes", map[string]any{
			"name": scope, "protocol": "openid-connect", "attributes": map[string]string{"include.in.token.scope": "true"},
			"protocolMappers": []any{map[string]any{
				"name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
				"config": map[string]string{"included.custom.audience": k.audience, "access.token.claim": "true"},
			}},
		})
	}
	k.client(k.machine, k.machineSecret, nil)
	k.client("expiring", "expiring-secret", map[string]string{"access.token.lifespan": "5"})
	k.client("typ-jwt", "typ-jwt-secret", map[string]string{"access.token.header.type.rfc9068": "false"})
	k.client("bearer", "bearer-secret", map[string]string{"dpop.bound.access.tokens": "false"})
	k.client("certificate", "certificate-secret", map[string]string{
		"dpop.bound.access.tokens": "false", "tls.client.certificate.bound.access.tokens": "true",
	})
	logout := map[string]string{"backchannel.logout.url": apiURL + "/backchannel-logout", "backchannel.logout.session.required": "true"}
	k.client(k.app, "", logout, "http://127.0.0.1/callback")
	k.client(k.web, k.webSecret, logout, "http://localhost:*")
	k.client("short", "", map[string]string{"access.token.lifespan": "5"}, "http://127.0.0.1/callback")
	return k
}

// client adds one whose tokens are bound by DPoP and of the type of RFC 9068, unless attributes say otherwise: one with
// redirect URIs for users, one without for itself.
func (k *keycloak) client(id, secret string, attributes map[string]string, redirects ...string) {
	k.t.Helper()
	all := map[string]string{"dpop.bound.access.tokens": "true", "access.token.header.type.rfc9068": "true"}
	for name, value := range attributes {
		all[name] = value
	}
	k.post("/demo/clients", map[string]any{
		"clientId": id, "secret": secret, "publicClient": secret == "", "protocol": "openid-connect", "attributes": all,
		"standardFlowEnabled": len(redirects) > 0, "redirectUris": redirects, "serviceAccountsEnabled": len(redirects) == 0,
		"defaultClientScopes": []string{"basic", "acr", "profile", "roles", "web-origins"}, "optionalClientScopes": []string{"read", "write", "offline_access"},
	})
}

func (k *keycloak) signInAsAdministrator(base string) {
	k.t.Helper()
	resp, err := http.PostForm(base+"/realms/master/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"},
	})
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		k.t.Fatalf("the administrator got %d and no token: %v", resp.StatusCode, err)
	}
	k.token = answer.AccessToken
}

func (k *keycloak) post(path string, body any) { k.t.Helper(); k.ask(http.MethodPost, path, body) }

// ask sends a request to the administration and returns the answer, which must be a success.
func (k *keycloak) ask(method, path string, body any) []byte {
	k.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		k.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(k.t.Context(), method, k.admin+path, bytes.NewReader(encoded))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+k.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		k.t.Fatalf("%s %s: %d %v\n%s", method, path, resp.StatusCode, err, answer)
	}
	return answer
}

func TestKeycloak(t *testing.T) {
	port := free(t)
	k := startKeycloak(t, "http://127.0.0.1:"+port)
	a := k.startAPI(t, port, map[string]string{"LOGOUT_CLIENT_ID": "app,web"})

	t.Run("client credentials", func(t *testing.T) { a.in(t).clientCredentials() })
	t.Run("no binding", func(t *testing.T) { a.in(t).unbound("bearer", "bearer-secret") })
	t.Run("typ JWT", func(t *testing.T) {
		a := a.in(t)
		a.get(a.newSender("client", "typ-jwt", "typ-jwt-secret", "read").Client, "/api/read", http.StatusUnauthorized)
		a.decision("token_typ_wrong")
		a = k.startAPI(t, free(t), map[string]string{"ACCEPT_TYPE_JWT": "on"})
		a.get(a.newSender("client", "typ-jwt", "typ-jwt-secret", "read").Client, "/api/read", http.StatusOK)
	})
	t.Run("nonces", func(t *testing.T) {
		a := k.startAPI(t, free(t), map[string]string{"DPOP_NONCE": "required"})
		a.get(a.newSender("client", k.machine, k.machineSecret, "read").Client, "/api/read", http.StatusOK)
	})
	t.Run("key rotation", func(t *testing.T) {
		a.in(t).rotation(func() {
			k.post("/demo/components", map[string]any{
				"name": "next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
				"config": map[string][]string{"priority": {"500"}, "enabled": {"true"}, "active": {"true"}, "algorithm": {"RS256"}, "keySize": {"2048"}},
			})
		})
	})
	t.Run("expiry", func(t *testing.T) { a.in(t).expiry("expiring", "expiring-secret") })
	t.Run("a user in a browser", func(t *testing.T) {
		a, folder := a.in(t), filepath.Join(t.TempDir(), "native")
		a.logIn(folder, "-scope", "openid read", "-acr", "urn:interop:gold", "-max-age", "5m")
		a.call(folder, "/api/read", `"binding":"DPoP"`)
		a.call(folder, "/api/write", "insufficient_scope")
		a.call(folder, "/api/stepup", `"binding":"DPoP"`)
		k.post("/demo/users/"+k.user("alice")+"/logout", nil)
		a.told("logout received")
		a.call(folder, "/api/read", "invalid_token")
	})
	t.Run("refresh", func(t *testing.T) { a.in(t).refresh("short", "-scope", "openid read") })
	t.Run("token handler", func(t *testing.T) { a.in(t).tokenHandler(free(t), "-scope", "openid read") })
}

// A token bound to the certificate with which it was asked for opens the API to that certificate alone.
func TestKeycloakCertificates(t *testing.T) {
	certificates, folder := map[string]tls.Certificate{}, t.TempDir()
	for _, name := range []string{"server", "client", "thief"} {
		certificates[name] = poptest.SelfSigned(t, "127.0.0.1")
		certificate, key := poptest.PEM(t, certificates[name])
		for file, content := range map[string][]byte{name + ".pem": certificate, name + "-key.pem": key} {
			if err := os.WriteFile(filepath.Join(folder, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	in := func(file string) string { return filepath.Join(folder, file) }
	securePort := free(t)
	k := startKeycloak(t, "http://127.0.0.1:9", "--https-port="+securePort, "--https-client-auth=request",
		"--https-certificate-file="+in("server.pem"), "--https-certificate-key-file="+in("server-key.pem"),
		"--truststore-paths="+in("client.pem")+","+in("thief.pem"))
	k.issuer = "https://127.0.0.1:" + securePort + "/realms/demo"
	tlsPort := free(t)
	a := k.startAPI(t, free(t), map[string]string{
		"CA_FILE": in("server.pem"), "TLS_PORT": tlsPort, "TLS_CERT_FILE": in("server.pem"), "TLS_KEY_FILE": in("server-key.pem"),
	})
	a.url = "https://127.0.0.1:" + tlsPort
	roots := x509.NewCertPool()
	roots.AddCert(certificates["server"].Leaf)
	with := func(names ...string) *http.Client {
		config := &tls.Config{RootCAs: roots}
		for _, name := range names {
			config.Certificates = append(config.Certificates, certificates[name])
		}
		return &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
	}
	config := clientcredentials.Config{
		ClientID: "certificate", ClientSecret: "certificate-secret", Scopes: []string{"read"},
		TokenURL: k.issuer + "/protocol/openid-connect/token",
	}
	token, err := config.Token(context.WithValue(t.Context(), oauth2.HTTPClient, with("client")))
	if err != nil {
		t.Fatal(err)
	}
	bearer := []string{"Authorization", "Bearer " + token.AccessToken}
	a.get(with("client"), "/api/read", http.StatusOK, bearer...)
	a.get(with("thief"), "/api/read", http.StatusUnauthorized, bearer...)
	a.decision("certificate_mismatch")
	a.get(with(), "/api/read", http.StatusUnauthorized, bearer...)
	a.decision("certificate_missing")
}

// user is the identifier of a user.
func (k *keycloak) user(name string) string {
	k.t.Helper()
	var users []struct{ ID string }
	if err := json.Unmarshal(k.ask(http.MethodGet, "/demo/users?username="+name, nil), &users); err != nil || len(users) != 1 {
		k.t.Fatalf("%d users %s: %v", len(users), name, err)
	}
	return users[0].ID
}

//go:build unix

package providers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/examples/internal/browsertest"
)

// keycloak is a Keycloak that runs, with the realm demo.
type keycloak struct {
	provider
	t             *testing.T
	secure        string // the issuer by TLS, which is another to it
	admin         string // where its realms are administrated
	administrator *http.Client
}

// startKeycloak starts it, and sets up the API, a user and clients through its administration, by the steps of
// examples/api/README.md.
func startKeycloak(t *testing.T, apiURL string, c *certificates) *keycloak {
	t.Helper()
	port, securePort := free(t), free(t)
	base := "http://127.0.0.1:" + port
	server := start(t, map[string]string{
		"KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": "admin", "JAVA_OPTS_APPEND": "-Xmx600m",
	}, filepath.Join(find(t, "keycloak-*-built"), "bin", "kc.sh"), "start", "--optimized", "--hostname-strict=false",
		"--http-enabled=true", "--http-host=127.0.0.1", "--http-port="+port, "--https-port="+securePort,
		"--https-certificate-file="+c.file("server.pem"), "--https-certificate-key-file="+c.file("server-key.pem"),
		"--truststore-paths="+c.file("ca.pem"))
	server.line("Listening on:")

	k := &keycloak{t: t, secure: "https://127.0.0.1:" + securePort + "/realms/demo", admin: base + "/admin/realms", provider: provider{
		issuer: base + "/realms/demo", audience: "https://api.example.com",
		machine: "machine", machineSecret: "machine-secret", app: "app", web: "web", webSecret: "web-secret",
		signIn: func(b *browsertest.Browser) {
			b.Type("#username", "alice")
			b.Type("#password", "wonderland")
			b.Click("#kc-login")
		},
	}}
	k.signInAsAdministrator(base)
	k.ask(http.MethodPut, "/master", map[string]any{"accessTokenLifespan": 3600}, nil) // in place of a minute
	k.signInAsAdministrator(base)
	k.post("", map[string]any{
		"realm": "demo", "enabled": true, "accessTokenLifespan": 300,
		"attributes": map[string]string{"acr.loa.map": `{"urn:interop:gold":"1"}`, "ssf.transmitterEnabled": "true"},
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
				"config": map[string]string{"included.custom.audience": k.audience, "access.token.claim": "true", "lightweight.claim": "true"},
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
	k.client("both", "both-secret", map[string]string{"tls.client.certificate.bound.access.tokens": "true"})
	k.client("lightweight", "lightweight-secret", map[string]string{"client.use.lightweight.access.token.enabled": "true"})
	logout := map[string]string{"backchannel.logout.url": apiURL + "/backchannel-logout", "backchannel.logout.session.required": "true"}
	k.client(k.app, "", logout, "http://127.0.0.1/callback")
	k.client(k.web, k.webSecret, logout, "http://localhost:*")
	k.client("short", "", map[string]string{"access.token.lifespan": "5"}, "http://127.0.0.1/callback")
	k.client("short-web", "short-web-secret", map[string]string{"access.token.lifespan": "5"}, "http://localhost:*")
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
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	k.form(base+"/realms/master/protocol/openid-connect/token", url.Values{
		"grant_type": {"password"}, "client_id": {"admin-cli"}, "username": {"admin"}, "password": {"admin"},
	}, &answer)
	k.administrator = oauth2.NewClient(context.Background(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: answer.AccessToken}))
}

func (k *keycloak) post(path string, body any) { k.t.Helper(); k.ask(http.MethodPost, path, body, nil) }

// ask sends a request to the administration.
func (k *keycloak) ask(method, path string, body, answer any) {
	k.t.Helper()
	k.send(k.administrator, method, k.admin+path, body, answer)
}

// send sends JSON and reads JSON, unless answer is nil. The answer must be a success.
func (k *keycloak) send(client *http.Client, method, url string, body, answer any) {
	k.t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		k.t.Fatal(err)
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(encoded))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	k.read(resp, err, answer)
}

// form sends one, and reads JSON likewise.
func (k *keycloak) form(url string, values url.Values, answer any) {
	k.t.Helper()
	resp, err := http.PostForm(url, values)
	k.read(resp, err, answer)
}

func (k *keycloak) read(resp *http.Response, err error, answer any) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && answer != nil {
		err = json.Unmarshal(body, answer)
	}
	if err != nil || resp.StatusCode/100 != 2 {
		k.t.Fatalf("%s: %d %v\n%s", resp.Request.URL, resp.StatusCode, err, body)
	}
}

func TestKeycloak(t *testing.T) {
	c, port := newCertificates(t), free(t)
	k := startKeycloak(t, "http://127.0.0.1:"+port, c)
	a := k.startAPI(t, port, map[string]string{"LOGOUT_CLIENT_ID": "app,web"})

	t.Run("client credentials", func(t *testing.T) { a.in(t).clientCredentials() })
	t.Run("lightweight tokens", func(t *testing.T) {
		a := a.in(t)
		a.machine, a.machineSecret = "lightweight", "lightweight-secret"
		a.clientCredentials()
	})
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
		a.noNonces(k.machine, k.machineSecret)
	})
	t.Run("certificates", func(t *testing.T) {
		overTLS := k.provider
		overTLS.issuer = k.secure
		a, endpoint := overTLS.startTLSAPI(t, c), k.secure+"/protocol/openid-connect/token"
		a.certificateBound(c, clientcredentials.Config{ClientID: "certificate", ClientSecret: "certificate-secret", Scopes: []string{"read"}, TokenURL: endpoint})
		a.certificateAlone(c, endpoint, "both", "both-secret")
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
	t.Run("shared signals", k.transmits)
	t.Run("refresh", func(t *testing.T) { a.in(t).refreshAfterTwoLogins("short", "-scope", "openid read") })
	t.Run("token handler", func(t *testing.T) { a.in(t).tokenHandler(free(t), "-scope", "openid read") })
	t.Run("refresh by token handler", func(t *testing.T) {
		a.in(t).refreshByTokenHandlerAfterTwoLogins(free(t), "short-web", "short-web-secret", "-scope", "openid read")
	})
}

// user is the identifier of a user.
func (k *keycloak) user(name string) string {
	k.t.Helper()
	var users []struct{ ID string }
	if k.ask(http.MethodGet, "/demo/users?username="+name, nil, &users); len(users) != 1 {
		k.t.Fatalf("%d users %s", len(users), name)
	}
	return users[0].ID
}

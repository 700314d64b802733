//go:build unix

package providers_test

import (
	"context"
	"crypto/tls"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/internal/poptest"
)

// certificates are those of a server, of a client and of a thief, by one authority, also as files.
type certificates struct {
	ca     *poptest.CA
	byName map[string]tls.Certificate
	folder string
}

func newCertificates(t *testing.T) *certificates {
	t.Helper()
	c := &certificates{ca: poptest.NewCA(t), byName: map[string]tls.Certificate{}, folder: t.TempDir()}
	files := map[string][]byte{}
	for _, name := range []string{"server", "client", "thief"} {
		certificate := c.ca.Issue(t, name)
		// With its authority: by that Spring tells it from one that signed itself.
		certificate.Certificate = append(certificate.Certificate, c.ca.Certificate.Raw)
		c.byName[name] = certificate
		files[name+".pem"], files[name+"-key.pem"] = poptest.PEM(t, certificate)
	}
	files["ca.pem"], _ = poptest.PEM(t, tls.Certificate{Certificate: [][]byte{c.ca.Certificate.Raw}, PrivateKey: c.byName["server"].PrivateKey})
	for name, content := range files {
		if err := os.WriteFile(c.file(name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *certificates) file(name string) string { return filepath.Join(c.folder, name) }

// transport connects with certificates of these names, and trusts the authority.
func (c *certificates) transport(names ...string) *http.Transport {
	config := &tls.Config{RootCAs: c.ca.Pool()}
	for _, name := range names {
		config.Certificates = append(config.Certificates, c.byName[name])
	}
	return &http.Transport{TLSClientConfig: config}
}

// with is a client with certificates of these names.
func (c *certificates) with(names ...string) *http.Client {
	return &http.Client{Transport: c.transport(names...)}
}

// certificateBound is a client whose token is bound to the certificate with which it asked for it, and a thief of the token.
func (a *api) certificateBound(c *certificates, config clientcredentials.Config) {
	a.t.Helper()
	token, err := config.Token(context.WithValue(a.t.Context(), oauth2.HTTPClient, c.with("client")))
	if err != nil {
		a.t.Fatal(err)
	}
	bearer := []string{"Authorization", "Bearer " + token.AccessToken}
	a.get(c.with("client"), "/api/read", http.StatusOK, bearer...)
	a.get(c.with("thief"), "/api/read", http.StatusUnauthorized, bearer...)
	a.decision("certificate_mismatch")
	a.get(c.with(), "/api/read", http.StatusUnauthorized, bearer...)
	a.decision("certificate_missing")
}

// both is a client whose token is bound to a key and to a certificate: neither alone opens the API.
func (a *api) both(c *certificates, endpoint, client, secret string) {
	a.t.Helper()
	s := a.newSenderOver(c.transport("client"), endpoint, "client", client, secret, "read")
	a.get(s.Client, "/api/read", http.StatusOK)
	with := func(key, certificate string) *http.Client {
		other := a.newSenderOver(c.transport(certificate), endpoint, key, client, secret, "read")
		other.tokens = s.tokens
		return other.Client
	}
	a.get(with("client", "thief"), "/api/read", http.StatusUnauthorized)
	a.decision("certificate_mismatch")
	a.get(with("thief", "client"), "/api/read", http.StatusUnauthorized)
	a.decision("key_mismatch")
}

// certificateAlone is a client that shows a certificate and a proof to a provider which binds the token to the certificate
// then, and not to the key: it opens the API by the certificate, and by no proof.
func (a *api) certificateAlone(c *certificates, endpoint, client, secret string) {
	a.t.Helper()
	s := a.newSenderOver(c.transport("client"), endpoint, "client", client, secret, "read")
	token, err := s.token(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	a.get(c.with("client"), "/api/read", http.StatusOK, "Authorization", "Bearer "+token)
	a.get(s.Client, "/api/read", http.StatusUnauthorized)
	a.decision("token_unbound")
}

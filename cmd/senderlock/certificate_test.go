package main_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/authserver"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/senderlocktest"
)

// tlsAPI is an API over TLS that asks clients for a certificate, and the flags with which curl reaches it.
type tlsAPI struct {
	*world
	url    string
	folder string
	flags  []string
}

func newTLSAPI(t *testing.T) *tlsAPI {
	a := &tlsAPI{world: newWorld(t, nil), folder: t.TempDir()}
	var handler http.Handler
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	t.Cleanup(server.Close)
	guard, err := access.New(access.Config{
		Origins: []string{server.URL}, Issuers: []access.Issuer{{URL: a.issuer, Audience: a.api}}, Certificates: mtls.FromTLS,
		RequireNonce: true, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = guard.Close() })
	mux := http.NewServeMux()
	mux.HandleFunc("/moved", func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, r.URL.Query().Get("to"), http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/", func(rw http.ResponseWriter, r *http.Request) {
		grant, err := guard.Check(r)
		if err != nil {
			rw.Header().Set("X-Reason", reason.Of(err))
			guard.WriteError(rw, r, err)
			return
		}
		fmt.Fprintf(rw, "%s by %s\n", r.URL.Path, grant.Binding)
	})
	handler = mux
	a.url = server.URL
	a.flags = []string{"--cacert", a.file("ca.pem", "CERTIFICATE", server.Certificate().Raw), "--token-file", "-"}
	return a
}

// file writes a PEM file.
func (a *tlsAPI) file(name string, typesAndOctets ...any) string {
	var text []byte
	for i := 0; i < len(typesAndOctets); i += 2 {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: typesAndOctets[i].(string), Bytes: typesAndOctets[i+1].([]byte)})...)
	}
	path := filepath.Join(a.folder, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		a.Fatal(err)
	}
	return path
}

// token is one that is bound to a certificate, to a key or to both; nil and empty bind to none.
func (a *tlsAPI) token(certificate *tls.Certificate, jkt string) string {
	cnf := map[string]any{}
	if certificate != nil {
		cnf["x5t#S256"] = (&mtls.Certificate{DER: certificate.Certificate[0]}).Thumbprint()
	}
	if jkt != "" {
		cnf["jkt"] = jkt
	}
	wanted := authserver.Token{Subject: "bob", ClientID: "app", Audience: a.api}
	if len(cnf) > 0 {
		wanted.Claims = map[string]any{"cnf": cnf}
	}
	token, err := a.as.Mint(wanted)
	if err != nil {
		a.Fatal(err)
	}
	return token
}

// A client certificate is presented, with a token that is bound to it alone or to the DPoP key too.
func TestCurlCertificate(t *testing.T) {
	a := newTLSAPI(t)
	own, other := senderlocktest.NewCertificate("own"), senderlocktest.NewCertificate("other")
	private := func(c tls.Certificate) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	both := a.file("both.pem", "CERTIFICATE", own.Certificate[0], "PRIVATE KEY", private(own))
	cert, key := a.file("cert.pem", "CERTIFICATE", own.Certificate[0]), a.file("cert-key.pem", "PRIVATE KEY", private(own))
	another := a.file("other.pem", "CERTIFICATE", other.Certificate[0], "PRIVATE KEY", private(other))
	dpopKey := filepath.Join(a.folder, "dpop.pem")
	a.run("", "key", "new", "--key", dpopKey)
	jkt := strings.TrimSpace(a.run("", "key", "thumbprint", "--key", dpopKey).out)
	bound, twice := a.token(&own, ""), a.token(&own, jkt)
	for name, test := range map[string]struct {
		token  string
		args   []string
		out    string
		reason string
		advice string
	}{
		"one file":                {bound, []string{"--cert", both}, "/a by certificate\n", "", ""},
		"curl's letter":           {bound, []string{"-E", both}, "/a by certificate\n", "", ""},
		"two files":               {bound, []string{"--cert", cert, "--cert-key", key}, "/a by certificate\n", "", ""},
		"another certificate":     {bound, []string{"--cert", another}, "", "certificate_mismatch", "it is bound to another certificate than that of --cert"},
		"with the DPoP key":       {twice, []string{"--cert", both, "--key", dpopKey}, "/a by DPoP and certificate\n", "", ""},
		"the DPoP key alone":      {twice, []string{"--key", dpopKey}, "", "certificate_missing", "it is bound to a certificate; give that by --cert"},
		"without the DPoP key":    {twice, []string{"--cert", both}, "", "bound_token_as_bearer", "it is bound to a key; give that by --key"},
		"another, with the key":   {twice, []string{"--cert", another, "--key", dpopKey}, "", "certificate_mismatch", "it is bound to another certificate than that of --cert"},
		"a token that is unbound": {a.token(nil, ""), []string{"--cert", both}, "", "token_unbound", "it is bound to nobody"},
	} {
		t.Run(name, func(t *testing.T) {
			u := &user{T: t, home: a.home}
			got := u.run(test.token, append(append([]string{"curl", "-i", a.url + "/a"}, a.flags...), test.args...)...)
			if !strings.HasSuffix(got.out, test.out) || test.reason != "" && !strings.Contains(got.out, "X-Reason: "+test.reason+"\n") || !strings.Contains(got.said, test.advice) || got.status != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
	verbose := a.run(bound, append([]string{"curl", "-v", "--cert", both, a.url + "/a"}, a.flags...)...)
	if !strings.Contains(verbose.said, "> Authorization: Bearer … (") || strings.Contains(verbose.said, bound) {
		t.Errorf("%+v", verbose)
	}
	elsewhere := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called") }))
	defer elsewhere.Close()
	got := a.run(bound, append([]string{"curl", "-L", "--cert", both, a.url + "/moved?to=" + elsewhere.URL}, a.flags...)...)
	if got.status != 1 || !strings.Contains(got.said, "and the request is for the API alone") {
		t.Errorf("a redirect: %+v", got)
	}
	for said, args := range map[string][]string{
		"--cert is for https alone":                {"--cert", both, a.api},
		"--cert-key needs --cert":                  {"--cert-key", key, a.url},
		"--cert: open ":                            {"--cert", filepath.Join(a.folder, "nothing"), a.url},
		"--cert-key is for a key in a file of its": {"--cert", cert, a.url},
		"--cert: tls: private key does not match":  {"--cert", cert, "--cert-key", another, a.url},
	} {
		if got := a.run(bound, append(append([]string{"curl"}, a.flags...), args...)...); got.status != 2 || !strings.Contains(got.said, said) {
			t.Errorf("%q: %+v", said, got)
		}
	}
	const unknown = "certificate signed by unknown authority (--cacert names other authorities)"
	if got := a.run(bound, "curl", "--token-file", "-", "--cert", both, a.url); got.status != 2 || !strings.Contains(got.said, unknown) {
		t.Errorf("a server of an unknown authority: %+v", got)
	}
}

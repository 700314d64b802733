package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/senderlock/senderlock/mtls"
)

// proxies says how each proxy writes the certificate, with the settings of README.md.
var proxies = map[string]mtls.Format{
	"alb-passthrough": mtls.ALBPassthrough,
	"alb-verify":      mtls.ALBVerify,
	"envoy":           mtls.Envoy,
	"haproxy":         mtls.Base64DER,
	"nginx":           mtls.EscapedPEM,
	"rfc9440":         mtls.RFC9440,
	"traefik":         mtls.Traefik,
}

func proxyNames() string { return strings.Join(slices.Sorted(maps.Keys(proxies)), ", ") }

// frontEnd is a proxy that ends TLS in front of the API.
type frontEnd struct{ proxy, listen, trusted, origin string }

// serveBehind starts the API on plain HTTP for a proxy, and returns its address.
func (s *stage) serveBehind(f frontEnd) (net.Addr, error) {
	format, ok := proxies[f.proxy]
	if !ok {
		return nil, fmt.Errorf("-proxy %s is unknown: give one of %s", f.proxy, proxyNames())
	}
	certificates, err := mtls.FromProxy(mtls.Proxy{Format: format, Trusted: mtls.Peers{Addresses: []string{f.trusted}}})
	if err != nil {
		return nil, fmt.Errorf("-trusted: %w", err)
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return nil, err
	}
	return listener.Addr(), s.serve(listener, f.origin, certificates)
}

var commands = template.Must(template.New("commands").Parse(`
The API waits for {{.Proxy}} at http://{{.Listen}} and believes whoever connects from {{.Trusted}}.
Let the proxy serve {{.API}} with the settings of examples/mtls/README.md:
{{.Folder}}/api.pem has its certificate and key, clients.pem the authority. Ctrl-C ends the API.
In another terminal:

folder={{.Folder}}
api={{.API}}
token={{.Token}}

# the owner of the token: 200
curl -i --cacert "$folder/clients.pem" --cert "$folder/owner.pem" -H "Authorization: Bearer $token" "$api/accounts"

# without the certificate: 401 invalid_token
curl -i --cacert "$folder/clients.pem" -H "Authorization: Bearer $token" "$api/accounts"

# with another: 401 invalid_token
curl -i --cacert "$folder/clients.pem" --cert "$folder/thief.pem" -H "Authorization: Bearer $token" "$api/accounts"

The token is good for fifteen minutes. What the server's log says of each refusal:
`))

// wait keeps the API running behind a proxy until ctx ends. The certificates lie in files for as long.
func (s *stage) wait(ctx context.Context, f frontEnd) error {
	address, err := s.serveBehind(f)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "mtls-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	token, err := s.save(folder)
	if err != nil {
		return err
	}
	err = commands.Execute(s.Out, map[string]string{
		"Proxy": f.proxy, "Listen": address.String(), "Trusted": f.trusted, "API": s.api, "Folder": folder, "Token": token,
	})
	if err != nil {
		return err
	}
	s.Log.Follow(s.Out)
	<-ctx.Done()
	return nil
}

// save writes the authority, and certificates of the proxy, of an owner and of a thief, each with its key, where only
// this user can read them. It returns an access token of the owner.
func (s *stage) save(folder string) (token string, err error) {
	if err := os.WriteFile(filepath.Join(folder, "clients.pem"), encode(s.ca.certificate), 0o600); err != nil {
		return "", err
	}
	if _, err := s.saveNew(folder, "api"); err != nil {
		return "", err
	}
	if _, err := s.saveNew(folder, "thief"); err != nil {
		return "", err
	}
	owner, err := s.saveNew(folder, "owner")
	if err != nil {
		return "", err
	}
	return s.issuer.token(s.api, "accounts:read", &owner, nil)
}

func (s *stage) saveNew(folder, name string) (tls.Certificate, error) {
	certificate, err := s.newCertificate(name)
	if err != nil {
		return certificate, err
	}
	pair, err := encodePair(certificate)
	if err != nil {
		return certificate, err
	}
	return certificate, os.WriteFile(filepath.Join(folder, name+".pem"), pair, 0o600)
}

package settings

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/mtls"
)

// Guard is an [access.Guard] with what only it uses.
type Guard struct {
	*access.Guard
	opaque *access.Introspection // nil: none
}

// Guard makes the Guard that the settings ask for, over stores that are the caller's to close behind it. A change, if it
// is not nil, adds what only one program has.
func (s *Settings) Guard(stores *Stores, log *slog.Logger, change func(*access.Config)) (_ *Guard, err error) {
	g := &Guard{}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.Close())
		}
	}()
	c := access.Config{
		Origins: s.Origins, ForwardedBy: s.Proxies, Resources: s.Resources(),
		Issuers: []access.Issuer{s.Issuer}, HTTPClient: s.Client(), MaxTokenLifetime: s.MaxLifetime,
		Bearer: s.Bearer, ReportOnly: s.ReportOnly,
		Revocation: stores.Tokens, Replay: stores.Replay,
		MaxAge: s.MaxAge, Skew: s.Skew, RequireNonce: s.Nonce, Nonces: s.Nonces, Log: log, LogAccepted: true,
	}
	if c.Certificates, err = s.certificates(); err != nil {
		return nil, err
	}
	if c.Address, err = s.address(); err != nil {
		return nil, err
	}
	if c.Tokens, err = g.introspect(s, log); err != nil {
		return nil, err
	}
	if s.AdminPort != "" { // nobody could ask for it otherwise
		c.Register = stores.Tokens
	}
	if change != nil {
		change(&c)
	}
	g.Guard, err = access.New(c)
	return g, err
}

// Close ends the Guard and its introspection.
func (g *Guard) Close() error {
	var all []error
	if g.Guard != nil {
		all = append(all, g.Guard.Close())
	}
	if g.opaque != nil {
		all = append(all, g.opaque.Close())
	}
	return errors.Join(all...)
}

func (s *Settings) address() (access.AddressSource, error) {
	if s.Proxies.IsZero() {
		return access.PeerAddress, nil
	}
	address, err := access.ForwardedAddress(s.Proxies)
	if err != nil {
		return nil, fmt.Errorf("TRUSTED_PROXIES: %w", err)
	}
	return address, nil
}

// Client asks the authorization server. Nil is the library's own.
func (s *Settings) Client() *http.Client {
	if s.IssuerCAs == nil {
		return nil
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.IssuerCAs}
	return &http.Client{Transport: transport}
}

// certificates come from the client's own connection, and from the proxies' field if they have one. Nil refuses tokens
// that are bound to a certificate, as there is no way to present one.
func (s *Settings) certificates() (mtls.CertificateSource, error) {
	check := mtls.Verification{Roots: s.ClientCAs}
	if s.CertHeader == "" {
		switch {
		case s.TLSPort == "":
			return nil, nil
		case s.ClientCAs == nil:
			return mtls.FromTLS, nil
		}
		return check.FromTLS()
	}
	proxy := mtls.Proxy{Trusted: s.Proxies, DirectTLS: true}
	if s.CertHeader == headerEscapedPEM {
		proxy.Format = mtls.EscapedPEM
	}
	if s.ClientCAs == nil {
		return mtls.FromProxy(proxy)
	}
	return check.FromProxy(proxy)
}

// TLS are the settings of the TLS listener: it asks for a client certificate, demands none and leaves its chain to the
// Guard. Nil without TLS_PORT.
func (s *Settings) TLS(log *slog.Logger) (*tls.Config, error) {
	if s.TLSPort == "" {
		return nil, nil
	}
	pair, err := mtls.NewKeyPair(mtls.KeyFiles{Certificate: s.TLSCert, Key: s.TLSKey, Log: log})
	if err != nil {
		return nil, fmt.Errorf("TLS_CERT_FILE, TLS_KEY_FILE: %w", err)
	}
	return mtls.ServerTLS(&tls.Config{GetCertificate: pair.GetCertificate})
}

// Resources is what the API publishes of itself: under its audience, if that is one of its URLs, else under the first
// origin that may be named. Nil if there is none.
func (s *Settings) Resources() []access.Resource {
	known, err := dpop.New(dpop.Config{Origins: s.Origins, Namespace: "the settings"})
	if err != nil {
		return nil
	}
	defer known.Close()
	for _, candidate := range append([]string{s.Issuer.Audience}, s.Origins...) {
		u, err := url.Parse(candidate)
		if err != nil || u.Scheme != "https" && (u.Scheme != "http" || !setting.Loopback(u.Hostname())) {
			continue
		}
		r := &http.Request{Host: u.Host, RequestURI: cmp.Or(u.EscapedPath(), "/")}
		if u.Scheme == "https" {
			r.TLS = &tls.ConnectionState{}
		}
		if _, err := known.Target(r); err == nil {
			return []access.Resource{{URL: candidate}}
		}
	}
	return nil
}

// introspect asks the authorization server about tokens that are not JWTs of the issuer. Nil, which accepts none, unless
// introspection is set.
func (g *Guard) introspect(s *Settings, log *slog.Logger) (access.Validator, error) {
	if s.Introspection.Endpoint == "" {
		return nil, nil
	}
	i, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint: s.Introspection.Endpoint, Issuer: s.Issuer.URL, Audience: s.Issuer.Audience,
		ClientID: s.Introspection.ClientID, ClientSecret: s.Introspection.ClientSecret,
		TokenLifetime: s.Introspection.TokenLifetime, HTTPClient: s.Client(), Log: log,
	})
	if err != nil {
		return nil, err
	}
	g.opaque = i
	return identified{i}, nil
}

// identified gives a token that has no jti the hash of itself, so that it too can be listed and taken back.
type identified struct{ access.Validator }

// ValidateToken implements [access.Validator].
func (v identified) ValidateToken(ctx context.Context, token string) (*access.Token, error) {
	t, err := v.Validator.ValidateToken(ctx, token)
	if err != nil || t.ID != "" {
		return t, err
	}
	own := *t
	sum := sha256.Sum256([]byte(token))
	own.ID = "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
	return &own, nil
}

package mtls

import (
	"crypto/tls"
	"errors"
)

// ServerTLS returns a copy of base for a server that asks every client for a certificate without demanding one
// and without checking its chain, over TLS 1.2 or later (RFC 8705 §3, §6.2 and §7.3): clients without one can
// still use tokens that are bound otherwise, and self-signed certificates bind as well. Nil stands for an empty
// base.
//
// It returns an error that names the field when base says otherwise: a minimum or maximum version below TLS 1.2, a
// ClientAuth that demands or checks certificates, ClientCAs, which would not be checked (see [Verification]), or
// GetConfigForClient, which would take the place of the result.
func ServerTLS(base *tls.Config) (*tls.Config, error) {
	c := base.Clone()
	if c == nil {
		c = &tls.Config{}
	}
	switch {
	case c.MinVersion != 0 && c.MinVersion < tls.VersionTLS12:
		return nil, errors.New("mtls: MinVersion: set tls.VersionTLS12 or later, or leave it zero")
	case c.MaxVersion != 0 && c.MaxVersion < tls.VersionTLS12:
		return nil, errors.New("mtls: MaxVersion: set tls.VersionTLS12 or later, or leave it zero")
	case c.ClientAuth != tls.NoClientCert && c.ClientAuth != tls.RequestClientCert:
		return nil, errors.New("mtls: ClientAuth: leave it zero; the handshake asks for a certificate and demands none")
	case c.ClientCAs != nil:
		return nil, errors.New("mtls: ClientCAs: leave it nil and give the pool to Verification.Roots")
	case c.GetConfigForClient != nil:
		return nil, errors.New("mtls: GetConfigForClient: leave it nil, and pass what it returns through ServerTLS")
	}
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.ClientAuth = tls.RequestClientCert
	return c, nil
}

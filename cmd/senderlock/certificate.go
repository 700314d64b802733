package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/senderlock/senderlock/internal/privatefile"
)

// certificate is where a command finds the client's certificate and its key.
type certificate struct{ path, key string }

func (c *certificate) check(target *url.URL) error {
	switch {
	case c.path == "" && c.key != "":
		return errors.New("--cert-key needs --cert: the certificate of which it is the key")
	case c.path != "" && target.Scheme != "https":
		return errors.New("--cert is for https alone: over http nobody asks for a certificate")
	}
	return nil
}

func (c *certificate) load() (tls.Certificate, error) {
	certificate, err := os.ReadFile(c.path)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("--cert: %w", err)
	}
	flag, path := "--cert", c.path
	if c.key != "" {
		flag, path = "--cert-key", c.key
	}
	key, err := privatefile.Secret(path)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s: %w", flag, err)
	}
	pair, err := tls.X509KeyPair(certificate, []byte(key))
	switch {
	case err != nil && c.key == "":
		return pair, fmt.Errorf("--cert: %w (--cert-key is for a key in a file of its own)", err)
	case err != nil:
		return pair, fmt.Errorf("--cert: %w", err)
	}
	return pair, nil
}

// bearer sends a token that is bound to the certificate of the connection (RFC 8705 §3). Redirects stay within the API.
type bearer struct {
	base  http.RoundTripper
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.base.RoundTrip(r)
}

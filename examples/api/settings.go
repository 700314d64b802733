package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
)

// settings are what the environment says, checked. README.md explains each variable.
type settings struct {
	host, port, tlsPort string
	tlsCert, tlsKey     string
	clientCAs           *x509.CertPool // nil: chains are not checked

	issuer        access.Issuer
	introspection introspection
	issuerCAs     *x509.CertPool // nil: those of the system
	logoutClients []string       // aud of logout tokens

	origins    []string
	maxAge     time.Duration // of proofs
	skew       time.Duration
	nonce      bool // required
	nonces     dpop.Nonces
	corsOrigin string

	proxies    access.Peers
	certHeader string // empty: no proxy ends the clients' TLS

	redisURL       string
	revocationFile string
	maxLifetime    time.Duration

	adminHost, adminPort, adminToken string

	level slog.Level
	drain time.Duration
}

// introspection is how opaque tokens are checked; an empty endpoint means that there are none.
type introspection struct{ endpoint, clientID, clientSecret string }

// The words of CLIENT_CERT_HEADER.
const (
	headerEscapedPEM = "X-SSL-Client-Cert"
	headerRFC9440    = "Client-Cert"
)

const (
	maxNonceTTL    = 30 * time.Minute
	maxAge         = 10 * time.Minute
	maxSkew        = 5 * time.Minute
	maxLifetime    = 24 * time.Hour
	minAdminToken  = 32
	maxDrain       = 5 * time.Minute
	defaultDrain   = time.Second
	loopbackV4     = "127.0.0.1"
	exampleOrigin  = "https://api.example.com"
	originsMeaning = "set the origins under which clients know this API, such as " + exampleOrigin
)

// read checks every variable. Its error has a line for each that is wrong.
func read(get func(string) string) (*settings, error) {
	e := &environment{get: get}
	s := &settings{
		host: e.text("HOST", loopbackV4), port: e.port("PORT", "8080"), tlsPort: e.port("TLS_PORT", ""),
		clientCAs: e.pool("CLIENT_CA_FILE"),
		issuer: access.Issuer{
			URL:      e.required("ISSUER", "set the issuer identifier of the authorization server, such as https://login.example.com"),
			Audience: e.required("AUDIENCE", "set the identifier of this API that tokens carry in aud, such as "+exampleOrigin),
			JWKSURL:  e.url("JWKS_URI"), AcceptTypeJWT: e.choice("ACCEPT_TYPE_JWT", "off", "on") == "on",
			KeyRefresh: e.seconds("KEY_REFRESH", 15*time.Minute, time.Minute, 24*time.Hour),
		},
		issuerCAs:      e.pool("CA_FILE"),
		maxAge:         e.seconds("MAX_AGE", dpop.DefaultMaxAge, time.Second, maxAge),
		skew:           e.seconds("SKEW", dpop.DefaultSkew, time.Second, maxSkew),
		proxies:        e.peers("TRUSTED_PROXIES"),
		corsOrigin:     e.text("CORS_ORIGIN", ""),
		redisURL:       e.text("REPLAY_REDIS_URL", ""),
		revocationFile: e.text("REVOCATION_FILE", ""),
		maxLifetime:    e.seconds("MAX_TOKEN_LIFETIME", access.DefaultMaxTokenLifetime, time.Second, maxLifetime),
		adminHost:      e.text("ADMIN_HOST", loopbackV4), adminPort: e.port("ADMIN_PORT", ""), adminToken: e.text("ADMIN_TOKEN", ""),
		drain: e.seconds("SHUTDOWN_DELAY", defaultDrain, 0, maxDrain),
	}
	if u := e.url("ISSUER"); strings.Contains(u, "?") {
		e.wrong("ISSUER", "set the issuer identifier, which has no query (RFC 8414 §2)")
	}
	if s.corsOrigin != "" && !origin(s.corsOrigin) {
		e.wrong("CORS_ORIGIN", "set the one origin whose pages may use the API, such as https://app.example.com, without a path")
	}
	if single := e.choice("SINGLE_INSTANCE", "off", "on") == "on"; !single && s.redisURL != "" && s.revocationFile != "" {
		e.wrong("REVOCATION_FILE", "leave it empty, so that revocations are in the Redis of REPLAY_REDIS_URL and hold in every "+
			"instance, or set SINGLE_INSTANCE=on if there is but one")
	}
	s.readTLS(e)
	s.readOpaque(e)
	s.readOrigins(e)
	s.readNonces(e)
	s.readProxyHeader(e)
	s.readAdmin(e)
	if err := s.level.UnmarshalText([]byte(e.choice("LOG_LEVEL", "info", "debug", "warn", "error"))); err != nil {
		s.level = slog.LevelInfo // choice has said it
	}
	return s, errors.Join(e.problems...)
}

// proofLife is for how long a proof may be accepted, and has to be remembered.
func (s *settings) proofLife() time.Duration { return max(s.maxAge, 2*s.nonces.Period) + s.skew }

func (s *settings) readTLS(e *environment) {
	before := len(e.problems)
	s.tlsCert = e.file("TLS_CERT_FILE", "set the path of a PEM file with the server's certificate and its chain")
	s.tlsKey = e.file("TLS_KEY_FILE", "set the path of a PEM file with the server's private key")
	for _, name := range []string{"TLS_PORT", "TLS_CERT_FILE", "TLS_KEY_FILE"} {
		for _, other := range []string{"TLS_PORT", "TLS_CERT_FILE", "TLS_KEY_FILE"} {
			e.needs(name, other)
		}
	}
	if len(e.problems) == before && s.tlsPort != "" {
		if _, err := tls.LoadX509KeyPair(s.tlsCert, s.tlsKey); err != nil {
			e.wrong("TLS_CERT_FILE", fmt.Sprintf("set it and TLS_KEY_FILE to a certificate and its key: %v", err))
		}
	}
	if net.ParseIP(s.host) == nil && s.host != "localhost" {
		e.wrong("HOST", "set the address to listen on, such as 127.0.0.1, or 0.0.0.0 for all")
	}
}

func (s *settings) readOpaque(e *environment) {
	s.introspection = introspection{
		endpoint: e.url("INTROSPECTION_ENDPOINT"), clientID: e.text("INTROSPECTION_CLIENT_ID", ""),
		clientSecret: e.text("INTROSPECTION_CLIENT_SECRET", ""),
	}
	for _, name := range []string{"INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET"} {
		e.needs("INTROSPECTION_ENDPOINT", name)
		e.needs(name, "INTROSPECTION_ENDPOINT")
	}
	if s.logoutClients = e.list("LOGOUT_CLIENT_ID"); s.logoutClients == nil {
		s.logoutClients = []string{s.issuer.Audience}
		if s.introspection.clientID != "" {
			s.logoutClients = append(s.logoutClients, s.introspection.clientID)
		}
	}
}

// readOrigins takes the addresses of the listeners where nobody but this machine can reach them.
func (s *settings) readOrigins(e *environment) {
	s.origins = e.list("PUBLIC_ORIGINS")
	if len(s.origins) == 0 {
		if !loopback(s.host) || len(e.list("TRUSTED_PROXIES")) > 0 || s.port == "0" || s.tlsPort == "0" {
			e.wrong("PUBLIC_ORIGINS", originsMeaning)
			return
		}
		for _, host := range []string{loopbackV4, "localhost"} {
			s.origins = append(s.origins, "http://"+net.JoinHostPort(host, s.port))
			if s.tlsPort != "" {
				s.origins = append(s.origins, "https://"+net.JoinHostPort(host, s.tlsPort))
			}
		}
		return
	}
	known, err := dpop.New(dpop.Config{Origins: s.origins, Namespace: "the settings"})
	if err != nil {
		e.wrong("PUBLIC_ORIGINS", fmt.Sprintf("%s: %v", originsMeaning, err))
		return
	}
	_ = known.Close()
}

func (s *settings) readNonces(e *environment) {
	s.nonce = e.choice("DPOP_NONCE", "off", "required") == "required"
	s.nonces = dpop.Nonces{
		Period:      e.seconds("DPOP_NONCE_TTL", time.Minute, time.Second, maxNonceTTL),
		EveryAnswer: s.nonce,
	}
	for _, text := range e.list("DPOP_NONCE_SECRETS") {
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(secret) < dpop.MinNonceSecret {
			e.wrong("DPOP_NONCE_SECRETS", fmt.Sprintf("set base64 of at least %d random octets, from: openssl rand -base64 32", dpop.MinNonceSecret))
			return
		}
		s.nonces.Secrets = append(s.nonces.Secrets, secret)
	}
}

func (s *settings) readProxyHeader(e *environment) {
	e.needs("CLIENT_CERT_HEADER", "TRUSTED_PROXIES")
	value := e.text("CLIENT_CERT_HEADER", "")
	switch http.CanonicalHeaderKey(value) {
	case "", headerRFC9440:
		s.certHeader = value
	case http.CanonicalHeaderKey(headerEscapedPEM):
		s.certHeader = headerEscapedPEM
	default:
		e.wrong("CLIENT_CERT_HEADER", "set "+headerEscapedPEM+" for URL-escaped PEM, or "+headerRFC9440+" for RFC 9440")
	}
	if s.certHeader != "" && s.certHeader != headerEscapedPEM {
		s.certHeader = headerRFC9440
	}
}

// readAdmin keeps the admin port, from which tokens are revoked, to this machine unless it asks for a secret.
func (s *settings) readAdmin(e *environment) {
	for _, name := range []string{"ADMIN_HOST", "ADMIN_TOKEN"} {
		e.needs(name, "ADMIN_PORT")
	}
	if net.ParseIP(s.adminHost) == nil && s.adminHost != "localhost" {
		e.wrong("ADMIN_HOST", "set the address to listen on, such as 127.0.0.1")
	} else if !loopback(s.adminHost) && s.adminToken == "" {
		e.wrong("ADMIN_TOKEN", "set a secret for the admin port, since ADMIN_HOST is not a loopback address: openssl rand -hex 32")
	}
	if s.adminToken != "" && len(s.adminToken) < minAdminToken {
		e.wrong("ADMIN_TOKEN", fmt.Sprintf("set at least %d random characters: openssl rand -hex 32", minAdminToken))
	}
}

package settings

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/privatefile"
	"github.com/senderlock/senderlock/internal/setting"
)

// Settings are what was set, checked. README.md of examples/api explains each.
type Settings struct {
	Host, Port, TLSPort string
	TLSCert, TLSKey     string
	ClientCAs           *x509.CertPool // nil: chains are not checked

	Issuer        access.Issuer
	Introspection Introspection
	IssuerCAs     *x509.CertPool // nil: those of the system
	LogoutClients []string       // aud of logout tokens

	Origins    []string
	MaxAge     time.Duration // of proofs
	Skew       time.Duration
	Nonce      bool // required
	Nonces     dpop.Nonces
	CORSOrigin string

	Proxies    access.Peers
	CertHeader string // empty: no proxy ends the clients' TLS

	RedisURL       string
	RevocationFile string
	MaxLifetime    time.Duration

	Bearer     []access.Bearer    // none: no token that is bound to nobody is accepted
	ReportOnly *access.ReportOnly // nil: no stricter demands are tried

	AdminHost, AdminPort, AdminToken string

	Level slog.Level
	Drain time.Duration
}

// Introspection is how opaque tokens are checked; an empty Endpoint means that there are none.
type Introspection struct {
	Endpoint, ClientID, ClientSecret string
	TokenLifetime                    time.Duration // of answers without iat; zero refuses those
}

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
	MaxDrain       = 5 * time.Minute
	DefaultDrain   = time.Second
	loopbackV4     = "127.0.0.1"
	exampleOrigin  = "https://api.example.com"
	originsMeaning = "set the origins under which clients know this API, such as " + exampleOrigin
)

// Read checks every setting that programs have in common. What is wrong is in the Err of the Reader.
func Read(r *Reader) *Settings {
	s := &Settings{
		Host: r.Text("HOST", loopbackV4), Port: r.Port("PORT", "8080"), TLSPort: r.Port("TLS_PORT", ""),
		ClientCAs: r.pool("CLIENT_CA_FILE"),
		Issuer: access.Issuer{
			URL:      r.Required("ISSUER", "set the issuer identifier of the authorization server, such as https://login.example.com"),
			Audience: r.Required("AUDIENCE", "set the identifier of this API that tokens carry in aud, such as "+exampleOrigin),
			JWKSURL:  r.URL("JWKS_URI"), AcceptTypeJWT: r.Choice("ACCEPT_TYPE_JWT", "off", "on") == "on",
			KeyRefresh: r.Seconds("KEY_REFRESH", 15*time.Minute, time.Minute, 24*time.Hour),
		},
		IssuerCAs:      r.pool("CA_FILE"),
		MaxAge:         r.Seconds("MAX_AGE", dpop.DefaultMaxAge, time.Second, maxAge),
		Skew:           r.Seconds("SKEW", dpop.DefaultSkew, time.Second, maxSkew),
		Proxies:        r.Peers("TRUSTED_PROXIES"),
		CORSOrigin:     r.Text("CORS_ORIGIN", ""),
		RedisURL:       r.Text("REPLAY_REDIS_URL", ""),
		RevocationFile: r.Text("REVOCATION_FILE", ""),
		MaxLifetime:    r.Seconds("MAX_TOKEN_LIFETIME", access.DefaultMaxTokenLifetime, time.Second, maxLifetime),
		AdminHost:      r.Text("ADMIN_HOST", loopbackV4), AdminPort: r.Port("ADMIN_PORT", ""), AdminToken: r.Text("ADMIN_TOKEN", ""),
		Drain: r.Seconds("SHUTDOWN_DELAY", DefaultDrain, 0, MaxDrain),
	}
	if u := r.URL("ISSUER"); strings.Contains(u, "?") {
		r.Wrong("ISSUER", "set the issuer identifier, which has no query (RFC 8414 §2)")
	}
	if s.CORSOrigin != "" && !setting.IsOrigin(s.CORSOrigin) {
		r.Wrong("CORS_ORIGIN", "set the one origin whose pages may use the API, such as https://app.example.com, without a path")
	}
	s.readTLS(r)
	s.readOpaque(r)
	s.readOrigins(r)
	s.readNonces(r)
	s.readProxyHeader(r)
	s.readRollout(r)
	s.readAdmin(r)
	s.readPorts(r)
	s.readStores(r)
	if err := s.Level.UnmarshalText([]byte(r.Choice("LOG_LEVEL", "info", "debug", "warn", "error"))); err != nil {
		s.Level = slog.LevelInfo // choice has said it
	}
	return s
}

// readStores judges where things are remembered, as far as that goes without opening it: the program that runs has it.
func (s *Settings) readStores(r *Reader) {
	if s.RedisURL != "" {
		c, err := s.redis()
		if err != nil {
			r.Wrong("REPLAY_REDIS_URL", fmt.Sprintf("%s: %v", wantRedis, err))
		}
		s.Nonces.Region = c.Region // a proof counts where it is remembered
	}
	single := r.Choice("SINGLE_INSTANCE", "off", "on") == "on"
	if s.RevocationFile == "" {
		return
	}
	if !single && s.RedisURL != "" {
		r.Wrong("REVOCATION_FILE", "leave it empty, so that revocations are in the Redis of REPLAY_REDIS_URL and hold in every "+
			"instance, or set SINGLE_INSTANCE=on if there is but one")
	} else if err := privatefile.GuardedPath(s.RevocationFile); err != nil {
		r.Wrong("REVOCATION_FILE", fmt.Sprintf("%s: %v", wantRevocationFile, err))
	}
}

// readPorts sees that no two listeners would have one port.
func (s *Settings) readPorts(r *Reader) {
	ports := []struct{ name, host, port string }{
		{"PORT", s.Host, s.Port}, {"TLS_PORT", s.Host, s.TLSPort}, {"ADMIN_PORT", s.AdminHost, s.AdminPort},
	}
	for i, p := range ports {
		for _, other := range ports[:i] {
			if p.port == other.port && p.port != "" && p.port != "0" && (p.host == other.host || everywhere(p.host) || everywhere(other.host)) {
				r.Wrong(p.name, "set a port that "+other.name+" has not")
			}
		}
	}
}

func everywhere(host string) bool { return net.ParseIP(host).IsUnspecified() }

// proofLife is for how long a proof may be accepted, and has to be remembered.
func (s *Settings) proofLife() time.Duration { return max(s.MaxAge, 2*s.Nonces.Period) + s.Skew }

func (s *Settings) readTLS(r *Reader) {
	before := len(r.problems)
	s.TLSCert = r.File("TLS_CERT_FILE", "set the path of a PEM file with the server's certificate and its chain")
	s.TLSKey = r.File("TLS_KEY_FILE", "set the path of a PEM file with the server's private key")
	for _, name := range []string{"TLS_PORT", "TLS_CERT_FILE", "TLS_KEY_FILE"} {
		for _, other := range []string{"TLS_PORT", "TLS_CERT_FILE", "TLS_KEY_FILE"} {
			r.Needs(name, other)
		}
	}
	if len(r.problems) == before && s.TLSPort != "" {
		if _, err := tls.LoadX509KeyPair(s.TLSCert, s.TLSKey); err != nil {
			r.Wrong("TLS_CERT_FILE", fmt.Sprintf("set it and TLS_KEY_FILE to a certificate and its key: %v", err))
		}
	}
	if net.ParseIP(s.Host) == nil && s.Host != "localhost" {
		r.Wrong("HOST", "set the address to listen on, such as 127.0.0.1, or 0.0.0.0 for all")
	}
}

func (s *Settings) readOpaque(r *Reader) {
	s.Introspection = Introspection{
		Endpoint: r.URL("INTROSPECTION_ENDPOINT"), ClientID: r.Text("INTROSPECTION_CLIENT_ID", ""),
		ClientSecret:  r.Text("INTROSPECTION_CLIENT_SECRET", ""),
		TokenLifetime: r.Seconds("INTROSPECTION_TOKEN_LIFETIME", 0, time.Second, maxLifetime),
	}
	r.Needs("INTROSPECTION_TOKEN_LIFETIME", "INTROSPECTION_ENDPOINT")
	for _, name := range []string{"INTROSPECTION_CLIENT_ID", "INTROSPECTION_CLIENT_SECRET"} {
		r.Needs("INTROSPECTION_ENDPOINT", name)
		r.Needs(name, "INTROSPECTION_ENDPOINT")
	}
	if s.LogoutClients = r.List("LOGOUT_CLIENT_ID", "set the clients that logout tokens are for"); s.LogoutClients == nil {
		s.LogoutClients = []string{s.Issuer.Audience}
		if s.Introspection.ClientID != "" {
			s.LogoutClients = append(s.LogoutClients, s.Introspection.ClientID)
		}
	}
}

// readOrigins takes the addresses of the listeners where nobody but this machine can reach them.
func (s *Settings) readOrigins(r *Reader) {
	s.Origins = items(r.get("PUBLIC_ORIGINS"))
	if r.get("PUBLIC_ORIGINS") == "" {
		if !setting.Loopback(s.Host) || r.get("TRUSTED_PROXIES") != "" || s.Port == "0" || s.TLSPort == "0" {
			r.Wrong("PUBLIC_ORIGINS", originsMeaning)
			return
		}
		for _, host := range []string{loopbackV4, "localhost"} {
			s.Origins = append(s.Origins, "http://"+net.JoinHostPort(host, s.Port))
			if s.TLSPort != "" {
				s.Origins = append(s.Origins, "https://"+net.JoinHostPort(host, s.TLSPort))
			}
		}
		return
	}
	known, err := dpop.New(dpop.Config{Origins: s.Origins, Namespace: "the settings"})
	if err != nil {
		r.Wrong("PUBLIC_ORIGINS", fmt.Sprintf("%s: %v", originsMeaning, err))
		return
	}
	_ = known.Close()
}

func (s *Settings) readNonces(r *Reader) {
	s.Nonce = r.Choice("DPOP_NONCE", "off", "required") == "required"
	s.Nonces = dpop.Nonces{
		Period:      r.Seconds("DPOP_NONCE_TTL", time.Minute, time.Second, maxNonceTTL),
		EveryAnswer: s.Nonce,
	}
	want := fmt.Sprintf("set base64 of at least %d random octets, from: openssl rand -base64 32", dpop.MinNonceSecret)
	for _, text := range r.List("DPOP_NONCE_SECRETS", want) {
		secret, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(secret) < dpop.MinNonceSecret {
			r.Wrong("DPOP_NONCE_SECRETS", want)
			return
		}
		s.Nonces.Secrets = append(s.Nonces.Secrets, secret)
	}
}

func (s *Settings) readProxyHeader(r *Reader) {
	r.Needs("CLIENT_CERT_HEADER", "TRUSTED_PROXIES")
	value := r.Text("CLIENT_CERT_HEADER", "")
	switch http.CanonicalHeaderKey(value) {
	case "", headerRFC9440:
		s.CertHeader = value
	case http.CanonicalHeaderKey(headerEscapedPEM):
		s.CertHeader = headerEscapedPEM
	default:
		r.Wrong("CLIENT_CERT_HEADER", "set "+headerEscapedPEM+" for URL-escaped PEM, or "+headerRFC9440+" for RFC 9440")
	}
	if s.CertHeader != "" && s.CertHeader != headerEscapedPEM {
		s.CertHeader = headerRFC9440
	}
}

// readAdmin keeps the admin port, from which tokens are revoked, to this machine unless it asks for a secret.
func (s *Settings) readAdmin(r *Reader) {
	for _, name := range []string{"ADMIN_HOST", "ADMIN_TOKEN"} {
		r.Needs(name, "ADMIN_PORT")
	}
	if net.ParseIP(s.AdminHost) == nil && s.AdminHost != "localhost" {
		r.Wrong("ADMIN_HOST", "set the address to listen on, such as 127.0.0.1")
	} else if !setting.Loopback(s.AdminHost) && s.AdminToken == "" {
		r.Wrong("ADMIN_TOKEN", "set a secret for the admin port, since ADMIN_HOST is not a loopback address: openssl rand -hex 32")
	}
	if s.AdminToken != "" && len(s.AdminToken) < minAdminToken {
		r.Wrong("ADMIN_TOKEN", fmt.Sprintf("set at least %d random characters: openssl rand -hex 32", minAdminToken))
	}
}

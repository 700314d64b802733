package echoauth

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/revocation"
)

// Config holds the settings of an [Auth]. Origins and Issuers are enough for a safe server; every other zero
// value is the safe choice for a single instance.
type Config struct {
	// Origins are the public origins of this API ("https://api.example.com"), each optionally with a path prefix
	// that a proxy strips. A proof that comes with a request to another Host is refused; a token that is bound to a
	// certificate alone is not for one Host. Required, unless InsecureTrustHost is set.
	Origins []string
	// InsecureTrustHost takes the origin from Host and the connection's TLS state. Whoever can make a client
	// send a request to another name can then use its proof here. For tests and local development.
	InsecureTrustHost bool
	// TrustedProxies are the addresses ("10.0.0.0/8") whose X-Forwarded-Proto and X-Forwarded-Host choose among
	// the Origins. Empty trusts nobody.
	TrustedProxies []string

	// Issuers are the authorization servers whose JWT access tokens are accepted. Required, unless Tokens is set.
	Issuers []access.Issuer
	// Tokens checks every access token that is not a JWT of Issuers: an [access.Introspection], or the application's
	// own look-up. It is the caller's to close. Nil refuses such tokens.
	Tokens access.Validator
	// HTTPClient fetches the metadata and keys of Issuers. Nil means one of ours.
	HTTPClient *http.Client
	// InsecureAllowHTTP permits issuers on http that are not on this machine.
	InsecureAllowHTTP bool

	// MaxTokenLifetime is the longest accepted lifetime of a token, from iat to exp. Zero means 15 minutes; a year is
	// the most.
	MaxTokenLifetime time.Duration
	// Leeway is how far the issuers' clocks may differ. Zero means ten seconds; a millisecond is the least, a minute the
	// most.
	Leeway time.Duration
	// Revocation is asked about every request, so that a token can be taken back. It is the caller's to close.
	Revocation revocation.Store
	// Register records each accepted token with the address it was last used from. It is the caller's to close.
	Register revocation.Register
	// OnlyRegistered refuses tokens that are not on Register already.
	OnlyRegistered bool
	// Address finds the address for Register. Nil means [access.PeerAddress]; behind proxies, give
	// [access.ForwardedAddress].
	Address access.AddressSource
	// Policies are further demands on every request.
	Policies []access.Policy
	// Resource is what this API publishes of itself (RFC 9728): challenges point to it, and [Auth.PublishMetadata]
	// serves it. Its URL is under one of the Origins. Nil publishes nothing.
	Resource *access.Resource
	// InsecureAllowBearer accepts tokens that are bound to nobody.
	InsecureAllowBearer bool

	// Certificates finds the client's certificate, for tokens that are bound to one: [mtls.FromTLS], or
	// [mtls.FromProxy] where a proxy ends TLS. Nil refuses such tokens.
	Certificates mtls.CertificateSource

	// Algorithms are the accepted algorithms of proofs. Nil means all of [dpop.Algorithms].
	Algorithms []string
	// MaxAge is for how long after its iat a proof is accepted. Zero means one minute; ten are the most.
	MaxAge time.Duration
	// Skew is how far ahead a client's clock may be. Zero means ten seconds; a millisecond is the least,
	// five minutes the most.
	Skew time.Duration
	// RequireNonce demands a nonce of every proof. A single route can demand one by [access.Requirement].
	RequireNonce bool
	// Nonces are the settings of nonces. Instances behind one address share Secrets.
	Nonces dpop.Nonces
	// Replay remembers used proofs. Nil remembers up to a million in this process, which is right for a single
	// instance only. A store is the caller's to close.
	Replay dpop.ReplayStore
	// Namespace keeps the proofs of several APIs apart that share Replay or Nonces.Secrets.
	Namespace string
	// InsecureForgetAtStart accepts, right after a start, proofs that may have been used before it.
	InsecureForgetAtStart bool

	// Deny renders a refusal, whose headers are already set. If it writes no answer and returns no error, the
	// usual one is sent. Whatever it does, the handler does not run. Nil leaves it to Echo's error handler,
	// which gets an [echo.HTTPError] with the [access.Error] inside.
	Deny func(echo.Context, *access.Error) error
	// Log hears of refusals at Info, of our own trouble at Error and of accepted requests at Debug, one line each. Nil
	// means [slog.Default].
	Log *slog.Logger
	// LogAccepted logs accepted requests at Info.
	LogAccepted bool
	// Observer hears of each decision, when all that the route demands has been compared, and of fetches of keys:
	// see package otelauth.
	Observer access.Observer
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// New checks the settings and makes the middleware. Its error names the field and what to put there. It asks
// nothing of the network. Close the Auth when the server has stopped.
func New(config Config) (*Auth, error) {
	a, err := config.build()
	if err != nil {
		return nil, fmt.Errorf("echoauth.Config: %w", err)
	}
	return a, nil
}

func (c *Config) build() (*Auth, error) {
	origins, err := c.origins()
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if err := setting.Made("Tokens", c.Tokens); err != nil {
		return nil, err
	}
	a := &Auth{deny: c.Deny, tell: c.teller()}
	verifier := &dpop.Verifier{
		Origins: origins, Algorithms: c.Algorithms, MaxAge: c.MaxAge, Skew: c.Skew,
		Replay: c.Replay, Namespace: c.Namespace, Nonces: c.Nonces, RequireNonce: c.RequireNonce,
		InsecureForgetAtStart: c.InsecureForgetAtStart, Now: c.Now,
	}
	a.closers = append(a.closers, verifier.Close)
	tokens := c.Tokens
	if len(c.Issuers) == 0 && tokens == nil {
		return nil, errors.New(`Issuers is empty: give the authorization servers, such as {URL: "https://login.example.com", Audience: "https://api.example.com"}`)
	}
	if len(c.Issuers) > 0 {
		jwt := &access.JWT{
			Issuers: c.Issuers, Leeway: c.Leeway, HTTPClient: c.HTTPClient,
			InsecureAllowHTTP: c.InsecureAllowHTTP, Observer: c.Observer, Log: c.Log, Now: c.Now,
		}
		a.closers = append(a.closers, jwt.Close)
		tokens = jwt
		if c.Tokens != nil {
			tokens = access.ByForm{JWT: jwt, Opaque: c.Tokens}
		}
	}
	a.guard = &access.Guard{
		Tokens: tokens, DPoP: verifier, Certificates: c.Certificates, Revocation: c.Revocation,
		Register: c.Register, OnlyRegistered: c.OnlyRegistered, Address: c.Address,
		MaxTokenLifetime: c.MaxTokenLifetime, Leeway: c.Leeway,
		Policies: c.Policies, Resource: c.Resource, InsecureAllowBearer: c.InsecureAllowBearer, Now: c.Now,
	}
	a.closers = append(a.closers, a.guard.Close)
	err = a.guard.Validate()
	if err == nil {
		err = c.reachable(origins)
	}
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

func (c *Config) origins() (*dpop.Origins, error) {
	if len(c.Origins) == 0 && !c.InsecureTrustHost {
		return nil, errors.New(`Origins is empty: give the public origins of this API, such as "https://api.example.com"`)
	}
	if len(c.Origins) > 0 && c.InsecureTrustHost {
		return nil, errors.New("Origins and InsecureTrustHost are both set: with origins, Host need not be trusted")
	}
	var proxies []netip.Prefix
	for i, s := range c.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("TrustedProxies[%d] is %q: give an address range, such as %q, or %q for one address",
				i, s, "10.0.0.0/8", "10.0.0.1/32")
		}
		if p.Addr().Is4In6() {
			return nil, fmt.Errorf("TrustedProxies[%d] is %q: peers are compared as IPv4, so give an IPv4 range, such as %q",
				i, s, "10.0.0.0/8")
		}
		proxies = append(proxies, p)
	}
	origins, err := dpop.NewOrigins(c.Origins, proxies)
	if err != nil {
		return nil, fmt.Errorf("Origins: %w", err)
	}
	return origins, nil
}

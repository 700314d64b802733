package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/peer"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/revocation"
)

// Peers are the direct peers of connections whose forwarded fields are believed: Addresses, ranges or single ones, and
// with UnixListener whoever connects to a Unix socket that this server listens on. The zero Peers are nobody.
type Peers = peer.Peers

// Config holds the settings of a [Guard], for every adapter. Origins and Issuers are enough for a safe server; every
// other zero value is the safe choice for a single instance.
type Config struct {
	// Origins are the public origins of this API ("https://api.example.com"), each optionally with a path prefix
	// that a proxy strips; "https://*.example.com" is all names of one level. A proof that comes with a request to another Host is refused; a token that is bound to a
	// certificate alone is not for one Host. Required, unless InsecureTrustHost is set or WithoutDPoP is.
	Origins []string
	// InsecureTrustHost takes the origin from Host and the connection's TLS state. Whoever can make a client
	// send a request to another name can then use its proof here. For tests and local development.
	InsecureTrustHost bool
	// ForwardedBy are the proxies whose X-Forwarded-Proto and X-Forwarded-Host choose among the Origins. Zero believes
	// nobody.
	ForwardedBy Peers
	// ForwardedAs says how they write that: one value each, lists, or the field Forwarded. Zero is one value each.
	ForwardedAs dpop.ForwardedForm

	// Issuers are the authorization servers whose JWT access tokens are accepted. Required, unless Tenants or Tokens is set.
	Issuers []Issuer
	// Tenants looks up issuers that are not among Issuers when the first token of theirs comes. Nil looks none up.
	Tenants *Tenants
	// Tokens checks every access token that is not a JWT of Issuers or Tenants: an [Introspection], or the application's
	// own look-up. It is the caller's to close. Nil refuses such tokens.
	Tokens Validator
	// Wrap wraps what validates tokens, JWTs of Issuers and Tokens alike, to demand or to add something: a token that has
	// no jti can be given one. What it returns may be cached as what it got. Nil wraps nothing.
	Wrap func(Validator) Validator
	// HTTPClient fetches the metadata and keys of Issuers. Nil means one of ours. Whatever it is, each fetch is limited
	// in time, size and redirects.
	HTTPClient *http.Client
	// InsecureAllowHTTP permits issuers on http that are not on this machine.
	InsecureAllowHTTP bool
	// MaxTokenSize is the largest accepted JWT in octets. Zero means 16 KiB.
	MaxTokenSize int
	// MaxTokenLifetime is the longest accepted lifetime of a token, from iat to exp. Zero means 15 minutes; a year is
	// the most.
	MaxTokenLifetime time.Duration
	// Leeway is how far the issuers' clocks may differ. Zero means ten seconds; a millisecond is the least, a minute the
	// most.
	Leeway time.Duration
	// Bearer lists which tokens that are bound to nobody are still accepted under the scheme Bearer, and until when: for
	// clients that have yet to learn to prove themselves. A token that is bound is held to its binding all the same. Nil
	// accepts none.
	Bearer []Bearer
	// InsecureAllowBearer accepts every token that is bound to nobody under the scheme Bearer, for ever: whoever steals
	// one can use it.
	InsecureAllowBearer bool

	// ReportOnly are stricter demands, such as those to come: what they would refuse of what is accepted is told, and
	// nothing else changes. Nil tries none.
	ReportOnly *ReportOnly

	// Certificates finds the client's certificate, for tokens that are bound to one (RFC 8705 §3): [mtls.FromTLS], or
	// [mtls.FromProxy] where a proxy ends TLS. Nil refuses such tokens. It is asked about every request, since what it
	// refuses is an attempt to slip a certificate in; chain and validity are judged where the certificate is needed.
	Certificates mtls.CertificateSource

	// WithoutDPoP refuses tokens that are bound to a DPoP key. For servers that take certificates alone.
	WithoutDPoP bool
	// Algorithms are the accepted algorithms of proofs. Nil means all of [dpop.Algorithms].
	Algorithms []string
	// MaxAge is for how long after its iat a proof is accepted. Zero means one minute; ten are the most. See
	// [dpop.Config] for what to do before it is raised, and [dpop.FiveMinutes] for what some communities ask for.
	MaxAge time.Duration
	// Skew is how far ahead a client's clock may be. Zero means ten seconds; a millisecond is the least,
	// five minutes the most.
	Skew time.Duration
	// RequireNonce demands a nonce of every proof. A single route can demand one by [Requirement].
	RequireNonce bool
	// Nonces are the settings of nonces. Instances behind one address share Secrets.
	Nonces dpop.Nonces
	// Replay remembers used proofs. Nil remembers up to a million in this process, in one memory for all Guards of one
	// Namespace: right for a single instance only, and two processes that overlap in a graceful restart are two
	// instances. A store is the caller's to close.
	Replay dpop.ReplayStore
	// Fallback says what to do while Replay is out of reach. Nil refuses with 503.
	Fallback dpop.Fallback
	// Namespace keeps the proofs of several APIs apart that share Replay or Nonces.Secrets, or one process.
	Namespace string
	// InsecureForgetAtStart accepts, right after a start, proofs that may have been used before it.
	InsecureForgetAtStart bool

	// KnownKeys is how many keys of clients are remembered with the header that they come in, and KnownTokens how many
	// access tokens with what they say, so that neither need be read and verified again: about as many as there are busy
	// clients. A key takes about 1,100 octets, a token about 2,000. An RSA key has the place of two or more. Zero means
	// 200,000 each; a thousand are the least.
	KnownKeys, KnownTokens int
	// PrecomputedKeys is how many P-256 keys of clients get a table by which their proofs are verified in less than half
	// of the time, PrecomputedKeys × 25,600 octets. See [dpop.Config] for what it means to turn this on. Zero is off.
	PrecomputedKeys int
	// PrecomputedIssuerKeys is how many P-256 keys of each issuer, the first of its set, get a table when the set is
	// fetched, each of 25,600 octets; as many as are in use are enough. It is a decision of its own: a table that accepted
	// too much would accept forged tokens. Zero is off; 64 are the most.
	PrecomputedIssuerKeys int
	// PrecomputedRecheck repeats one in so many acceptances by a precomputed key, of clients and issuers alike, by
	// crypto/ecdsa; 1 repeats each. Zero means 64.
	PrecomputedRecheck int

	// Revocation is asked about every request, cached tokens included, so that a token that was taken back is
	// refused from the next request on; long-lived responses end by [Guard.Stream]. It must keep entries for as long as
	// Leeway and the longest MaxTokenLifetime here, those of Bearer included, both from the token's iat on: tokens without iat
	// are then refused, as one whose nbf is far ahead would outlive the entry. Nil takes no token back. It is the caller's to close.
	Revocation revocation.Store
	// Shared is one store for both Replay and Revocation, which are then nil. It answers both on one round trip. It is
	// the caller's to close.
	Shared SharedStore
	// Register records each accepted token, with the address it was last used from, for as long as it lives. A token
	// without jti is then refused, and so is every request that cannot be recorded. Nil keeps no record. It is the
	// caller's to close.
	Register revocation.Register
	// OnlyRegistered refuses tokens that are not on record already: the application records a token when it is
	// issued, and ends it with [revocation.Register].Forget.
	OnlyRegistered bool
	// Address finds the address for Register, for the log and for alerts. Nil means [PeerAddress]; behind proxies, give [ForwardedAddress].
	Address AddressSource

	// Policies are asked in turn about every request whose token and sender are in order, before its proof is
	// used up, cached tokens included.
	Policies []Policy
	// Resources are what this API publishes of itself (RFC 9728): challenges point to it, and the Guard serves it wherever
	// it stands in front of its path, and by [Guard.MetadataHandler]. Its URL is under one of the Origins. None publishes
	// nothing; several are for an API whose parts, or whose tenants, have identifiers of their own. A challenge then points to the one that covers the request: of its origin, with a path that the request's path begins
	// with and a query whose parameters are among the request's; the longest path, then the most parameters, else the first.
	Resources []Resource

	// Deny renders a refusal, whose headers are already set. If it writes nothing, the usual answer is sent. Whatever it
	// does, the handler does not run. Nil leaves it to the adapter: a JSON body with the description, or the
	// framework's own error handling.
	Deny func(w http.ResponseWriter, r *http.Request, refusal *Error)
	// RefusalWait is for how long a refusal waits for the rest of a request's body, of at most 256 KiB, so that the
	// connection can be kept (RFC 9112 §9.3). Otherwise the connection is closed behind the answer. Zero means 100 ms;
	// ten seconds are the most.
	RefusalWait time.Duration
	// Log hears of refusals and of what ReportOnly would refuse at Info, of alerts at Warn, of our own trouble at Error and
	// of other accepted requests at Debug, one line each. Nil means [slog.Default].
	Log *slog.Logger
	// LogAccepted logs accepted requests at Info.
	LogAccepted bool
	// LogSubject says how log and Observer name whom a token stands for: as it is, hashed, or not at all. Zero is as it is.
	LogSubject SubjectForm
	// RequestID finds the name of a request in the logs of others, such as proxies. What is longer than 128 octets, or
	// holds other characters than letters, digits and -_.:=/+ is not logged. Nil means the field X-Request-Id.
	RequestID func(r *http.Request) string
	// Route names the route of a request, in decisions and for [Bearer].Routes, by the pattern that it matched: never by
	// its path, which the client chooses. Nil means r.Pattern, which the
	// multiplexer of net/http sets; another router's is given here. The adapters of frameworks know theirs.
	Route func(r *http.Request) string
	// Observer hears of each decision, when all that the route demands has been compared, and of fetches of keys:
	// see package otelauth.
	Observer Observer
	// OnAlert hears of tokens that somebody other than their sender has; the log does at Warn. There is one alert for each
	// token and kind within a minute. It is called on the way of the refused request, so it must be quick, and from many
	// goroutines at once; if it panics, that is logged. Package access has one that takes tokens back: [React].
	OnAlert func(context.Context, Alert)
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// DefaultMaxTokenLifetime is the default of [Config.MaxTokenLifetime].
const DefaultMaxTokenLifetime = 15 * time.Minute

const (
	defaultKnownTokens       = 200_000
	maxKnownTokens           = 100_000_000
	maxPrecomputedIssuerKeys = 64

	defaultRefusalWait = 100 * time.Millisecond
	maxRefusalWait     = 10 * time.Second
)

// SharedStore is a replay store and a revocation store in one, as package redisstore has one. It must be safe for
// concurrent use.
type SharedStore interface {
	dpop.ReplayStore
	revocation.Store
	// ClaimUnlessRevoked answers [dpop.ReplayStore].Claim and [revocation.Store].Revoked on one round trip. An entry
	// means that the token was taken back, whatever became of the claim. A non-nil error means that one of the two could
	// not be decided; the key may or may not have been recorded.
	ClaimUnlessRevoked(ctx context.Context, key dpop.ReplayKey, expiry time.Time, token revocation.Token) (fresh bool, entry *revocation.Entry, err error)
}

// New checks the settings and makes a Guard. Its error names the field and what to put there. It asks nothing of the
// network, so an issuer that is down does not keep a server from starting. Close the Guard when the server has stopped.
func New(config Config) (*Guard, error) {
	g := &Guard{config: config, alarms: newAlarms()}
	if err := g.settle(); err != nil {
		_ = g.Close()
		return nil, fmt.Errorf("access.Config: %w", err)
	}
	return g, nil
}

// settle gives settings their defaults, refuses what cannot be meant, and makes what the Guard works with. Steps that
// make something come last.
func (g *Guard) settle() error {
	c := &g.config
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Address == nil {
		c.Address = PeerAddress
	}
	if c.Route == nil {
		c.Route = func(r *http.Request) string { return r.Pattern }
	}
	if c.RequestID == nil {
		c.RequestID = func(r *http.Request) string { return r.Header.Get("X-Request-Id") }
	}
	if c.LogSubject >= endSubjectForm {
		return fmt.Errorf("LogSubject is %d: give SubjectPlain, SubjectHashed or SubjectDropped", c.LogSubject)
	}
	if err := c.settleNumbers(); err != nil {
		return err
	}
	if err := c.settleBearer(); err != nil {
		return err
	}
	if err := c.settleReport(); err != nil {
		return err
	}
	if err := c.settleStores(); err != nil {
		return err
	}
	if c.WithoutDPoP && c.Certificates == nil && !c.InsecureAllowBearer && len(c.Bearer) == 0 {
		return errors.New("WithoutDPoP is set and Certificates is nil: no token could be accepted; give a source of certificates")
	}
	if err := validPolicies(c.Policies); err != nil {
		return err
	}
	c.Policies, c.Issuers = slices.Clone(c.Policies), slices.Clone(c.Issuers)
	if err := g.settleProofs(); err != nil {
		return err
	}
	if err := g.settleResources(); err != nil {
		return err
	}
	g.settleChallenges()
	if err := g.settleTokens(); err != nil {
		return err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	g.places = c.places()
	return nil
}

func (c *Config) settleNumbers() error {
	return errors.Join(
		setting.Between("MaxTokenLifetime", &c.MaxTokenLifetime, DefaultMaxTokenLifetime, time.Second, maxTokenLifetime),
		setting.Between("MaxTokenSize", &c.MaxTokenSize, defaultMaxTokenSize, 512, 1<<20),
		setting.Between("Leeway", &c.Leeway, DefaultLeeway, time.Millisecond, time.Minute),
		setting.Between("KnownTokens", &c.KnownTokens, defaultKnownTokens, 1000, maxKnownTokens),
		setting.Between("PrecomputedIssuerKeys", &c.PrecomputedIssuerKeys, 0, 0, maxPrecomputedIssuerKeys),
		setting.Between("RefusalWait", &c.RefusalWait, defaultRefusalWait, time.Millisecond, maxRefusalWait),
	)
}

func (c *Config) settleStores() error {
	if err := errors.Join(
		setting.Made("Tokens", c.Tokens), setting.Made("Shared", c.Shared),
		setting.Made("Revocation", c.Revocation), setting.Made("Register", c.Register),
	); err != nil {
		return err
	}
	if c.Shared != nil {
		if c.Replay != nil || c.Revocation != nil {
			return errors.New("Shared is set beside Replay or Revocation: it takes the place of both")
		}
		c.Replay, c.Revocation = c.Shared, c.Shared
	}
	if c.Revocation != nil {
		if kept := c.Revocation.Retention(); kept.Lifetime < c.longestLifetime() || kept.Leeway < c.Leeway {
			return fmt.Errorf("Revocation keeps entries for tokens of %v with a leeway of %v, and tokens of %v with %v are accepted: raise its Retention",
				kept.Lifetime, kept.Leeway, c.longestLifetime(), c.Leeway)
		}
	}
	if c.OnlyRegistered && c.Register == nil {
		return errors.New("OnlyRegistered is set and Register is nil: give the record of the tokens in use")
	}
	return nil
}

func (g *Guard) settleProofs() (err error) {
	c := &g.config
	if c.WithoutDPoP {
		return nil
	}
	g.proofs, err = dpop.New(dpop.Config{
		Origins: c.Origins, InsecureTrustHost: c.InsecureTrustHost, ForwardedBy: c.ForwardedBy, ForwardedAs: c.ForwardedAs,
		Algorithms: c.Algorithms, MaxAge: c.MaxAge, Skew: c.Skew,
		Replay: c.Replay, Fallback: c.Fallback, Namespace: c.Namespace, Nonces: c.Nonces, RequireNonce: c.RequireNonce,
		InsecureForgetAtStart: c.InsecureForgetAtStart, Now: c.Now,
		KnownKeys: c.KnownKeys, PrecomputedKeys: c.PrecomputedKeys, PrecomputedRecheck: c.PrecomputedRecheck, Log: c.Log,
	})
	if err != nil {
		return unprefixed(err)
	}
	g.closers = append(g.closers, g.proofs.Close)
	return nil
}

// unprefixed drops the name of the inner settings from an error about a field of the same name here.
func unprefixed(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

package access

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/cache"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/revocation"
)

// DefaultMaxTokenLifetime is the longest lifetime of a token that a zero [Guard] accepts.
const DefaultMaxTokenLifetime = 15 * time.Minute

const tokenCacheEntries = 20_000

var errClosed = errors.New("access.Guard: closed")

// Guard decides about requests. Fill in the fields, call [Guard.Validate] once, and change nothing afterwards;
// without that call the first request validates, and a wrong setting refuses every request. A Guard must not be
// copied; its methods are safe for concurrent use. Close it when done.
type Guard struct {
	// Tokens checks access tokens. Required.
	Tokens Validator
	// DPoP checks proofs. Nil refuses tokens that are bound to a DPoP key.
	DPoP *dpop.Verifier
	// Certificates finds the client's certificate, for tokens that are bound to one (RFC 8705 §3). Nil refuses
	// them. It is asked about every request, since what it refuses is an attempt to slip a certificate in.
	Certificates mtls.CertificateSource
	// MaxTokenLifetime is the longest accepted lifetime of a token, from iat to exp. Zero means 15 minutes.
	MaxTokenLifetime time.Duration
	// Leeway is how far the issuer's clock may differ. Zero means ten seconds; a millisecond is the least, a
	// minute the most.
	Leeway time.Duration
	// Revocation is asked about every request, cached tokens included, so that a token that was taken back is
	// refused from the next request on; long-lived responses end by [Guard.Watch]. It must keep entries for as long as
	// MaxTokenLifetime and Leeway here. Nil takes no token back.
	Revocation revocation.Store
	// Register records each accepted token, with the address it was last used from, for as long as it lives. A token
	// without jti is then refused, and so is every request that cannot be recorded. Nil keeps no record.
	Register revocation.Register
	// OnlyRegistered refuses tokens that are not on record already: the application records a token when it is
	// issued, and ends it with [revocation.Register].Forget.
	OnlyRegistered bool
	// Address finds the address for Register. Nil means [PeerAddress]; behind proxies, give [ForwardedAddress].
	Address AddressSource
	// Policies are asked in turn about every request whose token and sender are in order, before its proof is
	// used up, cached tokens included.
	Policies []Policy
	// Resource is published as metadata, to which challenges then point (RFC 9728). Nil publishes nothing.
	Resource *Resource
	// InsecureAllowBearer accepts tokens that are bound to nobody under the scheme Bearer: whoever steals one can
	// use it.
	InsecureAllowBearer bool
	// Observer hears of each decision of Check.
	Observer Observer
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time

	once     sync.Once
	err      error
	closed   atomic.Bool
	tokens   *cache.Cache[*Token] // by SHA-256
	algs     string               // of proofs, for challenges
	metadata *url.URL             // where it is found; nil without Resource
}

// Validate checks the settings and prepares the Guard. Its error names the field and what to put there. It may
// be called more than once.
func (g *Guard) Validate() error {
	g.once.Do(func() {
		if g.err = g.settle(); g.err != nil {
			g.err = fmt.Errorf("access.Guard: %w", g.err)
		}
	})
	return g.err
}

func (g *Guard) settle() (err error) {
	if g.Now == nil {
		g.Now = time.Now
	}
	if g.Tokens == nil {
		return errors.New("Tokens is nil: give an *access.JWT with your issuers, or a Validator of your own")
	}
	if err := errors.Join(
		setting.Made("Tokens", g.Tokens), setting.Made("Revocation", g.Revocation), setting.Made("Register", g.Register),
	); err != nil {
		return err
	}
	if g.DPoP == nil && g.Certificates == nil && !g.InsecureAllowBearer {
		return errors.New("DPoP and Certificates are nil: no token could be accepted; give a *dpop.Verifier or a source of certificates")
	}
	if g.DPoP != nil {
		if err := g.DPoP.Validate(); err != nil {
			return err
		}
		g.algs = strings.Join(g.DPoP.Algorithms, " ")
	}
	if err := validateSettings(g.Tokens); err != nil {
		return err
	}
	if err := validPolicies(g.Policies); err != nil {
		return err
	}
	if err := setting.Between("MaxTokenLifetime", &g.MaxTokenLifetime, DefaultMaxTokenLifetime, time.Second, 366*24*time.Hour); err != nil {
		return err
	}
	if err := setting.Between("Leeway", &g.Leeway, DefaultLeeway, time.Millisecond, time.Minute); err != nil {
		return err
	}
	if g.Revocation != nil {
		if kept := g.Revocation.Retention(); kept.Lifetime < g.MaxTokenLifetime || kept.Leeway < g.Leeway {
			return fmt.Errorf("Revocation keeps entries for tokens of %v with a leeway of %v, and tokens of %v with %v are accepted: raise its Retention",
				kept.Lifetime, kept.Leeway, g.MaxTokenLifetime, g.Leeway)
		}
	}
	if g.Resource != nil {
		if g.metadata, err = g.Resource.metadataURL(); err != nil {
			return err
		}
	}
	if g.OnlyRegistered && g.Register == nil {
		return errors.New("OnlyRegistered is set and Register is nil: give the record of the tokens in use")
	}
	if g.Address == nil {
		g.Address = PeerAddress
	}
	g.tokens, err = cache.New[*Token](tokenCacheEntries)
	return err
}

// Close releases what Validate prepared; later requests are refused. Tokens and DPoP are the caller's to close.
// It may be called more than once.
func (g *Guard) Close() error {
	g.closed.Store(true)
	g.once.Do(func() { g.err = errClosed })
	if g.tokens != nil {
		g.tokens.Close()
	}
	return nil
}

// Check accepts a request that meets the demands of its route, or refuses it with an [*Error]: [Guard.Authenticate],
// then [Guard.Allow] for each demand, and one call of the Observer.
func (g *Guard) Check(r *http.Request, demands ...Requirement) (*Grant, error) {
	grant, err := g.Authenticate(r)
	for i := 0; err == nil && i < len(demands); i++ {
		err = g.Allow(grant, demands[i])
	}
	if g.Observer.Decided != nil {
		g.Observer.Decided(r.Context(), NewDecision(r, r.Pattern, grant, err))
	}
	if err != nil {
		return nil, err
	}
	return grant, nil
}

// Authenticate accepts a request, or refuses it with an [*Error], whatever its route demands. It is for middleware that
// learns that later and then asks [Guard.Allow]; the Observer hears nothing of it. It does not write an answer: see
// [WriteError], and [Grant.SetHeaders] for accepted requests.
func (g *Guard) Authenticate(r *http.Request) (*Grant, error) {
	if err := g.Validate(); err != nil {
		return nil, unavailable(err)
	}
	if g.closed.Load() {
		return nil, unavailable(errClosed)
	}
	grant := &Grant{began: g.Now()}
	refusal := g.judge(r, grant)
	grant.took = g.Now().Sub(grant.began)
	if refusal != nil {
		refusal.attempt = grant
		return nil, refusal
	}
	return grant, nil
}

// judge fills in grant as far as it gets. Cheap checks come before dear ones, and the claim of the proof comes behind
// all of them, so only a request that passed everything else uses its proof up; what comes after the claim is the
// record of tokens in use, which no replay may touch.
func (g *Guard) judge(r *http.Request, grant *Grant) *Error {
	// 1. Credentials: one Authorization field, one scheme, one token.
	c, err := parseCredentials(r)
	if err != nil {
		return g.refuse(c.scheme, codeOfCredentials(err), err)
	}
	grant.scheme = c.scheme

	// 2. The proof, if there is any sign of one; its signature comes later.
	var proof *dpop.Proof
	switch signs := c.scheme == schemeDPoP || r.Header["Dpop"] != nil; {
	case c.scheme == schemeDPoP && g.DPoP == nil:
		return g.refuse(c.scheme, CodeInvalidToken, ErrNoDPoP)
	case signs && g.DPoP != nil:
		if proof, err = g.DPoP.Read(r, c.token); err != nil {
			return g.refuse(c.scheme, CodeInvalidProof, err)
		}
	}

	// 3. The token.
	key := cacheKey(c.token)
	token, known, err := g.token(r, key, c.token)
	if err != nil {
		return g.refuse(c.scheme, CodeInvalidToken, err)
	}
	grant.Token, grant.known, grant.key = token, known, key
	if token.current == nil {
		grant.raw = c.token
	}

	// 4. The sender is the one that the token was issued to.
	if g.Certificates != nil {
		if grant.Certificate, err = g.Certificates(r); err != nil {
			return g.refuse(c.scheme, CodeInvalidToken, err)
		}
	}
	if grant.Binding, err = g.bound(c.scheme, token.Confirmation, proof, grant.Certificate); err != nil {
		return g.refuse(c.scheme, CodeInvalidToken, err)
	}
	if proof != nil {
		if err := proof.VerifySignature(); err != nil {
			return g.refuse(c.scheme, CodeInvalidProof, err)
		}
		grant.Thumbprint, grant.hasNonce, grant.Nonce = proof.Thumbprint(), proof.HasNonce(), g.DPoP.NextNonce(proof)
	}

	// 5. Policy.
	if err := token.within(g.MaxTokenLifetime); err != nil {
		return g.refuse(c.scheme, CodeInvalidToken, err)
	}
	if err := ask(g.Policies, r, grant); err != nil {
		return g.refuse(c.scheme, CodeInvalidToken, err)
	}
	ctx := r.Context()
	if proof != nil && g.Revocation != nil {
		// One store for both can answer both in one round trip. The proof of a revoked token is then used up as well.
		ctx = g.DPoP.Announce(ctx, proof)
	}
	if err := g.revoked(ctx, token); err != nil {
		return g.refuse(c.scheme, CodeInvalidToken, err)
	}

	// 6. The proof is used up.
	if proof != nil {
		if err := g.DPoP.Remember(ctx, proof); err != nil {
			return g.refuse(c.scheme, CodeInvalidProof, err)
		}
	}

	// 7. The token is in use, which only a request that is accepted may say.
	if err := g.inUse(r, token); err != nil {
		return g.refuse(c.scheme, CodeInvalidToken, err)
	}
	if !known && token.current != nil {
		g.tokens.Add(key, token)
	}
	return nil
}

// codeOfCredentials tells malformed credentials from none, which get no code (RFC 6750 §3.1).
func codeOfCredentials(err error) string {
	if errors.Is(err, ErrNoCredentials) || errors.Is(err, ErrScheme) {
		return ""
	}
	return CodeInvalidRequest
}

// token returns what the access token says, from the cache or from the validator; known means that a request
// with it has passed before. Its times are judged now, whatever the validator did.
func (g *Guard) token(r *http.Request, key, raw string) (t *Token, known bool, err error) {
	if t, known = g.tokens.Get(key); !known || !t.current() {
		if t, err = g.Tokens.ValidateToken(r.Context(), raw); err != nil {
			return nil, false, err
		}
		if t == nil {
			return nil, false, errors.New("access: the Validator returned neither a token nor an error")
		}
		known = false
	}
	return t, known, t.lives(g.Now(), g.Leeway)
}

func cacheKey(token string) string {
	sum := jose.SHA256(token)
	return string(sum[:])
}

// revoked returns the cause if the token has been taken back. That the store cannot tell is our own trouble.
func (g *Guard) revoked(ctx context.Context, token *Token) error {
	if g.Revocation == nil {
		return nil
	}
	entry, err := g.Revocation.Revoked(ctx, token.Revocable())
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case entry != nil:
		return entry.Cause()
	}
	return nil
}

// inUse puts the token on record, or looks for it there. That the record cannot tell is our own trouble.
func (g *Guard) inUse(r *http.Request, token *Token) error {
	if g.Register == nil {
		return nil
	}
	if token.ID == "" {
		return ErrTokenClaim.With("jti, for the record of tokens in use", "")
	}
	address, err := g.Address(r)
	if err != nil {
		return err
	}
	onRecord := true
	if g.OnlyRegistered {
		onRecord, err = g.Register.Seen(r.Context(), token.Revocable(), address.String())
	} else {
		err = g.Register.Record(r.Context(), token.Revocable(), address.String())
	}
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case !onRecord:
		return ErrNotRegistered
	}
	return nil
}

// bound compares the sender with every confirmation of the token. None may be missing, and none may be dropped
// by the choice of another scheme (RFC 7800 §3.1, RFC 8705 §3, RFC 9449 §7.1 and §7.2).
func (g *Guard) bound(used scheme, cnf Confirmation, proof *dpop.Proof, cert *x509.Certificate) (Binding, error) {
	var b Binding
	switch {
	case cnf.JKT != "" && g.DPoP == nil:
		return 0, ErrNoDPoP
	case cnf.JKT != "" && used != schemeDPoP:
		return 0, ErrBoundAsBearer
	case cnf.JKT != "" && proof.Thumbprint() != cnf.JKT:
		return 0, ErrKeyMismatch.With(cnf.JKT, proof.Thumbprint())
	case cnf.JKT != "":
		b |= BindingDPoP
	case used == schemeDPoP:
		return 0, ErrUnbound.With("cnf.jkt", "")
	}
	switch {
	case cnf.X5tS256 != "" && g.Certificates == nil:
		return 0, ErrNoMTLS
	case cnf.X5tS256 != "" && cert == nil:
		return 0, ErrNoCertificate.With(cnf.X5tS256, "")
	case cnf.X5tS256 != "" && !mtls.Matches(cert, cnf.X5tS256):
		return 0, ErrCertificateMismatch.With(cnf.X5tS256, mtls.Thumbprint(cert))
	case cnf.X5tS256 != "":
		b |= BindingCertificate
	}
	if b == 0 && !g.InsecureAllowBearer {
		return 0, ErrUnbound.With("cnf", "")
	}
	return b, nil
}

package access

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/cache"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/revocation"
)

// errClosed is the cause for refusing a request after [Guard.Close].
var errClosed = reason.NewTrouble("guard_closed", "access: the Guard is closed")

// Guard decides about requests. Make one with [New]; its methods are safe for concurrent use. Close it when the server
// has stopped.
//
// Every adapter takes the same Guard: [Guard.Handler] is that of net/http, package echoauth has those of Echo.
type Guard struct {
	config  Config // complete
	closed  atomic.Bool
	closers []func() error

	proofs   *dpop.Verifier // nil: no DPoP
	tokens   Validator
	jwts     *jwts                // of Issuers
	cache    *cache.Cache[*Token] // by tokenHash
	standing map[scheme]string    // what all challenges of a scheme say

	publications []publication // of Resource or Resources

	mu     sync.Mutex
	scopes []string // that routes require, sorted

	places []place // other than Authorization, from which tokens are read

	alarms *alarms
}

// Close ends background work and releases memory; later requests are refused with 503. The stores, Tokens and
// HTTPClient of [Config] are the caller's to close. It may be called more than once.
func (g *Guard) Close() error {
	if g.closed.Swap(true) {
		return nil
	}
	var all []error
	for _, closer := range g.closers {
		all = append(all, closer())
	}
	return errors.Join(all...)
}

// Check accepts a request that meets the demands of its route, or refuses it with an [*Error], and tells the decision to
// log and Observer. It is for code that is no middleware; it writes no answer: see [Guard.WriteError], and
// [Grant.SetHeaders] for accepted requests. Each call judges anew, so the second for one request finds its proof used.
func (g *Guard) Check(r *http.Request, demands ...Requirement) (*Grant, error) {
	grant, refusal := g.authenticate(r, "")
	for i := 0; refusal == nil && i < len(demands); i++ {
		refusal = g.compare(grant, demands[i])
	}
	if refusal := g.decided(r, "", grant, refusal); refusal != nil {
		return nil, refusal
	}
	return grant, nil
}

// authenticate judges a request, whatever its route demands; pattern is what its router matched, if the adapter knows.
// The Grant is never nil: with a refusal it says how far the request got.
func (g *Guard) authenticate(r *http.Request, pattern string) (*Grant, *Error) {
	if g.closed.Load() {
		return &Grant{}, unavailable(errClosed)
	}
	grant := &Grant{began: g.config.Now(), pattern: pattern}
	refusal := g.judge(r, grant)
	if refusal != nil {
		g.alarm(r, grant, refusal)
	} else {
		grant.would = g.report(grant)
	}
	grant.took = g.config.Now().Sub(grant.began)
	return grant, refusal
}

// judge fills in grant as far as it gets. Cheap checks come before dear ones, and the claim of the proof comes behind
// all of them, so only a request that passed everything else uses its proof up; what comes after the claim is the
// record of tokens in use, which no replay may touch.
func (g *Guard) judge(r *http.Request, grant *Grant) *Error {
	token, proof, refusal := g.examine(r, grant)
	if refusal != nil {
		return refusal
	}
	return g.accept(r, grant, token, proof)
}

// examine is the part of judging that leaves nothing behind, which a shadow does too.
func (g *Guard) examine(r *http.Request, grant *Grant) (*Token, *dpop.Proof, *Error) {
	// 1. Credentials: one Authorization field, one scheme, one token. Method and target are those that came over the wire.
	c, err := g.credentials(r)
	grant.scheme, grant.sent, grant.from = c.scheme, c.token, c.from
	if err != nil {
		return nil, nil, g.refuse(c.scheme, codeOfCredentials(err), err)
	}
	if r, err = overTheWire(r); err != nil {
		return nil, nil, g.refuse(c.scheme, CodeInvalidRequest, err)
	}
	r = g.conceal(r)

	// 2. The proof, if there is any sign of one; its signature comes later.
	var proof *dpop.Proof
	switch signs := c.scheme == schemeDPoP || r.Header["Dpop"] != nil; {
	case c.scheme == schemeDPoP && g.proofs == nil:
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, ErrNoDPoP)
	case signs && g.proofs != nil:
		if proof, err = g.proofs.Read(r, c.token); err != nil {
			return nil, nil, g.refuse(c.scheme, CodeInvalidProof, err)
		}
	}

	// 3. The token.
	key := tokenHash(c.token, proof)
	token, known, err := g.token(r.Context(), key, c.token)
	if err != nil {
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, err)
	}
	grant.take(token)
	grant.known, grant.key, grant.sent = known, key, ""
	if token.current == nil {
		grant.raw = c.token
	}

	// 4. The sender is the one that the token was issued to.
	if c.from != (place{}) && token.Confirmation != (Confirmation{}) {
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, ErrBoundElsewhere)
	}
	if err := g.certificate(r, grant); err != nil {
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, err)
	}
	if grant.Binding, err = g.bound(c.scheme, token.Confirmation, proof, grant.Certificate); err != nil {
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, err)
	}
	if grant.lifetime = g.config.MaxTokenLifetime; grant.Binding == 0 {
		if err := g.unbound(r, grant); err != nil {
			return nil, nil, g.refuse(c.scheme, CodeInvalidToken, err)
		}
	}
	grant.dropUnfit()
	if proof != nil {
		if err := proof.VerifySignature(); err != nil {
			grant.Binding &^= BindingDPoP
			return nil, nil, g.refuse(c.scheme, CodeInvalidProof, err)
		}
		grant.algorithm = proof.Algorithm()
		grant.Thumbprint, grant.hasNonce, grant.Nonce = proof.Thumbprint(), proof.HasNonce(), g.proofs.NextNonce(proof)
	}

	// 5. Policy.
	if err := token.within(grant.lifetime); err != nil {
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, err)
	}
	if g.config.Revocation != nil && token.IssuedAt.IsZero() { // by nbf it may have been issued, and taken back, long ago
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, ErrTokenClaim.With("iat, to know for how long a revocation is kept", ""))
	}
	if err := applyPolicies(g.config.Policies, r, grant); err != nil {
		return nil, nil, g.refuse(c.scheme, CodeInvalidToken, err)
	}
	return token, proof, nil
}

// accept is the part of judging that leaves something behind. A revocation is looked for as late as this because one
// store can answer that and the claim at once.
func (g *Guard) accept(r *http.Request, grant *Grant, token *Token, proof *dpop.Proof) *Error {
	if g.oneRoundTrip(proof) {
		// One store for both answers both. The proof of a revoked token is then used up as well.
		if refusal := g.claimUnlessRevoked(r.Context(), grant.scheme, token, proof); refusal != nil {
			return refusal
		}
	} else {
		if err := g.revoked(r.Context(), token); err != nil {
			return g.refuse(grant.scheme, CodeInvalidToken, err)
		}

		// 6. The proof is used up.
		if proof != nil {
			if err := g.proofs.Remember(r.Context(), proof); err != nil {
				return g.refuse(grant.scheme, CodeInvalidProof, err)
			}
		}
	}

	// 7. The token is in use, which only a request that is accepted may say.
	if err := g.record(r, token); err != nil {
		return g.refuse(grant.scheme, CodeInvalidToken, err)
	}
	if !grant.known && token.current != nil {
		g.cache.Add(grant.key, token, token.Expiry.Add(g.config.Leeway).Sub(g.config.Now()))
	}
	return nil
}

// oneRoundTrip reports whether the look-up of a revocation can travel with the claim of the proof.
func (g *Guard) oneRoundTrip(proof *dpop.Proof) bool {
	return g.config.Shared != nil && proof != nil && !proof.CountsHereAlone()
}

// claimUnlessRevoked asks the one store for both. That the token was taken back comes before anything about the claim.
func (g *Guard) claimUnlessRevoked(ctx context.Context, used scheme, token *Token, proof *dpop.Proof) *Error {
	var entry *revocation.Entry
	err := g.proofs.RememberBy(ctx, proof, func(ctx context.Context, key dpop.ReplayKey, expiry time.Time) (fresh bool, err error) {
		fresh, entry, err = g.config.Shared.ClaimUnlessRevoked(ctx, key, expiry, token.Revocable())
		return fresh && entry == nil, err // what is refused is not remembered as a good proof
	})
	switch {
	case entry != nil:
		return g.refuse(used, CodeInvalidToken, g.denied(entry))
	case err != nil:
		return g.refuse(used, CodeInvalidProof, err)
	}
	if err := token.lives(g.config.Now(), g.config.Leeway); err != nil { // as in revoked
		return g.refuse(used, CodeInvalidToken, err)
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
func (g *Guard) token(ctx context.Context, key, raw string) (t *Token, known bool, err error) {
	if t, known = g.cache.Get(key); !known || !t.current() {
		err := guarded("Validator", func() (err error) {
			t, err = g.tokens.ValidateToken(ctx, raw)
			return err
		})
		if err == nil && t == nil {
			err = errors.New("access: the Validator returned neither a token nor an error")
		}
		if err != nil {
			return nil, false, ours(errValidator, err)
		}
		known = false
	}
	return t, known, t.lives(g.config.Now(), g.config.Leeway)
}

// certificate notes the client's certificate.
func (g *Guard) certificate(r *http.Request, grant *Grant) error {
	if g.config.Certificates == nil {
		return nil
	}
	return ours(errCertificate, guarded("Certificates", func() (err error) {
		grant.Certificate, err = g.config.Certificates(r)
		return err
	}))
}

// tokenHash returns the hash of the access token, by which caches know it. Where a proof was read, it is at hand.
func tokenHash(token string, proof *dpop.Proof) string {
	if proof != nil && proof.TokenHash() != "" {
		return proof.TokenHash()
	}
	return jose.Hash(token)
}

// revoked returns the cause if the token has been taken back. That the store cannot tell is our own trouble.
func (g *Guard) revoked(ctx context.Context, token *Token) error {
	if g.config.Revocation == nil {
		return nil
	}
	entry, err := g.config.Revocation.Revoked(ctx, token.Revocable())
	switch {
	case err != nil:
		return errRevocation.Because(err)
	case entry != nil:
		return g.denied(entry)
	}
	// A store passes over what denies tokens that have ended, and this one may have, since its times were judged.
	return token.lives(g.config.Now(), g.config.Leeway)
}

// denied is the cause for refusing a token that an entry denies. A subject stands in it as in the log.
func (g *Guard) denied(entry *revocation.Entry) error {
	if entry.By != revocation.BySubject {
		return entry.Cause()
	}
	told := *entry
	told.Value = g.config.LogSubject.Of(entry.Value)
	return told.Cause()
}

// record puts the token on record, or looks for it there. That the record cannot tell is our own trouble.
func (g *Guard) record(r *http.Request, token *Token) error {
	if g.config.Register == nil {
		return nil
	}
	if token.ID == "" {
		return ErrTokenClaim.With("jti, for the record of tokens in use", "")
	}
	var address netip.Addr
	err := guarded("Address", func() (err error) {
		address, err = g.config.Address(r)
		return err
	})
	if err != nil {
		return ours(errAddress, err)
	}
	onRecord := true
	if g.config.OnlyRegistered {
		onRecord, err = g.config.Register.Seen(r.Context(), token.Revocable(), address.String())
	} else {
		err = g.config.Register.Record(r.Context(), token.Revocable(), address.String())
	}
	switch {
	case err != nil:
		return errRegister.Because(err)
	case !onRecord:
		return ErrNotRegistered
	}
	return nil
}

// bound compares the sender with every confirmation of the token. None may be missing, and none may be dropped
// by the choice of another scheme (RFC 7800 §3.1, RFC 8705 §3, RFC 9449 §7.1 and §7.2).
func (g *Guard) bound(used scheme, cnf Confirmation, proof *dpop.Proof, cert *mtls.Certificate) (Binding, error) {
	var b Binding
	switch {
	case cnf.JKT != "" && g.proofs == nil:
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
	case cnf.X5tS256 != "" && g.config.Certificates == nil:
		return 0, ErrNoMTLS
	case cnf.X5tS256 != "" && cert == nil:
		return 0, ErrNoCertificate.With(cnf.X5tS256, "")
	case cnf.X5tS256 != "" && !cert.Matches(cnf.X5tS256):
		return 0, ErrCertificateMismatch.With(cnf.X5tS256, cert.Thumbprint())
	case cnf.X5tS256 != "":
		if err := cert.Verify(); err != nil {
			return 0, err
		}
		b |= BindingCertificate
	}
	return b, nil
}

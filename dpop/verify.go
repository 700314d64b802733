package dpop

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/senderlock/senderlock/internal/cache"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/precomputed"
	"github.com/senderlock/senderlock/internal/setting"
)

// The settings of a zero [Config].
const (
	DefaultMaxAge  = time.Minute
	DefaultSkew    = 10 * time.Second
	defaultMaxSize = 8 << 10 // octets
)

// FiveMinutes is both [Config.MaxAge] and [Config.Skew] where a community asks servers to bear with clocks that are wrong
// by five minutes either way. A replay store that is shared then needs a Window of ten minutes at least. What it costs: a
// proof that was intercepted and has not been used is good for so long, and is remembered for ten minutes. Where clients
// know nonces, [Config.RequireNonce] bears with any clock and costs none of that.
const FiveMinutes = 5 * time.Minute

// The bounds of the settings. A proof is remembered for as long as it could be accepted, so a longer life costs
// memory, and RFC 9449 §11.1 asks for seconds or minutes.
const (
	maxMaxAge = 10 * time.Minute
	maxSkew   = 5 * time.Minute

	defaultKnownKeys = 200_000
	maxKnownKeys     = 100_000_000
	// knownKeyLife is for how long a header is remembered: keys that are not used any more make room.
	knownKeyLife = time.Hour
)

// FAPI2Algorithms are the algorithms that the FAPI 2.0 Security Profile permits (§5.4), for
// [Config.Algorithms].
var FAPI2Algorithms = []string{"PS256", "ES256", "EdDSA", "Ed25519"}

// Algorithms returns every algorithm that exists here, strongest habits first: the default of
// [Config.Algorithms]. EdDSA and Ed25519 are two names of one algorithm; older clients send the first.
func Algorithms() []string { return jose.Algorithms() }

// Config holds the settings of a [Verifier]. Origins are enough for a single instance.
type Config struct {
	// Origins are the public URIs of this server ("https://api.example.com"), each optionally with a path prefix that a
	// proxy strips ("https://example.com/api"); one origin may have several. A star stands for one label, however many
	// there are of them ("https://*.example.com" is a.example.com, but not a.b.example.com). A request to another Host is refused. A request for the prefix alone is
	// taken for one with a slash behind it: once the prefix is stripped, the two are the same. Required, unless
	// InsecureTrustHost is set.
	Origins []string
	// InsecureTrustHost takes the origin from Host, after strict validation, and the connection's TLS state. Whoever can
	// make a client send a request to another name can then use its proof here. For tests and local development.
	InsecureTrustHost bool
	// ForwardedBy are the proxies whose X-Forwarded-Proto and X-Forwarded-Host choose among the Origins. Zero believes
	// nobody.
	ForwardedBy Peers
	// ForwardedAs says how they write that. Zero is one value each, which every proxy sets anew.
	ForwardedAs ForwardedForm

	// Algorithms are the accepted JWS algorithms. Nil means all of [Algorithms].
	Algorithms []string
	// MaxAge is for how long after its iat a proof is accepted. Zero means one minute; ten are the most; [FiveMinutes] is
	// what some communities ask for. Where a replay
	// store is shared, raise its Window first, on every instance, and MaxAge one old window later.
	MaxAge time.Duration
	// Skew is how far ahead a client's clock may be, and by how much nbf and exp of a proof that has them may miss the
	// time. Zero means ten seconds; a millisecond is the least, five minutes the most.
	Skew time.Duration
	// MaxSize is the largest accepted proof in octets. Zero means 8 KiB.
	MaxSize int
	// MaxRSABits is the largest accepted RSA modulus. Zero means 4096; the least is 2048.
	MaxRSABits int

	// Replay remembers used proofs. Nil remembers them in this process, up to a million at a time: one memory for all
	// Verifiers of one Namespace that live at the same time, gone with the last; with a clock of its own (Now) each has
	// its own. That is right for a single instance only, and two processes that overlap, as in a graceful restart, are
	// two instances: let the old one stop accepting before the new one starts, or share a store. Replay is the caller's
	// to close.
	Replay ReplayStore
	// Fallback says what to do while Replay is out of reach. Nil refuses: see [Fallback].
	Fallback Fallback
	// Namespace keeps the proofs of several APIs apart that share a replay store or nonce secrets. Empty is a
	// namespace too.
	Namespace string
	// Nonces are the settings of nonces; the zero value serves a single instance.
	Nonces Nonces
	// RequireNonce refuses proofs without a nonce of ours. A nonce of ours stands for time in any case: iat is not judged,
	// so a client with a wrong clock works. For nonces of other servers see [Nonces].
	RequireNonce bool
	// InsecureForgetAtStart accepts proofs that may have been used before this process began. With a replay
	// store that forgets (see [ReplayStore]) every proof of the last minute can then be used once more after a
	// restart. For tests and demonstrations.
	InsecureForgetAtStart bool

	// KnownKeys is how many keys of clients are remembered with the header that they come in, so that the header need
	// not be read again: about as many as there are busy clients. A header that is remembered takes about 1,100 octets; one
	// of more than 512 octets, as with an RSA key, has the place of two or more. Zero means 200,000; a thousand are the least.
	KnownKeys int
	// PrecomputedKeys is how many P-256 keys of clients get a table by which their proofs are verified in less than half
	// of the time, a key after its fourth accepted proof. The tables take PrecomputedKeys × 25,600 octets, and the keys
	// that were used most recently have them; no more than 50 are built a second, and so many others lost at most. The arithmetic is ours (package internal/p256 explains it), not that of
	// crypto/ecdsa, and does without math/big and secrets alike; so every refusal by it and some acceptances (see
	// PrecomputedRecheck) are repeated by crypto/ecdsa, and if the two disagree, the proof is refused with
	// [ErrDisagreement] and no table is used in this process any more. Zero is off; in FIPS 140-3 mode it is off in any
	// case.
	PrecomputedKeys int
	// PrecomputedRecheck repeats one in so many acceptances by a precomputed key, chosen at random; 1 repeats each. Zero
	// means 64.
	PrecomputedRecheck int
	// Log hears of precomputed keys that disagree, or are off in FIPS 140-3 mode. Nil means [slog.Default].
	Log *slog.Logger

	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// Verifier accepts DPoP proofs (RFC 9449 §4.3). Make one with [New]; its methods are safe for concurrent use. Close
// it when done.
//
// A request is judged in three steps, so that the caller can put the cheap checks of the token between them:
// [Verifier.Read], [Proof.VerifySignature], [Verifier.Remember]. [Verifier.Verify] does all three.
type Verifier struct {
	config  Config // complete
	origins *origins
	closed  atomic.Bool
	headers *cache.Cache[header] // by the raw segment
	tables  *precomputed.Keys
	nonces  *nonceSource
	release func() error // gives the replay store back, if it was made here
}

// New checks the settings and makes a Verifier. Its error names the field and what to put there.
func New(config Config) (*Verifier, error) {
	v := &Verifier{config: config, release: func() error { return nil }}
	if err := v.settle(); err != nil {
		_ = v.Close()
		return nil, fmt.Errorf("dpop.Config: %w", err)
	}
	return v, nil
}

func (v *Verifier) settle() (err error) {
	if v.origins, err = newOrigins(v.config); err != nil {
		return err
	}
	if v.config.Algorithms, err = setting.Chosen("Algorithms", v.config.Algorithms, Algorithms()); err != nil {
		return err
	}
	if err := setting.Between("MaxAge", &v.config.MaxAge, DefaultMaxAge, time.Second, maxMaxAge); err != nil {
		return err
	}
	if err := setting.Between("Skew", &v.config.Skew, DefaultSkew, time.Millisecond, maxSkew); err != nil {
		return err
	}
	if err := setting.Between("MaxSize", &v.config.MaxSize, defaultMaxSize, 512, 1<<20); err != nil {
		return err
	}
	if err := setting.Between("MaxRSABits", &v.config.MaxRSABits, jose.DefaultRSABits, jose.MinRSABits, 16384); err != nil {
		return err
	}
	if err := errors.Join(setting.Made("Replay", v.config.Replay), setting.Made("Fallback", v.config.Fallback)); err != nil {
		return err
	}
	if v.nonces, err = newNonceSource(v.config.Nonces, v.config.Namespace); err != nil {
		return err
	}
	v.config.RequireNonce = v.config.RequireNonce || v.config.Nonces.Region != ""
	if err := v.settleKeys(); err != nil {
		return err
	}
	if err := v.settleReplay(); err != nil {
		return err
	}
	if v.config.Now == nil {
		v.config.Now = time.Now
	}
	v.nonces.renew(v.since())
	return nil
}

// settleKeys makes what remembers the keys of clients.
func (v *Verifier) settleKeys() (err error) {
	c := &v.config
	if err := setting.Between("KnownKeys", &c.KnownKeys, defaultKnownKeys, 1000, maxKnownKeys); err != nil {
		return err
	}
	if v.headers, err = cache.New[header](int64(c.KnownKeys)); err != nil {
		return err
	}
	v.tables, err = precomputed.New(precomputed.Config{Keys: c.PrecomputedKeys, Recheck: c.PrecomputedRecheck, Log: c.Log})
	if err != nil {
		return fmt.Errorf("Precomputed%w", err) // its own fields are Keys and Recheck
	}
	return nil
}

// settleReplay finds the replay store, and compares how long it remembers with how long a proof can be accepted.
func (v *Verifier) settleReplay() error {
	life := max(v.config.MaxAge, 2*v.nonces.period) + v.config.Skew
	if v.config.Replay == nil {
		own, release, err := ownMemory(v.config, life)
		if err != nil {
			return err
		}
		v.config.Replay, v.release = own, release
	}
	if r, ok := v.config.Replay.(Regional); ok && r.Region() != v.config.Nonces.Region {
		return fmt.Errorf("Nonces.Region is %q, and Replay is the memory of region %q: give both the same name",
			v.config.Nonces.Region, r.Region())
	}
	if kept := v.config.Replay.Window(); kept < life {
		return fmt.Errorf("Replay has a Window of %v, and a proof is accepted for up to %v (MaxAge or two of Nonces.Period, and Skew): "+
			"raise the Window on every instance first", kept, life)
	}
	if v.config.Fallback == nil {
		return nil
	}
	local := v.config.Fallback.Local()
	if local == nil {
		return errors.New("Fallback.Local returns nil: give the memory of the proofs that this instance accepts alone, or leave Fallback nil")
	}
	if kept := local.Window(); kept < life {
		return fmt.Errorf("Fallback.Local has a Window of %v, and a proof is accepted for up to %v: raise it", kept, life)
	}
	return nil
}

// Close releases what New made: the caches and, if Replay was nil, this Verifier's share of the replay memory. Requests
// must have ended; a later claim fails with [ErrStore]. It may be called more than once.
func (v *Verifier) Close() error {
	if v.closed.Swap(true) {
		return nil
	}
	if v.headers != nil {
		v.headers.Close()
	}
	return errors.Join(v.tables.Close(), v.release())
}

// Verify accepts the proof of a request once (RFC 9449 §4.3): it reads it, verifies its signature and claims
// it. Whether the token is bound to the proof's key is for the caller to compare, by [Proof.Thumbprint]. The
// errors are those of [Verifier.Read], [Proof.VerifySignature] and [Verifier.Remember].
func (v *Verifier) Verify(r *http.Request, token string) (*Proof, error) {
	p, err := v.Read(r, token)
	if err != nil {
		return nil, err
	}
	if err := p.VerifySignature(); err != nil {
		return nil, err
	}
	if err := v.Remember(r.Context(), p); err != nil {
		return nil, err
	}
	return p, nil
}

// Read parses the proof of a request and compares it with the request, without its signature (RFC 9449 §4.3
// items 1 to 5 and 7 to 12). The access token is the one that came with it; an empty one is a request without
// a token, as at a token endpoint, and ath is then not looked at. Every refusal is an [*Error]; for those that
// [NeedsNonce] reports, answer with [Verifier.Nonce].
func (v *Verifier) Read(r *http.Request, token string) (*Proof, error) {
	p, err := v.parse(r.Header["Dpop"])
	if err != nil {
		return nil, err
	}
	if err := v.compare(p, r, token); err != nil {
		return nil, err
	}
	if err := v.current(p, v.config.Now()); err != nil {
		return nil, err
	}
	return p, nil
}

// compare holds the proof against the request and its token (items 8, 9 and 12).
func (v *Verifier) compare(p *Proof, r *http.Request, token string) error {
	if p.claims.Method.value != r.Method {
		return ErrMethod.With(r.Method, p.claims.Method.value)
	}
	at, err := v.origins.locate(r)
	if err != nil {
		return err
	}
	if !at.named(p.claims.Target.value) {
		return ErrTarget.With(at.String(), p.claims.Target.value)
	}
	if token == "" {
		return nil
	}
	want := jose.Hash(token)
	if !p.claims.TokenHash.set {
		return ErrNoTokenHash.With("ath "+want, "")
	}
	if subtle.ConstantTimeCompare([]byte(want), []byte(p.claims.TokenHash.value)) != 1 {
		return ErrTokenHash.With(want, p.claims.TokenHash.value)
	}
	p.tokenHash = want
	return nil
}

// current judges when the proof was made (items 10 and 11), and with that until when it can be accepted: the
// two belong together, or a proof outlives the memory of its use.
func (v *Verifier) current(p *Proof, now time.Time) error {
	if err := p.lives(now, v.config.Skew); err != nil {
		return err
	}
	nonce := v.readNonce(p, now)
	if nonce != nil && !v.passesOver(p, nonce) {
		return nonce
	}
	if v.down() && !p.stamp.local {
		return ErrOutage
	}
	if p.HasNonce() {
		p.until = p.stamp.until
		return v.unused(p)
	}
	if v.config.RequireNonce {
		return ErrNonceMissing
	}
	if err := v.inTime(p, now); err != nil && nonce != nil {
		return nonce // with one of ours a client with a wrong clock gets in
	} else if err != nil {
		return err
	}
	p.until = p.issued.Add(v.config.MaxAge).Add(1) // the last instant itself is still good
	return v.unused(p)
}

// readNonce finds out what the nonce of a proof stands for, if it has one.
func (v *Verifier) readNonce(p *Proof, now time.Time) error {
	if !p.claims.Nonce.set {
		return nil
	}
	stamp, err := v.nonces.read(p.claims.Nonce.value, now, v.config.Skew)
	if err != nil {
		return err
	}
	if stamp.local && (v.config.Fallback == nil || !v.nonces.own(stamp)) {
		return ErrNonceElsewhere.With("a nonce for this instance", p.claims.Nonce.value)
	}
	p.stamp = stamp
	return nil
}

// passesOver reports whether a proof whose nonce was refused is judged as one without: [Nonces] says when, and why that
// is safe.
func (v *Verifier) passesOver(p *Proof, refused error) bool {
	return errors.Is(refused, ErrNonceForeign) && !v.nonces.shows(p.claims.Nonce.value) &&
		!v.config.RequireNonce && v.config.Fallback == nil
}

// inTime judges iat.
func (v *Verifier) inTime(p *Proof, now time.Time) error {
	switch earliest, latest := now.Add(-v.config.MaxAge), now.Add(v.config.Skew); {
	case p.issued.Before(earliest):
		return ErrStale.With("iat from "+jose.When(earliest), jose.When(p.issued)).Off(earliest.Sub(p.issued))
	case p.issued.After(latest):
		return ErrFuture.With("iat up to "+jose.When(latest), jose.DescribeDate(p.claims.IssuedAt, p.issued)).Off(p.issued.Sub(latest))
	}
	return nil
}

// unused returns [ErrRestart] for a proof that may have been accepted before the replay store's memory begins.
func (v *Verifier) unused(p *Proof) error {
	if p.stamp.local {
		return nil // what a local nonce stands for is remembered for as long as the nonce counts
	}
	since := v.since()
	v.nonces.renew(since)
	if since.IsZero() {
		return nil
	}
	// Before that nothing later than since + Skew was accepted, so what is later is new.
	unused := since.Add(v.config.Skew)
	switch {
	case p.HasNonce() && !v.nonces.own(p.stamp) && p.stamp.issued.Before(unused):
		return ErrRestart.With("a nonce of this process or one from "+jose.When(unused), jose.When(p.stamp.issued))
	case !p.HasNonce() && p.issued.Before(unused):
		return ErrRestart.With("iat from "+jose.When(unused)+" or a nonce", jose.When(p.issued)).Off(unused.Sub(p.issued))
	}
	return nil
}

// since returns the instant from which the replay store remembers every claim, or zero if nothing depends on it.
func (v *Verifier) since() time.Time {
	if v.config.InsecureForgetAtStart {
		return time.Time{}
	}
	return v.config.Replay.Since()
}

// down reports whether only proofs with a local nonce are accepted, because the replay store is out of reach.
func (v *Verifier) down() bool { return v.config.Fallback != nil && v.config.Fallback.Down() }

// Remember claims the proof, so that it is accepted once (RFC 9449 §11.1). It comes last, when everything else
// about the request has been checked. It returns [ErrReplayed] for a proof that was used, [ErrStale] or
// [ErrNonceOld] if its time ran out since [Verifier.Read], [ErrRestart] or [ErrOutage] if the replay store lost its
// memory or was lost since, [ErrUnsigned] before [Proof.VerifySignature], and [ErrStore] when the replay store could
// not answer.
func (v *Verifier) Remember(ctx context.Context, p *Proof) error {
	return v.RememberBy(ctx, p, v.config.Replay.Claim)
}

// RememberBy does what [Verifier.Remember] does by another way to the same replay store: one that asks it something
// else on the same trip, and otherwise does what [ReplayStore].Claim does. A proof that counts for this instance alone (see [Fallback]) does not go that way.
func (v *Verifier) RememberBy(ctx context.Context, p *Proof,
	claim func(ctx context.Context, key ReplayKey, expiry time.Time) (fresh bool, err error)) error {
	if !p.signed {
		return ErrUnsigned
	}
	if v.closed.Load() {
		return ErrStore.Because(errors.New("the verifier is closed"))
	}
	now := v.config.Now()
	if err := p.expired(now); err != nil {
		return err
	}
	if p.stamp.local {
		claim = v.config.Fallback.Local().Claim
	}
	fresh, err := claim(ctx, v.key(p), v.kept(p, now))
	switch {
	case err != nil && v.down() && !p.stamp.local:
		return ErrOutage
	case err != nil:
		return ErrStore.Because(err)
	case !fresh:
		return ErrReplayed.With("a new jti", p.claims.ID.value)
	}
	// The store may have lost its memory since the proof was read, and found out with this claim.
	if err := v.unused(p); err != nil {
		return err
	}
	// A store may forget a proof at the instant it expires. A claim that took until then proves nothing.
	if err := p.expired(v.config.Now()); err != nil {
		return err
	}
	// Only now, so that garbage cannot push the headers of good clients out.
	if !p.header.known && len(p.compact.Header) <= maxCachedHeader {
		p.header.known = true
		v.headers.Add(p.compact.Header, p.header, knownKeyLife)
	}
	v.tables.Accepted(p.header.key.Precomputed())
	return nil
}

// kept is until when the claim must be remembered: for as long as this Verifier accepts the proof, and another of the
// same store. That one may have a longer MaxAge, up to the Window, which it counts from iat; the store counts from now.
func (v *Verifier) kept(p *Proof, now time.Time) time.Time {
	if !p.HasNonce() && p.issued.After(now) {
		return p.issued.Add(v.config.Replay.Window())
	}
	return p.until
}

func (v *Verifier) key(p *Proof) ReplayKey {
	return NewReplayKey(v.config.Namespace, p.Thumbprint(), p.claims.ID.value)
}

// expired returns the cause for which a proof that was in time when it was read is no longer, or nil.
func (p *Proof) expired(now time.Time) error {
	if now.Before(p.until) {
		return nil
	}
	kind := ErrStale
	if p.HasNonce() {
		kind = ErrNonceOld
	}
	return kind.With("use before "+jose.When(p.until), jose.When(now)).Off(now.Sub(p.until))
}

// Nonce returns a new nonce, for a refusal that [NeedsNonce] reports. A client may use it many times, until the
// period after the current one ends.
func (v *Verifier) Nonce() string {
	return v.nonces.issue(v.config.Now(), v.down())
}

// NextNonce returns the nonce to send with a successful answer (RFC 9449 §8.2), or the empty string: the
// client has none, or has one of the current period and of the kind that is wanted now, and that is enough.
func (v *Verifier) NextNonce(p *Proof) string {
	enough := p.stamp.current && p.stamp.local == v.down() && !v.config.Nonces.EveryAnswer
	if !p.HasNonce() || enough {
		return ""
	}
	return v.Nonce()
}

// PrecomputedStats are figures to size [Config.PrecomputedKeys] by, and to watch.
type PrecomputedStats struct {
	Held          int    // tables in memory now
	Built         uint64 // since the start
	Dropped       uint64 // to make room for others
	Disagreements uint64 // with crypto/ecdsa, in this process; anything but 0 is a fault, and tables are off
}

// PrecomputedStats returns the figures of now.
func (v *Verifier) PrecomputedStats() PrecomputedStats {
	s := v.tables.Stats()
	return PrecomputedStats{Held: s.Held, Built: s.Built, Dropped: s.Dropped, Disagreements: precomputed.Disagreements()}
}

// Algorithms returns the accepted JWS algorithms of proofs.
func (v *Verifier) Algorithms() []string { return slices.Clone(v.config.Algorithms) }

func (v *Verifier) allowed(alg string) bool { return slices.Contains(v.config.Algorithms, alg) }

// Package keyset knows an issuer's public keys: where they are published (RFC 8414 metadata, OpenID Connect
// discovery, a JWKS URL) or that they are fixed, which of them may verify a given token, and which are still
// current. It carries RFC 8414 §3 and RFC 7517 §5 and follows RFC 8725 §3.10. It knows nothing of tokens or
// claims; the shape of a single key is judged by package jose.
package keyset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/precomputed"
	"github.com/senderlock/senderlock/reason"
)

// The causes for which [Set.Keys] returns no key; jose.ErrKeyAlg is the third that lies with the token.
var (
	ErrUnknownKey = reason.New("key_unknown", "the issuer has no key of this kid for this algorithm")
	ErrAmbiguous  = reason.New("key_ambiguous", "more keys may have signed the token than are tried")
	// ErrUnavailable is the server's own trouble: whether the key exists could not be learnt.
	ErrUnavailable = reason.New("keys_unreachable", "the issuer's key set could not be fetched")
)

// The deeper causes below [ErrUnavailable]. ErrSet is also returned by [New], for a static set.
var (
	ErrFetch    = reason.New("keys_fetch_failed", "the issuer did not answer as expected")
	ErrRedirect = reason.New("keys_redirect_refused", "the issuer redirects to where keys are not taken from")
	ErrTooLarge = reason.New("keys_too_large", "the issuer's answer is larger than the accepted size")
	ErrAddress  = reason.New("issuer_address_not_public", "the issuer is at an address that is not public")
	ErrMetadata = reason.New("issuer_metadata_invalid", "the issuer's metadata is not usable")
	ErrSet      = reason.New("key_set_invalid", "not a JWK set with at least one usable key")
	ErrTenant   = reason.New("key_of_another_tenant", "the key does not say that it is this issuer's")
)

// The values of zero fields of [Config].
const (
	DefaultRefresh  = 15 * time.Minute
	DefaultCooldown = 10 * time.Second
)

// Config says where the keys come from. Exactly one source is used: JWKS, else JWKSURL, else discovery by
// Issuer.
type Config struct {
	// Issuer is the issuer identifier ("https://login.example.com"). Without JWKSURL and JWKS, its metadata
	// names the key set: /.well-known/oauth-authorization-server is inserted between host and path (RFC 8414
	// §3.1), and if nothing usable is there, /.well-known/openid-configuration appended. The metadata's issuer
	// must equal Issuer exactly. The first place has half of the time at the most. Metadata is read anew with every fetch, so a jwks_uri that moves is followed.
	// With JWKSURL or JWKS, Issuer only names the set in logs.
	Issuer string
	// MetadataURL is the address of one metadata document for many tenants, which takes the place of discovery by Issuer.
	// Its issuer may have a placeholder, such as {tenantid}, for what Issuer has. The keys are then those alone whose own
	// member issuer is Issuer, or has it by such a placeholder: the others are of other tenants.
	MetadataURL string
	// JWKSURL is the address of the key set. Empty means discovery.
	JWKSURL string
	// JWKS is a JWK set (RFC 7517 §5). When set, nothing is ever fetched.
	JWKS []byte

	// HTTPClient fetches. It is copied and keeps its Transport; its CheckRedirect is asked after our own. Nil
	// means a client of our own, which honours the proxy environment. Either way one fetch, metadata included,
	// ends after five seconds.
	HTTPClient *http.Client
	// OpenIDFirst asks /.well-known/openid-configuration first, for an issuer that is slow or wrong at the other place.
	OpenIDFirst bool
	// Refresh is the longest time between two fetches in the background: as long as the issuer answers, no key is
	// used for longer than that after the issuer removed it. The Cache-Control of the key set can make it shorter,
	// down to a minute. Up to a tenth is taken off at random each time, so that instances started together do not stay
	// together. After a failure the next tries come sooner, beginning with Cooldown. Zero means [DefaultRefresh].
	Refresh time.Duration
	// Cooldown is the least time between two fetches, whatever asks for them. Zero means [DefaultCooldown]. It
	// must not be longer than Refresh.
	Cooldown time.Duration
	// InsecureAllowHTTP takes keys over http, so that anyone on the way can put in a key of their own. Loopback
	// hosts (127.0.0.0/8, ::1, localhost) need no leave, but https metadata never leads to them over http.
	InsecureAllowHTTP bool

	// FoundAtRunTime is for an Issuer that was first heard of in a token: nothing is fetched but over https and, unless
	// InsecurePrivateAddresses is set, from public addresses; without a proxy.
	FoundAtRunTime           bool
	InsecurePrivateAddresses bool

	// PrecomputedKeys is how many P-256 keys of the set, the first ones, get a table when the set is adopted, each of
	// [precomputed.Memory] octets. Zero means none. A table that accepted too much would accept forged tokens.
	PrecomputedKeys int
	// PrecomputedRecheck is [precomputed.Config.Recheck].
	PrecomputedRecheck int

	// MaxRSABits bounds RSA moduli; larger keys are skipped. Zero means jose.DefaultRSABits.
	MaxRSABits int
	// Now is the clock of Cooldown. Nil means [time.Now].
	Now func() time.Time
	// Fetched hears of each attempt to fetch: when it began, what it took, and why it failed or nil. Nil: nobody.
	Fetched func(began time.Time, took time.Duration, err error)
	// Log hears of failed refreshes and skipped keys. Nil means [slog.Default].
	Log *slog.Logger
}

// Key is one of an issuer's keys. It is immutable and safe for concurrent use.
type Key struct {
	*jose.Key
	ID     string // kid; empty when the key has none
	issuer string // whose the key is, where a set is that of many tenants; empty when the key does not say
}

// Set is an issuer's current key set. It is safe for concurrent use; the look-up of a known key takes no lock.
type Set struct {
	current atomic.Pointer[snapshot] // nil until the first fetch succeeds

	source            *source // nil: static
	tables            *precomputed.Keys
	maxRSABits        int
	refresh, cooldown time.Duration
	now               func() time.Time
	fetched           func(began time.Time, took time.Duration, err error)
	log               *slog.Logger

	alive      context.Context // ends with Close
	stop       context.CancelFunc
	start      sync.Once
	background sync.WaitGroup
	flight     singleflight.Group
	last       outcome // touched inside flight only
	skipped    string  // what was last logged as skipped; likewise
}

// New checks the settings and returns an error that names the field at fault. It does not use the network: the
// first fetch is made when the first key is asked for, and so the background work begins.
func New(c Config) (*Set, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	log := c.Log.With("issuer", c.Issuer)
	tables, err := precomputed.New(precomputed.Config{Keys: c.PrecomputedKeys, Recheck: c.PrecomputedRecheck, Log: log})
	if err != nil {
		return nil, fmt.Errorf("Precomputed%w", err) // its own fields are Keys and Recheck
	}
	s := &Set{
		tables: tables, maxRSABits: c.MaxRSABits, refresh: c.Refresh, cooldown: c.Cooldown, now: c.Now, fetched: c.Fetched,
		log: log,
	}
	if c.JWKS != nil {
		if err := s.adopt(c.JWKS); err != nil {
			return nil, errors.Join(fmt.Errorf("JWKS: %w: give a JWK set with a public key", err), tables.Close())
		}
		return s, nil
	}
	if s.source, err = newSource(c); err != nil {
		return nil, errors.Join(err, tables.Close())
	}
	s.alive, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Keys returns the keys that may verify a token whose header has this kid and alg: those of that kid, or for an
// empty kid every key, as far as they fit alg. The slice is shared and must not be changed.
//
// A key that is not known is looked for at the issuer, with one fetch for all callers and none within Cooldown
// of the last. The errors are [ErrUnknownKey], jose.ErrKeyAlg when the kid is known and its keys do not fit alg,
// [ErrAmbiguous] when more than four keys are left, and [ErrUnavailable] when the fetch failed or ctx ended
// first; a failed fetch does not take away the keys that are known. Ctx bounds the wait, not the shared fetch.
func (s *Set) Keys(ctx context.Context, kid, alg string) ([]*Key, error) {
	keys, err := s.current.Load().find(kid, alg)
	if s.source == nil || !errors.Is(err, ErrUnknownKey) {
		return keys, err
	}
	failure := s.refetch(ctx).err
	// The set may have been replaced for another caller, whatever came of this fetch.
	keys, err = s.current.Load().find(kid, alg)
	if failure != nil && errors.Is(err, ErrUnknownKey) {
		return nil, ErrUnavailable.Because(failure)
	}
	return keys, err
}

// Verify checks the signature of a JWS under the issuer's keys and returns the one that it verifies under. The errors
// are those of [Set.Keys], and those of jose.Key.VerifyBy, of which the server's own trouble ends the search.
func (s *Set) Verify(ctx context.Context, header jose.Header, compact jose.Compact) (*Key, error) {
	keys, err := s.Keys(ctx, header.KeyID, header.Algorithm)
	for _, key := range keys {
		switch err = key.VerifyBy(s.tables, header.Algorithm, compact); {
		case err == nil:
			return key, nil
		case !reason.IsRefusal(err):
			return nil, err
		}
	}
	return nil, err
}

// Has reports whether k, by kid and thumbprint, is in the set as last fetched. It takes no lock and never waits,
// so a cached token can ask on every request whether its key was removed.
func (s *Set) Has(k *Key) bool {
	return k != nil && s.current.Load().has(k)
}

// Close ends the background work and a fetch that is under way, and waits for both. The keys already known can
// still be looked up; nothing is fetched any more. It may be called more than once and always returns nil.
func (s *Set) Close() error {
	defer s.tables.Close()
	if s.source == nil {
		return nil
	}
	s.stop()
	s.start.Do(func() {}) // from now on nothing starts
	s.background.Wait()
	<-s.flight.DoChan("", s.attempt) // joins the one under way
	return nil
}

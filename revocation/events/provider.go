package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/revocation"
)

// The settings of a zero [Provider].
const (
	DefaultLeeway  = 10 * time.Second
	DefaultSkew    = 2 * time.Second
	DefaultMaxSize = 16 << 10 // octets
)

// Provider is the identity provider whose reports are believed. URL is required.
type Provider struct {
	// URL is its issuer identifier, which the claim iss of its logout and security event tokens equals exactly.
	URL string
	// TokenIssuer is the iss of the access tokens that its reports are about. Empty means URL. It differs where
	// security events come from a service of their own.
	TokenIssuer string
	// NoSessions says that the access tokens carry no sid, so that to revoke a session would stop none of them. A
	// report that ends a session then ends all of its user's, and one that does not name the user is refused.
	NoSessions bool

	// Algorithms are the JWS algorithms of its reports. Nil means all that package dpop lists for proofs.
	Algorithms []string
	// JWKSURL is the address of its keys. Empty finds it by discovery: RFC 8414, then OpenID Connect.
	JWKSURL string
	// JWKS is its key set as JSON, if it never changes; nothing is fetched then.
	JWKS []byte
	// HTTPClient fetches metadata and keys. Nil means one of ours. Whatever it is, each fetch is limited in time,
	// size and redirects.
	HTTPClient *http.Client
	// InsecureAllowHTTP permits a provider on http. Without it only loopback addresses may be.
	InsecureAllowHTTP bool

	// Leeway is how far its clock may differ from ours. Zero means ten seconds; a millisecond is the least, a
	// minute the most.
	Leeway time.Duration
	// Skew is how far the clock that stamps access tokens may be ahead of the one that stamps reports. Tokens
	// issued up to that long after an event are revoked with those before it, the first ones of a new login
	// included. Zero means two seconds; a minute is the most.
	Skew time.Duration
	// MaxSize is the largest accepted request body in octets. Zero means 16 KiB.
	MaxSize int
	// Log hears of what was revoked at Info, of refused reports at Warn, with those that come again because their key may be
	// new, and of our own trouble at Error. Nil means [slog.Default].
	Log *slog.Logger
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// provider is a Provider whose settings are complete, with its keys.
type provider struct {
	Provider
	keys    *keyset.Set
	fetched atomic.Pointer[time.Time] // when the last fetch of keys began that came to something; nil before the first
}

// given refuses a receiver without a store to act on.
func given(s revocation.Store) error {
	if s == nil {
		return errors.New("Store is nil: give the revocation.Store that requests are checked against")
	}
	return setting.Made("Store", s)
}

// newProvider fills in zero fields and refuses settings that cannot work.
func newProvider(settings Provider) (*provider, error) {
	p := &provider{Provider: settings}
	if err := p.settle(); err != nil {
		return nil, fmt.Errorf("Provider: %w", err)
	}
	return p, nil
}

func (p *provider) settle() error {
	u, err := url.Parse(p.URL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("URL is %s: give the issuer identifier, such as %q", setting.Address(p.URL), "https://login.example.com")
	}
	if p.TokenIssuer == "" {
		p.TokenIssuer = p.URL
	}
	if p.Algorithms, err = setting.Chosen("Algorithms", p.Algorithms, jose.Algorithms()); err != nil {
		return err
	}
	if err := errors.Join(
		setting.Between("Leeway", &p.Leeway, DefaultLeeway, time.Millisecond, time.Minute),
		setting.Between("Skew", &p.Skew, DefaultSkew, time.Millisecond, time.Minute),
		setting.Between("MaxSize", &p.MaxSize, DefaultMaxSize, 512, 1<<20),
	); err != nil {
		return err
	}
	if p.Log == nil {
		p.Log = slog.Default()
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	p.keys, err = keyset.New(keyset.Config{
		Issuer: p.URL, JWKSURL: p.JWKSURL, JWKS: p.JWKS,
		HTTPClient: p.HTTPClient, InsecureAllowHTTP: p.InsecureAllowHTTP, Now: p.Now, Log: p.Log,
		Fetched: func(began time.Time, _ time.Duration, err error) {
			if err == nil {
				p.fetched.Store(&began)
			}
		},
	})
	return err
}

func (p *provider) close() error { return p.keys.Close() }

// subject denies what was issued to sub up to an event.
func (p *provider) subject(sub string, at time.Time) revocation.Entry {
	return revocation.Entry{
		Issuer: p.TokenIssuer, By: revocation.BySubject, Value: sub, Before: at.Add(p.Skew),
	}
}

// session denies what carries sid, whenever issued: a session that has ended does not come back.
func (p *provider) session(sid string) revocation.Entry {
	return revocation.Entry{Issuer: p.TokenIssuer, By: revocation.BySession, Value: sid}
}

// revoke puts entries in force. After an error some may be; a second delivery does the rest.
func revoke(ctx context.Context, store revocation.Store, entries []revocation.Entry) error {
	for _, e := range entries {
		switch err := store.Revoke(ctx, e); {
		case errors.Is(err, revocation.ErrInvalid):
			return ErrSubject.Because(errors.New(err.Error())) // it lies with what the report says, and is no trouble of ours
		case err != nil:
			return ErrUnavailable.Because(err)
		}
	}
	return nil
}

// profile is what one kind of report demands of its JWT.
type profile struct {
	types     []string // typ, in lower case, without "application/"
	audiences []string
	check     func(*claims) error // the claims of this kind, before the signature is verified
}

// read verifies a report: form, type, issuer, audience, times and claims first, then the signature, for which keys
// may have to be fetched (RFC 8725 §3, OpenID Connect Back-Channel Logout 1.0 §2.6, RFC 8935 §2).
func (p *provider) read(ctx context.Context, token string, want profile) (*claims, error) {
	came := p.Now()
	if len(token) > p.MaxSize {
		return nil, ErrTooLarge.With("at most "+strconv.Itoa(p.MaxSize)+" octets", strconv.Itoa(len(token)))
	}
	compact, err := jose.Split(token)
	if err != nil {
		return nil, err
	}
	header, err := jose.ParseHeader(compact.Header)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(want.types, strings.TrimPrefix(strings.ToLower(header.Type), "application/")) {
		return nil, jose.ErrType.With(want.types[0], header.Type)
	}
	if !slices.Contains(p.Algorithms, header.Algorithm) {
		return nil, jose.ErrAlgorithm.With(strings.Join(p.Algorithms, " "), header.Algorithm)
	}
	var c claims
	if err := jose.DecodeObject(compact.Payload, &c); err != nil {
		return nil, err
	}
	if c.Issuer != p.URL {
		return nil, ErrIssuer.With(p.URL, c.Issuer)
	}
	if !slices.ContainsFunc(want.audiences, func(aud string) bool { return slices.Contains(c.Audience, aud) }) {
		return nil, ErrAudience.With(strings.Join(want.audiences, " "), strings.Join(c.Audience, " "))
	}
	if err := c.lives(came, p.Leeway); err != nil {
		return nil, err
	}
	if err := want.check(&c); err != nil {
		return nil, err
	}
	return &c, p.verify(ctx, header, compact, came)
}

// verify checks the signature under the provider's keys, with the algorithm that is on the list and fits the key. Keys that
// were fetched before the report came, and are not fetched again so soon, do not show that a key is unknown: it may be new,
// and a report that is refused does not come again.
func (p *provider) verify(ctx context.Context, header jose.Header, compact jose.Compact, came time.Time) error {
	_, err := p.keys.Verify(ctx, header, compact)
	current := p.fetchedSince(came)
	if current && errors.Is(err, keyset.ErrUnknownKey) { // they may be newer than those that were just looked through
		_, err = p.keys.Verify(ctx, header, compact)
	}
	switch unknown := errors.Is(err, keyset.ErrUnknownKey); {
	case errors.Is(err, keyset.ErrUnavailable), unknown && !current:
		return ErrUnavailable.Because(err)
	case unknown:
		return ErrKey.With("a key of "+p.URL, "kid "+strconv.Quote(header.KeyID)+" with "+header.Algorithm)
	}
	return err
}

// fetchedSince reports whether the keys are those that the provider had at an instant, or later, as fixed ones always are.
func (p *provider) fetchedSince(came time.Time) bool {
	began := p.fetched.Load()
	return began == nil || !began.Before(came)
}

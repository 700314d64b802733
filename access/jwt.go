package access

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
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/reason"
	"github.com/senderlock/senderlock/internal/setting"
)

// The settings of a zero [JWT] and [Guard].
const (
	DefaultLeeway       = 10 * time.Second
	DefaultMaxTokenSize = 16 << 10 // octets
)

// Issuer is an authorization server whose access tokens are accepted. URL and Audience are required.
type Issuer struct {
	// URL is the issuer identifier, which the claim iss equals exactly.
	URL string
	// Audience is the identifier of this resource server, which the claim aud contains.
	Audience string
	// Algorithms are the JWS algorithms of its tokens. Nil means all that [dpop.Algorithms] lists.
	Algorithms []string

	// JWKSURL is the address of its keys. Empty finds it by discovery: RFC 8414, then OpenID Connect.
	JWKSURL string
	// JWKS is its key set as JSON, if it never changes; nothing is fetched then.
	JWKS []byte

	// AcceptTypeJWT accepts tokens whose typ is JWT or missing, beside at+jwt. Some issuers send no other. Their
	// ID tokens are then kept out by their audience, and by claims that only ID tokens have.
	AcceptTypeJWT bool
	// ScopeFromSCP reads the scopes from the claim scp; otherwise they come from scope.
	ScopeFromSCP bool
}

// JWT is a [Validator] of JWT access tokens (RFC 9068 §4), from one or several issuers. Fill in the fields, call
// [JWT.Validate] once, and change nothing afterwards; without that call the first token validates the settings,
// and a wrong one refuses every token. A JWT must not be copied; its methods are safe for concurrent use. Close
// it when done.
type JWT struct {
	// Issuers are the accepted issuers; at least one.
	Issuers []Issuer
	// Leeway is how far the issuer's clock may differ. Zero means ten seconds; a millisecond is the least, a
	// minute the most.
	Leeway time.Duration
	// MaxSize is the largest accepted token in octets. Zero means 16 KiB.
	MaxSize int
	// HTTPClient fetches metadata and keys. Nil means one of ours. Whatever it is, each fetch is limited in
	// time, size and redirects.
	HTTPClient *http.Client
	// InsecureAllowHTTP permits issuers and key sets on http. Without it only loopback addresses may be.
	InsecureAllowHTTP bool
	// Observer hears of each fetch of keys.
	Observer Observer
	// Log hears of key sets that cannot be fetched. Nil means [slog.Default].
	Log *slog.Logger
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time

	once    sync.Once
	err     error
	issuers map[string]*issuer
}

// issuer is one of the settings with its keys.
type issuer struct {
	Issuer
	keys *keyset.Set
}

// Validate checks the settings. Its error names the field and what to put there. It asks nothing of the network,
// so an issuer that is down does not keep a server from starting. It may be called more than once.
func (j *JWT) Validate() error {
	j.once.Do(func() {
		if j.err = j.settle(); j.err != nil {
			j.err = fmt.Errorf("access.JWT: %w", j.err)
		}
	})
	return j.err
}

func (j *JWT) settle() (err error) {
	if j.Now == nil {
		j.Now = time.Now
	}
	if err := setting.Between("Leeway", &j.Leeway, DefaultLeeway, time.Millisecond, time.Minute); err != nil {
		return err
	}
	if err := setting.Between("MaxSize", &j.MaxSize, DefaultMaxTokenSize, 512, 1<<20); err != nil {
		return err
	}
	if len(j.Issuers) == 0 {
		return errors.New(`Issuers is empty: give at least one, such as {URL: "https://login.example.com", Audience: "https://api.example.com"}`)
	}
	j.issuers = make(map[string]*issuer, len(j.Issuers))
	for i, settings := range j.Issuers {
		if err := j.add(settings); err != nil {
			_ = j.closeKeys()
			return fmt.Errorf("Issuers[%d]%w", i, err)
		}
	}
	return nil
}

func (j *JWT) add(settings Issuer) error {
	u, err := url.Parse(settings.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf(".URL is %s: give the issuer identifier, such as %q", setting.Address(settings.URL), "https://login.example.com")
	case j.issuers[settings.URL] != nil:
		return fmt.Errorf(".URL is %s, as of another issuer: list each once", setting.Address(settings.URL))
	case settings.Audience == "":
		return errors.New(`.Audience is empty: give the identifier of this resource server, such as "https://api.example.com"`)
	}
	if settings.Algorithms, err = setting.Chosen(".Algorithms", settings.Algorithms, jose.Algorithms()); err != nil {
		return err
	}
	keys, err := keyset.New(keyset.Config{
		Issuer: settings.URL, JWKSURL: settings.JWKSURL, JWKS: settings.JWKS, Fetched: j.Observer.fetches(settings.URL),
		HTTPClient: j.HTTPClient, InsecureAllowHTTP: j.InsecureAllowHTTP, Now: j.Now, Log: j.Log,
	})
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	j.issuers[settings.URL] = &issuer{Issuer: settings, keys: keys}
	return nil
}

// Close ends the fetching of keys. It may be called more than once.
func (j *JWT) Close() error {
	j.once.Do(func() { j.err = errors.New("access.JWT: closed before use") })
	return j.closeKeys()
}

func (j *JWT) closeKeys() error {
	var all []error
	for _, i := range j.issuers {
		all = append(all, i.keys.Close())
	}
	return errors.Join(all...)
}

// ValidateToken checks a JWT access token (RFC 9068 §4): form, type, issuer, audience and times first, then the
// signature, for which keys may have to be fetched. The claims iss, aud, exp and iat (or nbf) are required; sub,
// client_id and jti are not, so a Policy has to refuse tokens without them where that matters. The errors are the causes
// of this package, those of strict JWTs under names that begin with "token_", and [ErrUnavailable] when the keys cannot
// be had.
func (j *JWT) ValidateToken(ctx context.Context, token string) (*Token, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	t, err := j.validate(ctx, token)
	if err != nil {
		return nil, tokenCause(err)
	}
	return t, nil
}

// tokenCause gives a cause that was found in the form of a token a name that says so: proofs have the same ones.
func tokenCause(err error) error {
	if cause, ok := err.(*reason.Error); ok && !strings.HasPrefix(cause.Name, "token_") { //nolint:errorlint // the outermost cause alone is renamed
		return cause.Named("token_" + cause.Name)
	}
	return err
}

func (j *JWT) validate(ctx context.Context, token string) (*Token, error) {
	if err := sized(token, j.MaxSize); err != nil {
		return nil, err
	}
	compact, err := jose.Split(token)
	if err != nil {
		return nil, err
	}
	header, err := jose.ParseHeader(compact.Header)
	if err != nil {
		return nil, err
	}
	payload, err := jose.Decode(compact.Payload)
	if err != nil {
		return nil, err
	}
	var claims claimSet
	if err := jose.Object(payload, &claims); err != nil {
		return nil, err
	}
	from, ok := j.issuers[claims.Issuer]
	if !ok {
		return nil, ErrTokenIssuer.With(strings.Join(j.IssuerURLs(), " "), claims.Issuer)
	}
	t, err := from.judge(header, &claims, payload)
	if err != nil {
		return nil, err
	}
	if err := t.lives(j.Now(), j.Leeway); err != nil {
		return nil, err
	}
	t.current, err = from.verify(ctx, header, compact)
	return t, err
}

// judge compares header and claims with the settings of the issuer.
func (i *issuer) judge(header jose.Header, claims *claimSet, payload jsontext.Value) (*Token, error) {
	if err := i.judgeType(header.Type, payload); err != nil {
		return nil, err
	}
	if !slices.Contains(i.Algorithms, header.Algorithm) {
		return nil, jose.ErrAlgorithm.With(strings.Join(i.Algorithms, " "), header.Algorithm)
	}
	if !slices.Contains(claims.Audience, i.Audience) {
		return nil, ErrTokenAudience.With(i.Audience, strings.Join(claims.Audience, " "))
	}
	if i.ScopeFromSCP {
		claims.Scope = claims.SCP
	}
	return claims.token(payload)
}

// judgeType lets access tokens pass (RFC 9068 §4, RFC 8725 §3.11 and §3.12).
func (i *issuer) judgeType(typ string, payload jsontext.Value) error {
	switch typ = strings.ToLower(typ); {
	case typ == "at+jwt" || typ == "application/at+jwt":
		return nil
	case !i.AcceptTypeJWT || typ != "jwt" && typ != "":
		return jose.ErrType.With("at+jwt", typ)
	}
	// Of the other kinds of JWT that say JWT: ID tokens, logout tokens and security events.
	var other struct {
		Nonce  jsontext.Value `json:"nonce"`
		ATHash jsontext.Value `json:"at_hash"`
		CHash  jsontext.Value `json:"c_hash"`
		SHash  jsontext.Value `json:"s_hash"`
		Events jsontext.Value `json:"events"`
	}
	if err := jose.Object(payload, &other); err != nil {
		return err
	}
	for name, claim := range map[string]jsontext.Value{
		"nonce": other.Nonce, "at_hash": other.ATHash, "c_hash": other.CHash, "s_hash": other.SHash, "events": other.Events,
	} {
		if claim != nil {
			return ErrTokenKind.With("an access token", "a JWT with the claim "+name)
		}
	}
	return nil
}

// verify checks the signature under the issuer's keys, with the algorithm that is on the list and fits the key.
// It returns how to ask later whether the key still is the issuer's.
func (i *issuer) verify(ctx context.Context, header jose.Header, compact jose.Compact) (current func() bool, err error) {
	keys, err := i.keys.Keys(ctx, header.KeyID, header.Algorithm)
	switch {
	case errors.Is(err, keyset.ErrUnavailable):
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, keyset.ErrUnknownKey):
		return nil, ErrTokenKey.With("a key of "+i.URL, "kid "+strconv.Quote(header.KeyID)+" with "+header.Algorithm)
	case err != nil:
		return nil, err
	}
	for _, key := range keys {
		if err = key.Verify(header.Algorithm, compact); err == nil {
			return func() bool { return i.keys.Has(key) }, nil
		}
	}
	return nil, err
}

// IssuerURLs returns the identifiers of the accepted issuers.
func (j *JWT) IssuerURLs() []string {
	var urls []string
	for _, i := range j.Issuers {
		urls = append(urls, i.URL)
	}
	return urls
}

package access

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/cache"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/keyset"
	"github.com/senderlock/senderlock/internal/setting"
	"github.com/senderlock/senderlock/reason"
)

// The defaults of [Config.Leeway] and [Config.MaxTokenSize].
const (
	DefaultLeeway       = 10 * time.Second
	defaultMaxTokenSize = 16 << 10 // octets
)

// Issuer is an authorization server whose JWT access tokens are accepted. URL and Audience are required.
type Issuer struct {
	// URL is the issuer identifier, which the claim iss equals exactly.
	URL string
	// Audience is the identifier of this resource server, which the claim aud contains.
	Audience string
	// MoreAudiences are further identifiers of this resource server, any of which is enough.
	MoreAudiences []string
	// Algorithms are the JWS algorithms of its tokens. Nil means all that [dpop.Algorithms] lists.
	Algorithms []string

	// JWKSURL is the address of its keys. Empty finds it by discovery: RFC 8414, then OpenID Connect.
	JWKSURL string
	// MetadataURL is the address of one metadata document for many tenants, for an issuer that has no document of its own.
	// The issuer that it names may have a placeholder in braces for what URL has there
	// ("https://login.example.com/{tenantid}/v2.0"), and of its keys count only those whose own member issuer is URL or
	// fits it by such a placeholder: else the key of one tenant would sign for another. Empty finds the metadata by URL.
	MetadataURL string
	// OpenIDFirst looks for metadata where OpenID Connect has it first, and then where RFC 8414 does.
	OpenIDFirst bool
	// KeyRefresh is the longest time between two fetches of its keys: for how long at most a key that it has withdrawn
	// is still good here. Its Cache-Control shortens that, down to a minute. Zero means 15 minutes; a minute is the
	// least, a day the most.
	KeyRefresh time.Duration
	// JWKS is its key set as JSON, if it never changes; nothing is fetched then.
	JWKS []byte

	// AcceptTypeJWT accepts tokens whose typ is JWT or missing, beside at+jwt. Some issuers send no other. Their
	// ID tokens are then kept out by their audience, and by claims that only ID tokens have. One of those, nonce, is also
	// in the access tokens of Keycloak before 25; they pass because a claim typ says Bearer or DPoP, where that of an ID
	// token says ID.
	AcceptTypeJWT bool
	// ClientClaims are the claims that name the client, of which the first that is present counts. Nil means client_id,
	// then azp.
	ClientClaims []string
	// ScopeClaims are the claims that hold scopes, of which the first that is present counts. Nil means scope.
	ScopeClaims []ScopeClaim
}

// ScopeClaim is a claim that holds scopes: one string, in which spaces separate them, or an array with one in each
// element, such as permissions or roles. An element with a space in it grants nothing.
type ScopeClaim struct {
	// Name is that of the claim. Required.
	Name string
	// Prefix is put in front of each scope, so that what this claim grants is not taken for what another does: with
	// "role:", the role admin is the scope role:admin.
	Prefix string
}

// jwts is a [Validator] of JWT access tokens (RFC 9068 §4), from one or several issuers.
type jwts struct {
	issuers map[string]*issuer
	tenants *tenants // nil: none are looked up
	urls    []string
	maxSize int
	leeway  time.Duration
	now     func() time.Time
}

// issuer is one of the settings with its keys.
type issuer struct {
	Issuer
	audiences []string
	keys      *keyset.Set
}

// settleTokens makes what validates tokens.
func (g *Guard) settleTokens() error {
	if err := g.settleValidators(); err != nil || g.config.Wrap == nil {
		return err
	}
	if g.tokens = g.config.Wrap(g.tokens); g.tokens == nil {
		return errors.New("Wrap returns nil: return the Validator that is to be asked")
	}
	return nil
}

func (g *Guard) settleValidators() (err error) {
	c := &g.config
	if len(c.Issuers) == 0 && c.Tenants == nil && c.Tokens == nil {
		return errors.New(`Issuers is empty: give the authorization servers, such as {URL: "https://login.example.com", Audience: "https://api.example.com"}`)
	}
	if g.cache, err = cache.New[*Token](int64(c.KnownTokens)); err != nil {
		return err
	}
	g.closers = append(g.closers, func() error { g.cache.Close(); return nil })
	j := &jwts{issuers: make(map[string]*issuer, len(c.Issuers)), maxSize: c.MaxTokenSize, leeway: c.Leeway, now: c.Now}
	if j.now == nil {
		j.now = time.Now
	}
	g.jwts = j
	g.closers = append(g.closers, j.close)
	for i, settings := range c.Issuers {
		if err := j.add(settings, c); err != nil {
			return fmt.Errorf("Issuers[%d]%w", i, err)
		}
	}
	if c.Tenants != nil {
		settings := *c.Tenants
		if err := settings.settle(c); err != nil {
			return err
		}
		j.tenants = newTenants(settings, c, j.now)
	}
	if g.tokens = j; c.Tokens != nil {
		g.tokens = byForm{j, c.Tokens}
	}
	return nil
}

func (j *jwts) add(settings Issuer, c *Config) error {
	if j.issuers[settings.URL] != nil {
		return fmt.Errorf(".URL is %s, as of another issuer: list each once", setting.Address(settings.URL))
	}
	made, err := c.issuer(settings, nil)
	if err != nil {
		return err
	}
	j.issuers[settings.URL] = made
	j.urls = append(j.urls, settings.URL)
	return nil
}

// issuer checks the settings of an issuer, which is one of Tenants unless they are nil, and makes what fetches its keys.
func (c *Config) issuer(settings Issuer, of *Tenants) (*issuer, error) {
	settings = settings.copied()
	if err := settings.complete(); err != nil {
		return nil, err
	}
	keys, err := keyset.New(keyset.Config{
		Issuer: settings.URL, JWKSURL: settings.JWKSURL, JWKS: settings.JWKS, OpenIDFirst: settings.OpenIDFirst,
		MetadataURL: settings.MetadataURL, FoundAtRunTime: of != nil,
		InsecurePrivateAddresses: of != nil && of.InsecurePrivateAddresses,
		Refresh:                  settings.KeyRefresh, Fetched: c.Observer.fetches(settings.URL, c.Log),
		HTTPClient: c.HTTPClient, InsecureAllowHTTP: c.InsecureAllowHTTP, Now: c.Now, Log: c.Log,
		PrecomputedKeys: c.PrecomputedIssuerKeys, PrecomputedRecheck: c.PrecomputedRecheck,
	})
	if err != nil {
		return nil, fmt.Errorf(": %w", err)
	}
	return &issuer{
		Issuer: settings, audiences: append([]string{settings.Audience}, settings.MoreAudiences...), keys: keys,
	}, nil
}

// copied returns the settings with lists of their own.
func (i Issuer) copied() Issuer {
	i.MoreAudiences, i.Algorithms = slices.Clone(i.MoreAudiences), slices.Clone(i.Algorithms)
	i.JWKS = slices.Clone(i.JWKS)
	i.ClientClaims, i.ScopeClaims = slices.Clone(i.ClientClaims), slices.Clone(i.ScopeClaims)
	return i
}

// complete checks what is not about keys, and fills in what is not set.
func (i *Issuer) complete() (err error) {
	u, err := url.Parse(i.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf(".URL is %s: give the issuer identifier, such as %q", setting.Address(i.URL), "https://login.example.com")
	case i.Audience == "":
		return errors.New(`.Audience is empty: give the identifier of this resource server, such as "https://api.example.com"`)
	case slices.Contains(i.MoreAudiences, ""):
		return errors.New(".MoreAudiences has an empty one: give identifiers of this resource server, or leave it nil")
	}
	if i.Algorithms, err = setting.Chosen(".Algorithms", i.Algorithms, jose.Algorithms()); err != nil {
		return err
	}
	var scopeClaims []string
	if i.ScopeClaims != nil {
		scopeClaims = []string{}
	}
	for _, claim := range i.ScopeClaims {
		if claim.Prefix != "" && !quotable(claim.Prefix) {
			return fmt.Errorf(".ScopeClaims has the Prefix %q: give printable ASCII without space, quote and backslash, or leave it empty", claim.Prefix)
		}
		scopeClaims = append(scopeClaims, claim.Name)
	}
	for field, claims := range map[string][]string{".ClientClaims": i.ClientClaims, ".ScopeClaims": scopeClaims} {
		if claims != nil && len(claims) == 0 || slices.Contains(claims, "") {
			return fmt.Errorf("%s has no claim, or one without a name: give the names of claims, or leave it nil", field)
		}
	}
	return setting.Between(".KeyRefresh", &i.KeyRefresh, keyset.DefaultRefresh, time.Minute, 24*time.Hour)
}

// close ends the fetching of keys.
func (j *jwts) close() error {
	var all []error
	for _, i := range j.issuers {
		all = append(all, i.keys.Close())
	}
	if j.tenants != nil {
		all = append(all, j.tenants.closeAll())
	}
	return errors.Join(all...)
}

// Issuers returns the identifiers of the accepted issuers.
func (j *jwts) Issuers() []string { return slices.Clone(j.urls) }

// ValidateToken checks a JWT access token (RFC 9068 §4): form, type, issuer, audience and times first, then the
// signature, for which keys may have to be fetched. The claims iss, aud and exp are required, and iat by the Guard; sub,
// client_id and jti are not, so a Policy has to refuse tokens without them where that matters. The errors are the causes
// of this package, those of strict JWTs under names that begin with "token_", and [ErrUnavailable] when the keys cannot
// be had.
func (j *jwts) ValidateToken(ctx context.Context, token string) (*Token, error) {
	t, err := j.validate(ctx, token)
	if err != nil {
		return nil, tokenCause(err)
	}
	return t, nil
}

// tokenCause gives a cause that was found in the form of a token a name that says so: proofs have the same ones.
func tokenCause(err error) error {
	if cause, ok := err.(*reason.Error); ok && !strings.HasPrefix(cause.Name, "token_") { // the outermost cause alone is renamed
		return cause.Named("token_" + cause.Name)
	}
	return err
}

func (j *jwts) validate(ctx context.Context, token string) (*Token, error) {
	if err := sized(token, j.maxSize); err != nil {
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
	from, still, err := j.issuer(ctx, claims.Issuer)
	if err != nil {
		return nil, err
	}
	t, err := from.token(header, &claims, payload)
	if err != nil {
		return nil, err
	}
	if err := t.lives(j.now(), j.leeway); err != nil {
		return nil, err
	}
	key, err := from.verify(ctx, header, compact)
	t.current = func() bool { return still() && from.keys.Has(key) }
	return t, err
}

// issuer returns the issuer of a token, and how to ask later whether it is one still.
func (j *jwts) issuer(ctx context.Context, iss string) (*issuer, func() bool, error) {
	if from, ok := j.issuers[iss]; ok {
		return from, func() bool { return true }, nil
	}
	if j.tenants != nil {
		return j.tenants.issuer(ctx, iss)
	}
	return nil, nil, ErrTokenIssuer.With(strings.Join(j.urls, " "), iss)
}

// token compares header and claims with the settings of the issuer, and makes a token of them.
func (i *issuer) token(header jose.Header, claims *claimSet, payload jsontext.Value) (*Token, error) {
	if err := i.checkType(header.Type, payload); err != nil {
		return nil, err
	}
	if !slices.Contains(i.Algorithms, header.Algorithm) {
		return nil, jose.ErrAlgorithm.With(strings.Join(i.Algorithms, " "), header.Algorithm)
	}
	if !slices.ContainsFunc(i.audiences, func(a string) bool { return slices.Contains(claims.Audience, a) }) {
		return nil, ErrTokenAudience.With(strings.Join(i.audiences, " "), strings.Join(claims.Audience, " "))
	}
	t, err := claims.token(payload)
	if err == nil {
		err = i.readClaims(t)
	}
	return t, err
}

// readClaims takes the client and the scopes from where this issuer writes them.
func (i *issuer) readClaims(t *Token) error {
	if i.ClientClaims == nil && i.ScopeClaims == nil {
		return nil
	}
	var all map[string]jsontext.Value
	if err := jose.Object(t.claims, &all); err != nil {
		return err
	}
	if i.ClientClaims != nil {
		t.ClientID = ""
	}
	for _, name := range i.ClientClaims {
		if raw, ok := all[name]; ok {
			if err := json.Unmarshal(raw, &t.ClientID); err != nil {
				return jose.ErrJSON.With("a string as "+name, string(raw))
			}
			break
		}
	}
	if i.ScopeClaims != nil {
		t.Scopes = nil
	}
	for _, claim := range i.ScopeClaims {
		if raw, ok := all[claim.Name]; ok {
			var scopes words
			if err := json.Unmarshal(raw, &scopes); err != nil {
				return jose.ErrJSON.With("a string or strings as "+claim.Name, string(raw))
			}
			for _, scope := range scopes {
				t.Scopes = append(t.Scopes, claim.Prefix+scope)
			}
			break
		}
	}
	return nil
}

// checkType lets access tokens pass (RFC 9068 §4, RFC 8725 §3.11 and §3.12).
func (i *issuer) checkType(typ string, payload jsontext.Value) error {
	switch typ = strings.ToLower(typ); {
	case typ == "at+jwt" || typ == "application/at+jwt":
		return nil
	case !i.AcceptTypeJWT || typ != "jwt" && typ != "":
		return jose.ErrType.With("at+jwt", typ)
	}
	// Of the other kinds of JWT that say JWT: ID tokens, logout tokens and security events.
	var other struct {
		Type   jsontext.Value `json:"typ"`
		Nonce  jsontext.Value `json:"nonce"`
		ATHash jsontext.Value `json:"at_hash"`
		CHash  jsontext.Value `json:"c_hash"`
		SHash  jsontext.Value `json:"s_hash"`
		Events jsontext.Value `json:"events"`
	}
	if err := jose.Object(payload, &other); err != nil {
		return err
	}
	if said := string(other.Type); said == `"Bearer"` || said == `"DPoP"` {
		other.Nonce = nil
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
// It returns the key.
func (i *issuer) verify(ctx context.Context, header jose.Header, compact jose.Compact) (*keyset.Key, error) {
	key, err := i.keys.Verify(ctx, header, compact)
	switch {
	case errors.Is(err, keyset.ErrUnavailable):
		return nil, errKeys.Because(err)
	case errors.Is(err, keyset.ErrUnknownKey):
		return nil, ErrTokenKey.With("a key of "+i.URL, "kid "+strconv.Quote(header.KeyID)+" with "+header.Algorithm)
	}
	return key, err
}

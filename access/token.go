package access

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/revocation"
)

// Validator checks access tokens. [JWT] is one; an application that keeps its own tokens can bring another. It
// must be safe for concurrent use.
type Validator interface {
	// ValidateToken returns what a token says. For a token that is not valid it returns one of the causes of this
	// package ([ErrTokenInactive] when no other fits), possibly wrapped; [ErrUnavailable] and any other error is
	// our own trouble, which is answered with 503. The Guard judges times and confirmation itself; for that, the token
	// needs Expiry, and IssuedAt; without [Config].Revocation, NotBefore does too.
	ValidateToken(ctx context.Context, token string) (*Token, error)
	// Issuers lists the identifiers of the issuers whose tokens it knows. None means that it is asked about every token
	// that is not a JWT of [Config.Issuers].
	Issuers() []string
}

// ValidatorFunc is a function as a [Validator] of tokens of any issuer.
type ValidatorFunc func(ctx context.Context, token string) (*Token, error)

// ValidateToken calls f.
func (f ValidatorFunc) ValidateToken(ctx context.Context, token string) (*Token, error) {
	return f(ctx, token)
}

// Issuers returns none.
func (f ValidatorFunc) Issuers() []string { return nil }

// Token is what a valid access token says (RFC 9068 §2.2, RFC 7662 §2.2). A Validator may share it between requests, and
// changes it no more once it has returned it.
type Token struct {
	Issuer   string   // iss
	Subject  string   // sub; empty if the token has none
	ClientID string   // client_id, else azp, unless [Issuer.ClientClaims] says otherwise; empty if the token has none
	ID       string   // jti; empty if the token has none
	Session  string   // sid; empty if the token has none
	Audience []string // aud
	Scopes   []string // scope, unless [Issuer.ScopeClaims] says otherwise

	Expiry    time.Time // exp
	IssuedAt  time.Time // iat; zero if the token has none
	NotBefore time.Time // nbf; zero if the token has none

	AuthTime time.Time // auth_time, when the user logged in; zero if the token does not say
	ACR      string    // acr, how the user logged in; empty if the token does not say

	Confirmation Confirmation

	claims  jsontext.Value
	current func() bool // still true what the validator found; nil: not to be cached
}

// NewToken makes a Token of claims, by their registered names, as a JWT or an introspection answer has them: for a
// [Validator] of the application's own, and for tests. Claims is whatever becomes a JSON object. The errors are the
// causes of this package; what a claim lacks is found when the token is used.
func NewToken(claims any) (*Token, error) {
	raw, err := json.Marshal(claims)
	if err != nil {
		return nil, fmt.Errorf("access.NewToken: %w", err)
	}
	var set claimSet
	if err := jose.Object(raw, &set); err != nil {
		return nil, tokenCause(err)
	}
	token, err := set.token(raw)
	if err != nil {
		return nil, tokenCause(err)
	}
	return token, nil
}

// Confirmation says whom a token is bound to (RFC 7800 §3.1). The zero Confirmation is that of an unbound token.
type Confirmation struct {
	JKT     string // thumbprint of the sender's DPoP key (RFC 9449 §6.1)
	X5tS256 string // thumbprint of the sender's certificate (RFC 8705 §3.1)
}

// Revocable returns what a revocation store needs to know of the token, and what an application takes from it to
// take the token, its session, its subject, its client or its sender's key back.
func (t *Token) Revocable() revocation.Token {
	return revocation.Token{
		Issuer: t.Issuer, ID: t.ID, Subject: t.Subject, Session: t.Session, Client: t.ClientID,
		KeyThumbprint: t.Confirmation.JKT, CertThumbprint: t.Confirmation.X5tS256,
		IssuedAt: t.IssuedAt, Expiry: t.Expiry,
	}
}

// HasScopes reports whether the token carries all of the scopes.
func (t *Token) HasScopes(scopes ...string) bool {
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(t.Scopes, s) })
}

// Claims decodes all claims of the token into v by the rules of encoding/json/v2: names match exactly. A token that did
// not come as JSON has none.
func (t *Token) Claims(v any) error {
	if t.claims == nil {
		return json.Unmarshal([]byte("{}"), v)
	}
	return json.Unmarshal(t.claims, v)
}

// lives judges the times of a token (RFC 9068 §4).
func (t *Token) lives(now time.Time, leeway time.Duration) error {
	if t.Expiry.IsZero() {
		return ErrTokenClaim.With("exp", "")
	}
	if end := t.Expiry.Add(leeway); !now.Before(end) {
		return ErrTokenExpired.With("use before "+when(t.Expiry), when(now)).Off(now.Sub(end))
	}
	for _, begin := range []struct {
		name string
		time time.Time
	}{{"nbf", t.NotBefore}, {"iat", t.IssuedAt}} {
		if early := begin.time.Sub(now.Add(leeway)); early > 0 {
			return ErrTokenEarly.With("use from "+t.describe(begin.name, begin.time), when(now)).Off(early)
		}
	}
	return nil
}

// within refuses a token that was made to live longer than max.
func (t *Token) within(limit time.Duration) error {
	begin := t.IssuedAt
	if begin.IsZero() {
		begin = t.NotBefore
	}
	if begin.IsZero() {
		return ErrTokenClaim.With("iat, to know for how long the token lives", "")
	}
	if lifetime := t.Expiry.Sub(begin); lifetime > limit {
		return ErrTokenLifetime.With("at most "+limit.String(), lifetime.String()+", until "+t.describe("exp", t.Expiry)).Off(lifetime - limit)
	}
	return nil
}

// describe says what a time of the token is, for a refusal: some issuers write milliseconds.
func (t *Token) describe(claim string, at time.Time) string {
	var claims map[string]jsontext.Value
	if json.Unmarshal(t.claims, &claims) != nil { // it did not come as JSON
		return when(at)
	}
	return jose.DescribeDate(claims[claim], at)
}

// claimSet are the claims that are judged, of a JWT or of an introspection response; others are ignored.
type claimSet struct {
	Issuer          string         // iss
	Subject         string         // sub
	ClientID        string         // client_id
	AuthorizedParty string         // azp
	ID              string         // jti
	Session         string         // sid
	Audience        jose.Strings   // aud
	Scope           words          // scope
	Expiry          jsontext.Value // exp
	IssuedAt        jsontext.Value // iat
	NotBefore       jsontext.Value // nbf
	AuthTime        jsontext.Value // auth_time
	ACR             jsontext.Value // acr
	Confirmation    jsontext.Value // cnf
}

// UnmarshalJSONFrom reads an object.
func (c *claimSet) UnmarshalJSONFrom(d *jsontext.Decoder) error { return jose.ReadMembers(d, c.member) }

func (c *claimSet) member(name []byte) json.UnmarshalerFrom {
	switch string(name) {
	case "iss":
		return (*jose.Text)(&c.Issuer)
	case "sub":
		return (*jose.Text)(&c.Subject)
	case "client_id":
		return (*jose.Text)(&c.ClientID)
	case "azp":
		return (*jose.Text)(&c.AuthorizedParty)
	case "jti":
		return (*jose.Text)(&c.ID)
	case "sid":
		return (*jose.Text)(&c.Session)
	case "aud":
		return &c.Audience
	case "scope":
		return &c.Scope
	case "exp":
		return (*jose.Raw)(&c.Expiry)
	case "iat":
		return (*jose.Raw)(&c.IssuedAt)
	case "nbf":
		return (*jose.Raw)(&c.NotBefore)
	case "auth_time":
		return (*jose.Raw)(&c.AuthTime)
	case "acr":
		return (*jose.Raw)(&c.ACR)
	case "cnf":
		return (*jose.Raw)(&c.Confirmation)
	}
	return nil
}

// token turns claims into a Token.
func (c *claimSet) token(raw jsontext.Value) (*Token, error) {
	t := &Token{
		Issuer: c.Issuer, Subject: c.Subject, ClientID: c.ClientID, ID: c.ID, Session: c.Session,
		Audience: c.Audience, Scopes: c.Scope, claims: raw,
	}
	if t.ClientID == "" {
		t.ClientID = c.AuthorizedParty
	}
	for _, date := range []struct {
		name  string
		claim jsontext.Value
		time  *time.Time
	}{
		{"exp", c.Expiry, &t.Expiry}, {"iat", c.IssuedAt, &t.IssuedAt}, {"nbf", c.NotBefore, &t.NotBefore},
	} {
		if date.claim == nil || date.claim.Kind() == jsontext.KindNull && date.name != "exp" {
			continue
		}
		var err error
		if *date.time, err = jose.NumericDate(date.name, date.claim); err != nil {
			return nil, err
		}
	}
	// How and when the user logged in is a merit: said in another type, it is not granted, and no fault of the token.
	if c.AuthTime != nil {
		t.AuthTime, _ = jose.NumericDate("auth_time", c.AuthTime)
	}
	if c.ACR.Kind() == jsontext.KindString {
		t.ACR, _ = jose.Unquote(c.ACR)
	}
	var err error
	t.Confirmation, err = parseConfirmation(c.Confirmation)
	return t, err
}

// parseConfirmation reads cnf. Members that are not understood are ignored (RFC 7800 §3.1), but not all of
// them: a token that is bound somehow must not pass as one that is not bound at all.
func parseConfirmation(raw jsontext.Value) (Confirmation, error) {
	if raw == nil {
		return Confirmation{}, nil
	}
	var cnf confirmation
	if err := jose.Object(raw, &cnf); err != nil {
		return Confirmation{}, ErrConfirmation.With("an object", string(raw))
	}
	if cnf.JKT == nil && cnf.X5tS256 == nil {
		return Confirmation{}, ErrConfirmation.With("jkt or x5t#S256", string(raw))
	}
	var c Confirmation
	for _, member := range []struct {
		raw   jsontext.Value
		value *string
	}{{cnf.JKT, &c.JKT}, {cnf.X5tS256, &c.X5tS256}} {
		if member.raw == nil {
			continue
		}
		if *member.value, _ = jose.Unquote(member.raw); *member.value == "" {
			return Confirmation{}, ErrConfirmation.With("a thumbprint", string(raw))
		}
	}
	return c, nil
}

// confirmation lists the members of cnf that are understood.
type confirmation struct {
	JKT     jsontext.Value // jkt
	X5tS256 jsontext.Value // x5t#S256
}

// UnmarshalJSONFrom reads an object.
func (c *confirmation) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	return jose.ReadMembers(d, c.member)
}

func (c *confirmation) member(name []byte) json.UnmarshalerFrom {
	switch string(name) {
	case "jkt":
		return (*jose.Raw)(&c.JKT)
	case "x5t#S256":
		return (*jose.Raw)(&c.X5tS256)
	}
	return nil
}

// sized refuses a token of more than a number of octets, before anything is done with it.
func sized(token string, most int) error {
	if len(token) > most {
		return ErrTokenSize.With("at most "+strconv.Itoa(most)+" octets", strconv.Itoa(len(token)))
	}
	return nil
}

// words is a claim that holds scopes: one string, in which spaces separate them (RFC 8693 §4.2), or an array with one in
// each element. What is of another type grants nothing, and so does an element with a space in it.
type words []string

// UnmarshalJSONFrom takes a string apart at spaces, and at nothing else.
func (w *words) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	kind := d.PeekKind()
	raw, err := d.ReadValue()
	if err != nil {
		return err
	}
	*w = nil
	switch kind {
	case jsontext.KindString:
		all, err := jose.Unquote(raw)
		if err != nil {
			return err
		}
		*w = strings.FieldsFunc(all, func(r rune) bool { return r == ' ' })
	case jsontext.KindBeginArray:
		var list []jsontext.Value
		if err := json.Unmarshal(raw, &list); err != nil {
			return err
		}
		for _, element := range list {
			var scope string
			if _ = json.Unmarshal(element, &scope); quotable(scope) { // empty unless it is a string
				*w = append(*w, scope)
			}
		}
	}
	return nil
}

func when(t time.Time) string { return jose.When(t) }

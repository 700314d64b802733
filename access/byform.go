package access

import (
	"context"
	"slices"

	"github.com/senderlock/senderlock/internal/jose"
)

// byForm is a [Validator] for an API that gets tokens of both forms: JWTs of known issuers go to the one, everything
// else to the other, JWTs of other issuers among it.
type byForm struct {
	jwts   *jwts
	opaque Validator
}

// ValidateToken asks the one whose token it is, by its form and its unverified issuer: both judge it in full.
func (b byForm) ValidateToken(ctx context.Context, token string) (*Token, error) {
	if b.jwts.issued(token) {
		return b.jwts.ValidateToken(ctx, token)
	}
	return b.opaque.ValidateToken(ctx, token)
}

// Issuers returns the identifiers of the issuers of both.
func (b byForm) Issuers() []string { return slices.Concat(b.jwts.urls, b.opaque.Issuers()) }

// issued reports whether a token has the form of a JWT and names one of the issuers.
func (j *jwts) issued(token string) bool {
	if len(token) > j.maxSize {
		return false
	}
	compact, err := jose.Split(token)
	if err != nil {
		return false
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	return jose.DecodeObject(compact.Payload, &claims) == nil && j.issuers[claims.Issuer] != nil
}

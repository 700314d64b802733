package access

import (
	"context"
	"errors"

	"github.com/senderlock/senderlock/internal/jose"
)

// ByForm is a [Validator] for an API that gets tokens of both forms: JWTs of the issuers of JWT go there, everything
// else to Opaque, JWTs of other issuers among it. Both are required, and the caller's to close. It is safe for
// concurrent use.
type ByForm struct {
	JWT    *JWT
	Opaque Validator
}

// Validate checks the settings of both.
func (b ByForm) Validate() error {
	if b.JWT == nil || b.Opaque == nil {
		return errors.New("access.ByForm: JWT or Opaque is nil: give both, or use the one alone")
	}
	return errors.Join(b.JWT.Validate(), validateSettings(b.Opaque))
}

// ValidateToken asks the one whose token it is, by its form and its unverified issuer: both judge it in full.
func (b ByForm) ValidateToken(ctx context.Context, token string) (*Token, error) {
	if err := b.Validate(); err != nil {
		return nil, err
	}
	if b.JWT.issued(token) {
		return b.JWT.ValidateToken(ctx, token)
	}
	return b.Opaque.ValidateToken(ctx, token)
}

// IssuerURLs returns the identifiers of the issuers of both, where they are known.
func (b ByForm) IssuerURLs() []string {
	var urls []string
	if b.JWT != nil {
		urls = b.JWT.IssuerURLs()
	}
	if more, ok := b.Opaque.(interface{ IssuerURLs() []string }); ok {
		urls = append(urls, more.IssuerURLs()...)
	}
	return urls
}

// issued reports whether a token has the form of a JWT and names one of the issuers.
func (j *JWT) issued(token string) bool {
	if len(token) > j.MaxSize {
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

// validateSettings checks those of a Validator that can be wrong.
func validateSettings(v Validator) error {
	if settings, ok := v.(interface{ Validate() error }); ok {
		return settings.Validate()
	}
	return nil
}

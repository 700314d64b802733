package access

import (
	"context"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
)

// byForm is a [Validator] for an API that gets tokens of both forms: what claims to be a JWT is nobody's but its
// issuer's, and everything else goes to whoever knows opaque tokens.
type byForm struct {
	jwts   *jwts
	opaque Validator
}

// ValidateToken asks the one whose token it is, by its form and its unverified issuer: both judge it in full. A JWT that
// no issuer of ours made is refused without a question, so that nobody can make us ask about what he has written himself.
func (b byForm) ValidateToken(ctx context.Context, token string) (*Token, error) {
	issuer, isJWT := claimedIssuer(token, b.jwts.maxSize)
	if isJWT && (b.jwts.issuers[issuer] != nil || !b.introspected(issuer)) {
		return b.jwts.ValidateToken(ctx, token)
	}
	return b.opaque.ValidateToken(ctx, token)
}

// introspected reports whether the JWTs of an issuer are for the other one to judge.
func (b byForm) introspected(issuer string) bool {
	known := b.opaque.Issuers()
	return len(known) == 0 && b.jwts.tenants == nil || slices.Contains(known, issuer)
}

// Issuers returns the identifiers of the issuers of both.
func (b byForm) Issuers() []string {
	all := slices.Concat(b.jwts.urls, b.opaque.Issuers())
	slices.Sort(all)
	return slices.Compact(all)
}

// claimedIssuer reports whether a token claims to be a signed JWT, and who is said to have made it: its first part is
// base64url of a JSON object with alg. An encrypted one (RFC 7516), which has enc as well, is opaque to us.
func claimedIssuer(token string, maxSize int) (issuer string, isJWT bool) {
	if len(token) > maxSize {
		return "", false
	}
	first, rest, _ := strings.Cut(token, ".")
	var header struct {
		Algorithm  jsontext.Value `json:"alg"`
		Encryption jsontext.Value `json:"enc"`
	}
	if jose.DecodeObject(first, &header) != nil || header.Algorithm == nil || header.Encryption != nil {
		return "", false
	}
	payload, _, _ := strings.Cut(rest, ".")
	var claims struct {
		Issuer string `json:"iss"`
	}
	if jose.DecodeObject(payload, &claims) != nil {
		return "", true
	}
	return claims.Issuer, true
}

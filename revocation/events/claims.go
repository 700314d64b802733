package events

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
)

// claims are those of a report that are judged; others are ignored.
type claims struct {
	Issuer    string                    `json:"iss"`
	Audience  jose.Strings              `json:"aud"`
	ID        string                    `json:"jti"`
	Subject   string                    `json:"sub"`
	Session   string                    `json:"sid"`
	SubjectID jsontext.Value            `json:"sub_id"`
	Nonce     jsontext.Value            `json:"nonce"`
	IssuedAt  jsontext.Value            `json:"iat"`
	Expiry    jsontext.Value            `json:"exp"`
	NotBefore jsontext.Value            `json:"nbf"`
	Events    map[string]jsontext.Value `json:"events"`
	issued    time.Time
}

// lives judges the claims that every report has: jti, iat, and exp and nbf if they are there (RFC 8417 §2.2).
func (c *claims) lives(now time.Time, leeway time.Duration) (err error) {
	if c.ID == "" {
		return ErrClaim.With("jti", "")
	}
	if c.IssuedAt == nil {
		return ErrClaim.With("iat", "")
	}
	if c.issued, err = jose.NumericDate("iat", c.IssuedAt); err != nil {
		return err
	}
	if c.issued.Unix() <= 0 { // it would revoke nothing
		return ErrClaim.With("iat as a time after 1970", string(c.IssuedAt))
	}
	begin, said := c.issued, c.IssuedAt
	if c.NotBefore != nil {
		nbf, err := jose.NumericDate("nbf", c.NotBefore)
		if err != nil {
			return err
		}
		if nbf.After(begin) {
			begin, said = nbf, c.NotBefore
		}
	}
	if early := begin.Sub(now.Add(leeway)); early > 0 {
		return ErrEarly.With("use from "+jose.DescribeDate(said, begin), when(now)).Off(early)
	}
	if c.Expiry == nil {
		return nil
	}
	expiry, err := jose.NumericDate("exp", c.Expiry)
	if err != nil {
		return err
	}
	if end := expiry.Add(leeway); !now.Before(end) {
		return ErrExpired.With("use before "+when(expiry), when(now)).Off(now.Sub(end))
	}
	return nil
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

package access

import (
	"context"
	"net/http"
	"time"
)

// MaxRefusalWait is the most that Config.RefusalWait may be.
const MaxRefusalWait time.Duration = maxRefusalWait

// WaitForCache returns when every token that was offered to the cache can be found in it.
func (g *Guard) WaitForCache() { g.cache.Wait() }

// ValidateToken asks what validates tokens, whatever the Guard would say to it.
func (g *Guard) ValidateToken(ctx context.Context, token string) (*Token, error) {
	return g.tokens.ValidateToken(ctx, token)
}

// ParseAuthorization is for the fuzz target.
func ParseAuthorization(field string) (scheme, token string, err error) {
	c, err := parseAuthorization(field)
	return string(c.scheme), c.token, err
}

// Revoked is for the benchmark.
func (g *Guard) Revoked(ctx context.Context, token *Token) error { return g.revoked(ctx, token) }

// WaitForCache returns when every answer that was offered to the cache can be found in it.
func (i *Introspection) WaitForCache() { i.answers.Wait() }

// WaitForCaches returns when every token that was found good or inactive can be found so.
func (i *Introspection) WaitForCaches() { i.good.Wait(); i.inactive.Wait() }

// Judge is for the fuzz target.
func (i *Introspection) ReadAnswer(body []byte) (*Token, error) { return i.readAnswer(body) }

// Alarms are what counts alerts.
type Alarms struct{ *alarms }

// MaxAlarms is how many of them are remembered.
const MaxAlarms = maxAlarms

// NewAlarms makes them.
func NewAlarms() Alarms { return Alarms{newAlarms()} }

// Count counts one.
func (a Alarms) Count(key string, now time.Time) int { return a.count(key, now) }

// Len is how many are remembered.
func (a Alarms) Len() int { return a.known.Len() }

// MaxShadowQuestions is the most that a shadow asks in a second.
const MaxShadowQuestions = maxShadowQuestions

// TokenKnown reports whether the token was known.
func (g *Grant) TokenKnown() bool { return g.known }

// DefaultMaxTokenSize is the default of Config.MaxTokenSize.
const DefaultMaxTokenSize = defaultMaxTokenSize

// Metadata is what is published.
type Metadata = metadata

// Metadata returns it.
func (g *Guard) Metadata() *Metadata {
	if len(g.publications) == 0 {
		return nil
	}
	return g.published(&g.publications[0])
}

// Transport is by which the server is asked.
func (i *Introspection) Transport() *http.Transport { return i.client.Transport.(*http.Transport) }

// MaxIssuer is how long the name of a tenant may be.
const MaxIssuer = maxIssuer

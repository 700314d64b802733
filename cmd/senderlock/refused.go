package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/examples/session"
	"github.com/senderlock/senderlock/internal/challenge"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/mtls"
)

// sender is who sends the token that curl has: its key, if it has one, its certificate, and the token that went out last.
type sender struct {
	thumbprint  string
	certificate *mtls.Certificate
	token       string
}

// noting notes the token of each request.
type noting struct {
	base   http.RoundTripper
	sender *sender
}

func (n noting) RoundTrip(r *http.Request) (*http.Response, error) {
	_, n.sender.token, _ = strings.Cut(r.Header.Get("Authorization"), " ")
	return n.base.RoundTrip(r)
}

// advice says what the user can do about a refusal, or nothing.
func (c *curl) advice(response *http.Response, code string) string {
	code, said := challenged(response, code)
	if code != access.CodeInvalidToken {
		return session.Advice(code)
	}
	about := "the token is not accepted"
	if said != "" {
		about += " (" + said + ")"
	}
	return about + ": " + c.refused(toldTime(response))
}

// refused says what can be seen here of a token that is not accepted, and what helps. Why it is not only the API knows.
func (c *curl) refused(now time.Time) string {
	token := readToken(c.sender.token)
	if token == nil {
		return "what it says is for its issuer to see; " + c.another()
	}
	jkt, x5t := token.Confirmation.JKT, token.Confirmation.X5tS256
	switch {
	case !token.Expiry.IsZero() && !now.Before(token.Expiry):
		return fmt.Sprintf("it ended at %s, and the API says that it is %s; %s", clock(token.Expiry), clock(now), c.another())
	case jkt != "" && c.sender.thumbprint == "":
		return "it is bound to a key; give that by --key"
	case jkt != "" && jkt != c.sender.thumbprint:
		return fmt.Sprintf("it is bound to the key %q, and the proof is of %q; give its key by --key, or %s", jkt, c.sender.thumbprint, c.another())
	case x5t != "" && c.sender.certificate == nil:
		return "it is bound to a certificate; give that by --cert"
	case x5t != "" && x5t != c.sender.certificate.Thumbprint():
		return "it is bound to another certificate than that of --cert; give that, or " + c.another()
	case jkt == "" && x5t == "":
		return "it is bound to nobody; have the issuer bind it to the key or the certificate"
	case c.login.secret != "":
		return fmt.Sprintf("it is new; does the API trust its issuer, %q, and is the token for this API (--resource), not for %q?",
			token.Issuer, strings.Join(token.Audience, " "))
	}
	return fmt.Sprintf("nothing of it looks wrong from here; it may have been taken back (%s), or the API takes none of issuer %q for %q",
		c.another(), token.Issuer, strings.Join(token.Audience, " "))
}

// another says how to get another token, which depends on where this one came from.
func (c *curl) another() string {
	switch {
	case c.login.token.path != "":
		return "get another token"
	case c.login.secret != "":
		return "the next run gets another token"
	default:
		return "log in again by --login"
	}
}

// challenged adds to an error code what the challenges say about it. One of another scheme has a code too: a token that
// is bound to a certificate is refused by that of Bearer.
func challenged(response *http.Response, code string) (_, description string) {
	challenges, _ := challenge.Parse(response.Header.Values("WWW-Authenticate"))
	for _, c := range challenges {
		if said := c.Params["error"]; said != "" && (code == "" || code == said) {
			return said, c.Params["error_description"]
		}
	}
	return code, ""
}

// toldTime is what the API's clock shows, by which it judges.
func toldTime(response *http.Response) time.Time {
	if told, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		return told
	}
	return time.Now()
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// readToken is what a token says, if it is a JWT. Nobody has verified it.
func readToken(text string) *access.Token {
	compact, err := jose.Split(text)
	if err != nil {
		return nil
	}
	claims, err := jose.Decode(compact.Payload)
	if err != nil {
		return nil
	}
	token, err := access.NewToken(json.RawMessage(claims))
	if err != nil {
		return nil
	}
	return token
}

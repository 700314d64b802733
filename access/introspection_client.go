package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/jwx"
)

// assertionLife is for how long an assertion of ours is good; it is used at once.
const assertionLife = time.Minute

// authenticate says who asks: it adds what goes into the body of a question, and returns what goes into Authorization.
func (i *Introspection) authenticate(ctx context.Context, form url.Values) (authorization string, err error) {
	switch {
	case i.config.AccessToken != nil:
		token, err := i.config.AccessToken(ctx)
		if err == nil && token == "" {
			err = errors.New("AccessToken returns none")
		}
		return "Bearer " + token, err
	case i.config.Key != nil:
		assertion, err := i.assertion()
		if err != nil {
			return "", err
		}
		form.Set("client_id", i.config.ClientID)
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	case i.config.Certificate != nil: // RFC 8705 §2: by client_id the server knows which certificate to expect
		form.Set("client_id", i.config.ClientID)
	case i.config.SecretInBody:
		form.Set("client_id", i.config.ClientID)
		form.Set("client_secret", i.config.ClientSecret)
	default: // RFC 6749 §2.3.1
		both := url.QueryEscape(i.config.ClientID) + ":" + url.QueryEscape(i.config.ClientSecret)
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(both)), nil
	}
	return "", nil
}

// assertion makes a JWT that authenticates this resource server once (RFC 7523 §3).
func (i *Introspection) assertion() (string, error) {
	if !slices.Contains(jose.Algorithms(), i.config.KeyAlgorithm) {
		return "", fmt.Errorf("take one of %q", jose.Algorithms())
	}
	now := i.config.Now()
	claims, err := json.Marshal(map[string]any{
		"iss": i.config.ClientID, "sub": i.config.ClientID, "aud": i.config.KeyAudience, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", err
	}
	return jwx.Sign(claims, i.config.KeyAlgorithm, i.config.Key, map[string]string{"kid": i.config.KeyID})
}

// open verifies a signed answer and returns what it says of the token (RFC 9701 §5).
func (i *Introspection) open(ctx context.Context, body []byte) (jsontext.Value, error) {
	compact, err := jose.Split(string(body))
	if err != nil {
		return nil, err
	}
	header, err := jose.ParseHeader(compact.Header)
	if err != nil {
		return nil, err
	}
	if header.Type != "token-introspection+jwt" {
		return nil, jose.ErrType.With("token-introspection+jwt", header.Type)
	}
	if _, err := i.keys.Verify(ctx, header, compact); err != nil {
		return nil, err
	}
	var claims struct {
		Issuer   string         `json:"iss"`
		Audience jose.Strings   `json:"aud"`
		IssuedAt jsontext.Value `json:"iat"`
		Answer   jsontext.Value `json:"token_introspection"`
	}
	if err := jose.DecodeObject(compact.Payload, &claims); err != nil {
		return nil, err
	}
	switch {
	case claims.Issuer != i.config.Issuer:
		return nil, fmt.Errorf("the signed answer is from %q, not from %q", claims.Issuer, i.config.Issuer)
	case !slices.Contains(claims.Audience, i.config.ClientID):
		return nil, errors.New("the signed answer is for another client")
	case claims.Answer == nil:
		return nil, errors.New("the signed answer has no token_introspection")
	}
	issued, err := jose.NumericDate("iat", claims.IssuedAt)
	if err != nil {
		return nil, err
	}
	// An old answer may tell of a token that has been taken back since.
	if off := i.config.Now().Sub(issued).Abs(); off > time.Minute {
		return nil, fmt.Errorf("the signed answer was made at %s, %s from now", when(issued), off)
	}
	return claims.Answer, nil
}

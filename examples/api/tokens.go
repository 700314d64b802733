package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/access"
)

// The bounds of one question to the introspection endpoint.
const (
	introspectionTimeout = 5 * time.Second
	maxIntrospection     = 64 << 10
)

// validator checks access tokens: JWTs by the issuer's keys, and others by introspection if that is set.
func (a *app) validator(observer access.Observer) (access.Validator, error) {
	s := a.settings
	jwt := &access.JWT{Issuers: []access.Issuer{s.issuer}, HTTPClient: s.client(), Observer: observer, Log: a.log}
	if err := jwt.Validate(); err != nil {
		return nil, err
	}
	a.onClose(jwt.Close)
	if s.introspection.endpoint == "" {
		return jwt, nil
	}
	client := http.Client{}
	if own := s.client(); own != nil {
		client = *own
	}
	client.Timeout = introspectionTimeout
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // our secret goes nowhere else
	return &byForm{JWT: jwt, opaque: &introspector{introspection: s.introspection, issuer: s.issuer, client: &client}}, nil
}

// byForm asks one validator about JWTs, and another about everything else.
type byForm struct {
	*access.JWT
	opaque access.Validator
}

// ValidateToken implements [access.Validator].
func (b *byForm) ValidateToken(ctx context.Context, token string) (*access.Token, error) {
	if strings.Count(token, ".") == 2 {
		return b.JWT.ValidateToken(ctx, token)
	}
	return b.opaque.ValidateToken(ctx, token)
}

// introspector asks the authorization server about each token, each time (RFC 7662). No proof is sent to it: the
// binding is checked here (RFC 9449 §6.2).
type introspector struct {
	introspection
	issuer access.Issuer
	client *http.Client
}

// introspected is what the authorization server says.
type introspected struct {
	Active    bool           `json:"active"`
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	ClientID  string         `json:"client_id"`
	ID        string         `json:"jti"`
	Session   string         `json:"sid"`
	Audience  jsontext.Value `json:"aud"`
	Scope     string         `json:"scope"`
	Expiry    int64          `json:"exp"`
	IssuedAt  int64          `json:"iat"`
	NotBefore int64          `json:"nbf"`
	AuthTime  int64          `json:"auth_time"`
	ACR       string         `json:"acr"`
	Cnf       jsontext.Value `json:"cnf"`
}

// ValidateToken implements [access.Validator].
func (i *introspector) ValidateToken(ctx context.Context, token string) (*access.Token, error) {
	body, err := i.ask(ctx, token)
	if err != nil {
		return nil, fmt.Errorf("%w: introspection: %w", access.ErrUnavailable, err)
	}
	var said introspected
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, fmt.Errorf("%w: introspection: %w", access.ErrUnavailable, err)
	}
	return i.judge(&said, token)
}

// ask returns the answer about a token, which is not in an error.
func (i *introspector) ask(ctx context.Context, token string) ([]byte, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	r.SetBasicAuth(url.QueryEscape(i.clientID), url.QueryEscape(i.clientSecret)) // RFC 6749 §2.3.1
	response, err := i.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New("answered with " + response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxIntrospection+1))
	if err == nil && len(body) > maxIntrospection {
		err = errors.New("the answer is too large")
	}
	return body, err
}

// judge takes over what was said of a token that is active and for this API. The Guard judges times and binding.
func (i *introspector) judge(said *introspected, token string) (*access.Token, error) {
	switch {
	case !said.Active:
		return nil, access.ErrTokenInactive
	case said.Issuer != "" && said.Issuer != i.issuer.URL:
		return nil, access.ErrTokenIssuer.With(i.issuer.URL, said.Issuer)
	}
	audience, err := audiences(said.Audience)
	if err != nil || !slices.Contains(audience, i.issuer.Audience) {
		return nil, access.ErrTokenAudience.With(i.issuer.Audience, string(said.Audience))
	}
	if said.ID == "" { // so that it can be taken back
		sum := sha256.Sum256([]byte(token))
		said.ID = "sha256:" + base64.RawURLEncoding.EncodeToString(sum[:])
	}
	t := &access.Token{
		Issuer: i.issuer.URL, Subject: said.Subject, ClientID: said.ClientID, ID: said.ID, Session: said.Session,
		Audience: audience, Scopes: strings.Fields(said.Scope), ACR: said.ACR,
		Expiry: date(said.Expiry), IssuedAt: date(said.IssuedAt), NotBefore: date(said.NotBefore), AuthTime: date(said.AuthTime),
	}
	t.Confirmation, err = confirmation(said.Cnf)
	return t, err
}

// confirmation refuses a token that is bound in a way which is not understood: it must not pass as unbound.
func confirmation(raw jsontext.Value) (c access.Confirmation, err error) {
	if raw == nil || bytes.Equal(raw, []byte("null")) {
		return c, nil
	}
	var cnf struct {
		JKT     string `json:"jkt"`
		X5tS256 string `json:"x5t#S256"`
	}
	if err := json.Unmarshal(raw, &cnf); err != nil || cnf.JKT+cnf.X5tS256 == "" {
		return c, access.ErrConfirmation.With("jkt or x5t#S256", string(raw))
	}
	return access.Confirmation{JKT: cnf.JKT, X5tS256: cnf.X5tS256}, nil
}

// audiences is a string or a list of them (RFC 7519 §4.1.3).
func audiences(raw jsontext.Value) (list []string, err error) {
	switch raw.Kind() {
	case jsontext.KindString:
		list = []string{""}
		err = json.Unmarshal(raw, &list[0])
	case jsontext.KindBeginArray:
		err = json.Unmarshal(raw, &list)
	}
	return list, err
}

// date is zero for a time that is not there.
func date(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

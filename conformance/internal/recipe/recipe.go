// Package recipe turns the recipes of the vectors into requests: tokens, proofs and fields, octet for octet. It
// checks nothing, and it shares nothing with the packages that do: what is wrong in both would be found by nobody.
package recipe

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/senderlock/senderlock/conformance/internal/cases"
	"github.com/senderlock/senderlock/internal/mint"
)

// Issuer signs access tokens.
type Issuer struct {
	URL   string
	Key   *mint.Key
	KeyID string
}

// World is what recipes refer to. It is read-only while recipes are built.
type World struct {
	Keys         map[string]*mint.Key
	Certificates map[string]tls.Certificate
	Issuers      map[string]Issuer
	Origin       string // "https://api.example.com"
	Audience     string
	Claims       map[string]any // further claims of every token
	Now          func() time.Time
	Random       func() string
	// Opaque makes a token of which introspection says these claims.
	Opaque func(claims string) string
	// Metadata is the path of the metadata of the resource.
	Metadata string
	// Obtain gets the token for a zero recipe from elsewhere. Nil mints it.
	Obtain func(key string) (string, error)
}

// State lives as long as a case.
type State struct {
	JTI   string
	Nonce string // what the server gave last
	Force bool   // good proofs carry it
	// TokenID is the jti of every token, and Issued their iat, so that a bad token is a good one but for what is bad.
	// Empty and zero make new ones.
	TokenID string
	Issued  time.Time

	token, before string // the last one, and the one before it
	proofs        []string
	signature     map[string]string // the last one of a token and of a proof
	secrets       []string
}

// Fork returns a state that goes another way from here.
func (s *State) Fork() *State {
	other := *s
	other.signature, other.secrets = maps.Clone(s.signature), nil
	return &other
}

// Sent is a request as it goes out.
type Sent struct {
	Method, Target, Host string
	Headers              []cases.Header
	Body                 string
	Certificate          string
	TLS                  string

	Secrets    []string // signatures and opaque tokens, which are not shown
	URL        string   // what a good htu names, with the query
	Token      string
	Proofs     []string
	Thumbprint string // of the key to which the token is bound
	Time       time.Time
}

// builder builds one request.
type builder struct {
	*World
	state  *State
	base   string // the endpoint's path, without a slash at its end
	path   string // with the recipe's, without the query
	method string
	now    time.Time
	token  string
	proof  *cases.Proof
	kind   string // what is being signed: "token" or "proof"
	htu    string // of a proof whose recipe says it
	err    error
}

// ErrVoid is what a recipe ends with that changes nothing of this endpoint's URL: a path without letters in upper case,
// for instance.
var ErrVoid = errors.New("recipe: it changes nothing of this URL")

// Build makes the request of a step; path is that of its endpoint.
func (w *World) Build(state *State, s *cases.Step, path string) (*Sent, error) {
	r, again := &s.Send, s.Again
	if state.signature == nil {
		state.signature = map[string]string{}
	}
	b := &builder{World: w, state: state, now: w.Now(), method: cmp.Or(r.Method, "GET"),
		base: strings.TrimRight(path, "/"), path: cmp.Or(path, "/"), proof: r.Proof}
	if r.Path != "" {
		b.path = b.base + r.Path
	}
	if b.proof == nil {
		b.proof = &cases.Proof{}
	}
	token := cmp.Or(r.Token, &cases.Token{})
	if !again && !s.Same {
		state.before, state.token = state.token, b.makeToken(token)
	}
	if !again {
		state.proofs = nil
	}
	b.token = state.token
	sent := &Sent{
		Method: b.method, Target: b.path, Host: cmp.Or(b.expand(r.Host), b.host()), Body: b.expand(r.Body),
		Certificate: r.Certificate, TLS: r.TLS, Token: b.token, Time: b.now, URL: w.Origin + b.path,
	}
	if bind := cmp.Or(token.Bind, "client"); bind != "-" {
		sent.Thumbprint = b.thumbprint(bind)
	}
	if r.Query != "" {
		sent.Target += "?" + b.expand(r.Query)
		sent.URL += "?" + b.expand(r.Query)
	}
	if r.Target != "" {
		sent.Target = b.expand(r.Target)
	}
	add := func(name, value string) { sent.Headers = append(sent.Headers, cases.Header{Name: name, Value: value}) }
	if !slices.Contains(r.Without, "authorization") {
		fields := r.Authorization
		if fields == nil {
			fields = []string{"DPoP ${token}"}
		}
		for _, f := range fields {
			add("Authorization", b.expand(f))
		}
	}
	if !slices.Contains(r.Without, "proof") {
		if !again {
			fields := r.Proofs
			if fields == nil {
				fields = []string{"${proof}"}
			}
			for _, f := range fields {
				state.proofs = append(state.proofs, b.expand(f))
			}
		}
		sent.Proofs = state.proofs
		for _, p := range sent.Proofs {
			add(cmp.Or(r.ProofField, "DPoP"), p)
		}
	}
	for _, h := range r.Headers {
		add(h.Name, b.expand(h.Value))
	}
	sent.Secrets = state.secrets
	if s.Base.Refuses() && (b.htu == w.Origin+b.path || b.htu == w.Origin && b.path == "/") {
		b.fail(ErrVoid)
	}
	return sent, b.err
}

// thumbprint is that of a key, or of the jwk of the proof as it is sent: then nothing but the shape of the key is wrong.
func (b *builder) thumbprint(bind string) string {
	key := bind
	if bind == "=" {
		key = cmp.Or(b.proof.Key, "client")
	}
	if b.Keys[key] == nil {
		b.fail(fmt.Errorf("recipe: no key %q", key))
		return ""
	}
	if bind != "=" {
		return b.Keys[key].Thumbprint()
	}
	var sent map[string]any
	jwk := cmp.Or(b.proof.RawJWK, b.members(b.Keys[key].JWK(), b.proof.JWK))
	if err := json.Unmarshal([]byte(jwk), &sent); err != nil {
		b.fail(err)
		return ""
	}
	text := map[string]string{}
	for name, value := range sent {
		text[name], _ = value.(string)
	}
	if !slices.Contains([]string{"EC", "RSA", "OKP", "oct"}, text["kty"]) {
		return b.Keys[key].Thumbprint() // there is none
	}
	return mint.Thumbprint(text)
}

func (b *builder) host() string { _, host, _ := strings.Cut(b.Origin, "://"); return host }

func (b *builder) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// makeToken mints an access token (RFC 9068 §2.2), or has it minted.
func (b *builder) makeToken(t *cases.Token) string {
	if t.Raw != "" {
		return b.expand(t.Raw)
	}
	b.kind = "token"
	if b.Obtain != nil {
		bind := cmp.Or(t.Bind, "client")
		if bind == "=" {
			bind = cmp.Or(b.proof.Key, "client")
		}
		token, err := b.Obtain(bind)
		b.fail(err)
		return token
	}
	issuer := b.Issuers[t.Issuer]
	key := issuer.Key
	if t.Key != "" {
		key = b.Keys[t.Key]
	}
	if key == nil {
		b.fail(fmt.Errorf("recipe: no key for token %+v", t))
		return ""
	}
	alg := cmp.Or(t.Alg, key.Alg)
	cnf := map[string]any{}
	if bind := cmp.Or(t.Bind, "client"); bind != "-" {
		cnf["jkt"] = b.thumbprint(bind)
	}
	if t.Certificate != "" {
		cnf["x5t#S256"] = b.x5t(t.Certificate)
	}
	claims := map[string]any{
		"iss": issuer.URL, "aud": b.Audience, "sub": "user-1", "client_id": "client-1", "scope": "accounts:read",
		"jti": b.Random(), "iat": b.now.Unix(), "exp": b.now.Unix() + 300,
	}
	if b.state.TokenID != "" {
		claims["jti"], claims["iat"] = b.state.TokenID, b.state.Issued.Unix()
		claims["exp"] = b.state.Issued.Unix() + 300
	}
	maps.Copy(claims, b.Claims)
	if len(cnf) > 0 {
		claims["cnf"] = cnf
	}
	payload := b.members(claims, t.Claims)
	if t.RawPayload != "" {
		payload = b.expand(t.RawPayload)
	}
	if t.Opaque {
		token := b.Opaque(payload)
		b.state.secrets = append(b.state.secrets, token)
		return token
	}
	header := b.members(map[string]any{"typ": "at+jwt", "alg": alg, "kid": issuer.KeyID}, t.Header)
	if t.RawHeader != "" {
		header = b.expand(t.RawHeader)
	}
	return b.compact(header, payload, key, alg, t.Edit)
}

// makeProof makes a DPoP proof (RFC 9449 §4.2).
func (b *builder) makeProof(p *cases.Proof) string {
	if p.Raw != "" {
		return b.expand(p.Raw)
	}
	b.kind = "proof"
	key := b.Keys[cmp.Or(p.Key, "client")]
	signer := b.Keys[cmp.Or(p.Signer, p.Key, "client")]
	if key == nil || signer == nil {
		b.fail(fmt.Errorf("recipe: no key %q or %q", p.Key, p.Signer))
		return ""
	}
	alg := cmp.Or(p.Alg, key.Alg)
	jwk := b.members(key.JWK(), p.JWK)
	if p.RawJWK != "" {
		jwk = b.expand(p.RawJWK)
	}
	header := b.members(map[string]any{"typ": "dpop+jwt", "alg": alg, "jwk": json.RawMessage(jwk)}, p.Header)
	if p.RawHeader != "" {
		header = b.expand(strings.ReplaceAll(p.RawHeader, "${jwk}", jwk))
	}
	claims := map[string]any{
		"jti": b.Random(), "htm": b.method, "htu": b.Origin + b.path, "iat": b.now.Unix(), "ath": mint.ATH(b.token),
	}
	if b.state.Force {
		claims["nonce"] = b.state.Nonce
	}
	payload := b.members(claims, p.Claims)
	if text, ok := claims["htu"].(rawText); ok {
		_ = json.Unmarshal([]byte(text), &b.htu) // one that is no text differs from any URL
	}
	if p.RawPayload != "" {
		payload = b.expand(p.RawPayload)
	}
	if p.Alg == "" {
		alg = signer.Alg
	}
	return b.compact(header, payload, signer, alg, p.Edit)
}

// members merges JSON members: null takes one out, {"$raw": …} is JSON text.
func (b *builder) members(good map[string]any, changes cases.Members) string {
	for name, change := range changes {
		if string(change) == "null" {
			delete(good, name)
			continue
		}
		var raw struct {
			Text *string `json:"$raw"`
		}
		if json.Unmarshal(change, &raw) == nil && raw.Text != nil {
			good[name] = rawText(b.expand(*raw.Text))
			continue
		}
		good[name] = rawText(b.expand(string(change)))
	}
	// By hand: encoding/json would correct what is meant to be wrong.
	var out strings.Builder
	out.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(good)) {
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteString(mint.Marshal(name) + ":")
		if text, ok := good[name].(rawText); ok {
			out.WriteString(string(text))
		} else {
			out.WriteString(mint.Marshal(good[name]))
		}
	}
	out.WriteByte('}')
	return out.String()
}

// rawText is JSON text that is not looked at.
type rawText string

func (b *builder) x5t(name string) string {
	c, ok := b.Certificates[name]
	if !ok {
		b.fail(fmt.Errorf("recipe: no certificate %q", name))
		return ""
	}
	sum := sha256.Sum256(c.Certificate[0])
	return mint.Base64(sum[:])
}

package dpop

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/internal/precomputed"
)

// Proof is a DPoP proof that was read from a request (RFC 9449 §4.2). [Verifier.Read] makes it; its signature
// counts only after [Proof.VerifySignature]. A Proof belongs to one request and is not safe for concurrent use.
type Proof struct {
	header  header
	tables  *precomputed.Keys
	compact jose.Compact
	claims  claims

	issued    time.Time // iat
	starts    time.Time // nbf, if there is one
	ends      time.Time // exp, if there is one
	stamp     stamp     // what the nonce says; zero without one
	until     time.Time // first instant at which this proof can no longer be accepted
	tokenHash string    // of the token that came with it, computed here
	signed    bool      // the signature has been verified
}

// Thumbprint returns the SHA-256 thumbprint of the proof's key (RFC 7638), to compare with cnf.jkt. The key is
// the client's only if the signature verifies.
func (p *Proof) Thumbprint() string { return p.header.key.Thumbprint() }

// Algorithm returns the JWS algorithm of the proof, one of those that the [Verifier] allows.
func (p *Proof) Algorithm() string { return p.header.alg }

// IssuedAt returns the time at which the client says that it made the proof, by the client's clock.
func (p *Proof) IssuedAt() time.Time { return p.issued }

// HasNonce reports whether the proof carries a nonce that [Verifier.Read] has found to be a fresh one of ours.
func (p *Proof) HasNonce() bool { return !p.stamp.until.IsZero() }

// TokenHash returns the base64url SHA-256 hash of the access token that came with the proof, which [Verifier.Read] has
// found to be its ath. It is empty where none came.
func (p *Proof) TokenHash() string { return p.tokenHash }

// CountsHereAlone reports whether the proof was accepted by a nonce of this instance alone: see [Fallback].
func (p *Proof) CountsHereAlone() bool { return p.stamp.local }

// VerifySignature checks the signature under the key in the proof's header (RFC 9449 §4.3 item 6). It is the
// dear step, so callers compare the thumbprint first. It returns [ErrMalformed] or [ErrSignature], and
// [ErrDisagreement] when a precomputed key cannot be relied on, whatever the signature is worth.
func (p *Proof) VerifySignature() error {
	if err := p.header.key.VerifyBy(p.tables, p.header.alg, p.compact); err != nil {
		return err
	}
	p.signed = true
	return nil
}

// header is what the header of a proof says once it has been checked.
type header struct {
	alg   string
	key   *jose.Key
	known bool // from the cache
}

// maxCachedHeader bounds the cached segments, in octets; an RSA key of 4096 bits takes half of it.
const maxCachedHeader = 2048

// claims are the members of the payload that a resource server judges; others are ignored (RFC 9449 §4.2).
type claims struct {
	ID        text           // jti
	Method    text           // htm
	Target    text           // htu
	IssuedAt  jsontext.Value // iat
	Expires   jsontext.Value // exp
	NotBefore jsontext.Value // nbf
	TokenHash text           // ath
	Nonce     text           // nonce
}

// UnmarshalJSONFrom reads an object.
func (c *claims) UnmarshalJSONFrom(d *jsontext.Decoder) error { return jose.ReadMembers(d, c.member) }

func (c *claims) member(name []byte) json.UnmarshalerFrom {
	switch string(name) {
	case "jti":
		return &c.ID
	case "htm":
		return &c.Method
	case "htu":
		return &c.Target
	case "iat":
		return (*jose.Raw)(&c.IssuedAt)
	case "exp":
		return (*jose.Raw)(&c.Expires)
	case "nbf":
		return (*jose.Raw)(&c.NotBefore)
	case "ath":
		return &c.TokenHash
	case "nonce":
		return &c.Nonce
	}
	return nil
}

// text is a claim that is a string wherever it is present; null is not a string.
type text struct {
	value string
	set   bool
}

// UnmarshalJSONFrom reads a JSON string and refuses everything else.
func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := jose.ReadString(d)
	*t = text{value: value, set: err == nil}
	return err
}

// parse reads the one DPoP field of a request (RFC 9449 §4.3 items 1 to 5 and 7; the signature comes later).
func (v *Verifier) parse(fields []string) (*Proof, error) {
	switch {
	case len(fields) == 0:
		return nil, ErrMissing
	case len(fields) > 1:
		return nil, ErrMultiple.With("one field", strconv.Itoa(len(fields)))
	case len(fields[0]) > v.config.MaxSize:
		return nil, ErrTooLarge.With("at most "+strconv.Itoa(v.config.MaxSize)+" octets", strconv.Itoa(len(fields[0])))
	}
	compact, err := jose.Split(fields[0])
	if err != nil {
		return nil, err
	}
	p := &Proof{compact: compact, tables: v.tables}
	if p.header, err = v.parseHeader(compact.Header); err != nil {
		return nil, err
	}
	if err := jose.DecodeSmall(compact.Payload, &p.claims); err != nil {
		return nil, err
	}
	for _, required := range [...]struct {
		name string
		text text
	}{{"jti", p.claims.ID}, {"htm", p.claims.Method}, {"htu", p.claims.Target}} {
		if required.text.value == "" {
			return nil, ErrClaim.With(required.name, "")
		}
	}
	if p.claims.IssuedAt == nil {
		return nil, ErrClaim.With("iat", "")
	}
	for _, date := range [...]struct {
		name  string
		claim jsontext.Value
		time  *time.Time
	}{{"iat", p.claims.IssuedAt, &p.issued}, {"nbf", p.claims.NotBefore, &p.starts}, {"exp", p.claims.Expires, &p.ends}} {
		if date.claim == nil {
			continue
		}
		if *date.time, err = jose.NumericDate(date.name, date.claim); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// lives judges nbf and exp where the proof has them (RFC 7519 §4.1.4 and §4.1.5). They only ever refuse: for how long
// the proof is remembered does not depend on them.
func (p *Proof) lives(now time.Time, skew time.Duration) error {
	if latest := now.Add(skew); p.starts.After(latest) {
		return ErrNotYet.With("nbf up to "+jose.When(latest), jose.DescribeDate(p.claims.NotBefore, p.starts)).Off(p.starts.Sub(latest))
	}
	if earliest := now.Add(-skew); p.claims.Expires != nil && !p.ends.After(earliest) {
		return ErrExpired.With("exp after "+jose.When(earliest), jose.DescribeDate(p.claims.Expires, p.ends)).Off(earliest.Sub(p.ends))
	}
	return nil
}

// parseHeader checks the header of a proof, or takes it from the cache: a client sends the same octets again
// and again.
func (v *Verifier) parseHeader(raw string) (header, error) {
	if len(raw) <= maxCachedHeader {
		if h, ok := v.headers.Get(raw); ok {
			return h, nil
		}
	}
	if err := jose.ModulusFits(raw, v.config.MaxRSABits); err != nil {
		return header{}, err
	}
	h, err := jose.ParseHeader(raw)
	switch {
	case err != nil:
		return header{}, err
	case h.Type != "dpop+jwt":
		return header{}, ErrType.With("dpop+jwt", h.Type)
	case !v.allowed(h.Algorithm):
		return header{}, ErrAlgorithm.With(strings.Join(v.config.Algorithms, " "), h.Algorithm)
	case h.JWK == nil:
		return header{}, ErrHeader.With("jwk", "")
	}
	key, err := jose.ParseKey(h.JWK, v.config.MaxRSABits)
	if err != nil {
		return header{}, err
	}
	if err := key.Fits(h.Algorithm); err != nil {
		return header{}, err
	}
	return header{alg: h.Algorithm, key: key}, nil
}

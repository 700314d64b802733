package gateway

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/jose"
)

// The fields that tell a service who is calling. Values are percent-encoded where an octet is no visible ASCII, or is %.
const (
	FieldSubject     = "X-Senderlock-Subject"     // sub
	FieldClient      = "X-Senderlock-Client"      // client_id
	FieldIssuer      = "X-Senderlock-Issuer"      // iss
	FieldScope       = "X-Senderlock-Scope"       // scopes, with spaces between them
	FieldBinding     = "X-Senderlock-Binding"     // what the sender proved: "DPoP", "certificate", both, or "none"
	FieldThumbprint  = "X-Senderlock-Thumbprint"  // of the DPoP key (RFC 7638)
	FieldCertificate = "X-Senderlock-Certificate" // SHA-256 thumbprint of the certificate that the token is bound to
	FieldToken       = "X-Senderlock-Token-Id"    // jti
	FieldAssertion   = "X-Senderlock-Assertion"   // all of it in a JWT that the gateway signed
)

// fields are all of them, in the order in which they are told.
var fields = []string{
	FieldSubject, FieldClient, FieldIssuer, FieldScope, FieldBinding, FieldThumbprint, FieldCertificate, FieldToken,
	FieldAssertion,
}

const (
	// AssertionType is the typ of the JWT in [FieldAssertion]. No access token has it (RFC 9068 §2.1).
	AssertionType = "senderlock-identity+jwt"
	// AssertionLife is for how long the JWT holds.
	AssertionLife = 30 * time.Second
)

// Signer signs what the gateway says of a caller. Make one with [NewSigner]; it is safe for concurrent use.
type Signer struct {
	key    crypto.Signer
	random io.Reader // nil for a key of ours, which then makes its signatures by RFC 6979, in four fifths of the time
	header string    // of every assertion, encoded, with the dot behind it
	jwks   []byte
	issuer string
}

// NewSigner makes a Signer that calls itself issuer, such as "https://gateway.internal". The key is an ES256 key, which
// several gateways may share. Nil makes one that lasts as long as the process; services that know its predecessor fetch
// the keys anew when they meet an unknown kid.
func NewSigner(issuer string, key crypto.Signer) (*Signer, error) {
	if issuer == "" {
		return nil, errors.New("gateway.NewSigner: the issuer is empty: give the name that services compare with iss")
	}
	if key == nil {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		key = made
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("gateway.NewSigner: the key is not of ES256: give an ECDSA key on P-256")
	}
	s := &Signer{key: key, random: rand.Reader, issuer: issuer}
	if _, ours := key.(*ecdsa.PrivateKey); ours {
		s.random = nil
	}
	point, err := key.Public().(*ecdsa.PublicKey).Bytes()
	if err != nil {
		return nil, err
	}
	x, y := point[1:33], point[33:]
	jwk := map[string]string{"kty": "EC", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(x), "y": base64.RawURLEncoding.EncodeToString(y)}
	id, err := thumbprint(jwk)
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": AssertionType, "kid": id})
	if err != nil {
		return nil, err
	}
	s.header = base64.RawURLEncoding.EncodeToString(header) + "."
	jwk["kid"], jwk["alg"], jwk["use"] = id, "ES256", "sig"
	s.jwks, err = json.Marshal(map[string]any{"keys": []any{jwk}})
	return s, err
}

func thumbprint(jwk map[string]string) (string, error) {
	raw, err := json.Marshal(jwk)
	if err != nil {
		return "", err
	}
	key, err := jose.ParseKey(raw, 0)
	if err != nil {
		return "", err
	}
	return key.Thumbprint(), nil
}

// ServeHTTP publishes the key as a JWK set (RFC 7517 §5), for services. It is not a secret.
func (s *Signer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "max-age=60")
	_, _ = w.Write(s.jwks)
}

// identify writes the fields about a caller. Each is set, empty where there is nothing to say, so that a proxy that
// copies them leaves nothing in place that a client sent.
func (s *Signer) identify(h http.Header, grant *access.Grant, audience, method, uri string) error {
	scope, binding := strings.Join(grant.Scopes, " "), grant.Binding.String()
	var key, certificate string
	if grant.Binding&access.BindingDPoP != 0 {
		key = grant.Thumbprint
	}
	if grant.Binding&access.BindingCertificate != 0 {
		certificate = grant.Confirmation.X5tS256
	}
	now := time.Now()
	var a assertion
	a.always("iss", s.issuer)
	a.always("aud", audience)
	a.time("iat", now)
	a.time("exp", now.Add(AssertionLife))
	a.always("method", method)
	a.always("uri", uri)
	a.member("sub", grant.Subject)
	a.member("client_id", grant.ClientID)
	a.member("token_iss", grant.Issuer)
	a.member("token_jti", grant.ID)
	a.always("scope", scope)
	a.always("binding", binding)
	if key != "" || certificate != "" {
		a.object("thumbprint")
		a.member("jkt", key)
		a.member("x5t#S256", certificate)
		a.end()
	}
	signed, err := s.sign(a.end())
	if err != nil {
		return err
	}
	values := []string{grant.Subject, grant.ClientID, grant.Issuer, scope, binding, key, certificate, grant.ID, signed}
	for i, value := range values {
		values[i] = visible(value)
		h[fields[i]] = values[i : i+1 : i+1]
	}
	return nil
}

// assertion is what the JWT says, as it is written: without reflection, since every request has one.
type assertion struct{ json []byte }

func (a *assertion) name(name string) {
	if len(a.json) == 0 {
		a.json = append(make([]byte, 0, 1024), '{')
	} else if a.json[len(a.json)-1] != '{' {
		a.json = append(a.json, ',')
	}
	a.json = append(append(append(a.json, '"'), name...), '"', ':')
}

// always writes a member. Octets that are no UTF-8, which only a query can have, become U+FFFD.
func (a *assertion) always(name, value string) {
	a.name(name)
	a.json, _ = jsontext.AppendQuote(a.json, value)
}

// member writes a member that says something.
func (a *assertion) member(name, value string) {
	if value != "" {
		a.always(name, value)
	}
}

func (a *assertion) time(name string, t time.Time) {
	a.name(name)
	a.json = strconv.AppendInt(a.json, t.Unix(), 10)
}

func (a *assertion) object(name string) {
	a.name(name)
	a.json = append(a.json, '{')
}

func (a *assertion) end() []byte {
	a.json = append(a.json, '}')
	return a.json
}

// sign makes a compact JWS (RFC 7515 §7.1).
func (s *Signer) sign(payload []byte) (string, error) {
	jws := append(make([]byte, 0, len(s.header)+base64.RawURLEncoding.EncodedLen(len(payload)+64)+1), s.header...)
	jws = base64.RawURLEncoding.AppendEncode(jws, payload)
	der, err := crypto.SignMessage(s.key, s.random, jws, crypto.SHA256)
	if err != nil {
		return "", err
	}
	signature, err := jose.FixedLength(der, 32)
	return string(base64.RawURLEncoding.AppendEncode(append(jws, '.'), signature)), err
}

// visible makes any text the value of a field.
func visible(s string) string {
	first := 0
	for first < len(s) && isVisible(s, first) {
		first++
	}
	if first == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:first])
	for i := first; i < len(s); i++ {
		if c := s[i]; isVisible(s, i) {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1])
		}
	}
	return b.String()
}

// isVisible reports whether an octet of s stays as it is in a field.
func isVisible(s string, i int) bool {
	c := s[i]
	return c > ' ' && c < 0x7f && c != '%' || c == ' ' && i > 0 && i < len(s)-1
}

// forbidden are fields that a client may send and a service must not get from it, letters and digits alone: what says
// who is calling, credentials, what another proxy has to say, and what makes a framework serve another path or method
// than the one that was judged.
var forbidden = map[string]bool{
	"authorization": true, "dpop": true,
	"clientcert": true, "clientcertchain": true, "xsslclientcert": true, "xclientcert": true, "sslclientcert": true,
	"xforwardedclientcert": true, "xforwardedtlsclientcert": true, "xforwardedtlsclientcertinfo": true,
	"xamznmtlsclientcert": true, "xamznmtlsclientcertleaf": true,
	"forwarded": true, "xrealip": true, "trueclientip": true, "xremoteuser": true, "remoteuser": true,
	"xhttpmethodoverride": true, "xhttpmethod": true, "xmethodoverride": true,
	"xoriginalurl": true, "xoriginaluri": true, "xoriginalmethod": true, "xoriginalhost": true, "xrewriteurl": true,
}

// Drops reports whether a service gets no field of this name from a client, as [Proxy] sees to it: for programs that
// forward what [ForwardAuth] accepts. Servers that hand fields on as variables (CGI, WSGI, PHP, Rack) make one name of
// X-A, X_A and X.A, so only letters and digits count.
func Drops(name string) bool {
	var space [64]byte
	plain := space[:0]
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			plain = append(plain, c|0x20)
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			plain = append(plain, c)
		}
	}
	return forbidden[string(plain)] || bytes.HasPrefix(plain, []byte("xsenderlock")) || bytes.HasPrefix(plain, []byte("xforwarded"))
}

// strip drops what a client must not say.
func strip(h http.Header) {
	for name := range h {
		if Drops(name) {
			delete(h, name)
		}
	}
}

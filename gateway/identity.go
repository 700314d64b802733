package gateway

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

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
	header string // of every assertion, encoded, with the dot behind it
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
	s := &Signer{key: key, issuer: issuer}
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

// assertion is what the JWT says.
type assertion struct {
	Issuer     string            `json:"iss"`
	Audience   string            `json:"aud"`
	IssuedAt   int64             `json:"iat"`
	Expiry     int64             `json:"exp"`
	Method     string            `json:"method"`
	URI        string            `json:"uri"`
	Subject    string            `json:"sub,omitempty"`
	Client     string            `json:"client_id,omitempty"`
	TokenIss   string            `json:"token_iss,omitempty"`
	TokenID    string            `json:"token_jti,omitempty"`
	Scope      string            `json:"scope"`
	Binding    string            `json:"binding"`
	Thumbprint map[string]string `json:"thumbprint,omitempty"`
}

// identify writes the fields about a caller. Each is set, empty where there is nothing to say, so that a proxy that
// copies them leaves nothing in place that a client sent.
func (s *Signer) identify(h http.Header, grant *access.Grant, audience, method, uri string) error {
	now := time.Now()
	a := assertion{
		Issuer: s.issuer, Audience: audience, IssuedAt: now.Unix(), Expiry: now.Add(AssertionLife).Unix(),
		Method: method, URI: uri,
		Subject: grant.Subject, Client: grant.ClientID, TokenIss: grant.Issuer, TokenID: grant.ID,
		Scope: strings.Join(grant.Scopes, " "), Binding: grant.Binding.String(), Thumbprint: map[string]string{},
	}
	var certificate string
	if grant.Binding&access.BindingCertificate != 0 {
		certificate = grant.Confirmation.X5tS256
		a.Thumbprint["x5t#S256"] = certificate
	}
	var key string
	if grant.Binding&access.BindingDPoP != 0 {
		key = grant.Thumbprint
		a.Thumbprint["jkt"] = key
	}
	said, err := json.Marshal(a)
	if err != nil {
		return err
	}
	signed, err := s.sign(said)
	if err != nil {
		return err
	}
	for i, value := range []string{
		grant.Subject, grant.ClientID, grant.Issuer, a.Scope, a.Binding, key, certificate, grant.ID, signed,
	} {
		h.Set(fields[i], visible(value))
	}
	return nil
}

// sign makes a compact JWS (RFC 7515 §7.1).
func (s *Signer) sign(payload []byte) (string, error) {
	input := s.header + base64.RawURLEncoding.EncodeToString(payload)
	der, err := crypto.SignMessage(s.key, rand.Reader, []byte(input), crypto.SHA256)
	if err != nil {
		return "", err
	}
	signature, err := jose.FixedLength(der, 32)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// visible makes any text the value of a field.
func visible(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c > ' ' && c < 0x7f && c != '%' || c == ' ' && i > 0 && i < len(s)-1 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + hexDigits[c>>4:c>>4+1] + hexDigits[c&15:c&15+1])
		}
	}
	return b.String()
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
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case 'A' <= c && c <= 'Z':
			b.WriteByte(c | 0x20)
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			b.WriteByte(c)
		}
	}
	plain := b.String()
	return forbidden[plain] || strings.HasPrefix(plain, "xsenderlock") || strings.HasPrefix(plain, "xforwarded")
}

// strip drops what a client must not say.
func strip(h http.Header) {
	for name := range h {
		if Drops(name) {
			delete(h, name)
		}
	}
}

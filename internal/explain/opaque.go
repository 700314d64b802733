package explain

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/jose"
	"github.com/senderlock/senderlock/mtls"
)

// Answer is what an issuer answers about an opaque token (RFC 7662 §2.2).
type Answer struct {
	raw      []byte
	Issuer   string
	Audience string // the first
}

// ReadAnswer reads an answer for what a reader may leave out elsewhere. Introspection judges it.
func ReadAnswer(raw []byte) *Answer {
	claims := &JWT{Claims: raw}
	return &Answer{raw, claims.Text("iss"), claims.Audience()}
}

// asked makes the Guard judge an opaque token: by the answer that is there, or, without one, everything else.
func (s *Server) asked(r *http.Request) (end func() error, err error) {
	issuer := s.Config.Issuers[0]
	s.Config.Issuers = nil
	if s.Answer == nil {
		s.Config.Tokens = access.ValidatorFunc(func(context.Context, string) (*access.Token, error) { return s.unknown(r) })
		return func() error { return nil }, nil
	}
	i, err := access.NewIntrospection(access.IntrospectionConfig{
		Endpoint: "https://issuer.invalid/introspect", Issuer: cmp.Or(issuer.URL, "https://issuer.invalid"),
		Audience: cmp.Or(issuer.Audience, "https://api.invalid"), AcceptNoAudience: issuer.Audience == "",
		ClientID: "explain", ClientSecret: "explain", HTTPClient: &http.Client{Transport: s.Answer}, Now: s.Config.Now,
	})
	if err != nil {
		return nil, err
	}
	s.Config.Tokens = i
	return i.Close, nil
}

// RoundTrip answers in place of the issuer, of whom nothing is asked.
func (a *Answer) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		ContentLength: int64(len(a.raw)), Body: io.NopCloser(bytes.NewReader(a.raw)),
	}, nil
}

// unknown is a token that lets everything else be judged: as good as the request needs it.
func (s *Server) unknown(r *http.Request) (*access.Token, error) {
	bound := map[string]string{}
	var header struct {
		Key json.RawMessage `json:"jwk"`
	}
	if proof := Show(r.Header.Get("DPoP")); proof != nil && json.Unmarshal(proof.Header, &header) == nil {
		if key, err := jose.ParseKey(header.Key, 0); err == nil {
			bound["jkt"] = key.Thumbprint()
		}
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		bound["x5t#S256"] = (&mtls.Certificate{DER: r.TLS.PeerCertificates[0].Raw}).Thumbprint()
	}
	now := s.Config.Now()
	claims := map[string]any{
		"iss": "https://issuer.invalid", "sub": "unknown", "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"scope": strings.Join(s.Need.Scopes, " "),
	}
	if len(bound) > 0 {
		claims["cnf"] = bound
	}
	return access.NewToken(claims)
}

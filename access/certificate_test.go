package access_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

// with puts the client's certificate on a request, as a TLS server does.
func with(r *http.Request, certs ...tls.Certificate) *http.Request {
	r.TLS = &tls.ConnectionState{}
	for _, c := range certs {
		r.TLS.PeerCertificates = append(r.TLS.PeerCertificates, c.Leaf)
	}
	return r
}

// renew makes another certificate for the same key.
func renew(t *testing.T, old tls.Certificate) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: old.Leaf.Subject, NotAfter: old.Leaf.NotAfter}
	der, err := x509.CreateCertificate(rand.Reader, template, template, old.Leaf.PublicKey, old.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Leaf: leaf}
}

func TestCertificateBoundTokens(t *testing.T) {
	ca := poptest.NewCA(t)
	own, other := ca.Issue(t, "client"), ca.Issue(t, "client")
	renewed := renew(t, own)
	x5t := func(c tls.Certificate) func(*poptest.Token) {
		return func(t *poptest.Token) { t.X5T = poptest.X5T(c.Leaf) }
	}
	token := poptest.Token{X5T: poptest.X5T(own.Leaf)}.String()
	both := bound(x5t(own))
	thief := poptest.Keyed("ES256", "thief")
	for name, test := range map[string]struct {
		r       *http.Request
		binding access.Binding
		want    refusal
	}{
		"RS-085 its certificate":                {with(get("Bearer "+token, ""), own), access.BindingCertificate, refusal{}},
		"RS-085 with its chain":                 {with(get("Bearer "+token, ""), own, tls.Certificate{Leaf: ca.Certificate}), access.BindingCertificate, refusal{}},
		"RS-037 both bindings, both proved":     {with(owner(both), own), access.BindingDPoP | access.BindingCertificate, refusal{}},
		"a certificate beside a DPoP token":     {with(owner(bound()), other), access.BindingDPoP, refusal{}},
		"RS-086 RS-096 no certificate":          {get("Bearer "+token, ""), 0, refusal{401, "invalid_token", "certificate_missing"}},
		"RS-086 TLS without a certificate":      {with(get("Bearer "+token, "")), 0, refusal{401, "invalid_token", "certificate_missing"}},
		"RS-086 another certificate":            {with(get("Bearer "+token, ""), other), 0, refusal{401, "invalid_token", "certificate_mismatch"}},
		"RS-091 RS-093 a renewed certificate":   {with(get("Bearer "+token, ""), renewed), 0, refusal{401, "invalid_token", "certificate_mismatch"}},
		"RS-099 its certificate as an issuer":   {with(get("Bearer "+token, ""), other, own), 0, refusal{401, "invalid_token", "certificate_mismatch"}},
		"RS-087 the thumbprint padded":          {with(get("Bearer "+poptest.Token{X5T: poptest.X5T(own.Leaf) + "="}.String(), ""), own), 0, refusal{401, "invalid_token", "certificate_mismatch"}},
		"RS-037 both bindings, no certificate":  {owner(both), 0, refusal{401, "invalid_token", "certificate_missing"}},
		"RS-037 both, another certificate":      {with(owner(both), other), 0, refusal{401, "invalid_token", "certificate_mismatch"}},
		"RS-037 both, the certificate alone":    {with(get("Bearer "+both, ""), own), 0, refusal{401, "invalid_token", "bound_token_as_bearer"}},
		"RS-037 both, a thief's proof":          {with(get("DPoP "+both, poptest.Proof{Token: both, Key: thief}.String()), own), 0, refusal{401, "invalid_token", "key_mismatch"}},
		"RS-055 bound to a certificate as DPoP": {with(owner(token), own), 0, refusal{401, "invalid_token", "token_unbound"}},
		"RS-089 unbound beside a certificate":   {with(get("Bearer "+poptest.Token{}.String(), ""), own), 0, refusal{401, "invalid_token", "token_unbound"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) { s.Certificates = mtls.FromTLS })
			grant, err := s.Check(test.r)
			if test.want != (refusal{}) {
				e := expect(t, err, test.want)
				if got := challenges(e); len(got) != 2 || !strings.HasPrefix(got[0], "DPoP ") || !strings.HasPrefix(got[1], "Bearer") {
					t.Errorf("challenges %q", got)
				}
				return
			}
			if err != nil || grant.Binding != test.binding || !bytes.Equal(grant.Certificate.DER, test.r.TLS.PeerCertificates[0].Raw) {
				t.Fatalf("got %v, %v", grant, err)
			}
			for _, demand := range []access.Binding{access.BindingDPoP, access.BindingCertificate, access.BindingDPoP | access.BindingCertificate} {
				if met := s.Allow(test.r, grant, access.Requirement{Binding: demand}) == nil; met != (demand&^test.binding == 0) {
					t.Errorf("a demand for %s was met by %s: %t", demand, grant.Binding, met)
				}
			}
		})
	}
}

// A server that knows certificates and no DPoP.
func TestCertificatesAlone(t *testing.T) {
	own := poptest.SelfSigned(t, "client") // RS-090: possession is all
	s := newGuard(t, func(s *setup) { s.WithoutDPoP, s.Certificates = true, mtls.FromTLS })
	token := poptest.Token{X5T: poptest.X5T(own.Leaf)}.String()
	if _, err := s.Check(with(get("Bearer "+token, "a field that means nothing here"), own)); err != nil {
		t.Error(err)
	}
	_, err := s.Check(get("", ""))
	if got := challenges(expect(t, err, refusal{401, "", "credentials_missing"})); len(got) != 1 || got[0] != "Bearer" {
		t.Errorf("challenges %q", got)
	}
	_, err = s.Check(with(get("Bearer "+token, "")))
	if got := challenges(expect(t, err, refusal{401, "invalid_token", "certificate_missing"})); len(got) != 1 || !strings.HasPrefix(got[0], `Bearer error="invalid_token"`) {
		t.Errorf("challenges %q", got)
	}
}

// RS-092, RS-178: what a source refuses is refused for every kind of token, since somebody tried to slip a
// certificate in; and a source in trouble is our own trouble.
func TestCertificateSourceRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want refusal
	}{
		"its cause": {mtls.ErrForeign, refusal{401, "invalid_token", reason.Of(mtls.ErrForeign)}},
		"trouble":   {errors.New("out of order"), refusal{503, "", "certificate_unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newGuard(t, func(s *setup) {
				s.Certificates = func(*http.Request) (*mtls.Certificate, error) { return nil, test.err }
			})
			_, err := s.Check(owner(bound()))
			expect(t, err, test.want)
		})
	}
}

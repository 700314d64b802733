package mtls

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/senderlock/senderlock/internal/recent"
)

// Verification makes sources whose certificates are asked for more than possession by [Certificate.Verify]: that they
// lead to one of the given roots, are valid at the moment of the question and are meant for authenticating clients.
// The source itself refuses none for that, so that a certificate which a request does not need cannot fail it.
// crypto/tls checks a chain in the handshake and not again when a session is resumed; Verify checks whenever it is
// called, and the answer for a certificate is remembered in bounded memory as long as it can hold. To change the
// roots, make a new source.
//
// Revocation of certificates (CRL, OCSP) is not checked.
type Verification struct {
	// Roots holds the authorities that may issue the clients' certificates. Required. It is copied.
	Roots *x509.CertPool
	// Intermediates holds certificates that may lead to a root, beside those that come with the request. Nil
	// means none. It is copied.
	Intermediates *x509.CertPool
	// Now is the clock. Nil means [time.Now].
	Now func() time.Time
}

// FromTLS is [FromTLS] with verification. A certificate without extended key usage is meant for every purpose
// (RFC 5280 §4.2.1.12). It returns an error when there are no roots.
func (v Verification) FromTLS() (CertificateSource, error) {
	return v.verified(FromTLS)
}

// FromProxy is the function [FromProxy] with verification. The chain is what the proxy forwards, if there is room for
// one. It returns an error when there are no roots and where FromProxy does.
func (v Verification) FromProxy(p Proxy) (CertificateSource, error) {
	s, err := FromProxy(p)
	if err != nil {
		return nil, err
	}
	return v.verified(s)
}

func (v Verification) verified(source CertificateSource) (CertificateSource, error) {
	if v.Roots == nil || v.Roots.Equal(x509.NewCertPool()) {
		return nil, errors.New("mtls: Verification.Roots: give the authorities that issue the clients' certificates")
	}
	v.Roots = v.Roots.Clone()
	if v.Intermediates == nil {
		v.Intermediates = x509.NewCertPool()
	}
	v.Intermediates = v.Intermediates.Clone()
	if v.Now == nil {
		v.Now = time.Now
	}
	known := newVerdicts()
	verify := func(c *Certificate) error { return v.check(c, known) }
	return func(r *http.Request) (*Certificate, error) {
		cert, err := source(r)
		if cert != nil {
			cert.verify = verify
		}
		return cert, err
	}, nil
}

func (v *Verification) check(c *Certificate, known *verdicts) error {
	now, id := v.Now(), sha256.Sum256(c.DER)
	if found, ok := known.find(id, now); ok {
		return found.err
	}
	cert, err := c.X509()
	if err != nil {
		return err
	}
	if err := current(cert, now); err != nil {
		return err
	}
	found := v.build(cert, c.issuers, now)
	known.add(id, found)
	return found.err
}

func current(cert *x509.Certificate, now time.Time) error {
	if late := now.Sub(cert.NotAfter); late > 0 {
		return ErrExpired.Off(late)
	}
	if early := cert.NotBefore.Sub(now); early > 0 {
		return ErrNotYetValid.Off(early)
	}
	return nil
}

// maxRSABits is the limit that crypto/tls sets to the certificates of a peer. Through a proxy they come without
// one, and checking a signature of such a key is expensive.
const maxRSABits = 8192

func (v *Verification) build(
	cert *x509.Certificate, chain func() ([]*x509.Certificate, error), now time.Time,
) verdict {
	refuse := func(err error) verdict { return verdict{from: now, until: now.Add(refusalHolds), err: err} }
	issuers, err := chain()
	if err != nil {
		return refuse(err)
	}
	intermediates := v.Intermediates.Clone()
	for _, c := range issuers {
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
			return refuse(ErrUntrusted.With(fmt.Sprint("at most ", maxRSABits), fmt.Sprint(key.N.BitLen(), " bits")))
		}
		intermediates.AddCert(c)
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: v.Roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.IncompatibleUsage {
		return refuse(ErrUsage.Because(brief(err)))
	}
	if err != nil {
		return refuse(ErrUntrusted.Because(brief(err)))
	}
	return validity(chains)
}

// refusalHolds is how long a refusal is remembered. Building a chain from hostile certificates can take a hundred
// signature checks, and one connection carries many requests. The owner of a certificate alone can bring about
// its refusal, since the handshake proves possession of its key.
const refusalHolds = 10 * time.Second

// validity returns the time during which the chain that ends last is valid.
func validity(chains [][]*x509.Certificate) (longest verdict) {
	for _, chain := range chains {
		v := verdict{from: chain[0].NotBefore, until: chain[0].NotAfter}
		for _, c := range chain[1:] {
			if c.NotBefore.After(v.from) {
				v.from = c.NotBefore
			}
			if c.NotAfter.Before(v.until) {
				v.until = c.NotAfter
			}
		}
		if v.until.After(longest.until) {
			longest = v
		}
	}
	return longest
}

type fingerprint = [sha256.Size]byte

// verdict is the answer for one certificate, from one instant until another, both included.
type verdict struct {
	from, until time.Time
	err         error
}

// maxVerdicts bounds each of the two memories; full, each takes less than a megabyte.
const maxVerdicts = 4096

// verdicts remembers refusals apart from acceptances, so that hostile clients cannot push the others out.
type verdicts struct {
	mu                sync.Mutex
	accepted, refused *recent.Map[fingerprint, verdict]
}

func newVerdicts() *verdicts {
	return &verdicts{
		accepted: recent.New[fingerprint, verdict](maxVerdicts), refused: recent.New[fingerprint, verdict](maxVerdicts),
	}
}

func (s *verdicts) find(id fingerprint, now time.Time) (verdict, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range []*recent.Map[fingerprint, verdict]{s.accepted, s.refused} {
		if v, ok := m.Get(id); ok && !now.Before(v.from) && !now.After(v.until) {
			return v, true
		}
	}
	return verdict{}, false
}

func (s *verdicts) add(id fingerprint, v verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.err != nil {
		s.refused.Add(id, v)
	} else {
		s.accepted.Add(id, v)
	}
}

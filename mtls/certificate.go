package mtls

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"sync"
)

// Certificate is the end-entity certificate with which a client proved itself, as the octets that it presented. They
// are what a token is bound to; what they say is looked at on demand. One made by hand needs DER alone. A Certificate
// is safe for concurrent use. A nil one is none: it has no thumbprint, matches nothing and does not pass Verify.
type Certificate struct {
	// DER holds the octets. They must not be changed.
	DER []byte

	once    sync.Once
	parsed  *x509.Certificate
	err     error
	issuers func() ([]*x509.Certificate, error) // what may lead to a root, as far as it came along
	verify  func(*Certificate) error            // of a Verification
}

// Thumbprint returns the x5t#S256: the SHA-256 of the octets in base64url without padding (RFC 8705 §3.1). The whole
// certificate counts, so a renewed one has another thumbprint even if its key stayed the same (RFC 8705 §6.3). It is
// empty where there is no certificate.
//
// The octets need not be a certificate that [Certificate.X509] can parse: whoever ended the TLS connection accepted
// them, and found that the client has the key. Of one that came in a field, only that it is one DER sequence and
// nothing behind it has been checked.
func (c *Certificate) Thumbprint() string {
	if c == nil || len(c.DER) == 0 {
		return ""
	}
	sum := sha256.Sum256(c.DER)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Matches reports whether x5tS256, the x5t#S256 of a token, is the certificate's. They are compared as text, in
// constant time: of the spellings that decode to the same octets (padding, trailing bits that are not zero, as in the
// example of RFC 8705 §3.1) only the canonical one matches. No certificate matches nothing, and an empty x5tS256
// matches none.
func (c *Certificate) Matches(x5tS256 string) bool {
	own := c.Thumbprint()
	return own != "" && subtle.ConstantTimeCompare([]byte(own), []byte(x5tS256)) == 1
}

// X509 returns the certificate as crypto/x509 parses it, once. It returns [ErrCertificate] when it cannot be parsed;
// it is then good for a thumbprint and nothing else. The result must not be changed.
func (c *Certificate) X509() (*x509.Certificate, error) {
	if c == nil {
		return nil, ErrCertificate.With("a certificate", "")
	}
	c.once.Do(func() {
		if c.parsed == nil {
			c.parsed, c.err = parse(c.DER)
		}
	})
	return c.parsed, c.err
}

// Verify returns why the [Verification] of its source refuses the certificate at this moment: [ErrExpired],
// [ErrNotYetValid], [ErrUsage], [ErrUntrusted], [ErrCertificate], or a cause for which the chain that a proxy
// forwarded is not read. It returns nil where the source has no Verification: then possession alone counts.
func (c *Certificate) Verify() error {
	switch {
	case c == nil:
		return ErrCertificate.With("a certificate", "")
	case c.verify == nil:
		return nil
	}
	return c.verify(c)
}

func parse(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, ErrCertificate.Because(brief(err))
	}
	return cert, nil
}

// checkDER demands one DER sequence and nothing behind it, which any certificate is (RFC 5280 §4.1).
func checkDER(der []byte) error {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(der, &outer)
	switch {
	case err != nil:
		return ErrCertificate.Because(brief(err))
	case outer.Class != asn1.ClassUniversal || outer.Tag != asn1.TagSequence || !outer.IsCompound:
		return ErrCertificate.With("a DER sequence", "something else")
	case len(rest) > 0:
		return ErrCertificate.With("a DER sequence", "octets behind it")
	}
	return nil
}

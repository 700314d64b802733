package mtls

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
)

// Thumbprint returns the x5t#S256 of a certificate: the SHA-256 of its whole DER encoding in base64url without
// padding (RFC 8705 §3.1). The whole certificate counts, so a renewed one has another thumbprint even if its key
// stayed the same (RFC 8705 §6.3). The certificate must not be nil.
func Thumbprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Matches reports whether thumbprint, the x5t#S256 of a token, is that of the certificate. They are compared as
// text, in constant time: of the spellings that decode to the same octets (padding, trailing bits that are not
// zero, as in the example of RFC 8705 §3.1) only the canonical one matches. No certificate matches nothing.
func Matches(cert *x509.Certificate, thumbprint string) bool {
	if cert == nil || len(cert.Raw) == 0 {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(Thumbprint(cert)), []byte(thumbprint)) == 1
}

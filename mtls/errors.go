package mtls

import (
	"errors"
	"strings"

	"github.com/senderlock/senderlock/reason"
)

// The causes for which the field of a proxy is refused. The name in each is stable.
var (
	ErrForeign   = reason.New("certificate_field_foreign", "the certificate field came from no listed proxy")
	ErrMultiple  = reason.New("certificate_field_multiple", "the certificate field holds more than one certificate")
	ErrAlias     = reason.New("certificate_field_alias", "a field resembles the certificate field of the proxy")
	ErrTooLarge  = reason.New("certificate_field_too_large", "the certificate field is larger than the accepted size")
	ErrMalformed = reason.New("certificate_field_malformed", "the certificate field is not in the format of the proxy")
	ErrNoCert    = reason.New("certificate_not_forwarded", "the proxy describes a certificate without forwarding it")
	ErrHash      = reason.New("certificate_hash_mismatch", "the proxy's hash is not that of the certificate it forwards")
)

// ErrCertificate means that a certificate is not one: its DER cannot be parsed (RFC 8705 §7.5).
var ErrCertificate = reason.New("certificate_malformed", "the certificate cannot be parsed")

// The causes for which [Verification] refuses a certificate.
var (
	ErrExpired     = reason.New("certificate_expired", "the certificate has expired")
	ErrNotYetValid = reason.New("certificate_not_yet_valid", "the certificate is not valid yet")
	ErrUsage       = reason.New("certificate_usage", "the certificate is not for authenticating clients")
	ErrUntrusted   = reason.New("certificate_untrusted", "the certificate leads to none of the trusted roots")
)

// brief keeps the beginning of an error's text and nothing else of it: errors of crypto/x509 hold the certificate
// and quote names from it, both as large as a client likes, and refusals are remembered.
func brief(err error) error {
	const most = 200
	if text := err.Error(); len(text) > most {
		return errors.New(strings.ToValidUTF8(text[:most], "") + "…")
	}
	return errors.New(strings.Clone(err.Error()))
}

package mtls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// DefaultMaxSize is the size in octets up to which a certificate field is accepted when Proxy.MaxSize is zero.
const DefaultMaxSize = 16 << 10

// Format is how a proxy writes the client's certificate into a request field. The zero Format is RFC 9440.
type Format int

// The formats, each with the field it is read from unless Proxy.Field names another.
const (
	// RFC9440 is one structured-field byte sequence in Client-Cert (RFC 9440 §2.2). The chain comes in
	// Client-Cert-Chain (§2.3), which is read by Verification only; the client's certificate is never taken
	// from it.
	RFC9440 Format = iota
	// Envoy is the Cert of the X-Forwarded-Client-Cert element that Proxy.Elements determines.
	Envoy
	// EscapedPEM is one percent-encoded PEM block in X-SSL-Client-Cert: nginx's $ssl_client_escaped_cert.
	EscapedPEM
	// Base64DER is the base64 of the DER in X-SSL-Client-Cert: HAProxy's %[ssl_c_der,base64].
	Base64DER
	// Traefik is base64 of the DER in X-Forwarded-Tls-Client-Cert, percent-encoded by some versions; the
	// client's certificate may be followed by its chain, after commas.
	Traefik
	// ALBPassthrough is percent-encoded PEM in X-Amzn-Mtls-Clientcert; AWS ALB leaves + = and / as they are. The
	// client's certificate may be followed by its chain.
	ALBPassthrough
	// ALBVerify is one block of the same in X-Amzn-Mtls-Clientcert-Leaf, as AWS ALB sends it in verify mode.
	ALBVerify
)

// formats holds the default field of each format and what turns its value into DER, the client's certificate
// first. Without a certificate and without an error, the proxy says that the client presented none.
var formats = [...]struct {
	field  string
	decode func(p *Proxy, value string) ([][]byte, error)
}{
	RFC9440:        {"Client-Cert", decodeClientCert},
	Envoy:          {"X-Forwarded-Client-Cert", decodeXFCC},
	EscapedPEM:     {"X-SSL-Client-Cert", decodeOnePEM},
	Base64DER:      {"X-SSL-Client-Cert", decodeBase64DER},
	Traefik:        {"X-Forwarded-Tls-Client-Cert", decodeTraefik},
	ALBPassthrough: {"X-Amzn-Mtls-Clientcert", decodePEMChain},
	ALBVerify:      {"X-Amzn-Mtls-Clientcert-Leaf", decodeOnePEM},
}

// Proxy says which proxies end the clients' TLS connections and how they forward the certificate. The field is
// believed because of who sent the request, so the proxies must overwrite or remove whatever clients put there
// (RFC 9440 §2.4 and §4; the README of examples/mtls has the settings), and nothing in front of the source may change
// the request's RemoteAddr.
type Proxy struct {
	// Trusted holds the addresses from which the proxies connect to this server. Required. A range that holds
	// every address is refused, and so is an IPv4 range written as IPv6 (::ffff:10.0.0.0/104).
	Trusted []netip.Prefix
	// Format is how the proxies write the certificate. The zero value means RFC 9440.
	Format Format
	// Field is the name of the field. Empty means that of the format. For RFC 9440 the chain is then expected in
	// the field of that name with -Chain behind it.
	Field string
	// MaxSize is the size in octets up to which the field is accepted. Zero means 16384.
	MaxSize int
	// Elements is for Envoy alone: how many proxies one behind the other add an element each, of which the
	// outermost replaces the field (SANITIZE_SET) and the others append to it (APPEND_FORWARD). Zero means one. The
	// first element is the client's then; with fewer the client presented no certificate, with more the request
	// is refused, because somebody else added one.
	Elements int
	// DirectTLS also takes clients that connect past the proxies, with the certificate of their own TLS
	// connection. Otherwise a request from an address that is not in Trusted brings no certificate.
	DirectTLS bool
}

// FromProxy makes a [CertificateSource] that reads the field of a proxy. The field counts only if the direct peer
// of the connection, r.RemoteAddr, is in p.Trusted; the certificate of such a peer's own TLS connection is the
// proxy's and never the client's. A field without a value, which some proxies send, means no certificate.
//
// The source refuses a request with the field from any other peer ([ErrForeign]), with the field twice or with
// more certificates than the format has room for ([ErrMultiple]), with a field whose name differs only by case or
// by underscores ([ErrAlias]), and with a field that is too large ([ErrTooLarge]), not in the format ([ErrMalformed],
// [ErrNoCert], [ErrHash]) or not a certificate ([ErrCertificate]). FromProxy returns an error that names the
// setting when p is not usable.
func FromProxy(p Proxy) (CertificateSource, error) {
	s, err := newProxySource(p)
	if err != nil {
		return nil, err
	}
	return s.leaf, nil
}

func newProxySource(p Proxy) (source, error) {
	if err := p.complete(); err != nil {
		return nil, err
	}
	return p.present, nil
}

// complete fills in defaults and refuses what cannot be meant.
func (p *Proxy) complete() error {
	if p.Format < 0 || int(p.Format) >= len(formats) {
		return fmt.Errorf("mtls: Proxy.Format: %d is unknown; give one of the constants of type Format", p.Format)
	}
	if p.Field == "" {
		p.Field = formats[p.Format].field
	}
	if strings.Trim(p.Field, fieldCharacters) != "" {
		return fmt.Errorf("mtls: Proxy.Field: %q is not the name of a request field; give one such as X-SSL-Client-Cert", p.Field)
	}
	p.Field = http.CanonicalHeaderKey(p.Field)
	if p.MaxSize < 0 {
		return errors.New("mtls: Proxy.MaxSize: give a number of octets, or zero for the default")
	}
	if p.MaxSize == 0 {
		p.MaxSize = DefaultMaxSize
	}
	if p.Elements < 0 || p.Elements > 0 && p.Format != Envoy {
		return errors.New("mtls: Proxy.Elements: give the number of Envoys, and only for the format Envoy")
	}
	p.Elements = max(p.Elements, 1)
	p.Trusted = slices.Clone(p.Trusted)
	return checkTrusted(p.Trusted)
}

const fieldCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func checkTrusted(trusted []netip.Prefix) error {
	if len(trusted) == 0 {
		return errors.New("mtls: Proxy.Trusted: list the addresses of your proxies, such as 10.1.0.0/24")
	}
	for _, t := range trusted {
		if !t.IsValid() || t.Addr().Is4In6() {
			return fmt.Errorf("mtls: Proxy.Trusted: %v is not an address range such as 10.1.0.0/24 or fd00:1::/64", t)
		}
		if t.Bits() == 0 {
			return fmt.Errorf("mtls: Proxy.Trusted: %v holds every address; list those of your proxies", t)
		}
	}
	return nil
}

// present is the source: who sent the request is judged before what the field says.
func (p *Proxy) present(r *http.Request) (presented, error) {
	value, found, err := p.field(r.Header)
	if err != nil {
		return presented{}, err
	}
	if !p.trusts(r.RemoteAddr) {
		if found {
			return presented{}, ErrForeign.With(fmt.Sprint(p.Trusted), r.RemoteAddr)
		}
		if p.DirectTLS {
			return fromTLS(r)
		}
		return presented{}, nil
	}
	if value == "" {
		return presented{}, nil
	}
	if len(value) > p.MaxSize {
		return presented{}, ErrTooLarge.With(fmt.Sprintf("at most %d octets", p.MaxSize), fmt.Sprint(len(value)))
	}
	chain, err := formats[p.Format].decode(p, value)
	if err != nil || len(chain) == 0 {
		return presented{}, err
	}
	cert, err := parse(chain[0])
	if err != nil {
		return presented{}, err
	}
	return presented{cert, func() ([]*x509.Certificate, error) { return p.issuers(r, chain[1:]) }}, nil
}

// field returns the value of the one field. Proxies and frameworks that pass fields on as environment variables
// make no difference between - and _, so a client could write the proxy's field under an alias.
func (p *Proxy) field(h http.Header) (value string, found bool, err error) {
	for name, values := range h {
		switch {
		case name == p.Field && len(values) > 1:
			return "", true, ErrMultiple.With("one "+p.Field, fmt.Sprintf("%d fields", len(values)))
		case name == p.Field && len(values) == 1:
			value, found = values[0], true
		case name != p.Field && alias(name, p.Field):
			return "", true, ErrAlias.With(p.Field, name)
		}
	}
	return value, found, nil
}

func alias(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-"))
}

func (p *Proxy) trusts(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(p.Trusted, func(t netip.Prefix) bool { return t.Contains(addr) })
}

// issuers parses what the proxy forwarded beside the client's certificate.
func (p *Proxy) issuers(r *http.Request, chain [][]byte) (certs []*x509.Certificate, err error) {
	if p.Format == RFC9440 {
		if chain, err = decodeClientCertChain(r.Header[p.Field+"-Chain"], p.MaxSize); err != nil {
			return nil, err
		}
	}
	for _, der := range chain {
		cert, err := parse(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func parse(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, ErrCertificate.Because(brief(err))
	}
	return cert, nil
}

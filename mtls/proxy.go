package mtls

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/senderlock/senderlock/internal/peer"
)

// defaultMaxSize is the size in octets up to which a certificate field is accepted when Proxy.MaxSize is zero.
const defaultMaxSize = 16 << 10

// Format is how a proxy writes the client's certificate into a request field. The zero Format is RFC 9440.
type Format int

// The formats, each with the field it is read from unless Proxy.Field names another.
const (
	// RFC9440 is one structured-field byte sequence in Client-Cert (RFC 9440 §2.2). The chain comes in
	// Client-Cert-Chain (§2.3), in any number of lines; the client's certificate is never taken from it.
	RFC9440 Format = iota
	// Envoy is the Cert of the X-Forwarded-Client-Cert element that Proxy.Elements determines.
	Envoy
	// EscapedPEM is one PEM block in X-SSL-Client-Cert, percent-encoded as nginx's $ssl_client_escaped_cert, or with
	// spaces or tabs for its line breaks as Apache's %{SSL_CLIENT_CERT}s, nginx's $ssl_client_cert, and HAProxy's
	// %[ssl_c_der,base64] between the two lines of PEM. The chain can come as such blocks in Proxy.ChainField.
	EscapedPEM
	// Base64DER is the base64 of the DER in X-SSL-Client-Cert: HAProxy's %[ssl_c_der,base64]. The chain can come in
	// Proxy.ChainField, one right behind the other before base64: HAProxy's %[ssl_c_chain_der,base64].
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

// formats holds the default field of each format, what turns its lines into DER, the client's certificate first, and
// what reads the lines of a field for the chain, nil where there can be none. Without a certificate and without an
// error, the proxy says that the client presented none.
var formats = [...]struct {
	field         string
	decode, chain decoder
}{
	RFC9440:        {"Client-Cert", decodeClientCert, decodeClientCertChain},
	Envoy:          {"X-Forwarded-Client-Cert", decodeXFCC, nil},
	EscapedPEM:     {"X-SSL-Client-Cert", single(decodeOnePEM), single(decodePEMChain)},
	Base64DER:      {"X-SSL-Client-Cert", single(decodeBase64DER), single(decodeDERChain)},
	Traefik:        {"X-Forwarded-Tls-Client-Cert", single(decodeTraefik), nil},
	ALBPassthrough: {"X-Amzn-Mtls-Clientcert", single(decodePEMChain), nil},
	ALBVerify:      {"X-Amzn-Mtls-Clientcert-Leaf", single(decodeOnePEM), nil},
}

// decoder reads the lines of a field, of which there is one at least.
type decoder func(p *Proxy, lines []string) ([][]byte, error)

// single is a decoder of a field that has one line.
func single(decode func(string) ([][]byte, error)) decoder {
	return func(_ *Proxy, lines []string) ([][]byte, error) {
		if len(lines) > 1 {
			return nil, ErrMultiple.With("one line", fmt.Sprint(len(lines)))
		}
		return decode(lines[0])
	}
}

// Peers are the proxies whose fields are believed, by the addresses that they connect from or as those who can reach a
// Unix socket. It is the type of every such setting in this module.
type Peers = peer.Peers

// Proxy says which proxies end the clients' TLS connections and how they forward the certificate. The field is
// believed because of who sent the request, so the proxies must overwrite or remove whatever clients put there
// (RFC 9440 §2.4 and §4; the README of examples/mtls has the settings), and nothing in front of the source may change
// the request's RemoteAddr.
type Proxy struct {
	// Trusted are the proxies. Required.
	Trusted Peers
	// Format is how the proxies write the certificate. The zero value means RFC 9440.
	Format Format
	// Field is the name of the field. Empty means that of the format.
	Field string
	// ChainField is the name of the field with the certificates which may lead from the client's to a root, for the
	// formats RFC9440, EscapedPEM and Base64DER. Empty means, for RFC9440, the name in Field with -Chain behind it,
	// and otherwise none. It is read by Certificate.Verify alone. A client that writes it gains nothing that its TLS
	// handshake would not give: each certificate of a chain must be signed on the way to a root.
	ChainField string
	// MaxSize is the size in octets up to which each of the fields is accepted. Zero means 16384.
	MaxSize int
	// Elements is for Envoy alone: how many proxies one behind the other add an element each, of which the
	// outermost replaces the field (SANITIZE_SET) and the others append to it (APPEND_FORWARD), in the same line or
	// in one of their own. Zero means one. The first element is the client's then; with fewer the client presented
	// no certificate, with more the request is refused, because somebody else added one.
	Elements int
	// DirectTLS also takes clients that connect past the proxies, with the certificate of their own TLS
	// connection. Otherwise a request from a peer that is not in Trusted brings no certificate.
	DirectTLS bool
}

// FromProxy makes a [CertificateSource] that reads the field of a proxy. The field counts only if the direct peer
// of the connection is in p.Trusted; the certificate of such a peer's own TLS connection is the proxy's and never the
// client's. A field without a value or with one of the words that proxies write for none ("(null)", "null", "none",
// "-", in any case) means no certificate.
//
// The source refuses a request with the field from any other peer ([ErrForeign]), with the field twice or with
// more certificates than the format has room for ([ErrMultiple]), with a field whose name differs only by case or
// by underscores ([ErrAlias]), and with a field that is too large ([ErrTooLarge]), not in the format ([ErrMalformed],
// [ErrNoCert], [ErrHash]) or not one DER sequence ([ErrCertificate]). FromProxy returns an error that names the
// setting when p is not usable.
func FromProxy(p Proxy) (CertificateSource, error) {
	if err := p.complete(); err != nil {
		return nil, err
	}
	peers, err := p.Trusted.Checker()
	if err != nil {
		return nil, fmt.Errorf("mtls: Proxy.Trusted%w", err)
	}
	listed := fmt.Sprintf("%+v", p.Trusted)
	return func(r *http.Request) (*Certificate, error) {
		lines, err := p.lines(r.Header)
		switch {
		case err != nil:
			return nil, err
		case peers.Believes(r):
			return p.read(lines, r.Header[p.ChainField])
		case len(lines) > 0:
			return nil, ErrForeign.With(listed, r.RemoteAddr)
		case p.DirectTLS:
			return FromTLS(r)
		}
		return nil, nil
	}, nil
}

// complete fills in defaults and refuses what cannot be meant.
func (p *Proxy) complete() error {
	if p.Format < 0 || int(p.Format) >= len(formats) {
		return fmt.Errorf("mtls: Proxy.Format: %d is unknown; give one of the constants of type Format", p.Format)
	}
	if err := p.nameFields(); err != nil {
		return err
	}
	if p.MaxSize < 0 {
		return errors.New("mtls: Proxy.MaxSize: give a number of octets, or zero for the default")
	}
	p.MaxSize = cmp.Or(p.MaxSize, defaultMaxSize)
	if p.Elements < 0 || p.Elements > 0 && p.Format != Envoy {
		return errors.New("mtls: Proxy.Elements: give the number of Envoys, and only for the format Envoy")
	}
	p.Elements = max(p.Elements, 1)
	if p.Trusted.IsZero() {
		return errors.New("mtls: Proxy.Trusted: list the addresses of your proxies, such as 10.1.0.0/24, or set UnixListener")
	}
	return nil
}

// nameFields settles which fields are read.
func (p *Proxy) nameFields() error {
	format := formats[p.Format]
	p.Field = cmp.Or(p.Field, format.field)
	switch {
	case strings.Trim(p.Field, fieldCharacters) != "":
		return fmt.Errorf("mtls: Proxy.Field: %q is not the name of a request field; give one such as X-SSL-Cert", p.Field)
	case p.ChainField == "" && p.Format == RFC9440:
		p.ChainField = p.Field + "-Chain"
	case strings.Trim(p.ChainField, fieldCharacters) != "":
		return fmt.Errorf("mtls: Proxy.ChainField: %q is no name of a field; give one such as X-SSL-Chain", p.ChainField)
	case p.ChainField != "" && format.chain == nil:
		return errors.New("mtls: Proxy.ChainField: leave it empty; with this Format no chain comes in a field of its own")
	case alias(p.ChainField, p.Field):
		return errors.New("mtls: Proxy.ChainField: give another field than that of the certificate")
	}
	p.Field, p.ChainField = http.CanonicalHeaderKey(p.Field), http.CanonicalHeaderKey(p.ChainField)
	return nil
}

const fieldCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// lines returns the lines of the field: one, or for Envoys in a row up to one from each. Proxies and frameworks that
// pass fields on as environment variables make no difference between - and _, so a client could write the proxy's
// field under an alias.
func (p *Proxy) lines(h http.Header) (lines []string, err error) {
	for name, values := range h {
		switch {
		case name == p.Field && len(values) > p.Elements:
			return nil, ErrMultiple.With(fmt.Sprintf("lines of %s: %d", p.Field, p.Elements), fmt.Sprint(len(values)))
		case name == p.Field:
			lines = values
		case alias(name, p.Field):
			return nil, ErrAlias.With(p.Field, name)
		}
	}
	return lines, nil
}

func alias(a, b string) bool {
	return len(a) == len(b) && strings.EqualFold(strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-"))
}

// read takes the certificate from the lines of a proxy.
func (p *Proxy) read(lines, chain []string) (*Certificate, error) {
	if none(lines) {
		return nil, nil
	}
	if err := p.fits(lines); err != nil {
		return nil, err
	}
	ders, err := formats[p.Format].decode(p, lines)
	if err != nil || len(ders) == 0 {
		return nil, err
	}
	if err := checkDER(ders[0]); err != nil {
		return nil, err
	}
	issuers := func() ([]*x509.Certificate, error) { return p.issuers(ders[1:], chain) }
	return &Certificate{DER: ders[0], issuers: issuers}, nil
}

// none reports whether a proxy says that there is nothing. None of the words is a certificate in any format. Apache's
// mod_headers writes (null) for a variable that is not set, Envoy's formatter -, templates and scripts the others.
func none(lines []string) bool {
	if len(lines) != 1 {
		return len(lines) == 0
	}
	switch strings.ToLower(lines[0]) {
	case "", "(null)", "null", "none", "-":
		return true
	}
	return false
}

// fits bounds the work that reading the lines of a field takes.
func (p *Proxy) fits(lines []string) error {
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	if size > p.MaxSize {
		return ErrTooLarge.With(fmt.Sprintf("at most %d octets", p.MaxSize), fmt.Sprint(size))
	}
	return nil
}

// issuers parses what the proxy forwarded beside the client's certificate, in the field itself or in that of the
// chain.
func (p *Proxy) issuers(ders [][]byte, lines []string) (certs []*x509.Certificate, err error) {
	if !none(lines) {
		if err := p.fits(lines); err != nil {
			return nil, err
		}
		if ders, err = formats[p.Format].chain(p, lines); err != nil {
			return nil, err
		}
	}
	for _, der := range ders {
		cert, err := parse(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

package mtls_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

// RS-085, RS-097: what each proxy sends gives the client's certificate.
func TestFormatsAsTheProxiesSendThem(t *testing.T) {
	ca := poptest.NewCA(t)
	cert, issuer := ca.Issue(t, "client").Leaf, ca.Certificate
	for bytes.IndexByte([]byte(base64DER(cert.Raw)), '+') < 0 { // a plus sign must survive
		cert = ca.Issue(t, "client").Leaf
	}
	der, up := cert.Raw, issuer.Raw
	cases := []struct {
		name   string
		format mtls.Format
		value  string
	}{
		{"RFC 9440", mtls.RFC9440, byteSequence(der)},
		{"RFC 9440, spaces around", mtls.RFC9440, "  " + byteSequence(der) + " "},
		{"Envoy", mtls.Envoy, xfcc("spiffe://example.com/client?a=b", der)},
		{"Envoy with chain", mtls.Envoy, xfcc("spiffe://example.com/client", der, up)},
		{"Envoy, empty URI", mtls.Envoy, xfcc("", der)},
		{"Envoy, certificate alone, not quoted", mtls.Envoy, "Cert=" + envoyPEM(der)},
		{"Envoy, keys in other case", mtls.Envoy,
			strings.NewReplacer("Cert=", "cERT=", "Hash=", "HASH=").Replace(xfcc("", der))},
		{"Envoy, hash in upper case", mtls.Envoy, fmt.Sprintf(`Hash=%X;Cert="%s"`, sum(der), envoyPEM(der))},
		{"Envoy, subject that ends in a backslash", mtls.Envoy, fmt.Sprintf(`Subject="CN=x\\";Cert="%s"`, envoyPEM(der))},
		{"Envoy, certificate within a subject", mtls.Envoy,
			fmt.Sprintf(`Cert="%s";Subject="O=\";Cert=%s,By=x"`, envoyPEM(der), envoyPEM(up))},
		{"nginx", mtls.EscapedPEM, nginx(der)},
		{"nginx, lines end with CR LF", mtls.EscapedPEM, percent(strings.ReplaceAll(pemText(der), "\n", "\r\n"), "")},
		{"nginx, no line break at the end", mtls.EscapedPEM, percent(strings.TrimSpace(pemText(der)), "")},
		// mod_headers writes a space for every line break of a variable (httpd, mod_headers.c, unwrap_header).
		{"Apache, spaces for line breaks", mtls.EscapedPEM, strings.ReplaceAll(pemText(der), "\n", " ")},
		// A tab at the front of every line but the first: ngx_http_ssl_module, $ssl_client_cert.
		{"nginx, tabs for line breaks", mtls.EscapedPEM, strings.ReplaceAll(strings.TrimSpace(pemText(der)), "\n", "\t")},
		{"nginx, escaped tabs behind line breaks", mtls.EscapedPEM,
			percent(strings.ReplaceAll(strings.TrimSpace(pemText(der)), "\n", "\n\t"), "")},
		// The setting for HAProxy in the documentation of Apereo CAS, for Tomcat's SSLValve.
		{"HAProxy, PEM of one line", mtls.EscapedPEM, onePEMLine(der)},
		{"HAProxy", mtls.Base64DER, base64DER(der)},
		{"Traefik", mtls.Traefik, traefik(der)},
		{"Traefik with chain", mtls.Traefik, traefik(der, up)},
		{"Traefik, escaped", mtls.Traefik, escapedTraefik(der)},
		{"Traefik, escaped with chain", mtls.Traefik, escapedTraefik(der, up)},
		{"ALB passthrough", mtls.ALBPassthrough, alb(der)},
		{"ALB passthrough with chain", mtls.ALBPassthrough, alb(der, up)},
		{"ALB verify", mtls.ALBVerify, alb(der)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := fromProxy(t, mtls.Proxy{Format: c.format})(request(proxyAddr, encoders[c.format].field, c.value))
			wants(t, got, err, cert, nil)
		})
	}
}

// onePEMLine is PEM as HAProxy makes it of %[ssl_c_der,base64], which breaks no lines.
func onePEMLine(der []byte) string {
	return "-----BEGIN CERTIFICATE----- " + base64DER(der) + " -----END CERTIFICATE----- "
}

// nginx folds the field that it makes of $ssl_client_cert over many lines, each with a tab at its front; net/http
// makes one of them (RFC 9112 §5.2).
func TestFoldedField(t *testing.T) {
	der := poptest.SelfSigned(t, "client").Leaf.Raw
	folded := strings.ReplaceAll(strings.TrimSpace(pemText(der)), "\n", "\r\n\t")
	for _, c := range []struct{ name, value, want string }{
		{"folded", folded, stdSum(der)},
		{"not folded", strings.ReplaceAll(folded, "\t", ""), "400 Bad Request"}, // each line is a field without a name
		{"folded, another block behind", folded + "\r\n\t" + folded, "certificate_field_multiple"},
		{"folded, a line cut", strings.Replace(folded, "\r\n\tM", "\r\n\t", 1), "certificate_field_malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			local := trusted("127.0.0.1")
			address := plainServer(t, "tcp", fromProxy(t, mtls.Proxy{Trusted: local, Format: mtls.EscapedPEM}))
			if got := answer(t, "tcp", address, "X-SSL-Client-Cert: "+c.value); got != c.want {
				t.Errorf("answer = %q, want %q", got, c.want)
			}
		})
	}
}

// Whoever connects to the Unix socket of the server is believed by UnixListener alone, and nobody else is.
func TestUnixListener(t *testing.T) {
	der := poptest.SelfSigned(t, "client").Leaf.Raw
	field := "Client-Cert: " + byteSequence(der)
	socket, everywhere := mtls.Peers{UnixListener: true}, proxies
	everywhere.UnixListener = true
	for _, c := range []struct {
		name, network string
		peers         mtls.Peers
		fields, want  string
	}{
		{"socket, listed", "unix", socket, field, stdSum(der)},
		{"socket, listed beside addresses", "unix", everywhere, field, stdSum(der)},
		{"socket, listed, no field", "unix", socket, "Accept: */*", "none"},
		{"socket, listed, twice", "unix", socket, field + "\r\n" + field, "certificate_field_multiple"},
		{"socket, addresses listed", "unix", proxies, field, "certificate_field_foreign"},
		{"socket, addresses listed, no field", "unix", proxies, "Accept: */*", "none"},
		{"address, socket listed", "tcp", socket, field, "certificate_field_foreign"},
	} {
		t.Run(c.name, func(t *testing.T) {
			address := plainServer(t, c.network, fromProxy(t, mtls.Proxy{Trusted: c.peers}))
			if got := answer(t, c.network, address, c.fields); got != c.want {
				t.Errorf("answer = %q, want %q", got, c.want)
			}
		})
	}
}

// RS-095, RS-097 and the other grammars: what is not exactly the format refuses the request.
func TestMalformedFields(t *testing.T) {
	ca := poptest.NewCA(t)
	der, other := ca.Issue(t, "client").Leaf.Raw, ca.Issue(t, "other").Leaf.Raw
	b64, pemURL, cert := base64DER(der), envoyPEM(der), `Cert="`+envoyPEM(der)+`"`
	broken := bytes.Clone(der)
	broken[0] = 0x31 // a set where a sequence must be
	long := append(bytes.Clone(der), 0)
	plusDER := parsePEM(t, poptest.Vectors().RFC8705.AppendixA.CertificatePEM).Raw
	if !strings.Contains(base64DER(plusDER), "+") {
		t.Fatal("the certificate of RFC 8705 has no plus sign in base64")
	}
	label := percent(strings.ReplaceAll(pemText(der), "CERTIFICATE", "PRIVATE KEY"), "")
	cases := []struct {
		name   string
		format mtls.Format
		value  string
		cause  error
	}{
		{"RS-097 no colons", mtls.RFC9440, b64, mtls.ErrMalformed},
		{"RS-097 one colon", mtls.RFC9440, ":" + b64, mtls.ErrMalformed},
		{"RS-097 parameters", mtls.RFC9440, byteSequence(der) + ";a=1", mtls.ErrMalformed},
		{"RS-097 flag parameter", mtls.RFC9440, byteSequence(der) + ";a", mtls.ErrMalformed},
		{"RS-097 list", mtls.RFC9440, byteSequence(der) + ", " + byteSequence(other), mtls.ErrMalformed},
		{"RS-097 inner list", mtls.RFC9440, "(" + byteSequence(der) + ")", mtls.ErrMalformed},
		{"RS-097 dictionary", mtls.RFC9440, "cert=" + byteSequence(der), mtls.ErrMalformed},
		{"RS-097 string", mtls.RFC9440, `"` + b64 + `"`, mtls.ErrMalformed},
		{"RS-097 bad base64", mtls.RFC9440, ":" + b64[:len(b64)-5] + "!" + b64[len(b64)-4:] + ":", mtls.ErrMalformed},
		{"RS-097 base64url", mtls.RFC9440, ":MII-_w==:", mtls.ErrMalformed},
		{"RS-097 PEM", mtls.RFC9440, ":" + nginx(der) + ":", mtls.ErrMalformed},
		{"RS-097 empty byte sequence", mtls.RFC9440, "::", mtls.ErrCertificate},
		{"RS-095 no DER", mtls.RFC9440, ":AAAA:", mtls.ErrCertificate},
		{"RS-095 broken DER", mtls.RFC9440, byteSequence(broken), mtls.ErrCertificate},
		{"RS-095 empty sequence with an octet behind", mtls.RFC9440, byteSequence([]byte{0x30, 0, 0}), mtls.ErrCertificate},
		{"RS-095 sequence of another class", mtls.RFC9440, byteSequence([]byte{0xb0, 0}), mtls.ErrCertificate},
		{"RS-095 sequence that is primitive", mtls.RFC9440, byteSequence([]byte{0x10, 0}), mtls.ErrCertificate},
		{"RS-095 BER of indefinite length", mtls.RFC9440, byteSequence([]byte{0x30, 0x80, 0, 0}), mtls.ErrCertificate},
		{"RS-095 BER with a length too long", mtls.RFC9440, byteSequence([]byte{0x30, 0x81, 1, 0}), mtls.ErrCertificate},
		{"RS-095 cut DER", mtls.RFC9440, byteSequence(der[:len(der)-3]), mtls.ErrCertificate},
		{"RS-095 octet behind the DER", mtls.RFC9440, byteSequence(long), mtls.ErrCertificate},

		{"Envoy, hash alone", mtls.Envoy, fmt.Sprintf("By=spiffe://x;Hash=%x;URI=", sum(der)), mtls.ErrNoCert},
		{"Envoy, chain alone", mtls.Envoy, `Chain="` + pemURL + `"`, mtls.ErrNoCert},
		{"Envoy, empty certificate", mtls.Envoy, `Cert="";By=x`, mtls.ErrNoCert},
		{"Envoy, two elements", mtls.Envoy, xfcc("", der) + "," + xfcc("", other), mtls.ErrMultiple},
		{"Envoy, elements with spaces", mtls.Envoy, xfcc("", der) + ", " + xfcc("", other), mtls.ErrMultiple},
		{"Envoy, two elements by a URI of the client", mtls.Envoy, xfcc("x,Cert="+envoyPEM(other), der), mtls.ErrMultiple},
		{"Envoy, two certificates by a URI of the client", mtls.Envoy, xfcc("x;Cert="+envoyPEM(other), der), mtls.ErrMultiple},
		{"Envoy, certificate by a URI, none of Envoy's own", mtls.Envoy,
			fmt.Sprintf("Hash=%x;URI=x;Cert=%s", sum(der), envoyPEM(other)), mtls.ErrHash},
		{"Envoy, hash by a URI", mtls.Envoy,
			fmt.Sprintf("Hash=%x;URI=x;Cert=%s;hash=%x", sum(der), envoyPEM(other), sum(other)), mtls.ErrMultiple},
		{"Envoy, empty certificate before another", mtls.Envoy, `Cert="";` + cert, mtls.ErrMultiple},
		{"Envoy, empty hash", mtls.Envoy, "Hash=;" + cert, mtls.ErrHash},
		{"Envoy, two certificates in one value", mtls.Envoy, `Cert="` + envoyPEM(der, other) + `"`, mtls.ErrMultiple},
		{"Envoy, no key", mtls.Envoy, pemURL, mtls.ErrMalformed},
		{"Envoy, key with a space", mtls.Envoy, "Cert =" + pemURL, mtls.ErrMalformed},
		{"Envoy, empty key", mtls.Envoy, "=x;" + cert, mtls.ErrMalformed},
		{"Envoy, a backslash at the end", mtls.Envoy, cert + `;Subject="x\`, mtls.ErrMalformed},
		{"Envoy, empty pair", mtls.Envoy, "By=x;;" + cert, mtls.ErrMalformed},
		{"Envoy, semicolon at the end", mtls.Envoy, cert + ";", mtls.ErrMalformed},
		{"Envoy, comma at the end", mtls.Envoy, cert + ",", mtls.ErrMalformed},
		{"Envoy, comma at the front", mtls.Envoy, "," + cert, mtls.ErrMalformed},
		{"Envoy, open quote", mtls.Envoy, strings.TrimSuffix(cert, `"`), mtls.ErrMalformed},
		{"Envoy, quote escaped at the end", mtls.Envoy, cert + `;Subject="x\"`, mtls.ErrMalformed},
		{"Envoy, text behind a quoted value", mtls.Envoy, cert + "x", mtls.ErrMalformed},
		{"Envoy, no separator behind a quoted value", mtls.Envoy, `By="a"x` + cert, mtls.ErrMalformed},
		{"Envoy, space for a separator", mtls.Envoy, `By="a" ` + cert, mtls.ErrMalformed},
		{"Envoy, quote for a separator", mtls.Envoy, `By=a"` + cert, mtls.ErrMalformed},
		{"Envoy, quote within a value", mtls.Envoy, `By=a"b;` + cert, mtls.ErrMalformed},
		{"Envoy, bad chain", mtls.Envoy, cert + ";Chain=x", mtls.ErrMalformed},

		{"PEM, two blocks", mtls.EscapedPEM, nginx(der, other), mtls.ErrMultiple},
		{"PEM, the same block twice", mtls.EscapedPEM, nginx(der, der), mtls.ErrMultiple},
		{"PEM, list", mtls.EscapedPEM, nginx(der) + "," + nginx(other), mtls.ErrMalformed},
		{"PEM, text before", mtls.EscapedPEM, "x%0A" + nginx(der), mtls.ErrMalformed},
		{"PEM, line break before", mtls.EscapedPEM, "%0A" + nginx(der), mtls.ErrMalformed},
		{"PEM, text behind", mtls.EscapedPEM, nginx(der) + "x", mtls.ErrMalformed},
		{"PEM, broken block before", mtls.EscapedPEM,
			percent("-----BEGIN CERTIFICATE-----\n!\n"+pemText(der), ""), mtls.ErrMalformed},
		{"PEM, block within a block", mtls.EscapedPEM,
			percent("-----BEGIN CERTIFICATE-----\n"+pemText(der)+"-----END CERTIFICATE-----\n", ""), mtls.ErrMalformed},
		{"PEM, headers", mtls.EscapedPEM,
			percent(strings.Replace(pemText(der), "-----\n", "-----\nProc-Type: 4,ENCRYPTED\n\n", 1), ""), mtls.ErrMalformed},
		{"PEM, spaces for line breaks and between two blocks", mtls.EscapedPEM,
			strings.ReplaceAll(pemText(der, other), "\n", " "), mtls.ErrMultiple},
		{"PEM, one line, two blocks", mtls.EscapedPEM, onePEMLine(der) + onePEMLine(other), mtls.ErrMultiple},
		{"PEM, one line, list", mtls.EscapedPEM, onePEMLine(der) + "," + onePEMLine(other), mtls.ErrMalformed},
		{"PEM, one line, text behind", mtls.EscapedPEM, onePEMLine(der) + "x", mtls.ErrMalformed},
		{"PEM, one line, two certificates in a block", mtls.EscapedPEM,
			onePEMLine(append(bytes.Clone(der), other...)), mtls.ErrCertificate},
		{"PEM, spaces, a plus sign became one", mtls.EscapedPEM,
			strings.NewReplacer("\n", " ", "+", " ").Replace(pemText(plusDER)), mtls.ErrMalformed},
		{"PEM, one line, a plus sign became a space", mtls.EscapedPEM,
			strings.ReplaceAll(onePEMLine(plusDER), "+", " "), mtls.ErrMalformed},
		{"PEM, four plus signs became spaces, length right", mtls.EscapedPEM,
			"-----BEGIN CERTIFICATE----- AA A AA AAA AAAA -----END CERTIFICATE-----", mtls.ErrMalformed},
		{"PEM, spaces, one more within a line", mtls.EscapedPEM,
			strings.ReplaceAll(pemText(der)[:120]+"\n"+pemText(der)[120:], "\n", " "), mtls.ErrMalformed},
		{"PEM, last line longer", mtls.EscapedPEM,
			"-----BEGIN CERTIFICATE----- AAAA AAAAAAAA -----END CERTIFICATE-----", mtls.ErrMalformed},
		{"PEM, other white space", mtls.EscapedPEM, strings.ReplaceAll(pemText(der), "\n", "\v"), mtls.ErrMalformed},
		{"PEM, white space of Unicode", mtls.EscapedPEM, strings.ReplaceAll(pemText(der), "\n", "\u00a0"), mtls.ErrMalformed},
		{"PEM, escaped zero-width space", mtls.EscapedPEM,
			strings.Replace(nginx(der), "%0A", "%E2%80%8B%0A", 1), mtls.ErrMalformed},
		{"PEM, tab within the label", mtls.EscapedPEM, strings.ReplaceAll(pemText(der), " ", "\t"), mtls.ErrMalformed},
		{"PEM, another label", mtls.EscapedPEM, label, mtls.ErrMalformed},
		{"PEM, no begin", mtls.EscapedPEM, strings.TrimPrefix(nginx(der), "-----BEGIN%20CERTIFICATE-----%0A"), mtls.ErrMalformed},
		{"PEM, no end", mtls.EscapedPEM, strings.TrimSuffix(nginx(der), "-----END%20CERTIFICATE-----%0A"), mtls.ErrMalformed},
		{"PEM, not escaped, plus for space", mtls.EscapedPEM, strings.ReplaceAll(nginx(der), "%20", "+"), mtls.ErrMalformed},
		{"PEM, escaped twice", mtls.EscapedPEM, percent(nginx(der), ""), mtls.ErrMalformed},
		{"PEM, bad escape", mtls.EscapedPEM, nginx(der) + "%zz", mtls.ErrMalformed},
		{"PEM, cut escape", mtls.EscapedPEM, nginx(der) + "%0", mtls.ErrMalformed},
		{"PEM, null octet", mtls.EscapedPEM, nginx(der) + "%00", mtls.ErrMalformed},
		{"PEM, empty block", mtls.EscapedPEM,
			percent("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", ""), mtls.ErrCertificate},
		{"RS-095 PEM, broken DER", mtls.EscapedPEM, nginx(broken), mtls.ErrCertificate},

		{"HAProxy, list", mtls.Base64DER, traefik(der, other), mtls.ErrMultiple},
		{"HAProxy, no padding", mtls.Base64DER, "AAA", mtls.ErrMalformed},
		{"HAProxy, trailing bits", mtls.Base64DER, "AAB=", mtls.ErrMalformed},
		{"HAProxy, base64url", mtls.Base64DER, "MI-_", mtls.ErrMalformed},
		{"HAProxy, two values joined", mtls.Base64DER, base64DER(append(bytes.Clone(der), other...)), mtls.ErrCertificate},
		{"HAProxy, PEM", mtls.Base64DER, nginx(der), mtls.ErrMalformed},

		{"Traefik, delimiters", mtls.Traefik, nginx(der), mtls.ErrMalformed},
		{"Traefik, empty in the list", mtls.Traefik, "," + traefik(der), mtls.ErrCertificate},
		{"Traefik, spaces in the list", mtls.Traefik, traefik(der) + ", " + traefik(other), mtls.ErrMalformed},
		{"Traefik, bad escape", mtls.Traefik, traefik(der) + "%", mtls.ErrMalformed},
		{"Traefik, broken behind", mtls.Traefik, traefik(der) + ",!", mtls.ErrMalformed},

		{"ALB verify with chain", mtls.ALBVerify, alb(der, other), mtls.ErrMultiple},
		{"ALB, text between", mtls.ALBPassthrough, alb(der) + "x" + alb(other), mtls.ErrMalformed},
		{"ALB, list", mtls.ALBPassthrough, alb(der) + "," + alb(other), mtls.ErrMalformed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := fromProxy(t, mtls.Proxy{Format: c.format})(request(proxyAddr, encoders[c.format].field, c.value))
			wants(t, got, err, nil, c.cause)
		})
	}
}

// What a proxy writes for none is none, alone and from a proxy. (null) is what mod_headers writes for a variable that
// is not set (httpd, mod_headers.c, header_request_ssl_var), - what Envoy's formatter writes (access log, "-").
func TestWordsForNone(t *testing.T) {
	cert := poptest.SelfSigned(t, "client").Leaf
	for format, e := range encoders {
		source, value := fromProxy(t, mtls.Proxy{Format: format}), e.encode(cert.Raw)
		for _, word := range []string{"(null)", "(NULL)", "null", "NULL", "Null", "none", "None", "-"} {
			got, err := source(request(proxyAddr, e.field, word))
			wants(t, got, err, nil, nil)
			got, err = source(request(strangerAddr, e.field, word))
			wants(t, got, err, nil, mtls.ErrForeign)
			got, err = source(request(proxyAddr, e.field, word, e.field, value))
			wants(t, got, err, nil, mtls.ErrMultiple)
			got, err = source(request(proxyAddr, strings.ReplaceAll(e.field, "-", "_"), word))
			wants(t, got, err, nil, mtls.ErrAlias)
		}
		for _, near := range []string{
			"(null", "null)", "(nil)", "nil", "()", "--", `""`, "0", "(null) (null)", "(null)x", "(null)," + value,
		} {
			cause := mtls.ErrMalformed
			if format == mtls.Base64DER && strings.Contains(near, ",") {
				cause = mtls.ErrMultiple
			}
			got, err := source(request(proxyAddr, e.field, near))
			wants(t, got, err, nil, cause)
		}
	}
}

// RS-092, RS-098: every format counts from a listed peer alone, once, under its own name, up to the size.
func TestFieldIsTheProxysAlone(t *testing.T) {
	ca := poptest.NewCA(t)
	cert := ca.Issue(t, "client").Leaf
	for format, e := range encoders {
		value := e.encode(cert.Raw)
		upper, under := strings.ToUpper(e.field), strings.ReplaceAll(e.field, "-", "_")
		cases := []struct {
			name   string
			peer   string
			fields []string
			cert   *x509.Certificate
			cause  error
		}{
			{"from the proxy", proxyAddr, []string{e.field, value}, cert, nil},
			{"from the proxy by IPv6", "[fd00:1::9]:4711", []string{e.field, value}, cert, nil},
			{"from the proxy by IPv4 in IPv6", "[::ffff:10.1.0.7]:4711", []string{e.field, value}, cert, nil},
			{"from the proxy without the field", proxyAddr, nil, nil, nil},
			{"from the proxy with an empty field", proxyAddr, []string{e.field, ""}, nil, nil},
			{"from a stranger without the field", strangerAddr, nil, nil, nil},
			{"from a stranger", strangerAddr, []string{e.field, value}, nil, mtls.ErrForeign},
			{"from a stranger, empty", strangerAddr, []string{e.field, ""}, nil, mtls.ErrForeign},
			{"from a stranger, malformed", strangerAddr, []string{e.field, "!"}, nil, mtls.ErrForeign},
			{"from next to the range", "10.1.1.7:4711", []string{e.field, value}, nil, mtls.ErrForeign},
			{"from a Unix socket", "@", []string{e.field, value}, nil, mtls.ErrForeign},
			{"from an address without port", "10.1.0.7", []string{e.field, value}, nil, mtls.ErrForeign},
			{"from nowhere", "", []string{e.field, value}, nil, mtls.ErrForeign},
			{"proxy claimed in X-Forwarded-For", strangerAddr,
				[]string{e.field, value, "X-Forwarded-For", "10.1.0.7", "X-Real-Ip", "10.1.0.7"}, nil, mtls.ErrForeign},
			{"twice", proxyAddr, []string{e.field, value, e.field, value}, nil, mtls.ErrMultiple},
			{"twice, the first empty", proxyAddr, []string{e.field, "", e.field, value}, nil, mtls.ErrMultiple},
			{"underscores beside it", proxyAddr, []string{e.field, value, under, value}, nil, mtls.ErrAlias},
			{"underscores alone", proxyAddr, []string{under, value}, nil, mtls.ErrAlias},
			{"one underscore", proxyAddr, []string{strings.Replace(e.field, "-", "_", 1), value}, nil, mtls.ErrAlias},
			{"underscores in lower case", proxyAddr, []string{strings.ToLower(under), value}, nil, mtls.ErrAlias},
			{"other case", proxyAddr, []string{upper, value}, nil, mtls.ErrAlias},
			{"underscores from a stranger", strangerAddr, []string{under, value}, nil, mtls.ErrAlias},
			{"field with a longer name", proxyAddr, []string{e.field + "-Info", "x"}, nil, nil},
			{"too large", proxyAddr, []string{e.field, value + strings.Repeat("A", mtls.DefaultMaxSize)}, nil, mtls.ErrTooLarge},
		}
		for _, c := range cases {
			t.Run(e.field+" "+c.name, func(t *testing.T) {
				got, err := fromProxy(t, mtls.Proxy{Format: format})(request(c.peer, c.fields...))
				wants(t, got, err, c.cert, c.cause)
			})
		}
	}
}

// The TLS connection of a request from the proxy is the proxy's own.
func TestConnectionBesideTheField(t *testing.T) {
	ca := poptest.NewCA(t)
	client, peer := ca.Issue(t, "client").Leaf, ca.Issue(t, "peer").Leaf
	cases := []struct {
		name   string
		direct bool
		addr   string
		fields []string
		cert   *x509.Certificate
		cause  error
	}{
		{"proxy with field", false, proxyAddr, []string{"Client-Cert", byteSequence(client.Raw)}, client, nil},
		{"proxy without field", false, proxyAddr, nil, nil, nil},
		{"stranger", false, strangerAddr, nil, nil, nil},
		{"DirectTLS, proxy with field", true, proxyAddr, []string{"Client-Cert", byteSequence(client.Raw)}, client, nil},
		{"DirectTLS, proxy without field", true, proxyAddr, nil, nil, nil},
		{"DirectTLS, proxy with empty field", true, proxyAddr, []string{"Client-Cert", ""}, nil, nil},
		{"DirectTLS, stranger", true, strangerAddr, nil, peer, nil},
		{"DirectTLS, stranger with field", true, strangerAddr,
			[]string{"Client-Cert", byteSequence(client.Raw)}, nil, mtls.ErrForeign},
		{"DirectTLS, stranger with alias", true, strangerAddr, []string{"Client_cert", "x"}, nil, mtls.ErrAlias},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.addr, c.fields...)
			r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{peer, ca.Certificate}}
			got, err := fromProxy(t, mtls.Proxy{DirectTLS: c.direct})(r)
			wants(t, got, err, c.cert, c.cause)
		})
	}
}

// Two Envoys: the outer one sets the field anew, the inner one appends what it knows of the outer.
func TestEnvoysInARow(t *testing.T) {
	ca := poptest.NewCA(t)
	client, outer, victim := ca.Issue(t, "client").Leaf, ca.Issue(t, "outer").Leaf, ca.Issue(t, "victim").Leaf
	inner, first := xfcc("spiffe://outer", outer.Raw), xfcc("spiffe://client", client.Raw)
	cases := []struct {
		name  string
		lines []string
		cert  *x509.Certificate
		cause error
	}{
		{"both", []string{first + "," + inner}, client, nil},
		{"the client had no certificate", []string{inner}, nil, nil},
		{"an element more", []string{xfcc("", victim.Raw) + "," + xfcc("", client.Raw) + "," + inner}, nil, mtls.ErrMultiple},
		{"an element more by a URI of the client", []string{xfcc("x,By=y", client.Raw) + "," + inner}, nil, mtls.ErrMultiple},
		{"the client's element has no certificate", []string{"Hash=00," + inner}, nil, mtls.ErrNoCert},
		// Lines of one field are a list in their order (RFC 9110 §5.2).
		{"a line each", []string{first, inner}, client, nil},
		{"three lines", []string{xfcc("", victim.Raw), first, inner}, nil, mtls.ErrMultiple},
		{"an element more in two lines", []string{xfcc("", victim.Raw) + "," + first, inner}, nil, mtls.ErrMultiple},
		{"an element more by a URI, in two lines", []string{xfcc("x,By=y", client.Raw), inner}, nil, mtls.ErrMultiple},
		{"a quote from line to line", []string{`Subject="x`, `";` + first}, nil, mtls.ErrMalformed},
		{"a pair from line to line", []string{first + ";", inner}, nil, mtls.ErrMalformed},
		{"an empty line first", []string{"", inner}, nil, mtls.ErrMalformed},
		{"an empty line last", []string{first, ""}, nil, mtls.ErrMalformed},
		{"none in a line of its own", []string{"(null)", inner}, nil, mtls.ErrMalformed},
		{"too large together", []string{first + ";By=" + strings.Repeat("x", mtls.DefaultMaxSize/2),
			inner + ";By=" + strings.Repeat("x", mtls.DefaultMaxSize/2)}, nil, mtls.ErrTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := request(proxyAddr)
			r.Header["X-Forwarded-Client-Cert"] = c.lines
			got, err := fromProxy(t, mtls.Proxy{Format: mtls.Envoy, Elements: 2})(r)
			wants(t, got, err, c.cert, c.cause)
			r.RemoteAddr = strangerAddr
			if got, err := fromProxy(t, mtls.Proxy{Format: mtls.Envoy, Elements: 2})(r); got != nil || err == nil {
				t.Errorf("from a stranger: %q, %v", got.Thumbprint(), err)
			}
		})
	}
}

func TestProxySettings(t *testing.T) {
	cert := poptest.SelfSigned(t, "client").Leaf
	named := fromProxy(t, mtls.Proxy{Format: mtls.Base64DER, Field: "x-my_cert"})
	got, err := named(request(proxyAddr, "X-My_cert", base64DER(cert.Raw)))
	wants(t, got, err, cert, nil)
	got, err = named(request(proxyAddr, "X-My-Cert", base64DER(cert.Raw)))
	wants(t, got, err, nil, mtls.ErrAlias)
	got, err = named(request(proxyAddr, "X-Ssl-Client-Cert", base64DER(cert.Raw)))
	wants(t, got, err, nil, nil)
	got, err = named(request(proxyAddr, "X-My_cert", base64DER(cert.Raw), "X-As-Long", "x", "X-My-Certs", "x"))
	wants(t, got, err, cert, nil)

	value := base64DER(cert.Raw)
	exact := mtls.Proxy{Format: mtls.Base64DER, MaxSize: len(value)}
	got, err = fromProxy(t, exact)(request(proxyAddr, "X-Ssl-Client-Cert", value))
	wants(t, got, err, cert, nil)
	exact.MaxSize--
	got, err = fromProxy(t, exact)(request(proxyAddr, "X-Ssl-Client-Cert", value))
	wants(t, got, err, nil, mtls.ErrTooLarge)

	for name, p := range map[string]mtls.Proxy{
		"Proxy.Trusted: list the addresses":                      {},
		`Proxy.Trusted.Addresses[0] is "0.0.0.0/0": it holds`:    {Trusted: trusted("0.0.0.0/0")},
		`Proxy.Trusted.Addresses[1] is "::/0": it holds every`:   {Trusted: trusted("10.1.0.0/24", "::/0")},
		`Proxy.Trusted.Addresses[1] is "": give an address`:      {Trusted: trusted("10.1.0.0/24", "")},
		`Proxy.Trusted.Addresses[0] is "::ffff:10.0.0.0/104": p`: {Trusted: trusted("::ffff:10.0.0.0/104")},
		"Proxy.Format: 99":                      {Trusted: proxies, Format: 99},
		"Proxy.Format: 7":                       {Trusted: proxies, Format: mtls.ALBVerify + 1},
		"Proxy.Format: -1":                      {Trusted: proxies, Format: -1},
		"Proxy.Field: \"X Cert\"":               {Trusted: proxies, Field: "X Cert"},
		"Proxy.ChainField: \"X Chain\"":         {Trusted: proxies, ChainField: "X Chain"},
		"Proxy.ChainField: leave":               {Trusted: proxies, Format: mtls.Envoy, ChainField: "X-Chain"},
		"Proxy.ChainField: give another":        {Trusted: proxies, ChainField: "client_cert"},
		"Proxy.MaxSize":                         {Trusted: proxies, MaxSize: -1},
		"Proxy.Elements: give the number":       {Trusted: proxies, Elements: 2},
		"Proxy.Elements: give the number of En": {Trusted: proxies, Format: mtls.Envoy, Elements: -1},
	} {
		source, err := mtls.FromProxy(p)
		if err == nil || source != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error = %v", name, err)
		}
		_, err = mtls.Verification{Roots: poptest.NewCA(t).Pool()}.FromProxy(p)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s, verified: error = %v", name, err)
		}
	}
}

// The list of proxies is the source's own.
func TestTrustedIsCopied(t *testing.T) {
	list := trusted("10.1.0.0/24")
	source := fromProxy(t, mtls.Proxy{Trusted: list})
	list.Addresses[0] = "203.0.113.0/24"
	got, err := source(request(strangerAddr, "Client-Cert", byteSequence(poptest.SelfSigned(t, "x").Leaf.Raw)))
	wants(t, got, err, nil, mtls.ErrForeign)
}

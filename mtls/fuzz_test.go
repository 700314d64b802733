package mtls_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

// fuzzFormat feeds a field to the source of a format. Nothing panics; a refusal has a reason; and what is accepted
// is a certificate that stands in the field, and gives the same one when it is encoded again.
func fuzzFormat(f *testing.F, format mtls.Format, elements int, holds func(value string, der []byte) bool) {
	ca := poptest.NewCA(f)
	leaf, e := ca.Issue(f, "client").Leaf.Raw, encoders[format]
	rfc, _ := pem.Decode([]byte(poptest.Vectors().RFC8705.AppendixA.CertificatePEM))
	good := e.encode(leaf, ca.Certificate.Raw)
	for _, seed := range []string{
		good, e.encode(rfc.Bytes), good + good, good + "," + good, good[:len(good)/2], good + ";a=1", "!" + good,
		nginx(leaf), alb(leaf, leaf), base64DER(leaf), byteSequence(leaf), xfcc(`a"b`, leaf),
		xfcc("", leaf) + ", " + xfcc("", leaf),
		"", " ", ":", "::", `Cert="\"`, "Hash=00", `Cert="%0"`, "%", "-----BEGIN CERTIFICATE----------END CERTIFICATE-----",
	} {
		f.Add(seed)
	}
	source := fromProxy(f, mtls.Proxy{Format: format, Elements: elements})
	f.Fuzz(func(t *testing.T, value string) {
		cert, err := source(request(proxyAddr, e.field, value))
		if err != nil {
			if cert != nil || reason.Of(err) == "" {
				t.Fatalf("refused with certificate %v and reason %q", cert != nil, reason.Of(err))
			}
			return
		}
		if cert == nil {
			if !meansNone(value) && elements < 2 {
				t.Fatal("a field without certificate passed as none")
			}
			return
		}
		if !holds(value, cert.DER) {
			t.Fatal("the certificate does not stand in the field")
		}
		again, err := fromProxy(t, mtls.Proxy{Format: format})(request(proxyAddr, e.field, e.encode(cert.DER)))
		if err != nil || !bytes.Equal(again.DER, cert.DER) {
			t.Fatalf("encoded again: %v", err)
		}
	})
}

// meansNone: an empty field, or a word that proxies write for none.
func meansNone(value string) bool {
	return slices.Contains([]string{"", "(null)", "null", "none", "-"}, strings.ToLower(value))
}

// holdsPEM asks another reader of PEM for the first certificate.
func holdsPEM(value string, der []byte) bool {
	text, err := url.PathUnescape(value)
	if err != nil {
		return false
	}
	text = strings.NewReplacer("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\n",
		"-----END CERTIFICATE-----", "\n-----END CERTIFICATE-----\n").Replace(text)
	block, _ := pem.Decode([]byte(text))
	return block != nil && bytes.Equal(block.Bytes, der)
}

// holdsBase64 looks for the certificate in what is left when escapes and line breaks are undone wherever there are
// any. It allows for the bits behind the last octet, which structured fields leave open.
func holdsBase64(value string, der []byte) bool {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if n, err := strconv.ParseUint(value[min(i+1, len(value)):min(i+3, len(value))], 16, 8); value[i] == '%' && err == nil {
			b.WriteByte(byte(n))
			i += 2
			continue
		}
		b.WriteByte(value[i])
	}
	stem := base64DER(der)
	return strings.Contains(strings.NewReplacer("\r", "", "\n", "").Replace(b.String()), stem[:len(stem)-4])
}

func FuzzClientCert(f *testing.F) { fuzzFormat(f, mtls.RFC9440, 0, holdsBase64) }
func FuzzXFCC(f *testing.F) {
	fuzzFormat(f, mtls.Envoy, 0, func(value string, der []byte) bool {
		return holdsBase64(strings.ReplaceAll(value, `\`, ""), der)
	})
}
func FuzzXFCCOfTwo(f *testing.F) {
	fuzzFormat(f, mtls.Envoy, 2, func(string, []byte) bool { return true })
}
func FuzzEscapedPEM(f *testing.F) { fuzzFormat(f, mtls.EscapedPEM, 0, holdsPEM) }
func FuzzBase64DER(f *testing.F) {
	fuzzFormat(f, mtls.Base64DER, 0, func(value string, der []byte) bool {
		return strings.NewReplacer("\r", "", "\n", "").Replace(value) == base64DER(der)
	})
}
func FuzzTraefik(f *testing.F) { fuzzFormat(f, mtls.Traefik, 0, holdsBase64) }
func FuzzALB(f *testing.F)     { fuzzFormat(f, mtls.ALBPassthrough, 0, holdsPEM) }

// FuzzClientCertChain: whatever the chain is, the certificate is that of Client-Cert or the request is refused.
func FuzzClientCertChain(f *testing.F) {
	cert := parsePEM(f, poptest.Vectors().RFC8705.AppendixA.CertificatePEM)
	one := byteSequence(cert.Raw)
	for _, seed := range []string{
		one, one + ", " + one, one + ",", one + ";a=1", "(" + one + ")", "", "a", "()", ":AAAA:", "::;a",
	} {
		f.Add(seed)
	}
	clock := poptest.NewClock()
	clock.Set(cert.NotBefore)
	f.Fuzz(func(t *testing.T, chain string) {
		source, err := mtls.Verification{Roots: rootsOf(t), Now: clock.Now}.FromProxy(mtls.Proxy{Trusted: proxies})
		if err != nil {
			t.Fatal(err)
		}
		got, err := verify(source, request(proxyAddr, "Client-Cert", one, "Client-Cert-Chain", chain))
		if err != nil && reason.Of(err) == "" || err == nil && !bytes.Equal(got.DER, cert.Raw) {
			t.Fatalf("certificate %s, error %v", got.Thumbprint(), err)
		}
	})
}

// FuzzDER: no certificate of a TLS peer or a proxy makes a source panic, and it is hashed as it came.
func FuzzDER(f *testing.F) {
	f.Add(poptest.SelfSigned(f, "a").Leaf.Raw)
	f.Add(poptest.SelfSigned(f, "b", hugeSAN).Leaf.Raw)
	f.Fuzz(func(t *testing.T, der []byte) {
		source := fromProxy(t, mtls.Proxy{Format: mtls.Base64DER, MaxSize: 1 << 20})
		cert, err := source(request(proxyAddr, "X-Ssl-Client-Cert", base64DER(der)))
		if err != nil || cert == nil {
			return
		}
		if want := stdSum(der); cert.Thumbprint() != want || !cert.Matches(want) {
			t.Fatal("thumbprint is not that of the octets that came")
		}
		parsed, err := cert.X509()
		if (parsed == nil) == (err == nil) || err != nil && reason.Of(err) == "" {
			t.Fatalf("neither parsed nor refused with a reason: %v", err)
		}
		if parsed == nil {
			return
		}
		verified, err := mtls.Verification{Roots: rootsOf(t), Now: poptest.NewClock().Now}.FromTLS()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := verify(verified, overTLS(parsed, parsed)); err != nil && reason.Of(err) == "" {
			t.Fatalf("no reason: %v", err)
		}
	})
}

func stdSum(der []byte) string { return poptest.X5T(&x509.Certificate{Raw: der}) }

// rootsOf returns a pool with the certificate of RFC 8705 Appendix A.
func rootsOf(t *testing.T) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(parsePEM(t, poptest.Vectors().RFC8705.AppendixA.CertificatePEM))
	return pool
}

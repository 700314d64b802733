package mtls_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"

	"github.com/senderlock/senderlock/mtls"
)

// The encoders write a certificate as the proxies do.

func pemText(ders ...[]byte) string {
	var b strings.Builder
	for _, der := range ders {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return b.String()
}

func sum(der []byte) []byte {
	s := sha256.Sum256(der)
	return s[:]
}

func base64DER(der []byte) string { return base64.StdEncoding.EncodeToString(der) }

func byteSequence(der []byte) string { return ":" + base64DER(der) + ":" }

// percent escapes everything but unreserved characters and those in safe.
func percent(s, safe string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~"+safe, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

func nginx(ders ...[]byte) string { return percent(pemText(ders...), "") }

func alb(ders ...[]byte) string { return percent(pemText(ders...), "+=/") }

func envoyPEM(ders ...[]byte) string {
	return strings.NewReplacer("\n", "%0A", " ", "%20", "+", "%2B", "/", "%2F", "=", "%3D").Replace(pemText(ders...))
}

// xfcc is an element as Envoy writes it with cert, chain, subject, uri and dns switched on.
func xfcc(uri string, leaf []byte, chain ...[]byte) string {
	s := fmt.Sprintf(`By=spiffe://example.com/api;Hash=%x;Cert="%s"`, sum(leaf), envoyPEM(leaf))
	if len(chain) > 0 {
		s += fmt.Sprintf(`;Chain="%s"`, envoyPEM(append([][]byte{leaf}, chain...)...))
	}
	return s + `;Subject="CN=client,O=\"Acme\, Inc\",C=US";URI=` + uri + `;DNS=a.example;DNS=b.example`
}

func traefik(ders ...[]byte) string {
	var parts []string
	for _, der := range ders {
		parts = append(parts, base64DER(der))
	}
	return strings.Join(parts, ",")
}

// encoder writes the form of each format; with a chain where it has room for one in the field itself.
var encoders = map[mtls.Format]struct {
	field  string
	encode func(leaf []byte, chain ...[]byte) string
}{
	mtls.RFC9440:    {"Client-Cert", func(leaf []byte, _ ...[]byte) string { return byteSequence(leaf) }},
	mtls.Envoy:      {"X-Forwarded-Client-Cert", func(l []byte, c ...[]byte) string { return xfcc("spiffe://c", l, c...) }},
	mtls.EscapedPEM: {"X-Ssl-Client-Cert", func(leaf []byte, _ ...[]byte) string { return nginx(leaf) }},
	mtls.Base64DER:  {"X-Ssl-Client-Cert", func(leaf []byte, _ ...[]byte) string { return base64DER(leaf) }},
	mtls.Traefik: {"X-Forwarded-Tls-Client-Cert", func(leaf []byte, chain ...[]byte) string {
		return traefik(append([][]byte{leaf}, chain...)...)
	}},
	mtls.ALBPassthrough: {"X-Amzn-Mtls-Clientcert", func(leaf []byte, chain ...[]byte) string {
		return alb(append([][]byte{leaf}, chain...)...)
	}},
	mtls.ALBVerify: {"X-Amzn-Mtls-Clientcert-Leaf", func(leaf []byte, _ ...[]byte) string { return alb(leaf) }},
}

// escapedTraefik is the form of older versions.
func escapedTraefik(ders ...[]byte) string {
	var parts []string
	for _, der := range ders {
		parts = append(parts, url.QueryEscape(base64DER(der)))
	}
	return strings.Join(parts, ",")
}

package mtls_test

import (
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
)

func BenchmarkThumbprint(b *testing.B) {
	cert := presented(poptest.NewCA(b).Issue(b, "client").Leaf)
	for b.Loop() {
		cert.Thumbprint()
	}
}

// The bare operations that the others are compared with.
func BenchmarkParseCertificate(b *testing.B) {
	der := poptest.NewCA(b).Issue(b, "client").Leaf.Raw
	for b.Loop() {
		if _, err := x509.ParseCertificate(der); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFormats(b *testing.B) {
	ca := poptest.NewCA(b)
	leaf := ca.Issue(b, "client").Leaf.Raw
	for name, format := range map[string]mtls.Format{
		"RFC9440": mtls.RFC9440, "Envoy": mtls.Envoy, "EscapedPEM": mtls.EscapedPEM, "Base64DER": mtls.Base64DER,
		"Traefik": mtls.Traefik, "ALBPassthrough": mtls.ALBPassthrough,
	} {
		b.Run(name, func(b *testing.B) {
			source := fromProxy(b, mtls.Proxy{Format: format})
			r := request(proxyAddr, encoders[format].field, encoders[format].encode(leaf))
			benchmark(b, source, r)
		})
	}
}

func BenchmarkVerification(b *testing.B) {
	ca := poptest.NewCA(b)
	middle, below := intermediate(b, ca)
	r := overTLS(below, middle)
	v := mtls.Verification{Roots: ca.Pool(), Now: poptest.NewClock().Now}
	b.Run("Known", func(b *testing.B) {
		source, err := v.FromTLS()
		if err != nil {
			b.Fatal(err)
		}
		benchmark(b, source, r)
	})
	b.Run("New", func(b *testing.B) {
		for b.Loop() {
			source, err := v.FromTLS()
			if err != nil {
				b.Fatal(err)
			}
			if _, err := verify(source, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmark(b *testing.B, source mtls.CertificateSource, r *http.Request) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := verify(source, r); err != nil {
			b.Fatal(err)
		}
	}
}

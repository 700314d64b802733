package mtls_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
	"github.com/senderlock/senderlock/senderlocktest"
)

// A server that asks each client for a certificate, and a client that has a self-signed one. What binds a token to it is
// its thumbprint.
func ExampleServerTLS() {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		certificate, err := mtls.FromTLS(r) // access.Config.Certificates takes this function
		if err != nil || certificate == nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, certificate.Thumbprint())
	}))
	settings, err := mtls.ServerTLS(nil) // or your settings of TLS
	if err != nil {
		log.Fatal(err)
	}
	server.TLS = settings
	server.StartTLS()
	defer server.Close()

	own := senderlocktest.NewCertificate("client") // of a program: NewKeyPair
	client := server.Client()
	client.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{own}
	resp, err := client.Get(server.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var thumbprint string
	if _, err := fmt.Fscan(resp.Body, &thumbprint); err != nil {
		log.Fatal(err)
	}
	fmt.Println(thumbprint == (&mtls.Certificate{DER: own.Leaf.Raw}).Thumbprint())
	// Output: true
}

// Behind a proxy that ends TLS and forwards the client's certificate (RFC 9440). Whoever is not the proxy and sends the
// field is refused.
func ExampleFromProxy() {
	source, err := mtls.FromProxy(mtls.Proxy{Trusted: mtls.Peers{Addresses: []string{"10.1.0.0/24"}}})
	if err != nil {
		log.Fatal(err) // names the field and what to put there
	}
	field := ":" + base64.StdEncoding.EncodeToString(senderlocktest.NewCertificate("client").Leaf.Raw) + ":"
	for _, peer := range []string{"10.1.0.7:4711", "192.0.2.1:4711"} {
		r := httptest.NewRequest("GET", "https://api.example.com/accounts", nil)
		r.RemoteAddr = peer
		r.Header.Set("Client-Cert", field)
		certificate, err := source(r)
		fmt.Printf("%t, refused for %q\n", certificate != nil, reason.Of(err))
	}
	// Output:
	// true, refused for ""
	// false, refused for "certificate_field_foreign"
}

// A client's certificate and key in files that something else replaces from time to time.
func ExampleKeyPair() {
	pair, err := mtls.NewKeyPair(mtls.KeyFiles{
		Certificate: "/etc/client/tls.crt",
		Key:         "/etc/client/tls.key",
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{GetClientCertificate: pair.GetClientCertificate},
	}}
	resp, err := client.Get("https://api.example.com/accounts")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
}

// Certificates that an authority of yours has to have issued. They are judged when a token or a route needs one.
func ExampleVerification() {
	own, other := senderlocktest.NewCertificate("client"), senderlocktest.NewCertificate("stranger")
	roots := x509.NewCertPool()
	roots.AddCert(own.Leaf) // the authority's
	source, err := mtls.Verification{Roots: roots}.FromTLS()
	if err != nil {
		log.Fatal(err)
	}
	for _, presented := range []tls.Certificate{own, other} {
		r := httptest.NewRequest("GET", "https://api.example.com/accounts", nil)
		certificate, err := source(senderlocktest.WithCertificate(r, presented))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("refused for %q\n", reason.Of(certificate.Verify()))
	}
	// Output:
	// refused for ""
	// refused for "certificate_untrusted"
}

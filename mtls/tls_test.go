package mtls_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/mtls"
	"github.com/senderlock/senderlock/reason"
)

// tell answers with the thumbprint of the client's certificate, "none", or 401 and the reason, and says in Resumed
// whether the session of TLS was.
func tell(source mtls.CertificateSource) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Resumed", fmt.Sprint(r.TLS != nil && r.TLS.DidResume))
		cert, err := verify(source, r)
		switch {
		case err != nil:
			http.Error(w, reason.Of(err), http.StatusUnauthorized)
		case cert == nil:
			io.WriteString(w, "none")
		default:
			io.WriteString(w, cert.Thumbprint())
		}
	}
}

// plainServer serves without TLS, as behind a proxy, and returns its address.
func plainServer(t *testing.T, network string, source mtls.CertificateSource) string {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: listener, Config: &http.Server{Handler: tell(source)}}
	s.Start()
	t.Cleanup(s.Close)
	return listener.Addr().String()
}

// answer sends a request with fields as they are written, and returns what came back.
func answer(t *testing.T, network, address, fields string) string {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: api\r\nConnection: close\r\n%s\r\n\r\n", fields); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// server asks its clients for certificates and tells what it got.
func server(t *testing.T, source mtls.CertificateSource, base *tls.Config) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(tell(source))
	config, err := mtls.ServerTLS(base)
	if err != nil {
		t.Fatal(err)
	}
	s.TLS = config
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// client trusts the server and makes a new connection for every request.
func client(t *testing.T, s *httptest.Server, certs ...tls.Certificate) *http.Client {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: "example.com", Certificates: certs},
	}}
}

func tlsConfig(c *http.Client) *tls.Config { return c.Transport.(*http.Transport).TLSClientConfig }

func get(t *testing.T, c *http.Client, url string) (body string, resumed bool) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text)), resp.Header.Get("Resumed") == "true"
}

func expired(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 1).Add(-1) }

func hugeSAN(c *x509.Certificate) {
	for i := range 1500 {
		c.DNSNames = append(c.DNSNames, fmt.Sprintf("name-number-%d.example.com", i))
	}
}

// RS-084, RS-085, RS-090, RS-095: over a real connection.
func TestFromTLS(t *testing.T) {
	ca := poptest.NewCA(t)
	right, self := ca.Issue(t, "client"), poptest.SelfSigned(t, "self")
	chained := ca.Issue(t, "chained")
	chained.Certificate = append(chained.Certificate, ca.Certificate.Raw)
	s := server(t, mtls.FromTLS, nil)
	cases := []struct {
		name string
		cert *tls.Certificate
	}{
		{"none", nil},
		{"issued by an authority", &right},
		{"leaf of a chain", &chained},
		{"self-signed", &self},
		{"expired", new(ca.Issue(t, "expired", expired))},
		{"self-signed and expired", new(poptest.SelfSigned(t, "expired", expired))},
		{"huge SAN", new(poptest.SelfSigned(t, "huge", hugeSAN))},
		{"for servers only", new(ca.Issue(t, "server", serverOnly))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			asked, want := false, "none"
			cl := client(t, s)
			tlsConfig(cl).GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				asked = true
				if c.cert == nil {
					return &tls.Certificate{}, nil
				}
				return c.cert, nil
			}
			if c.cert != nil {
				want = thumbprint(c.cert.Leaf)
			}
			if got, _ := get(t, cl, s.URL); got != want {
				t.Errorf("thumbprint = %s, want %s", got, want)
			}
			if !asked {
				t.Error("the server did not ask for a certificate")
			}
		})
	}
}

func TestFromTLSWithoutTLS(t *testing.T) {
	got, err := mtls.FromTLS(request(proxyAddr, "Client-Cert", byteSequence(poptest.SelfSigned(t, "x").Leaf.Raw)))
	wants(t, got, err, nil, nil)
}

// A client that presents a certificate whose key it does not have does not get past the handshake.
func TestCertificateWithoutItsKey(t *testing.T) {
	stolen := poptest.SelfSigned(t, "victim")
	stolen.PrivateKey = poptest.SelfSigned(t, "thief").PrivateKey
	s := server(t, mtls.FromTLS, nil)
	if resp, err := client(t, s, stolen).Get(s.URL); err == nil {
		resp.Body.Close()
		t.Fatal("the handshake succeeded")
	}
}

// RS-094: neither TLS 1.0 nor 1.1; TLS 1.2 and 1.3 work.
func TestVersions(t *testing.T) {
	s := server(t, mtls.FromTLS, nil)
	for version, ok := range map[uint16]bool{
		tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true,
	} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			if !ok {
				poptest.NeedsRetired(t, "a client of "+tls.VersionName(version))
			}
			cl := client(t, s, poptest.SelfSigned(t, "client"))
			tlsConfig(cl).MinVersion, tlsConfig(cl).MaxVersion = tls.VersionTLS10, version
			resp, err := cl.Get(s.URL)
			if err == nil {
				resp.Body.Close()
			}
			if ok != (err == nil) || err != nil && !strings.Contains(err.Error(), "protocol version") {
				t.Errorf("error = %v", err)
			}
		})
	}
}

func TestServerTLS(t *testing.T) {
	base := &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, ServerName: "api"}
	c, err := mtls.ServerTLS(base)
	if err != nil || c == base || c.ServerName != "api" || c.MinVersion != tls.VersionTLS13 ||
		c.ClientAuth != tls.RequestClientCert {
		t.Errorf("config = %+v, error = %v", c, err)
	}
	for name, base := range map[string]*tls.Config{
		"nothing": nil, "the least": {MinVersion: tls.VersionTLS12}, "the least as the most": {MaxVersion: tls.VersionTLS12},
	} {
		if c, err := mtls.ServerTLS(base); err != nil || c.MinVersion != tls.VersionTLS12 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	for field, base := range map[string]*tls.Config{
		"MinVersion":         {MinVersion: tls.VersionTLS11},
		"MaxVersion":         {MaxVersion: tls.VersionTLS11},
		"ClientAuth":         {ClientAuth: tls.RequireAndVerifyClientCert},
		"ClientAuth:":        {ClientAuth: tls.RequireAnyClientCert},
		"ClientAuth: ":       {ClientAuth: tls.VerifyClientCertIfGiven},
		"ClientCAs":          {ClientCAs: x509.NewCertPool()},
		"GetConfigForClient": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }},
	} {
		if c, err := mtls.ServerTLS(base); err == nil || c != nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: error = %v", field, err)
		}
	}
}

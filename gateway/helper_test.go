package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/gateway"
	"github.com/senderlock/senderlock/senderlocktest"
)

// service is what stands behind a gateway. It remembers what it was asked, as it came over the wire.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []*http.Request
	answer http.HandlerFunc // nil: 200
}

func newService(t testing.TB) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.mu.Lock()
		s.asked = append(s.asked, r)
		answer := s.answer
		s.mu.Unlock()
		if answer != nil {
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// last is the newest request, or nil. It forgets all.
func (s *service) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) == 0 {
		return nil
	}
	r := s.asked[len(s.asked)-1]
	s.asked = nil
	return r
}

// world is a gateway with its issuer, a client and a service.
type world struct {
	t       testing.TB
	clock   *senderlocktest.Clock
	issuer  *senderlocktest.Issuer
	client  *senderlocktest.Client
	guard   *access.Guard
	signer  *gateway.Signer
	service *service
	log     bytes.Buffer
	mu      sync.Mutex
	more    *sync.Cond
	asked   *httptest.Server // the forward authentication that a front asks
	broken  string           // in front of the name of a setting, so that the script of HAProxy does not find it
	cors    string           // CORS_ORIGIN; empty: none
	tls     string           // a PEM file with the certificate of a proxy and its key; empty: it speaks HTTP
}

func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.more.Broadcast()
	return w.log.Write(b)
}

// hears waits until something was logged.
func (w *world) hears(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !strings.Contains(w.log.String(), text) {
		w.more.Wait()
	}
}

// said is what was logged.
func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

func newWorld(t testing.TB, changes ...func(*access.Config)) *world {
	t.Helper()
	w := &world{t: t, clock: senderlocktest.NewClock(), service: newService(t)}
	w.more = sync.NewCond(&w.mu)
	w.issuer = senderlocktest.NewIssuer(w.clock)
	t.Cleanup(func() { w.issuer.Close() })
	w.client = senderlocktest.NewClient(w.clock)
	c := senderlocktest.Config(w.issuer, w.clock)
	c.Log = slog.New(slog.NewTextHandler(w, nil))
	for _, change := range changes {
		change(&c)
	}
	var err error
	if w.guard, err = access.New(c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.guard.Close() })
	if w.signer, err = gateway.NewSigner("https://gateway.example.com", nil); err != nil {
		t.Fatal(err)
	}
	return w
}

// proxy starts a gateway.
func (w *world) proxy(routes []gateway.Route, changes ...func(*gateway.Config)) *httptest.Server {
	w.t.Helper()
	server := httptest.NewServer(w.proxyHandler(routes, changes...))
	w.t.Cleanup(server.Close)
	return server
}

func (w *world) proxyHandler(routes []gateway.Route, changes ...func(*gateway.Config)) *gateway.Proxy {
	w.t.Helper()
	c := gateway.Config{
		Guard: w.guard, Routes: routes, Upstream: w.service.URL, Signer: w.signer, CORSOrigin: w.cors, Log: slog.New(slog.NewTextHandler(w, nil)),
	}
	for _, change := range changes {
		change(&c)
	}
	p, err := gateway.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// pemFile is a file with a new certificate for a server, and its key.
func pemFile(t testing.TB) string {
	t.Helper()
	certificate := senderlocktest.NewCertificate("api.example.com")
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	return write(t, "api.pem", string(both))
}

func (w *world) token(scopes ...string) string {
	return w.issuer.Token(senderlocktest.Token{Client: w.client, Scopes: scopes})
}

// headers are the credentials of a good request.
func (w *world) headers(method, target, token string) []string {
	r := w.client.Sign(httptest.NewRequest(method, senderlocktest.Origin+target, nil), token)
	return []string{"Authorization: " + r.Header.Get("Authorization"), "DPoP: " + r.Header.Get("DPoP")}
}

// send writes a request octet for octet, and reads the answer.
func send(t testing.TB, server *httptest.Server, method, target string, headers []string, body ...string) *http.Response {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: api.example.com\r\n%s\r\n\r\n%s",
		method, target, strings.Join(headers, "\r\n"), strings.Join(body, ""))
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	return response
}

package redisstore_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/senderlock/senderlock/access"
	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/poptest"
	"github.com/senderlock/senderlock/redisstore"
)

// secrets are shared by all instances.
var secrets = [][]byte{[]byte("a nonce secret of the instances, 32 octets long")}

// instance is one process of an API: a guard behind HTTP, with a store of its own.
type instance struct {
	store *redisstore.Store
	guard *access.Guard
	url   string
}

func start(t testing.TB, c redisstore.Config, changes ...func(*access.Config)) *instance {
	t.Helper()
	i := &instance{store: open(t, c)}
	issuer := access.Issuer{
		URL: poptest.Issuer, Audience: poptest.Audience,
		JWKS: poptest.JWKS(map[string]*poptest.Key{poptest.KeyID: poptest.IssuerKey()}),
	}
	config := access.Config{
		Origins: []string{poptest.Audience}, Issuers: []access.Issuer{issuer},
		Shared: i.store, Nonces: dpop.Nonces{Secrets: secrets}, Log: slog.New(slog.DiscardHandler), Now: c.Now,
		KnownKeys: 1000, KnownTokens: 1000, PrecomputedKeys: 1, // there are few keys, and many proofs
	}
	if c.Fallback != redisstore.FallbackNone { // without revocations: what cannot be looked up in an outage refuses
		config.Shared, config.Replay, config.Fallback = nil, i.store, i.store
	}
	for _, change := range changes {
		change(&config)
	}
	var err error
	if i.guard, err = access.New(config); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(i)
	i.url = server.URL
	t.Cleanup(func() {
		server.Close()
		_ = i.guard.Close()
	})
	return i
}

func (i *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	grant, err := i.guard.Check(r)
	if err != nil {
		i.guard.WriteError(w, r, err)
		return
	}
	grant.SetHeaders(w.Header())
	w.WriteHeader(http.StatusOK)
}

// client is an honest client with one token. It is safe for concurrent use.
type client struct {
	token string
	mu    sync.Mutex
	nonce string
}

func newClient(now time.Time, changes ...func(*poptest.Token)) *client {
	token := poptest.Token{JKT: poptest.ClientKey().Thumbprint(), IssuedAt: now}
	for _, change := range changes {
		change(&token)
	}
	return &client{token: token.String()}
}

// proof signs a new proof with the newest nonce.
func (c *client) proof(now time.Time) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return poptest.Proof{Token: c.token, Nonce: c.nonce, IssuedAt: now}.String()
}

// answer is what a request got. A request that was not answered has status 0.
type answer struct {
	status     int
	nonce      string
	retryAfter string
}

// socket is one connection to an instance.
type socket struct {
	http.Client
	to *instance
}

func (i *instance) socket(t testing.TB) *socket {
	transport := &http.Transport{MaxConnsPerHost: 1}
	t.Cleanup(transport.CloseIdleConnections)
	return &socket{http.Client{Transport: transport}, i}
}

func (s *socket) send(t testing.TB, c *client, proof string) answer {
	r, err := http.NewRequest(http.MethodGet, s.to.url+"/accounts", nil)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	r.Host = "api.example.com"
	r.Header = http.Header{
		"Authorization": {"DPoP " + c.token}, "Dpop": {proof},
	}
	response, err := s.Do(r)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	a := answer{response.StatusCode, response.Header.Get("DPoP-Nonce"), response.Header.Get("Retry-After")}
	if a.nonce != "" {
		c.mu.Lock()
		c.nonce = a.nonce
		c.mu.Unlock()
	}
	if a.status == http.StatusServiceUnavailable && a.retryAfter == "" {
		t.Error("503 without Retry-After")
	}
	return a
}

// call makes a proof and sends it, and once more with a nonce if it is asked for one.
func (s *socket) call(t testing.TB, c *client, now time.Time) (answer, string) {
	proof := c.proof(now)
	a := s.send(t, c, proof)
	if a.status == http.StatusUnauthorized && a.nonce != "" {
		proof = c.proof(now)
		a = s.send(t, c, proof)
	}
	return a, proof
}

func (s *socket) expect(t testing.TB, c *client, now time.Time, status int) (proof string) {
	t.Helper()
	a, proof := s.call(t, c, now)
	if a.status != status {
		t.Fatalf("got %s, want %d", a, status)
	}
	return proof
}

func (a answer) String() string { return fmt.Sprintf("%d (nonce %q)", a.status, a.nonce) }

package senderlocktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"testing"

	"github.com/senderlock/senderlock/dpop"
)

// Client is a client with a key of its own, which signs proofs (RFC 9449 §4). It is safe for concurrent use. Make one
// with [NewClient]; a second one makes a thief.
type Client struct {
	t      testing.TB
	clock  *Clock
	signer *dpop.Signer
}

// NewClient makes a client with a fresh ES256 key.
func NewClient(t testing.TB, clock *Clock) *Client {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := dpop.NewSigner(key, "ES256")
	if err != nil {
		t.Fatal(err)
	}
	return &Client{t: t, clock: clock, signer: signer}
}

// Thumbprint is that of the client's key (RFC 7638).
func (c *Client) Thumbprint() string { return c.signer.Thumbprint() }

// Sign adds an access token and a proof for it to a request, and returns the request. The request's URL is absolute, as
// that of [net/http/httptest.NewRequest] with a whole URL. Each call makes a new proof.
func (c *Client) Sign(r *http.Request, token string) *http.Request {
	c.t.Helper()
	return c.SignWithNonce(r, token, "")
}

// SignWithNonce is [Client.Sign] with the newest nonce of the server (RFC 9449 §8).
func (c *Client) SignWithNonce(r *http.Request, token, nonce string) *http.Request {
	c.t.Helper()
	proof := c.Proof(dpop.ProofOptions{Method: r.Method, URL: r.URL.String(), AccessToken: token, Nonce: nonce})
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

// Proof makes a proof as it is asked for. A zero IssuedAt is the time on the client's clock.
func (c *Client) Proof(o dpop.ProofOptions) string {
	c.t.Helper()
	if o.IssuedAt.IsZero() {
		o.IssuedAt = c.clock.Now()
	}
	proof, err := c.signer.Sign(o)
	if err != nil {
		c.t.Fatal(err)
	}
	return proof
}

package senderlocktest

import (
	"crypto"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/internal/mint"
)

// NewKey makes a private key for one of the algorithms that [dpop.Algorithms] lists, and panics at another. Keys of RSA
// take a while.
func NewKey(alg string) crypto.Signer {
	if !slices.Contains(dpop.Algorithms(), alg) {
		panic(fmt.Sprintf("senderlocktest: no key for %q: give one of %s", alg, strings.Join(dpop.Algorithms(), ", ")))
	}
	return mint.New(alg).Private
}

// Client is a client with a key of its own, which signs proofs (RFC 9449 §4). It is safe for concurrent use. Make one
// with [NewClient]; a second one makes a thief.
type Client struct {
	clock  *Clock
	signer *dpop.Signer
}

// NewClient makes a client with a fresh ES256 key.
func NewClient(clock *Clock) *Client { return NewClientWithKey(clock, NewKey("ES256"), "ES256") }

// NewClientWithKey makes a client with a key that is there already, or of another algorithm. It panics where
// [dpop.NewSigner] returns an error.
func NewClientWithKey(clock *Clock, key crypto.Signer, alg string) *Client {
	return &Client{clock: clock, signer: must(dpop.NewSigner(key, alg))}
}

// Signer returns the client's signer, for [dpop.TransportConfig] where a test goes over a network.
func (c *Client) Signer() *dpop.Signer { return c.signer }

// Thumbprint is that of the client's key (RFC 7638).
func (c *Client) Thumbprint() string { return c.signer.Thumbprint() }

// Sign adds an access token and a proof for it to a request, and returns the request. The request's URL is absolute, as
// that of [net/http/httptest.NewRequest] with a whole URL. Each call makes a new proof. It panics where [dpop.Signer.Sign]
// returns an error.
func (c *Client) Sign(r *http.Request, token string) *http.Request {
	return c.SignWithNonce(r, token, "")
}

// SignWithNonce is [Client.Sign] with the newest nonce of the server (RFC 9449 §8).
func (c *Client) SignWithNonce(r *http.Request, token, nonce string) *http.Request {
	proof := c.Proof(dpop.ProofOptions{Method: r.Method, URL: r.URL.String(), AccessToken: token, Nonce: nonce})
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", proof)
	return r
}

// Proof makes a proof as it is asked for. A zero IssuedAt is the time on the client's clock. It panics where
// [dpop.Signer.Sign] returns an error.
func (c *Client) Proof(o dpop.ProofOptions) string {
	if o.IssuedAt.IsZero() {
		o.IssuedAt = c.clock.Now()
	}
	return must(c.signer.Sign(o))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic("senderlocktest: " + err.Error())
	}
	return v
}

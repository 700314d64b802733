package story

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/dpop"
)

// Patience is longer than any answer of this machine should take, also while it does other work.
const Patience = 10 * time.Second

// Client is an application that asks an authorization server for tokens on its own behalf (RFC 6749 §4.4).
type Client struct {
	ID, Secret, Issuer string
	Signer             *dpop.Signer // nil: it sends no proofs, and its tokens are bound to nobody
}

// Token asks for an access token, which the server binds to the client's key (RFC 9449 §5). An empty scope asks for
// all that the client may have.
func (c Client) Token(ctx context.Context, scope string) (string, error) {
	client := &http.Client{Timeout: Patience}
	if c.Signer != nil {
		proofs, err := dpop.NewTransport(dpop.TransportConfig{Signer: c.Signer, Origins: []string{c.Issuer}})
		if err != nil {
			return "", err
		}
		client.Transport = proofs
	}
	config := clientcredentials.Config{
		ClientID: c.ID, ClientSecret: c.Secret, TokenURL: c.Issuer + "/token", Scopes: strings.Fields(scope),
		AuthStyle: oauth2.AuthStyleInHeader,
	}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
	if err != nil {
		return "", fmt.Errorf("no token for %s: %w", c.ID, err)
	}
	return token.AccessToken, nil
}

// NewKey makes a private key.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewSigner makes the signer of a new key.
func NewSigner() (*dpop.Signer, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	return dpop.NewSigner(key, "")
}

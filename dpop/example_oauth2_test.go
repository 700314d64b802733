package dpop_test

import (
	"context"
	"errors"
	"log"
	"net/http"
	"strings"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
)

// boundToken makes a token source of golang.org/x/oauth2 the Token of a [dpop.Transport]. A token that the
// authorization server did not bind is refused: sent as DPoP it fails, and as Bearer anyone could use it.
func boundToken(source oauth2.TokenSource) func(context.Context) (string, error) {
	return func(context.Context) (string, error) {
		token, err := source.Token()
		if err != nil {
			return "", err
		}
		if !strings.EqualFold(token.TokenType, "DPoP") {
			return "", errors.New("the authorization server issued a token that is not bound to our key")
		}
		return token.AccessToken, nil
	}
}

// A service calls an API with client credentials: golang.org/x/oauth2 fetches and renews the token, one Transport
// proves the key to the authorization server and another to the API.
func ExampleTransport_oauth2() {
	key, err := keyfile.File{Path: "/var/lib/service/client.pem"}.Load()
	if err != nil {
		log.Fatal(err)
	}
	signer, err := dpop.NewSigner(key, "")
	if err != nil {
		log.Fatal(err)
	}
	login, err := dpop.NewTransport(dpop.TransportConfig{Signer: signer, Origins: []string{"https://login.example.com"}})
	if err != nil {
		log.Fatal(err)
	}
	config := clientcredentials.Config{
		ClientID: "service", ClientSecret: "secret", TokenURL: "https://login.example.com/token",
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: login})

	api, err := dpop.NewTransport(dpop.TransportConfig{
		Signer:  signer,
		Origins: []string{"https://api.example.com"},
		Token:   boundToken(config.TokenSource(ctx)),
	})
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{Transport: api}
	resp, err := client.Get("https://api.example.com/accounts")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"text/template"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
	"github.com/senderlock/senderlock/examples/internal/story"
)

var commands = template.Must(template.New("commands").Parse(`
The API is at {{.API}}, the authorization server at {{.Issuer}}. Ctrl-C ends both.
In another terminal, in the folder of this module:

key={{.Key}}
api={{.API}}
token=$(go run ./examples/quickstart token -key "$key" {{.Issuer}})

# the owner: 200
curl -i "$api/accounts" -H "Authorization: DPoP $token" -H "DPoP: $(go run ./examples/quickstart proof -key "$key" GET "$api/accounts" "$token")"

# a thief with the token and a key of his own: 401 invalid_token
curl -i "$api/accounts" -H "Authorization: DPoP $token" -H "DPoP: $(go run ./examples/quickstart proof GET "$api/accounts" "$token")"

# the token as a bearer token: 401 invalid_token
curl -i "$api/accounts" -H "Authorization: Bearer $token"

# the same proof twice: 201, then 401 invalid_dpop_proof
proof=$(go run ./examples/quickstart proof -key "$key" POST "$api/accounts" "$token")
curl -i -X POST "$api/accounts" -H "Authorization: DPoP $token" -H "DPoP: $proof"
curl -i -X POST "$api/accounts" -H "Authorization: DPoP $token" -H "DPoP: $proof"

# an app that its user, {{.User}} with the password {{.Password}}, logs in to with the browser
go run ./examples/native login -issuer {{.Issuer}} -api "$api"
go run ./examples/native call "$api/accounts"
go run ./examples/native logout

The token is good for five minutes, a proof for one. What the server's log says of each refusal:
`))

// serve keeps the servers running until ctx ends. The owner's key lies in a file for as long, so that the commands
// token and proof can sign with it.
func (s *stage) serve(ctx context.Context) error {
	folder, err := os.MkdirTemp("", "quickstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	key := filepath.Join(folder, "wallet.pem")
	if err := (keyfile.File{Path: key}).Store(s.private); err != nil {
		return err
	}
	if err := commands.Execute(s.Out, map[string]string{"API": s.api, "Issuer": s.issuer, "Key": key, "User": user, "Password": password}); err != nil {
		return err
	}
	s.Log.Follow(s.Out)
	<-ctx.Done()
	return nil
}

// printToken is the command token: it asks for an access token that is bound to the key in a file.
func (p program) printToken(ctx context.Context, args []string) error {
	flags := p.Flags(`token -key FILE [-scope "SCOPE…"] ISSUER`)
	file := flags.String("key", "", "the `file` with the private key")
	scope := flags.String("scope", "", "the scopes to ask for, separated by spaces; all if empty")
	if err := story.Parse(flags, args, 1); err != nil {
		return err
	}
	key, err := loadSigner(*file)
	if err != nil {
		return err
	}
	c := story.Client{ID: "wallet", Secret: walletSecret, Issuer: flags.Arg(0), Signer: key}
	token, err := c.Token(ctx, *scope)
	if err == nil {
		fmt.Fprintln(p.Out, token)
	}
	return err
}

// printProof is the command proof: it signs a proof for one request.
func (p program) printProof(ctx context.Context, args []string) error {
	flags := p.Flags("proof [-key FILE] METHOD URL TOKEN")
	file := flags.String("key", "", "the `file` with the private key; a new key if empty, as a thief would have")
	if err := story.Parse(flags, args, 3); err != nil {
		return err
	}
	key, err := story.NewSigner()
	if *file != "" {
		key, err = loadSigner(*file)
	}
	if err != nil {
		return err
	}
	method, url, token := flags.Arg(0), flags.Arg(1), flags.Arg(2)
	nonce, err := nonceOf(ctx, key, method, url)
	if err != nil {
		return err
	}
	proof, err := key.Sign(dpop.ProofOptions{Method: method, URL: url, AccessToken: token, Nonce: nonce})
	if err == nil {
		fmt.Fprintln(p.Out, proof)
	}
	return err
}

func loadSigner(file string) (*dpop.Signer, error) {
	key, err := keyfile.File{Path: file}.Load()
	if err != nil {
		return nil, err
	}
	return dpop.NewSigner(key, "")
}

// nonceOf learns whether the API wants a nonce. A client that stays takes it from an earlier answer; this one has
// none, so it sends a request that cannot be accepted.
func nonceOf(ctx context.Context, key *dpop.Signer, method, url string) (string, error) {
	const noToken = "no-token"
	proof, err := key.Sign(dpop.ProofOptions{Method: method, URL: url, AccessToken: noToken})
	if err != nil {
		return "", err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return "", err
	}
	r.Header = withProof(noToken, proof)
	response, err := httpClient.Do(r)
	if err != nil {
		return "", err
	}
	return response.Header.Get("DPoP-Nonce"), response.Body.Close()
}

package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senderlock/senderlock/dpop"
)

func proofCommand() *cobra.Command {
	var key keyFlag
	var token tokenFlag
	var method, nonce string
	var asJSON bool
	command := &cobra.Command{
		Use:   "proof [flags] URL",
		Short: "Make a DPoP proof for one request",
		Long: `Makes a DPoP proof for one request (RFC 9449 §4.2), for its DPoP field. A
request that is sent again needs another one.`,
		Example: `  senderlock proof https://login.example.com/token -X POST
  senderlock proof https://api.example.com/accounts --token-file - <token`,
		Args: oneURL,
		RunE: func(command *cobra.Command, args []string) error {
			signer, err := key.signer()
			if err != nil {
				return err
			}
			access, err := token.read(command.InOrStdin())
			if err != nil {
				return err
			}
			proof, err := signer.Sign(dpop.ProofOptions{Method: method, URL: args[0], AccessToken: access, Nonce: nonce})
			if err != nil {
				return err
			}
			return printProof(command.OutOrStdout(), proof, asJSON)
		},
	}
	key.define(command.Flags())
	token.define(command.Flags(), "the access token that is sent along, in a `file`; - is stdin")
	command.Flags().StringVarP(&method, "request", "X", "GET", "the `method`")
	command.Flags().StringVar(&nonce, "nonce", "", "the newest `nonce` of the server (DPoP-Nonce)")
	jsonFlag(command, &asJSON)
	return command
}

func printProof(out io.Writer, proof string, asJSON bool) error {
	if !asJSON {
		_, err := fmt.Fprintln(out, proof)
		return err
	}
	parts := strings.Split(proof, ".")
	decoded := make([]json.RawMessage, 2)
	for i := range decoded {
		var err error
		if decoded[i], err = base64.RawURLEncoding.DecodeString(parts[i]); err != nil {
			return err
		}
	}
	return printJSON(out, struct {
		Proof  string          `json:"proof"`
		Header json.RawMessage `json:"header"`
		Claims json.RawMessage `json:"claims"`
	}{proof, decoded[0], decoded[1]})
}

// oneURL is the only argument of a command.
func oneURL(command *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return fmt.Errorf("the URL is missing (usage: %s)", command.UseLine())
	case len(args) > 1:
		return fmt.Errorf("%q is one argument too many: the URL is %q", args[1], args[0])
	}
	return nil
}

// maxToken bounds an access token that is read from a file, in octets.
const maxToken = 64 << 10

// tokenFlag names the file with an access token. There is no flag for a token itself: every user of the machine would
// see it in the list of processes, and the shell keeps it.
type tokenFlag struct{ path string }

func (t *tokenFlag) define(f *pflag.FlagSet, usage string) {
	f.StringVar(&t.path, "token-file", "", usage)
}

// read returns the token, or nothing where the flag was not given.
func (t *tokenFlag) read(stdin io.Reader) (string, error) {
	if t.path == "" {
		return "", nil
	}
	if t.path != "-" {
		file, err := os.Open(t.path)
		if err != nil {
			return "", err
		}
		defer file.Close()
		stdin = file
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxToken+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	switch {
	case len(text) > maxToken:
		return "", fmt.Errorf("the access token is larger than %d octets", maxToken)
	case token == "":
		return "", errors.New("the access token is empty")
	case strings.ContainsFunc(token, func(c rune) bool { return c <= ' ' || c > '~' }):
		return "", errors.New("what should be an access token is not one: it has spaces or control characters inside")
	}
	return token, nil
}

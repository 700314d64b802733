package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/dpop/keyfile"
)

// passphraseVariable holds the passphrase that encrypts the key. A flag would show it to every user of the machine.
const passphraseVariable = "SENDERLOCK_PASSPHRASE"

func keyCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "key COMMAND",
		Short: "Make a client's key, or show its public half",
		Long: `Makes a client's key, or shows its public half. The private key stays in its
file, which nobody else can read; with a passphrase in the variable
` + passphraseVariable + ` it is encrypted.`,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q (%s --help lists them)", args[0], command.CommandPath())
			}
			return command.Help()
		},
	}
	command.AddCommand(keyNewCommand(), keyShowCommand(), keyThumbprintCommand())
	return command
}

func keyNewCommand() *cobra.Command {
	var key keyFlag
	var alg string
	var jwk, asJSON bool
	command := &cobra.Command{
		Use:   "new",
		Short: "Make a key and print its public half",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			file := key.file()
			if jwk {
				file.Format = keyfile.JWK
			}
			if err := os.MkdirAll(filepath.Dir(file.Path), 0o700); err != nil {
				return err
			}
			made, err := file.Create(alg)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("there is a key already, and it stays: choose another file with --key (%w)", err)
			}
			if err != nil {
				return err
			}
			signer, err := dpop.NewSigner(made, "") // as the other commands do: no file says which of several fits
			if err != nil {
				return err
			}
			return printKey(command.OutOrStdout(), file.Path, signer, asJSON)
		},
	}
	key.define(command.Flags())
	command.Flags().StringVar(&alg, "alg", "ES256", "the JWS `algorithm`; RSA keys sign PS256, Ed25519 as EdDSA")
	_ = command.RegisterFlagCompletionFunc("alg", cobra.FixedCompletions(dpop.Algorithms(), cobra.ShellCompDirectiveNoFileComp))
	command.Flags().BoolVar(&jwk, "jwk", false, "write a JWK, not PEM")
	jsonFlag(command, &asJSON)
	return command
}

func keyShowCommand() *cobra.Command {
	return ownKeyCommand("show", "Print the public half of a key", printKey)
}

func keyThumbprintCommand() *cobra.Command {
	return ownKeyCommand("thumbprint", "Print the thumbprint of a key, the jkt of its tokens (RFC 7638)", printThumbprint)
}

// ownKeyCommand prints something of the key that is there.
func ownKeyCommand(use, short string, show func(out io.Writer, path string, signer *dpop.Signer, asJSON bool) error) *cobra.Command {
	var key keyFlag
	var asJSON bool
	command := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			signer, err := key.signer()
			if err != nil {
				return err
			}
			return show(command.OutOrStdout(), key.file().Path, signer, asJSON)
		},
	}
	key.define(command.Flags())
	jsonFlag(command, &asJSON)
	return command
}

func printThumbprint(out io.Writer, _ string, signer *dpop.Signer, asJSON bool) error {
	if asJSON {
		return printJSON(out, map[string]string{"thumbprint": signer.Thumbprint()})
	}
	_, err := fmt.Fprintln(out, signer.Thumbprint())
	return err
}

// printKey prints what may be known of a key.
func printKey(out io.Writer, path string, signer *dpop.Signer, asJSON bool) error {
	if asJSON {
		return printJSON(out, struct {
			File       string          `json:"file"`
			Algorithm  string          `json:"alg"`
			Thumbprint string          `json:"thumbprint"`
			Public     json.RawMessage `json:"jwk"`
		}{path, signer.Algorithm(), signer.Thumbprint(), json.RawMessage(signer.PublicJWK())})
	}
	_, err := fmt.Fprintf(out, "file        %s\nalgorithm   %s\nthumbprint  %s\npublic key  %s\n",
		path, signer.Algorithm(), signer.Thumbprint(), signer.PublicJWK())
	return err
}

// keyFlag is where a command finds the client's key.
type keyFlag struct{ path string }

func (k *keyFlag) define(f *pflag.FlagSet) {
	f.StringVar(&k.path, "key", "", "the key's `file` ("+shown(filepath.Join(folder(), "key.pem"))+")")
}

func (k *keyFlag) file() keyfile.File {
	file := keyfile.File{Path: cmp.Or(k.path, filepath.Join(folder(), "key.pem"))}
	if passphrase := os.Getenv(passphraseVariable); passphrase != "" {
		file.Passphrase = func() (string, error) { return passphrase, nil }
	}
	return file
}

func (k *keyFlag) signer() (*dpop.Signer, error) {
	file := k.file()
	key, err := file.Load()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no key yet: senderlock key new makes one (%w)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file.Path, err)
	}
	return dpop.NewSigner(key, "")
}

// folder is where this program keeps what is the user's.
func folder() string {
	config, err := os.UserConfigDir()
	if err != nil {
		config = "."
	}
	return filepath.Join(config, "senderlock")
}

// shown is a path as help shows it, the same for every user.
func shown(path string) string {
	if home, err := os.UserHomeDir(); err == nil {
		if rest, err := filepath.Rel(home, path); err == nil && filepath.IsLocal(rest) {
			return filepath.Join("~", rest)
		}
	}
	return path
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senderlock/senderlock/examples/authserver"
)

// issuer is one run of the development authorization server.
type issuer struct {
	listen  string
	scope   string
	config  authserver.Config
	approve bool
	asJSON  bool
}

func issuerCommand() *cobra.Command {
	var i issuer
	command := &cobra.Command{
		Use:   "issuer [flags]",
		Short: "Run an authorization server for development",
		Long: `Runs an authorization server for development: discovery, code with PKCE, client
credentials, refresh tokens, tokens bound by DPoP. It is NOT FOR PRODUCTION, and
listens on a loopback address alone. A restart forgets everything. Flags with *
may be repeated.`,
		Example: "  senderlock issuer --audience http://127.0.0.1:8080 --auto-approve",
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := i.settle(); err != nil {
				return err
			}
			return i.run(command.Context(), command.OutOrStdout())
		},
	}
	i.define(command.Flags())
	jsonFlag(command, &i.asJSON)
	return command
}

func (i *issuer) define(f *pflag.FlagSet) {
	f.StringVar(&i.listen, "listen", "127.0.0.1:9000", "a loopback `address`")
	f.StringArrayVar(&i.config.Audiences, "audience", nil, "an API that tokens are for, its `URL`*")
	f.Func("client", "`ID` or ID=redirect URI of an app*", i.addClient)
	f.Func("service", "`ID=secret` of a client without users*", i.addService)
	f.Func("user", "`name=password` of a user*", i.addUser)
	f.StringVar(&i.scope, "scope", "read write", "the clients' `scopes`")
	f.BoolVar(&i.approve, "auto-approve", false, "the first user is logged in unasked")
	f.DurationVar(&i.config.TokenLifetime, "token-lifetime", authserver.DefaultTokenLifetime, "of access tokens")
	f.BoolVar(&i.config.RequireNonce, "require-nonce", false, "demand a nonce in every proof")
	f.StringArrayVar(&i.config.CORSOrigins, "cors", nil, "an `origin` whose pages may ask*")
}

// anyLoopback is where a client on the user's machine takes its answer (RFC 8252 §7.3).
const anyLoopback = "http://127.0.0.1/callback"

func (i *issuer) addClient(value string) error {
	id, redirect, _ := strings.Cut(value, "=")
	if id == "" {
		return errors.New("write it as ID or ID=https://app.example.com/callback")
	}
	for n := range i.config.Clients {
		if client := &i.config.Clients[n]; client.ID == id && client.Secret == "" {
			client.RedirectURIs = append(client.RedirectURIs, cmp.Or(redirect, anyLoopback))
			return nil
		}
	}
	i.config.Clients = append(i.config.Clients, authserver.Client{ID: id, RedirectURIs: []string{cmp.Or(redirect, anyLoopback)}})
	return nil
}

func (i *issuer) addService(value string) error {
	id, secret, _ := strings.Cut(value, "=")
	if id == "" || secret == "" {
		return errors.New("write it as ID=secret")
	}
	i.config.Clients = append(i.config.Clients, authserver.Client{ID: id, Secret: secret})
	return nil
}

func (i *issuer) addUser(value string) error {
	name, password, _ := strings.Cut(value, "=")
	if name == "" || password == "" {
		return errors.New("write it as name=password")
	}
	i.config.Users = append(i.config.Users, authserver.User{Name: name, Password: password, ACRs: []string{"pwd", "mfa"}})
	return nil
}

// settle completes the settings, and refuses an address that others can reach.
func (i *issuer) settle() error {
	c := &i.config
	address, err := netip.ParseAddrPort(i.listen)
	switch {
	case err != nil || !address.Addr().IsLoopback():
		return fmt.Errorf("--listen is %q: this server is for this machine alone, so give a loopback address such as 127.0.0.1:9000", i.listen)
	case address == netip.MustParseAddrPort("127.0.0.1:0"):
	case address.Port() == 0:
		return fmt.Errorf("--listen is %q: give a port, or 127.0.0.1:0 for a free one", i.listen)
	default:
		c.Issuer = "http://" + address.String()
	}
	if len(c.Audiences) == 0 {
		c.Audiences = []string{"http://127.0.0.1:8080"}
	}
	if len(c.Clients) == 0 {
		c.Clients = []authserver.Client{{ID: "app", RedirectURIs: []string{anyLoopback}}}
	}
	for n := range c.Clients {
		c.Clients[n].Scopes = strings.Fields(i.scope)
	}
	if len(c.Users) == 0 {
		c.Users = []authserver.User{{Name: "alice", Password: "wonderland", ACRs: []string{"pwd", "mfa"}}}
	}
	if i.approve {
		c.AutoApprove = c.Users[0].Name
	}
	return nil
}

// run serves until it is told to end.
func (i *issuer) run(ctx context.Context, out io.Writer) error {
	server, err := authserver.Start(i.config)
	if err != nil {
		return err
	}
	if err := i.print(out, server.Issuer()); err != nil {
		_ = server.Close()
		return err
	}
	<-ctx.Done()
	return server.Close()
}

// print says where the server is, and who is known there.
func (i *issuer) print(out io.Writer, url string) error {
	c := &i.config
	said := struct {
		Issuer    string   `json:"issuer"`
		Audiences []string `json:"audiences"`
		Clients   []string `json:"clients"`
		Users     []string `json:"users"`
		Scopes    []string `json:"scopes"`
		Lifetime  string   `json:"token_lifetime"`
	}{Issuer: url, Audiences: c.Audiences, Scopes: strings.Fields(i.scope), Lifetime: c.TokenLifetime.Round(time.Second).String()}
	for _, client := range c.Clients {
		said.Clients = append(said.Clients, client.ID)
	}
	for _, user := range c.Users {
		said.Users = append(said.Users, user.Name)
	}
	if i.asJSON {
		return printJSON(out, said)
	}
	_, err := fmt.Fprintf(out, "issuer    %s\naudience  %s\nclients   %s\nusers     %s\nscopes    %s\nNot for production. Ctrl-C ends it.\n",
		said.Issuer, strings.Join(said.Audiences, " "), strings.Join(said.Clients, " "), strings.Join(said.Users, " "), i.scope)
	return err
}

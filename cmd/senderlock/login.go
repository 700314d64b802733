package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cli/browser"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senderlock/senderlock/dpop"
	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/examples/session"
	"github.com/senderlock/senderlock/internal/privatefile"
)

// patience is how long a login waits for the user.
const patience = 5 * time.Minute

// login is where the token of a request comes from, as the flags say.
type login struct {
	key    keyFlag
	token  tokenFlag
	secret string // the name of a file

	issuer, client, scope, resource string

	redirect  string
	acr       string
	maxAge    time.Duration
	again     bool
	noBrowser bool
}

func (l *login) define(f *pflag.FlagSet) {
	l.key.define(f)
	l.token.define(f, "the access token, in a `file`; - is stdin")
	f.StringVar(&l.issuer, "issuer", "", "the authorization server's issuer `URL`")
	f.StringVar(&l.client, "client", "", "the client's `ID` there")
	f.StringVar(&l.secret, "client-secret-file", "", "the client's secret, in a `file`")
	f.StringVar(&l.scope, "scope", "", "the `scopes` to ask for, with spaces between")
	f.StringVar(&l.resource, "resource", "", "the API's `identifier` at the issuer")
	f.StringVar(&l.acr, "acr", "", "the `contexts` of which the login reaches one")
	f.DurationVar(&l.maxAge, "max-age", -1, "how old the login may be")
	f.StringVar(&l.redirect, "redirect", "http://127.0.0.1/callback", "its redirect `URI` (http://127.0.0.1/callback)")
	f.BoolVar(&l.again, "login", false, "log in again")
	f.BoolVar(&l.noBrowser, "no-browser", false, "print the address of the login, open nothing")
	f.Lookup("max-age").DefValue, f.Lookup("redirect").DefValue = "0s", "" // which help leaves out
}

// source returns the key and the tokens for an API, after a login if one is needed.
func (l *login) source(ctx context.Context, app session.App, api string, stdin io.Reader) (
	*dpop.Signer, func(context.Context) (string, error), error,
) {
	switch {
	case l.token.path != "" && (l.issuer != "" || l.secret != "" || l.again):
		return nil, nil, errors.New("--token-file is a token already: leave out what asks for another")
	case l.token.path != "":
		return l.given(stdin)
	case l.issuer != "" && l.client == "":
		return nil, nil, errors.New("--issuer needs --client: the client_id that is registered there")
	case l.secret != "" && l.issuer == "":
		return nil, nil, errors.New("--client-secret-file needs --issuer and --client")
	}
	files, err := l.open(api)
	if err != nil {
		return nil, nil, err
	}
	if l.secret != "" {
		return l.credentials(ctx, files)
	}
	if err := l.logIn(ctx, app, files, api); err != nil {
		return nil, nil, err
	}
	signer, err := files.Signer()
	return signer, func(ctx context.Context) (string, error) { return app.Token(ctx, files, signer, api) }, err
}

// given is a token that was got elsewhere, for the key that is here.
func (l *login) given(stdin io.Reader) (*dpop.Signer, func(context.Context) (string, error), error) {
	token, err := l.token.read(stdin)
	if err != nil {
		return nil, nil, err
	}
	signer, err := l.key.signer()
	return signer, func(context.Context) (string, error) { return token, nil }, err
}

// credentials asks for a token on the client's own behalf. It is not kept: the next run asks again.
func (l *login) credentials(ctx context.Context, files *session.Store) (*dpop.Signer, func(context.Context) (string, error), error) {
	secret, err := privatefile.Secret(l.secret)
	if err != nil {
		return nil, nil, fmt.Errorf("--client-secret-file: %w", err)
	}
	signer, _, err := files.MakeSigner()
	if err != nil {
		return nil, nil, err
	}
	config := codeflow.Config{
		Issuer: l.issuer, ID: l.client, Secret: secret,
		Scopes: strings.Fields(l.scope), Resource: l.resource, Signer: signer,
	}
	client, err := codeflow.Discover(ctx, config)
	if err != nil {
		return nil, nil, err
	}
	token, err := client.Credentials(ctx)
	if err != nil {
		return nil, nil, err
	}
	return signer, func(context.Context) (string, error) { return token.AccessToken, nil }, nil
}

// logIn logs the user in, unless there is a login that is what the flags ask for.
func (l *login) logIn(ctx context.Context, app session.App, files *session.Store, api string) error {
	wanted, err := files.Load()
	loggedOut := errors.Is(err, session.ErrLoggedOut)
	switch {
	case loggedOut && l.issuer == "":
		return fmt.Errorf("%w with --issuer and --client, or give a token by --token-file", err)
	case loggedOut:
		wanted = &session.Session{}
	case err != nil:
		return err
	}
	if !l.change(wanted) && !loggedOut && !l.again && l.acr == "" && l.maxAge < 0 {
		return nil
	}
	wanted.API = api
	demand := codeflow.Demand{ACRs: strings.Fields(l.acr)}
	if l.maxAge >= 0 {
		demand.MaxAge = &l.maxAge
	}
	if !l.noBrowser {
		browser.Stdout = io.Discard                                                      // it is for the answers of the API
		app.Open = func(address string) { go func() { _ = browser.OpenURL(address) }() } // the address is said too
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("nobody logged in within %v", patience))
	defer cancel()
	return app.LogIn(ctx, files, wanted, l.redirect, demand)
}

// change writes what the flags say into a session, and reports whether that makes it another.
func (l *login) change(s *session.Session) (changed bool) {
	for _, field := range []struct {
		flag  string
		value *string
	}{{l.issuer, &s.Issuer}, {l.client, &s.Client}, {l.resource, &s.Resource}} {
		if field.flag != "" && field.flag != *field.value {
			*field.value, changed = field.flag, true
		}
	}
	if scopes := strings.Fields(l.scope); len(scopes) > 0 && !slices.Equal(scopes, s.Scopes) {
		s.Scopes, changed = scopes, true
	}
	return changed
}

// open opens the folder with the login for an API.
func (l *login) open(api string) (*session.Store, error) {
	return session.Open(filepath.Join(folder(), "logins", url.QueryEscape(api)), l.key.file().Path, os.Getenv(passphraseVariable))
}

func logoutCommand() *cobra.Command {
	var l login
	command := &cobra.Command{
		Use:   "logout URL",
		Short: "Take back the login that curl has kept for an API",
		Args:  oneURL,
		RunE: func(command *cobra.Command, args []string) error {
			target, err := addressOf(args[0])
			if err != nil {
				return err
			}
			files, err := l.open(session.OriginOf(target))
			if err != nil {
				return err
			}
			return appOf(command.ErrOrStderr()).LogOut(command.Context(), files, false)
		},
	}
	l.key.define(command.Flags())
	return command
}

// appOf speaks with the user on the standard error.
func appOf(said io.Writer) session.App {
	return session.App{Say: func(format string, args ...any) { fmt.Fprintf(said, format+"\n", args...) }}
}

// addressOf is the address of a request.
func addressOf(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the URL is not an address such as https://api.example.com/accounts")
	}
	return u, nil
}

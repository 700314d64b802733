package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/senderlock/senderlock/examples/internal/codeflow"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/setting"
)

// login is the command that logs in with the browser and keeps the tokens.
func (p program) login(ctx context.Context, args []string) error {
	flags, folder := p.flags("login -issuer URL -client ID -api URL [flags]")
	var s session
	flags.StringVar(&s.Issuer, "issuer", "", "the authorization server's issuer `URL`")
	flags.StringVar(&s.Client, "client", "native", "the client's `ID` there; it is a public client, without a secret")
	flags.StringVar(&s.API, "api", "", "the `URL` of the API; only its scheme, host and port receive the token")
	flags.StringVar(&s.Resource, "resource", "", "the API's `identifier`, for servers that issue tokens for several")
	scope := flags.String("scope", "", "the `scopes` to ask for, separated by spaces; what the server gives if empty")
	redirect := flags.String("redirect", "http://127.0.0.1/callback", "the registered redirect `URI`; without a port, a free one is taken")
	acr := flags.String("acr", "", "the `authentication contexts` of which the login should reach one, separated by spaces")
	maxAge := flags.Duration("max-age", -1, "how long ago the user may have logged in at most; less than zero: any time")
	wait := flags.Duration("wait", 5*time.Minute, "how long to wait for the user")
	noBrowser := flags.Bool("no-browser", false, "print the address and open no browser")
	if err := story.Parse(flags, args, 0); err != nil {
		return err
	}
	s.Scopes = strings.Fields(*scope)
	demand := codeflow.Demand{ACRs: strings.Fields(*acr)}
	if *maxAge >= 0 {
		demand.MaxAge = maxAge
	}
	if s.Issuer == "" || s.API == "" {
		return errors.New("login needs -issuer and -api: the addresses of the authorization server and of the API")
	}
	api, err := url.Parse(s.API)
	if err != nil || api.Host == "" {
		return fmt.Errorf("-api is %s: give an address such as https://api.example.com", setting.Address(s.API))
	}
	s.API = originOf(api)
	if *noBrowser {
		p.open = nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *wait, fmt.Errorf("nobody logged in within %v", *wait))
	defer cancel()
	return p.logIn(ctx, *folder, &s, *redirect, demand)
}

func (p program) logIn(ctx context.Context, folder string, s *session, redirect string, demand codeflow.Demand) error {
	files, err := p.openStore(folder)
	if err != nil {
		return err
	}
	signer, made, err := files.makeSigner()
	if err != nil {
		return err
	}
	if made {
		p.say("Made a key: %s", files.key.Path)
	}
	if _, err := newTransport(signer, s.API, nil); err != nil {
		return err
	}
	p.say("Asking %s what it offers.", setting.Address(s.Issuer))
	client, err := codeflow.Discover(ctx, s.config(signer))
	if err != nil {
		return err
	}
	token, err := p.askUser(ctx, client, redirect, demand)
	if err != nil {
		return err
	}
	s.take(token)
	unlock, err := files.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	old, _ := files.load() // whatever is there, it is replaced
	if err := files.save(s); err != nil {
		return err
	}
	p.say("Logged in. %s", lifetime(s))
	if old != nil {
		if err := p.takeBack(ctx, files, old); err != nil {
			p.say("The login before this one could not be taken back: %v", err)
		}
	}
	return nil
}

// askUser sends the user to the authorization server and waits for the answer.
func (p program) askUser(ctx context.Context, client *codeflow.Client, redirect string, demand codeflow.Demand) (*oauth2.Token, error) {
	back, err := listen(redirect)
	if err != nil {
		return nil, err
	}
	defer back.close()
	login, address := client.Begin(back.uri, demand)
	if p.open == nil {
		p.say("Log in with a browser on this machine at\n\n  %s\n", address)
	} else {
		p.say("Log in with your browser. If it does not open, go to\n\n  %s\n", address)
		p.open(address)
	}
	return back.wait(ctx, func(answer url.Values) (*oauth2.Token, error) { return client.Finish(ctx, login, answer) })
}

func lifetime(s *session) string {
	said := "The token is good until further notice"
	if !s.Expiry.IsZero() {
		said = fmt.Sprintf("The token is good for %v", time.Until(s.Expiry).Round(time.Second))
	}
	if s.RefreshToken == "" {
		return said + "; then log in again."
	}
	return said + " and refreshed when needed."
}

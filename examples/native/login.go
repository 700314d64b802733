package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/session"
	"github.com/senderlock/senderlock/internal/setting"
)

// login is the command that logs in with the browser and keeps the tokens.
func (p program) login(ctx context.Context, args []string) error {
	flags, folder := p.flags("login -issuer URL -client ID -api URL [flags]")
	var s session.Session
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
	s.API = session.OriginOf(api)
	if *noBrowser {
		p.open = nil
	}
	files, err := p.openStore(*folder)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *wait, fmt.Errorf("nobody logged in within %v", *wait))
	defer cancel()
	return p.app().LogIn(ctx, files, &s, *redirect, demand)
}

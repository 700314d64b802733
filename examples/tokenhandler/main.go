// Tokenhandler is a backend for teams whose browser code should hold no token at all (the token handler pattern: OAuth
// 2.0 for Browser-Based Applications, §6.1). It logs the user in by the authorization code flow with PKCE, keeps the
// tokens and the key that they are bound to by DPoP on its side, and gives the browser a cookie that scripts cannot
// read and other sites cannot use. The page calls /api/…, and the backend sends that on to the API with the token and
// a fresh proof.
//
//	go run ./examples/tokenhandler             # with a development authorization server and an API, to try it
//	go run ./examples/tokenhandler -stateless  # sessions in the cookie, encrypted, instead of in memory
//	go run ./examples/tokenhandler -h          # what it takes to use it with real ones
//
// All sessions are proved with one key, so that nonces are learned once, not once for each user. What the two ways of
// keeping sessions differ in: those in memory end with the process and can be taken back at once; those in the cookie
// survive it, and instances that share the key of the cookies (TOKENHANDLER_COOKIE_KEY) and of the proofs (-key) share
// them. Each instance refreshes a token once for all requests at the same time, but two instances do not know of each
// other: let a user's requests reach the same one, or have an authorization server that gives the refresh token of a
// confidential client no rotation.
//
// Read handler.go first, then login.go and forward.go.
package main

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/senderlock/senderlock/examples/codeflow"
	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/internal/setting"
)

// maxSessions is how many sessions are kept in memory at most.
const maxSessions = 100_000

func main() {
	p := program{out: os.Stdout, errOut: os.Stderr, getenv: os.Getenv}
	story.Main(func(ctx context.Context, args []string) int {
		return story.Program{Name: "tokenhandler", Err: p.errOut}.Status(p.run(ctx, args))
	})
}

// program is what a run depends on.
type program struct {
	out, errOut io.Writer
	getenv      func(string) string
}

// options are what the arguments and the environment say.
type options struct {
	listen, public  string
	issuer, api     string
	client, secret  string
	scope, resource string
	keyFile         string
	stateless       bool
	cookieKey       []byte
	legs            *legs // of the demo
	lifetime        time.Duration
}

func (p program) options(args []string) (*options, error) {
	o := new(options)
	flags := flag.NewFlagSet("tokenhandler", flag.ContinueOnError)
	flags.SetOutput(p.errOut)
	flags.Usage = func() {
		fmt.Fprint(p.errOut, "usage: go run ./examples/tokenhandler [flags]\n\n"+
			"Environment: TOKENHANDLER_SECRET, the client's secret at the authorization server;\n"+
			"TOKENHANDLER_COOKIE_KEY, 32 random octets in base64, such as of: openssl rand -base64 32\n\n")
		flags.PrintDefaults()
	}
	flags.StringVar(&o.listen, "listen", "localhost:0", "the `address` to serve at; port 0 takes a free one")
	flags.StringVar(&o.public, "public", "", "the `origin` at which browsers see it, such as https://app.example.com; http://localhost with the port if empty")
	flags.StringVar(&o.issuer, "issuer", "", "the authorization server's issuer `URL`; if empty, a development one is started, and an API")
	flags.StringVar(&o.api, "api", "", "the `URL` of the API, needed with -issuer")
	flags.StringVar(&o.client, "client", "web", "the client's `ID` at the authorization server")
	flags.StringVar(&o.scope, "scope", "", "the `scopes` to ask for, separated by spaces; what the server gives if empty")
	flags.StringVar(&o.resource, "resource", "", "the API's `identifier`, for servers that issue tokens for several")
	flags.StringVar(&o.keyFile, "key", "", "the `file` of the key that tokens are bound to, which is made if it is missing; without, a key for this run")
	flags.BoolVar(&o.stateless, "stateless", false, "keep sessions in the browser's cookie, encrypted, and not in memory")
	flags.DurationVar(&o.lifetime, "lifetime", 8*time.Hour, "how long a login lasts")
	if err := story.Parse(flags, args, 0); err != nil {
		return nil, err
	}
	o.secret = p.getenv("TOKENHANDLER_SECRET")
	return o, o.check(p.getenv("TOKENHANDLER_COOKIE_KEY"))
}

func (o *options) check(cookieKey string) (err error) {
	switch {
	case o.issuer != "" && o.api == "":
		return errors.New("-issuer needs -api: the address of the API that its tokens are for")
	case o.issuer == "" && o.api != "":
		return errors.New("-api needs -issuer: the authorization server whose tokens it takes")
	case o.public != "" && codeflow.Confidential(o.public) != nil:
		return fmt.Errorf("-public is %s: use https, or browsers keep none of its cookies (http is for this machine alone)", setting.Address(o.public))
	case o.lifetime <= 0:
		return fmt.Errorf("-lifetime is %v: give a positive one, such as 8h", o.lifetime)
	case o.stateless && o.issuer != "" && cookieKey == "":
		return errors.New("-stateless needs TOKENHANDLER_COOKIE_KEY, so that sessions outlive this run")
	}
	if cookieKey == "" {
		o.cookieKey = newCookieKey()
		return nil
	}
	if o.cookieKey, err = base64.StdEncoding.DecodeString(cookieKey); err != nil {
		return fmt.Errorf("TOKENHANDLER_COOKIE_KEY is not base64: %w", err)
	}
	return nil
}

func (p program) run(ctx context.Context, args []string) error {
	o, err := p.options(args)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.errOut, nil))
	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if o.public == "" {
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return err
		}
		o.public = "http://localhost:" + port
	}
	if o.issuer == "" {
		stop, err := startDemo(o, log)
		if err != nil {
			return err
		}
		defer stop()
		fmt.Fprintf(p.out, "A development authorization server is at %s, an API at %s.\nLog in as %s with the password %s.\n",
			o.issuer, o.api, demoUser, demoPassword)
	}
	e, err := o.newHandler(ctx, log)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "Open %s in a browser. Ctrl-C ends.\n", o.public)
	return serve(ctx, listener, e)
}

func (o *options) newHandler(ctx context.Context, log *slog.Logger) (http.Handler, error) {
	signer, err := newSigner(o.keyFile)
	if err != nil {
		return nil, err
	}
	client, err := codeflow.Discover(ctx, codeflow.Config{
		Issuer: o.issuer, ID: o.client, Secret: o.secret, Scopes: strings.Fields(o.scope), Resource: o.resource, Signer: signer,
	})
	if err != nil {
		return nil, err
	}
	s := settings{
		origin: o.public, apiURL: o.api, client: client, signer: signer, lifetime: o.lifetime, log: log, now: time.Now, legs: o.legs,
	}
	if s.seal, err = newSeal(o.cookieKey, s.now); err != nil {
		return nil, err
	}
	s.sessions = newMemory(o.lifetime, maxSessions, s.now)
	if o.stateless {
		s.sessions = newStateless(s.seal, o.lifetime)
	}
	return newHandler(s)
}

// newServer keeps no connection for longer than its use.
func newServer(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: longest, WriteTimeout: longest,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
}

// serve serves until ctx ends, and lets the requests that are on their way finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := newServer(handler)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(grace)
	}
}

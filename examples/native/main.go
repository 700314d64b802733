// Native is a command-line app that logs its user in as RFC 8252 describes, and calls an API with tokens that are
// worthless to anyone else: bound to a key on this machine by DPoP (RFC 9449).
//
//	go run ./examples/native login -issuer https://login.example.com -client my-app -api https://api.example.com
//	go run ./examples/native call https://api.example.com/accounts
//	go run ./examples/native logout
//
// The user logs in with the browser, which brings the answer back to a port of the loopback interface (§7.3), by the
// authorization code flow with PKCE; the app sees no password. The key and the tokens lie in a folder of the user's,
// in files that nobody else can read; with a passphrase in the environment variable NATIVE_PASSPHRASE the key is
// encrypted. Refresh tokens are bound to the key as well, and refreshed by one process at a time, since servers take
// a refresh token that comes twice for a stolen one.
//
// Read login.go first, then call.go; package session does the login and keeps what it gives. "go run ./examples/quickstart -serve" has a server to try it with.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/cli/browser"

	"github.com/senderlock/senderlock/examples/internal/story"
	"github.com/senderlock/senderlock/examples/session"
	"github.com/senderlock/senderlock/internal/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	browser.Stdout = io.Discard  // it is for the answers of the API
	open := func(address string) {
		go func() { _ = browser.OpenURL(address) }() // the address has been printed too
	}
	p := program{
		in: os.Stdin, out: os.Stdout, errOut: os.Stderr,
		open: open, passphrase: os.Getenv("NATIVE_PASSPHRASE"),
	}
	status := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// program is what a run depends on. Answers of the API go to out, everything else to errOut.
type program struct {
	in          io.Reader
	out, errOut io.Writer
	open        func(address string) // shows the user a page, and does not wait for it
	passphrase  string               // of the key; empty: it is not encrypted
}

const usage = `usage: go run ./examples/native COMMAND

  login    log in with the browser
  call     send a request to the API
  logout   take the login back

COMMAND -h says more.
`

// run does what the arguments say and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	p.errOut = terminal.Plain(p.errOut)
	commands := map[string]func(context.Context, []string) error{"login": p.login, "call": p.call, "logout": p.logout}
	if len(args) > 0 && commands[args[0]] != nil {
		return story.Program{Name: "native", Err: p.errOut}.Status(commands[args[0]](ctx, args[1:]))
	}
	fmt.Fprint(p.errOut, usage)
	if len(args) == 1 && (args[0] == "-h" || args[0] == "-help" || args[0] == "--help") {
		return 0
	}
	return 2
}

// flags are those that all commands have.
func (p program) flags(usage string) (flags *flag.FlagSet, folder *string) {
	flags = flag.NewFlagSet("native", flag.ContinueOnError)
	flags.SetOutput(p.errOut)
	flags.Usage = func() {
		fmt.Fprintln(p.errOut, "usage: go run ./examples/native", usage)
		flags.PrintDefaults()
	}
	return flags, flags.String("dir", defaultFolder(), "the `folder` of the key and the tokens")
}

func defaultFolder() string {
	folder, err := os.UserConfigDir()
	if err != nil {
		folder = "."
	}
	return filepath.Join(folder, "senderlock-native")
}

func (p program) openStore(folder string) (*session.Store, error) {
	return session.Open(folder, filepath.Join(folder, "key.pem"), p.passphrase)
}

func (p program) app() session.App { return session.App{Say: p.say, Open: p.open} }

func (p program) say(format string, args ...any) { fmt.Fprintf(p.errOut, format+"\n", args...) }

// Quickstart starts a development authorization server, an Echo API that Senderlock protects, and a client, and
// plays a story over real HTTP on this machine: the owner of an access token is accepted, everyone else is refused.
//
//	go run ./examples/quickstart           # play the story; exit status 1 if an answer is not the expected one
//	go run ./examples/quickstart -v        # with the server's log in full
//	go run ./examples/quickstart -serve    # then keep serving, and print curl commands to try
//
// Read api.go first: it is the protected API. story.go is the story. The two commands token and proof stand in for
// a client beside curl.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{newAPI: newAPI, out: os.Stdout, errOut: os.Stderr, colour: story.IsTerminal(os.Stdout)}
	status := p.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// program is what a run depends on.
type program struct {
	newAPI      apiMaker
	out, errOut io.Writer
	colour      bool
}

// errUnexpected means that an answer was not the expected one; the story has named it.
var errUnexpected = errors.New("not every answer was the expected one")

// errUsage means that the arguments were wrong; flag has said so.
var errUsage = errors.New("usage")

// run does what the arguments say and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	err := p.dispatch(ctx, args)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintln(p.errOut, "quickstart:", err)
	return 1
}

func (p program) dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "token" {
		return p.printToken(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == "proof" {
		return p.printProof(ctx, args[1:])
	}
	flags := p.flags("quickstart [-v] [-serve]")
	verbose := flags.Bool("v", false, "print the server's log in full")
	serve := flags.Bool("serve", false, "keep serving after the story, and print curl commands")
	if err := parse(flags, args, 0); err != nil {
		return err
	}
	s, err := start(p, *verbose)
	if err != nil {
		return err
	}
	defer s.close()
	s.Opening(fmt.Sprintf("The API is at %s, the authorization server at %s.", s.api, s.issuer))
	s.story(ctx)
	if !s.Summary() {
		return errUnexpected
	}
	if *serve {
		return s.serve(ctx)
	}
	return nil
}

func (p program) flags(usage string) *flag.FlagSet {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(p.errOut)
	flags.Usage = func() {
		fmt.Fprintln(p.errOut, "usage: go run ./examples/"+usage)
		flags.PrintDefaults()
	}
	return flags
}

// parse reads flags and demands a number of arguments after them.
func parse(flags *flag.FlagSet, args []string, count int) error {
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if flags.NArg() != count {
		flags.Usage()
		return errUsage
	}
	return nil
}

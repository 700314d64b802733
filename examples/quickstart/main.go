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
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	p := program{newAPI: newAPI, out: os.Stdout, errOut: os.Stderr, colour: story.IsTerminal(os.Stdout)}
	story.Main(p.run)
}

// program is what a run depends on.
type program struct {
	newAPI      apiMaker
	out, errOut io.Writer
	colour      bool
}

// run does what the arguments say and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	return story.Status("quickstart", p.dispatch(ctx, args), p.errOut)
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
	if err := story.Parse(flags, args, 0); err != nil {
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
		return story.ErrUnexpected
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

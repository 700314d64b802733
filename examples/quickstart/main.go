// Quickstart starts a development authorization server, an Echo API that Senderlock protects, and a client, and
// plays a story over real HTTP on this machine: the owner of an access token is accepted, everyone else is refused.
//
//	go run ./examples/quickstart           # play the story; exit status 1 if an answer is not the expected one
//	go run ./examples/quickstart -v        # with the server's log in full
//	go run ./examples/quickstart -serve    # then keep serving, and print curl commands to try
//
// Read api.go first: it is the protected API, and all that you would write yourself. Then story.go: each request with the
// answer that it gets. The rest is scenery: stage.go starts the two servers and makes the requests, and serve.go is -serve,
// with the commands token and proof that stand in for a client beside curl.
package main

import (
	"context"
	"fmt"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	story.Main(program{story.Terminal("quickstart"), newAPI}.run)
}

// program is what a run depends on.
type program struct {
	story.Program
	newAPI apiMaker
}

// run does what the arguments say and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	return p.Status(p.dispatch(ctx, args))
}

func (p program) dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "token" {
		return p.printToken(ctx, args[1:])
	}
	if len(args) > 0 && args[0] == "proof" {
		return p.printProof(ctx, args[1:])
	}
	flags := p.Flags("[-v] [-serve]")
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
	where := fmt.Sprintf("The API is at %s, the authorization server at %s.", s.api, s.issuer)
	if err := s.Tell(where, func() { s.story(ctx) }); err != nil || !*serve {
		return err
	}
	return s.serve(ctx)
}

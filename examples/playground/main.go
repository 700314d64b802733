// Playground serves one page on this machine, where a request to a protected API can be edited, token, proof, fields and
// the server's clock, and each step of the Guard is seen to pass or fail, in its order, with the section of the RFC. It
// opens with a good request; its buttons are the well-known attacks.
//
//	go run ./examples/playground             # on a free port of 127.0.0.1
//	go run ./examples/playground -port 8080  # on this one
//
// Read judge.go first. The Guard decides as in a server, by the code that the command senderlock explain uses as well.
// Nothing is kept from one request to the next, nothing is fetched from anywhere, and what is pasted into the page goes
// to this program and no further. Keys are made at the start: demo.go has them, and scenes.go what the buttons do.
package main

import (
	"context"
	"fmt"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	story.Main(program{story.Terminal("playground")}.run)
}

// program is what a run depends on.
type program struct{ story.Program }

// run does what the arguments say and returns the exit status.
func (p program) run(ctx context.Context, args []string) int { return p.Status(p.serve(ctx, args)) }

// serve serves the page until ctx ends.
func (p program) serve(ctx context.Context, args []string) error {
	flags := p.Flags("[-port PORT]")
	port := flags.Uint("port", 0, "the `port` of the page on 127.0.0.1; 0 takes a free one")
	if err := story.Parse(flags, args, 0); err != nil {
		return err
	}
	var servers story.Servers
	defer servers.Close(p.Program)
	listener, address, err := servers.Listen(*port)
	if err != nil {
		return fmt.Errorf("-port %d: give a port that is free: %w", *port, err)
	}
	page, err := newPage(address)
	if err != nil {
		return err
	}
	servers.Serve(listener, page)
	fmt.Fprintf(p.Out, "Open http://%s in a browser. Ctrl-C ends.\n", address)
	<-ctx.Done()
	return nil
}

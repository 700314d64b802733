// Cluster starts two processes of one API behind a small round-robin proxy, and one Redis that they share, and plays a
// story over real HTTP on this machine: a proof that one process accepted is refused by the other, a token that is
// taken back at one is refused at the other, what happens when Redis is killed, and two regions with a Redis each.
//
//	go run ./examples/cluster    # play the story; exit status 1 if an answer is not the expected one
//
// It needs redis-server (apt-get install redis-server, brew install redis). Read api.go first: it is the protected API,
// with the lines that make many instances one. story.go is the story.
package main

import (
	"context"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	story.Main(program{story.Terminal("cluster")}.run)
}

// program is what a run depends on.
type program struct {
	story.Program
}

// run does what the arguments say and returns the exit status. The program starts itself as "cluster api …" for each
// process of the API.
func (p program) run(ctx context.Context, args []string) int {
	if len(args) == 5 && args[0] == "api" {
		return p.Status(serveAPI(ctx, settings{name: args[1], origin: args[2], issuer: args[3], redis: args[4]}, p.Out))
	}
	err := story.Parse(p.Flags(""), args, 0)
	if err == nil {
		err = p.play(ctx)
	}
	return p.Status(err)
}

func (p program) play(ctx context.Context) error {
	s, err := start(p)
	if err != nil {
		return err
	}
	defer s.close()
	where := "Two processes of an API, one and two, share a Redis. A proxy at " + s.api + " takes them in turn."
	return s.Tell(where, func() { s.story(ctx) })
}

// Rollout starts a development authorization server and an API, and plays over real HTTP on this machine how the API gets
// from bearer tokens to bound ones: three generations of clients walk through five steps. No good client is refused at
// any step, and at each one the operator is told who is not ready for the next.
//
//	go run ./examples/rollout       # play the story; exit status 1 if an answer is not the expected one
//	go run ./examples/rollout -v    # with the server's log in full
//
// Read api.go first: it is the API in each step. docs/from-bearer-to-bound.md has the settings in prose.
package main

import (
	"context"
	"fmt"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	story.Main(program{story.Terminal("rollout"), steps()}.run)
}

// program is what a run depends on.
type program struct {
	story.Program
	steps []step
}

func (p program) run(ctx context.Context, args []string) int { return p.Play(ctx, args, p.play) }

func (p program) play(ctx context.Context, verbose bool) error {
	s, err := start(p, verbose)
	if err != nil {
		return err
	}
	defer s.Close(p.Program)
	where := fmt.Sprintf("The API is at %s, the authorization server at %s.", s.api, s.issuer)
	return s.Tell(where, func() { s.story(ctx) })
}

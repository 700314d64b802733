// Takingback starts a development authorization server and an Echo API that Senderlock protects, and plays a story
// over real HTTP on this machine: access tokens that are good for minutes are taken back within a moment, because a
// password was changed, an account locked, a phone lost, or a session ended; and a dangerous call wants a stronger
// login.
//
//	go run ./examples/takingback       # play the story; exit status 1 if an answer is not the expected one
//	go run ./examples/takingback -v    # with the server's log in full
//
// Read api.go first: it is the protected API. story.go is the story, device.go a client with a key of its own.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	story.Main(program{story.Terminal("takingback"), newAPI, story.Patience}.run)
}

// program is what a run depends on.
type program struct {
	story.Program
	newAPI   apiMaker
	patience time.Duration // for what has to come by itself: the end of a stream, a report to the identity provider
}

func (p program) run(ctx context.Context, args []string) int { return p.Play(ctx, args, p.play) }

func (p program) play(ctx context.Context, verbose bool) error {
	s, err := start(p, verbose)
	if err != nil {
		return err
	}
	defer s.close()
	where := fmt.Sprintf("The API is at %s, the authorization server at %s.", s.origin, s.issuer)
	return s.Tell(where, func() { s.story(ctx) })
}

// Mtls makes an authority and certificates in memory, starts an Echo API that Senderlock protects, and plays a story
// over real TLS on this machine: an access token that is bound to a certificate (RFC 8705) works on a connection with
// that certificate, and on no other.
//
//	go run ./examples/mtls                  # play the story; exit status 1 if an answer is not the expected one
//	go run ./examples/mtls -v               # with the server's log in full
//	go run ./examples/mtls -proxy nginx     # wait for a proxy of yours, and print curl commands to try
//
// Read api.go first: it is the protected API. story.go is the story. README.md has the settings of the proxies.
package main

import (
	"context"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	story.Main(program{story.Terminal("mtls"), newAPI}.run)
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
	var front frontEnd
	flags := p.Flags("[-v] [-proxy PROXY]")
	verbose := flags.Bool("v", false, "print the server's log in full")
	flags.StringVar(&front.proxy, "proxy", "", "play nothing and wait for a `proxy`: "+proxyNames())
	flags.StringVar(&front.listen, "listen", "127.0.0.1:8080", "the `address` at which the proxy finds the API, with -proxy")
	flags.StringVar(&front.trusted, "trusted", "127.0.0.1/32", "the `range` of addresses that the proxy connects from, with -proxy")
	flags.StringVar(&front.origin, "origin", "https://localhost:8443", "the `origin` of the proxy, as clients see it, with -proxy")
	if err := story.Parse(flags, args, 0); err != nil {
		return err
	}
	s, err := newStage(p, *verbose)
	if err != nil {
		return err
	}
	defer s.close()
	if front.proxy != "" {
		return s.wait(ctx, front)
	}
	return s.tell()
}

// tell plays the story.
func (s *stage) tell() error {
	if err := s.serveTLS(); err != nil {
		return err
	}
	return s.Tell("The API is at "+s.api+". It asks every client for a certificate, and demands none.", s.story)
}

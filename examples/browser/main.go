// Browser serves a page that holds a key in the browser (WebCrypto, not extractable) and signs a proof for each request
// to an API of another origin. Its buttons send what the owner of an access token sends, and what a thief would, and
// show each request with its status, the code that the client is told and the reason in the API's log.
//
//	go run ./examples/browser                                      # three servers on free ports
//	go run ./examples/browser -page 8080 -api 8081 -issuer 8082    # on these ports
//
// Read api.go first: it is the protected API, with the CORS settings that browsers need. page/dpop.js is the client's
// side of RFC 9449, page/login.js its login as a public client (authorization code, PKCE), page/keystore.js keeps the
// key. There is no build step and no dependency. log.go is only for the demo: no API tells clients its reasons.
//
// A token that is stolen from such a page is worth nothing without the key, and the key cannot be stolen. A script that
// gets into the page can still act as its user while the page is open, which is why page.go forbids every script but
// its own. examples/tokenhandler keeps tokens and key out of the browser altogether.
package main

import (
	"context"
	"fmt"

	"github.com/senderlock/senderlock/examples/internal/story"
)

func main() {
	story.Main(program{story.Terminal("browser"), newAPI}.run)
}

// program is what a run depends on.
type program struct {
	story.Program
	newAPI apiMaker
}

// run does what the arguments say and returns the exit status.
func (p program) run(ctx context.Context, args []string) int {
	return p.Status(p.serve(ctx, args))
}

const opening = `
  page                  %s
  API                   %s
  authorization server  %s

Open the page, log in as %s with the password "%s", and press the buttons.
Ctrl-C ends all three. The API's log:

`

// serve keeps the servers running until ctx ends.
func (p program) serve(ctx context.Context, args []string) error {
	var ports ports
	flags := p.Flags("[-page PORT] [-api PORT] [-issuer PORT]")
	flags.UintVar(&ports.page, "page", 0, "the `port` of the page on 127.0.0.1; 0 takes a free one")
	flags.UintVar(&ports.api, "api", 0, "the `port` of the API on 127.0.0.1; 0 takes a free one")
	flags.UintVar(&ports.issuer, "issuer", 0, "the `port` of the authorization server on 127.0.0.1; 0 takes a free one")
	if err := story.Parse(flags, args, 0); err != nil {
		return err
	}
	s, err := start(p, ports)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintf(p.Out, opening, s.at.page, s.at.api, s.at.issuer, userName, password)
	<-ctx.Done()
	return nil
}

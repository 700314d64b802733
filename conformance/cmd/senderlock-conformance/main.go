// Command senderlock-conformance asks a resource server over the network, in whatever language it is written. It is
// the authorization server that the server under test is configured to trust, or it takes tokens from a real one.
//
//	senderlock-conformance --url http://127.0.0.1:8080/resource
//
// It ends with status 0 when nothing failed, 1 when something did, and 2 when the server could not be asked. The command
// line "senderlock conformance" is the same.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/senderlock/senderlock/conformance/command"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := command.Main(ctx, "senderlock-conformance", os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

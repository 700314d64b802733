// Command api is a resource server that is configured by its environment: a start for your own, and a program at which
// any authorization server and client can be pointed. README.md lists the variables and how to set up an authorization
// server for it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, os.Getenv, os.Stdout); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(os.Stderr, "api: %s\n", strings.TrimSuffix(line, "\n"))
		}
		os.Exit(1)
	}
}

// run serves until ctx is done, then until the requests in flight are answered.
func run(ctx context.Context, get func(string) string, out io.Writer) error {
	s, err := read(get)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{Level: s.level}))
	a, err := build(s, log)
	if err != nil {
		return err
	}
	return errors.Join(a.serve(ctx), a.Close())
}

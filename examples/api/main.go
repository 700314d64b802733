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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/senderlock/senderlock/internal/settings"
	"github.com/senderlock/senderlock/logqueue"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(os.Stderr, "api: %s\n", strings.TrimSuffix(line, "\n"))
		}
		os.Exit(1)
	}
}

// logWait is how long the end of the program waits for what is left of the log.
const logWait = 2 * time.Second

// run serves until ctx is done, then until the requests in flight are answered.
func run(ctx context.Context, args []string, get func(string) string, out io.Writer) error {
	check := slices.Equal(args, []string{"-check-config"})
	if !check && len(args) > 0 {
		return errors.New("the settings are in the environment; the only argument is -check-config, which judges them and ends")
	}
	reader := settings.NewReader(get)
	s, events := settings.Read(reader), readEvents(reader)
	if err := reader.Err(); err != nil || check {
		return err
	}
	lines, err := logqueue.New(logqueue.Config{Writer: out}) // a log that nobody drains stops no request
	if err != nil {
		return err
	}
	a, err := build(s, events, slog.New(slog.NewJSONHandler(lines, &slog.HandlerOptions{Level: s.Level})), lines)
	if err != nil {
		return errors.Join(err, lines.Close(logWait))
	}
	err = errors.Join(a.serve(ctx), a.Close())
	_ = lines.Close(logWait) // nobody reads what was not written
	return err
}

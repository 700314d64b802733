package story

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

var (
	// ErrUnexpected means that an answer was not the expected one; the story has named it.
	ErrUnexpected = errors.New("not every answer was the expected one")
	// errUsage means that the arguments were wrong; flag has said so.
	errUsage = errors.New("usage")
)

// Main runs a program until it ends by itself or is told to, and exits with its status.
func Main(run func(ctx context.Context, args []string) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// Parse reads flags and demands a number of arguments after them.
func Parse(flags *flag.FlagSet, args []string, count int) error {
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}
	if flags.NArg() != count {
		flags.Usage()
		return errUsage
	}
	return nil
}

// Status is the exit status of a program that ended with err: 0, 1, or 2 for wrong arguments. It says what went wrong.
func Status(program string, err error, out io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(out, "%s: %v\n", program, err)
	return 1
}

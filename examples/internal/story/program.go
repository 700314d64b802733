package story

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

var (
	// ErrUnexpected means that an answer was not the expected one; the story has named it.
	ErrUnexpected = errors.New("not every answer was the expected one")
	// errUsage means that the arguments were wrong; flag has said so.
	errUsage = errors.New("usage")
)

// Program is what a run of an example depends on.
type Program struct {
	Name     string // its folder in examples
	Out, Err io.Writer
	Colour   bool // whether Out shows the colours of a terminal
}

// Terminal is a program that prints where it was started.
func Terminal(name string) Program {
	return Program{Name: name, Out: os.Stdout, Err: os.Stderr, Colour: IsTerminal(os.Stdout)}
}

// Flags are the flags of a program, or of one of its commands. The usage is what may stand behind its name.
func (p Program) Flags(usage string) *flag.FlagSet {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(p.Err)
	flags.Usage = func() {
		fmt.Fprintln(p.Err, strings.TrimSpace("usage: go run ./examples/"+p.Name+" "+usage))
		flags.PrintDefaults()
	}
	return flags
}

// Status is the exit status of a program that ended with err: 0, 1, or 2 for wrong arguments. It says what went wrong.
func (p Program) Status(err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintf(p.Err, "%s: %v\n", p.Name, err)
	return 1
}

// Play does what the arguments of a program say that does nothing but tell its story, and returns the exit status. The
// story is told whether to print the server's log in full.
func (p Program) Play(ctx context.Context, args []string, tell func(ctx context.Context, verbose bool) error) int {
	flags := p.Flags("[-v]")
	verbose := flags.Bool("v", false, "print the server's log in full")
	err := Parse(flags, args, 0)
	if err == nil {
		err = tell(ctx, *verbose)
	}
	return p.Status(err)
}

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

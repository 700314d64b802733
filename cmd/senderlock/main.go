// Senderlock is the command line of the library: what a developer needs beside an API that takes tokens only from the
// sender they were issued to. "senderlock help" lists the commands, docs/command-line.md describes them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/senderlock/senderlock/internal/terminal"
)

// commands are what the program can do, in the order of its help. A command stands in a file of its own.
var commands = []func() *cobra.Command{
	keyCommand,
	proofCommand,
	versionCommand,
}

// The exit codes of all commands.
const (
	statusDone   = 0
	statusNo     = 1 // it was done, and the answer is no: a request is refused, a case failed
	statusUnable = 2 // it could not be done: a wrong flag, no such file, nobody answers
)

// errNo says that the answer is no. A command that has printed why returns it as it is.
var errNo = errors.New("the answer is no")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	status := run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// run does what the arguments say and returns the exit code.
func run(ctx context.Context, args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusDone
	}
	if err != errNo {
		fmt.Fprintf(root.ErrOrStderr(), "%s: %v\n", command.CommandPath(), err)
	}
	if errors.Is(err, errNo) {
		return statusNo
	}
	return statusUnable
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "senderlock",
		Short: "Access tokens that are worthless to anyone but their sender (RFC 9449, RFC 8705)",
		Long: `Access tokens that are worthless to anyone but their sender (RFC 9449, RFC 8705).

Exit codes: 0 done; 1 done, and the answer is no; 2 it could not be done.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetErr(terminal.Plain(os.Stderr))
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, command.CommandPath())
	})
	for _, command := range commands {
		root.AddCommand(command())
	}
	return root
}

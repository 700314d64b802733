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
	curlCommand,
	logoutCommand,
	explainCommand,
	proofCommand,
	keyCommand,
	gatewayCommand,
	forwardAuthCommand,
	issuerCommand,
	conformanceCommand,
	versionCommand,
	completionCommand,
}

// The exit codes of all commands.
const (
	statusDone   = 0
	statusNo     = 1 // it was done, and the answer is no: a request is refused, a case failed
	statusUnable = 2 // it could not be done: a wrong flag, no such file, nobody answers
)

// no is the error of a command that did what it was asked to, and the answer is no. An empty one has been explained.
type no string

func (n no) Error() string { return string(n) }

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
	if err.Error() != "" {
		fmt.Fprintf(root.ErrOrStderr(), "%s: %v\n", command.CommandPath(), err)
	}
	if _, ok := errors.AsType[no](err); ok {
		return statusNo
	}
	return statusUnable
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "senderlock COMMAND",
		Short: "Access tokens that are worthless to anyone but their sender",
		Long: `Access tokens that are worthless to anyone but their sender (RFC 9449, 8705).
"senderlock help COMMAND" says more of each command.

Exit codes: 0 done; 1 done, and the answer is no; 2 it could not be done.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetErr(terminal.Plain(os.Stderr))
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w (%s --help lists the flags)", err, command.CommandPath())
	})
	root.SetUsageTemplate(usage)
	root.CompletionOptions.DisableDefaultCmd = true // ours is shorter
	cobra.EnableCommandSorting = false
	for _, command := range commands {
		root.AddCommand(command())
	}
	withoutHelpFlag(root)
	return root
}

// withoutHelpFlag leaves the flag --help, which every command has, out of the lists of flags.
func withoutHelpFlag(command *cobra.Command) {
	command.InitDefaultHelpFlag()
	command.Flags().Lookup("help").Hidden = true
	for _, child := range command.Commands() {
		withoutHelpFlag(child)
	}
}

// usage is what help says of a command behind its description. It has to fit a screen of 80 by 24.
const usage = `Usage: {{.UseLine}}
{{- if .HasAvailableSubCommands}}
{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- if .HasExample}}

{{.Example}}{{end}}
{{- if .HasAvailableLocalFlags}}

{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}
`

package main

import (
	"flag"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	conformance "github.com/senderlock/senderlock/conformance/command"
)

func conformanceCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "conformance --url URL [flags]",
		Short: "Ask a resource server whether it does all of this",
		Long: `Asks a resource server, in any language, whether it takes a token only from the
sender it was issued to. conformance/README.md describes all flags. Ends with 1
if a case failed.`,
		Args: cobra.NoArgs,
	}
	flags := flag.NewFlagSet("conformance", flag.ContinueOnError)
	suite := conformance.New(flags)
	command.Flags().AddGoFlagSet(flags)
	_ = command.RegisterFlagCompletionFunc("profile",
		cobra.FixedCompletions([]string{"base", "strict", "fapi2"}, cobra.ShellCompDirectiveNoFileComp))
	command.RunE = func(command *cobra.Command, _ []string) error {
		passed, err := suite.Run(command.Context(), command.InOrStdin(), command.OutOrStdout(), command.ErrOrStderr())
		if err != nil || passed {
			return err
		}
		return no("") // the report says what failed
	}
	command.SetUsageFunc(shortUsage("url", "issuer", "profile", "group", "explain", "list", "html"))
	return command
}

// shortUsage is the usage of a command with more flags than a screen has lines: those that are named, and of the others
// their names.
func shortUsage(names ...string) func(*cobra.Command) error {
	return func(command *cobra.Command) error {
		described := pflag.NewFlagSet("", pflag.ContinueOnError)
		var others []string
		command.LocalFlags().VisitAll(func(f *pflag.Flag) {
			switch {
			case slices.Contains(names, f.Name):
				described.AddFlag(f)
			case !f.Hidden:
				others = append(others, "--"+f.Name)
			}
		})
		_, err := fmt.Fprintf(command.OutOrStderr(), "Usage: %s\n\n%s\n%s\n",
			command.UseLine(), described.FlagUsagesWrapped(80), wrapped(others, 79))
		return err
	}
}

// wrapped are words in lines of a width.
func wrapped(words []string, width int) string {
	var text strings.Builder
	column := 0
	for i, word := range words {
		switch {
		case i > 0 && column+1+len(word) > width:
			text.WriteByte('\n')
			column = 0
		case i > 0:
			text.WriteByte(' ')
			column++
		}
		text.WriteString(word)
		column += len(word)
	}
	return text.String()
}

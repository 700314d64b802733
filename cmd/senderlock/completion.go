package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// completions write the script for each shell.
var completions = map[string]func(root *cobra.Command, out io.Writer) error{
	"bash":       func(root *cobra.Command, out io.Writer) error { return root.GenBashCompletionV2(out, true) },
	"fish":       func(root *cobra.Command, out io.Writer) error { return root.GenFishCompletion(out, true) },
	"powershell": func(root *cobra.Command, out io.Writer) error { return root.GenPowerShellCompletionWithDesc(out) },
	"zsh":        func(root *cobra.Command, out io.Writer) error { return root.GenZshCompletion(out) },
}

func completionCommand() *cobra.Command {
	shells := slices.Sorted(maps.Keys(completions))
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print the script that completes commands in a shell",
		Example: `  bash  source <(senderlock completion bash)
  fish  senderlock completion fish | source
  zsh   source <(senderlock completion zsh), behind compinit
  pwsh  senderlock completion powershell | Out-String | Invoke-Expression`,
		ValidArgs: shells,
		RunE: func(command *cobra.Command, args []string) error {
			if len(args) != 1 || completions[args[0]] == nil {
				return fmt.Errorf("name one shell of %s", strings.Join(shells, ", "))
			}
			return completions[args[0]](command.Root(), command.OutOrStdout())
		},
	}
}

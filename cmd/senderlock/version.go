package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func versionCommand() *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "version",
		Short: "Print which release this is",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			v := struct {
				Version string `json:"version"`
				Go      string `json:"go"`
				System  string `json:"system"`
			}{release(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if asJSON {
				return printJSON(command.OutOrStdout(), v)
			}
			_, err := fmt.Fprintf(command.OutOrStdout(), "senderlock %s, %s, %s\n", v.Version, v.Go, v.System)
			return err
		},
	}
	jsonFlag(command, &asJSON)
	return command
}

// tagged is the version of a release, which .ci/release puts in; Go itself knows none of a module that is built in its
// checkout.
var tagged string

// release is the version of a release, or the one that Go has built in; "(devel)" is a build from a checkout.
func release() string {
	if tagged != "" {
		return tagged
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// jsonFlag gives a command the flag with which it prints one JSON object.
func jsonFlag(command *cobra.Command, asJSON *bool) {
	command.Flags().BoolVar(asJSON, "json", false, "print a JSON object")
}

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// Package cli is the command line. Each verb has a file of its own.
package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"tp0/supervisor/exitcode"
)

// Main runs the verb that args name and returns the exit code.
func Main(args []string, p Program) int {
	c := &cli{Program: p}
	root := &cobra.Command{
		Use:           "supervisor",
		Short:         "Run programs, end them gracefully, and prove it",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          checkVerb,
		Version:       c.version(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if cmd.Name() != runVerb && cmd.Name() != execVerb {
				p.Brief()
			}
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(explainFlag)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetArgs(longFlags(args))
	root.AddCommand(
		c.runCommand(), c.execCommand(), c.validateCommand(), c.planCommand(), c.fmtCommand(),
		c.healthCommand(), c.reportCommand(), c.initCommand(), c.versionCommand(),
	)
	if err := root.Execute(); err != nil {
		fmt.Fprintf(p.Stderr, "supervisor: %v\nSee 'supervisor --help'.\n", err)
		return exitcode.Usage
	}
	return c.code
}

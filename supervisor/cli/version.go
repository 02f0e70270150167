package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func (c *cli) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  checkNoArguments,
		Run: func(*cobra.Command, []string) {
			fmt.Fprintln(c.Stdout, c.version())
		},
	}
}

// version returns the line that `version` and --version print.
func (c *cli) version() string {
	return fmt.Sprintf(
		"supervisor %s (%s %s/%s)", c.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH,
	)
}

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
		Args:  cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			fmt.Fprintf(
				c.Stdout, "supervisor %s (%s %s/%s)\n", c.Version, runtime.Version(), runtime.GOOS,
				runtime.GOARCH,
			)
		},
	}
}

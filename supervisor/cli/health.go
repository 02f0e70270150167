package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/control"
	"tp0/supervisor/ledger"
)

func (c *cli) healthCommand() *cobra.Command {
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the supervisor that runs a configuration whether every child is ready or completed",
		Long: `Ask the supervisor that runs a configuration whether every child is ready or
completed, and every oneshot completed. It answers with the exit code, 0 or 1, within the timeout.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := c.path()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			if err := control.Ask(ctx, control.Name(path)); err != nil {
				fmt.Fprintf(c.Stderr, "supervisor: %v\n", err)
				c.code = ledger.CodeFailed
				return nil
			}
			fmt.Fprintln(c.Stdout, "ok")
			return nil
		},
	}
	c.addConfig(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long the answer may take")
	return cmd
}

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/control"
	"tp0/supervisor/exitcode"
)

func (c *cli) healthCommand() *cobra.Command {
	var timeout time.Duration
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask the supervisor that runs a configuration how it does",
		Long: `Ask the supervisor that runs a configuration how it does. The answer is the exit
code, 0 or 1, within the timeout, whatever state the supervisor is in.

It is well if it answers and no child has failed for good: whatever else is
amiss it mends by itself. With --ready, every child must be ready or completed,
every oneshot completed, and no stop under way.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return fmt.Errorf("--timeout is %v: want more than nothing, such as 2s", timeout)
			}
			path, err := c.path()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(context.Background(), timeout)
			defer cancel()
			question := control.Alive
			if ready {
				question = control.Ready
			}
			answer, err := control.Ask(ctx, control.Name(path), question)
			if err != nil {
				fmt.Fprintf(c.Stderr, "supervisor: %v\n", err)
				c.code = exitcode.Failed
				return nil
			}
			fmt.Fprintln(c.Stdout, answer)
			return nil
		},
	}
	c.addConfig(cmd)
	cmd.Flags().BoolVar(&ready, "ready", false, "ask whether every child is ready or completed")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "how long the answer may take")
	return cmd
}

package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/control"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/termtext"
)

func (c *cli) healthCommand() *cobra.Command {
	var timeout time.Duration
	var ready bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Check the supervisor that runs a configuration",
		Long: `Check the supervisor that runs a configuration. The result is the exit code, within
the timeout, in every state of the supervisor.

Exit code 0: the supervisor responds and no child has failed permanently. With
--ready also: every child is ready or completed, every oneshot child is completed,
and no stop has begun. Exit code 1: one of these is not so.`,
		Args: checkNoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return fmt.Errorf("--timeout is %v: it must be above 0, such as 2s", timeout)
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
			answer, err := control.Ask(ctx, path, question)
			if err != nil {
				fmt.Fprintf(c.Stderr, "supervisor: %s\n", termtext.Escape(err.Error()))
				c.code = exitcode.Failed
				return nil
			}
			fmt.Fprintln(c.Stdout, termtext.Escape(answer))
			return nil
		},
	}
	c.addConfig(cmd)
	cmd.Flags().BoolVar(&ready, "ready", false, "check also that every child is ready or completed")
	cmd.Flags().DurationVar(&timeout, "timeout", 2*time.Second, "wait this `time` for the answer")
	return cmd
}

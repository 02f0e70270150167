package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/api/client"
	"tp0/supervisor/termtext"
)

func (c *cli) planCommand() *cobra.Command {
	var from string
	var mermaid bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show the start and stop order, or the effect of a reload",
		Long: `Show the start order, the stop order and the worst-case duration of a stop. With
--from, show the effect of a reload from that file. If a supervisor runs the
configuration, show also what a reload would change about it. Nothing is started.

Exit codes: 0 done, 2 the configuration has faults.`,
		Args: checkNoArguments,
		RunE: func(*cobra.Command, []string) error {
			if from != "" && mermaid {
				return errors.New("--from and --mermaid exclude each other")
			}
			path, err := c.config.Locate()
			if err != nil {
				return err
			}
			cfg, err := c.load(path, c.Stderr)
			if cfg == nil {
				return err
			}
			switch {
			case mermaid:
				writeFlowchart(c.Stdout, cfg)
			case from == "":
				writeOrder(c.Stdout, cfg)
				return c.writeRunning(path)
			default:
				old, err := c.load(from, nil)
				if old == nil {
					return err
				}
				writeReload(c.Stdout, old, cfg)
			}
			return nil
		},
	}
	c.config.AddFile(cmd.Flags())
	c.config.AddVars(cmd.Flags())
	cmd.Flags().StringVar(&from, "from", "", "show the effect of a reload from this `file`")
	cmd.Flags().BoolVar(
		&mermaid, "mermaid", false, "print the dependencies as a flowchart of mermaid",
	)
	return cmd
}

// planTimeout bounds the question to a running supervisor: most often there is none.
const planTimeout = time.Second

// writeRunning writes what a reload would change about the supervisors that run a configuration.
// It writes nothing if none answers.
func (c *cli) writeRunning(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), planTimeout)
	defer cancel()
	found, err := client.Find(ctx, client.Options{Config: path})
	if err != nil {
		return nil // none runs, or it is that of somebody else
	}
	defer closeAll(found)
	for _, s := range found {
		difference, err := s.Plan(ctx)
		if err != nil {
			fmt.Fprintf(c.Stderr, "supervisor: no difference to the supervisor (pid %d): %s\n",
				s.Peer.Pid, termtext.Escape(err.Error()))
			continue
		}
		fmt.Fprintf(c.Stdout, "\nA reload would change this about the supervisor (pid %d):\n",
			s.Peer.Pid)
		writeDifference(c.Stdout, &difference)
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/api/client"
	"tp0/supervisor/config"
	"tp0/supervisor/termtext"
	"tp0/supervisor/verb"
)

func (c *cli) planCommand() *cobra.Command {
	var from, output string
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
			if err := verb.CheckOutput(output); err != nil {
				return err
			}
			if mermaid && (from != "" || output == "json") {
				return errors.New("--mermaid excludes --from and --output json")
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
				return nil
			case from == "":
				return c.writePlan(path, cfg, output)
			}
			old, err := c.load(from, nil)
			if old == nil {
				return err
			}
			if output == "json" {
				return c.writeJSON(newReloadDocument(old, cfg))
			}
			writeReload(c.Stdout, old, cfg)
			return nil
		},
	}
	c.config.AddFile(cmd.Flags())
	c.config.AddVars(cmd.Flags())
	cmd.Flags().StringVar(&from, "from", "", "show the effect of a reload from this `file`")
	verb.AddOutput(cmd.Flags(), &output)
	cmd.Flags().BoolVar(
		&mermaid, "mermaid", false, "print the dependencies as a flowchart of mermaid",
	)
	return cmd
}

// planTimeout bounds the question to a running supervisor: most often there is none.
const planTimeout = time.Second

// writePlan writes the order of the start and of the stop, and what a reload would change about the
// supervisors that run the configuration.
func (c *cli) writePlan(path string, cfg *config.Config, output string) error {
	if output == "json" {
		d := newPlanDocument(cfg)
		d.Running = append(d.Running, runningPlans(path)...)
		return c.writeJSON(d)
	}
	writeOrder(c.Stdout, cfg)
	for _, p := range runningPlans(path) {
		if p.Difference == nil {
			fmt.Fprintf(c.Stderr, "supervisor: no difference to the supervisor (pid %d): %s\n",
				p.Pid, termtext.Escape(p.Error))
			continue
		}
		fmt.Fprintf(c.Stdout, "\nA reload would change this about the supervisor (pid %d):\n",
			p.Pid)
		writeDifference(c.Stdout, p.Difference)
	}
	return nil
}

// runningPlans asks the supervisors that run a configuration what a reload would change. The list
// is empty if none answers.
func runningPlans(path string) (all []runningPlan) {
	ctx, cancel := client.WithTimeout(context.Background(), planTimeout)
	defer cancel()
	found, err := client.Find(ctx, client.Options{Config: path})
	if err != nil {
		return nil // none runs, or it is that of somebody else
	}
	defer closeAll(found)
	for _, s := range found {
		p := runningPlan{Pid: int(s.Peer.Pid)}
		if difference, err := s.Plan(ctx); err != nil {
			p.Error = err.Error()
		} else {
			p.Difference = &difference
		}
		all = append(all, p)
	}
	return all
}

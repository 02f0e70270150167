package cli

import (
	"errors"

	"github.com/spf13/cobra"
)

func (c *cli) planCommand() *cobra.Command {
	var from string
	var mermaid bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show the start and stop order, or the effect of a reload",
		Long: `Show the start order, the stop order and the worst-case duration of a stop. With
--from, show the effect of a reload from that file. Nothing is started.

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

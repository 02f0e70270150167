package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (c *cli) validateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration and start nothing",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := c.path()
			if err != nil {
				return err
			}
			cfg, err := c.load(path)
			if cfg == nil {
				return err
			}
			fmt.Fprintf(c.Stdout, "%s is valid: %d children, %d instances\n", path, len(cfg.Children), len(cfg.Instances()))
			return nil
		},
	}
	c.addConfig(cmd)
	return cmd
}

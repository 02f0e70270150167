package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tp0/supervisor/config"
	"tp0/supervisor/ledger"
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
			cfg, err := config.Load(path, config.Options{Environ: os.Environ()})
			var faults *config.Faults
			if errors.As(err, &faults) {
				c.code = ledger.CodeUsage
				return faults.Write(c.Stderr, 0, false)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.Stdout, "%s is valid: %d children, %d instances\n", path, len(cfg.Children), len(cfg.Instances()))
			return nil
		},
	}
	c.addConfig(cmd)
	return cmd
}

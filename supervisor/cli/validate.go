package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"tp0/supervisor/config"
	"tp0/supervisor/exitcode"
)

func (c *cli) validateCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration and start nothing",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			path, err := c.path()
			if err != nil {
				return err
			}
			cfg, err := config.Load(path, config.Options{Environ: os.Environ(), Vars: c.vars, VarFiles: c.varFiles})
			if err != nil {
				c.code = exitcode.Usage
			}
			if asJSON {
				return c.validity(path, err)
			}
			var faults *config.Faults
			if errors.As(err, &faults) {
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
	c.addVars(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document on standard output: valid, and diagnostics with their ranges")
	return cmd
}

// validity prints for an editor what is wrong, in the form of terraform's
// validate -json.
func (c *cli) validity(path string, err error) error {
	document := struct {
		Valid       bool                `json:"valid"`
		Diagnostics []config.Diagnostic `json:"diagnostics"`
	}{err == nil, []config.Diagnostic{}}
	var faults *config.Faults
	switch {
	case errors.As(err, &faults):
		document.Diagnostics = faults.Diagnostics()
	case err != nil: // a file cannot be read, which has no place
		document.Diagnostics = append(document.Diagnostics, config.Diagnostic{Severity: config.SeverityError, Summary: "Cannot read", Detail: err.Error()})
	}
	encoder := json.NewEncoder(c.Stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("cannot print diagnostics of %s: %w", path, err)
	}
	return nil
}

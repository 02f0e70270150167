package cli

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/termtext"
)

func (c *cli) validateCommand() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check a configuration and start nothing",
		Long: `Check a configuration and start nothing. All faults are printed at once. A
configuration with warnings is valid.

Exit codes: 0 the configuration is valid, 2 it is not.`,
		Args: checkNoArguments,
		RunE: func(*cobra.Command, []string) error {
			path, err := c.path()
			if err != nil {
				return err
			}
			cfg, warned, err := c.read(path)
			if err != nil {
				c.code = exitcode.Usage
			}
			if asJSON {
				return c.validity(path, warned, err)
			}
			var faults *hclconfig.Faults
			if errors.As(err, &faults) {
				return faults.Write(c.Stderr, 0, false)
			}
			if err != nil {
				return err
			}
			if err := warned.Write(c.Stderr, columns, false); err != nil {
				return err
			}
			fmt.Fprintf(
				c.Stdout, "%s is valid: %s, %s\n", path,
				termtext.Count(len(cfg.Children), "child", "children"),
				termtext.Count(len(cfg.Instances()), "instance", "instances"),
			)
			return nil
		},
	}
	c.addConfig(cmd)
	c.addVars(cmd)
	cmd.Flags().BoolVar(
		&asJSON, "json", false, "print the result and the diagnostics as one JSON document",
	)
	return cmd
}

// validity prints the diagnostics for an editor, in the format of terraform validate -json.
func (c *cli) validity(path string, warned *hclconfig.Faults, err error) error {
	document := struct {
		Valid       bool                   `json:"valid"`
		Diagnostics []hclconfig.Diagnostic `json:"diagnostics"`
	}{err == nil, warned.Diagnostics()}
	var faults *hclconfig.Faults
	switch {
	case errors.As(err, &faults):
		document.Diagnostics = faults.Diagnostics()
	case err != nil: // a file that cannot be read has no position
		document.Diagnostics = append(
			document.Diagnostics,
			hclconfig.Diagnostic{
				Severity: hclconfig.SeverityError, Summary: "Cannot read", Detail: err.Error(),
			},
		)
	}
	encoder := json.NewEncoder(c.Stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("cannot print diagnostics of %s: %w", path, err)
	}
	return nil
}

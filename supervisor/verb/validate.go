package verb

import (
	"errors"
	"fmt"

	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/termtext"
)

// Columns is the width at which output is wrapped.
const Columns = 80

func validateVerb(p Program) *Verb {
	var c Config
	asJSON, output := false, ""
	v := newVerb(Validate, "Check a configuration and start nothing",
		`Check a configuration and start nothing. All faults are printed at once. A
configuration with warnings is valid.

Exit codes: 0 the configuration is valid, 2 it is not.`)
	v.run = func([]string) (int, error) {
		if err := CheckOutput(output); err != nil {
			return 0, err
		}
		path, err := c.Locate()
		if err != nil {
			return 0, err
		}
		code := exitcode.OK
		cfg, warned, err := c.Read(path)
		if err != nil {
			code = exitcode.Usage
		}
		if asJSON || output == "json" {
			return code, p.validity(path, warned, err)
		}
		var faults *hclconfig.Faults
		if errors.As(err, &faults) {
			return code, faults.Write(p.Stderr, 0, false)
		}
		if err != nil {
			return code, err
		}
		if err := warned.Write(p.Stderr, Columns, false); err != nil {
			return code, err
		}
		fmt.Fprintf(
			p.Stdout, "%s is valid: %s, %s\n", path,
			termtext.Count(len(cfg.Children), "child", "children"),
			termtext.Count(len(cfg.Instances()), "instance", "instances"),
		)
		return code, nil
	}
	c.AddFile(v.Flags)
	c.AddVars(v.Flags)
	addStrictConfig(v.Flags, &c.Strict)
	AddOutput(v.Flags, &output)
	v.Flags.BoolVar(&asJSON, "json", false, "same as --output json")
	return v
}

// validity prints the diagnostics for an editor, in the format of terraform validate -json.
func (p Program) validity(path string, warned *hclconfig.Faults, err error) error {
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
	if err := WriteJSON(p.Stdout, document); err != nil {
		return fmt.Errorf("cannot print diagnostics of %s: %w", path, err)
	}
	return nil
}

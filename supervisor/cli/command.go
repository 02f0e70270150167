package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
	"tp0/supervisor/exitcode"
)

// Program is the program that the command line belongs to.
type Program struct {
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Run            func(RunOptions) int  // run
	Exec           func(ExecOptions) int // exec
	Brief          func()                // called before any verb but run and exec
}

// cli is one parse of a command line.
type cli struct {
	Program
	config   string
	vars     []string
	varFiles []string
	usual    bool // the path is the default one
	code     int
}

// addConfig adds the flag --config.
func (c *cli) addConfig(cmd *cobra.Command) {
	cmd.Flags().StringVarP(
		&c.config, "config", "c", "",
		"read the configuration from this `file`, or from standard input for - (default "+
			"$SUPERVISOR_CONFIG, else ./supervisor.hcl)",
	)
}

// addVars adds the flags that set variables.
func (c *cli) addVars(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(
		&c.vars, "var", nil,
		"set a variable of the configuration, as `name=value`; overrides --var-file and "+
			"$SUPERVISOR_VAR_name",
	)
	cmd.Flags().StringArrayVar(
		&c.varFiles, "var-file", nil,
		"read variables from this `file`; a later file overrides an earlier one",
	)
}

// path returns the absolute path of the configuration.
func (c *cli) path() (string, error) {
	path := c.config
	if path == "" {
		path = os.Getenv("SUPERVISOR_CONFIG")
	}
	c.usual = path == ""
	switch path {
	case "":
		path = "supervisor.hcl"
	case "-":
		return hclconfig.StandardInput, nil
	}
	paths, err := absolute([]string{path})
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// absolute returns the absolute paths of files.
func absolute(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("cannot find %s: %w", path, err)
		}
		all = append(all, abs)
	}
	return all, nil
}

// load loads a configuration for a verb that starts nothing. If it has faults, they are printed,
// the exit code is set, and the result is nil. Warnings are printed, unless warnings is nil.
func (c *cli) load(path string, warnings io.Writer) (*config.Config, error) {
	cfg, warned, err := c.read(path)
	var faults *hclconfig.Faults
	if errors.As(err, &faults) {
		c.code = exitcode.Usage
		return nil, faults.Write(c.Stderr, 0, false)
	}
	if err == nil && warnings != nil {
		err = warned.Write(warnings, columns, false)
	}
	return cfg, err
}

// explain returns an error of a load. If the default file does not exist, it says so.
func (c *cli) explain(path string, err error) error {
	if c.usual {
		return MissingConfig(path, err)
	}
	return err
}

// read loads a configuration and its warnings.
func (c *cli) read(path string) (cfg *config.Config, warned *hclconfig.Faults, err error) {
	warned = &hclconfig.Faults{}
	cfg, err = hclconfig.Load(path, hclconfig.Options{
		Environ: os.Environ(), Vars: c.vars, VarFiles: c.varFiles,
		OnWarnings: func(w *hclconfig.Faults) { warned = w },
	})
	return cfg, warned, c.explain(path, err)
}

// Package cli is the command line: one file a verb.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tp0/supervisor/config"
	"tp0/supervisor/exitcode"
)

// Program is what the command line is made for.
type Program struct {
	Version        string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Run            func(RunOptions) int  // the main job
	Exec           func(ExecOptions) int // the same for one command
	Brief          func()                // called before any other verb
}

// cli is one parse of a command line.
type cli struct {
	Program
	config   string
	vars     []string
	varFiles []string
	code     int
}

// Main does what args say and returns the exit code.
func Main(args []string, p Program) int {
	c := &cli{Program: p}
	root := &cobra.Command{
		Use:           "supervisor",
		Short:         "Run programs, end them gracefully, and prove it",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRun: func(cmd *cobra.Command, _ []string) {
			if cmd.Name() != runVerb && cmd.Name() != execVerb {
				p.Brief()
			}
		},
	}
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetArgs(longFlags(args))
	root.AddCommand(c.runCommand(), c.execCommand(), c.validateCommand(), c.planCommand(), c.fmtCommand(), c.healthCommand(), c.reportCommand(), c.versionCommand())
	if err := root.Execute(); err != nil {
		fmt.Fprintf(p.Stderr, "supervisor: %v\nSee 'supervisor --help'.\n", err)
		return exitcode.Usage
	}
	return c.code
}

func (c *cli) addConfig(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&c.config, "config", "c", "", "configuration `file` (default $SUPERVISOR_CONFIG, then ./supervisor.hcl)")
}

func (c *cli) addVars(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&c.vars, "var", nil, "give a variable of the configuration, as `name=value`; before --var-file, which is before $SUPERVISOR_VAR_name")
	cmd.Flags().StringArrayVar(&c.varFiles, "var-file", nil, "read values of variables from this `file`; a later one is before an earlier")
}

// path is the absolute path of the configuration.
func (c *cli) path() (string, error) {
	path := c.config
	if path == "" {
		path = os.Getenv("SUPERVISOR_CONFIG")
	}
	if path == "" {
		path = "supervisor.hcl"
	}
	paths, err := absolute([]string{path})
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

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

// load reads a configuration for a verb that starts nothing. One with faults is
// nil: they are written, and set the exit code.
func (c *cli) load(path string) (*config.Config, error) {
	cfg, err := config.Load(path, config.Options{Environ: os.Environ(), Vars: c.vars, VarFiles: c.varFiles})
	var faults *config.Faults
	if errors.As(err, &faults) {
		c.code = exitcode.Usage
		return nil, faults.Write(c.Stderr, 0, false)
	}
	return cfg, err
}

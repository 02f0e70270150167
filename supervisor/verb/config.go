package verb

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"tp0/supervisor/config"
	hclconfig "tp0/supervisor/config/hcl"
)

// Config has the flags that name a configuration and set its variables.
type Config struct {
	File     string // of --config; empty: not given
	Default  bool   // Locate returned the default one
	Strict   bool   // refuse files that other users can change
	vars     []string
	varFiles []string
}

// AddFile adds the flag --config.
func (c *Config) AddFile(f *pflag.FlagSet) {
	f.StringVarP(
		&c.File, "config", "c", "",
		"read the configuration from this `file`, or from standard input for - (default "+
			"$SUPERVISOR_CONFIG, else ./supervisor.hcl)",
	)
}

// AddVars adds the flags that set variables.
func (c *Config) AddVars(f *pflag.FlagSet) {
	f.StringArrayVar(
		&c.vars, "var", nil,
		"set a variable of the configuration, as `name=value`; overrides --var-file and "+
			"$SUPERVISOR_VAR_name",
	)
	f.StringArrayVar(
		&c.varFiles, "var-file", nil,
		"read variables from this `file`; a later file overrides an earlier one",
	)
}

// Locate returns the absolute path of the configuration.
func (c *Config) Locate() (string, error) {
	path := c.File
	if path == "" {
		path = os.Getenv("SUPERVISOR_CONFIG")
	}
	c.Default = path == ""
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

// Read loads a configuration and its warnings, for a verb that starts nothing. If the default file
// does not exist, the error says so.
func (c *Config) Read(path string) (cfg *config.Config, warned *hclconfig.Faults, err error) {
	warned = &hclconfig.Faults{}
	cfg, err = hclconfig.Load(path, hclconfig.Options{
		Environ: os.Environ(), Vars: c.vars, VarFiles: c.varFiles, RefuseDoubts: c.Strict,
		OnWarnings: func(w *hclconfig.Faults) { warned = w },
	})
	if c.Default {
		err = MissingConfig(path, err)
	}
	return cfg, warned, err
}

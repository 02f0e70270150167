package verb

import (
	"fmt"

	"github.com/spf13/pflag"

	hclconfig "tp0/supervisor/config/hcl"
)

func runVerb(p Program) *Verb {
	var c Config
	var o RunOptions
	v := newVerb(Run, "Run the children of a configuration until they end or a signal stops them",
		`Run the children of a configuration until they end or a signal stops them.

SIGTERM, SIGINT and SIGQUIT start the stop. A second one escalates to the next
step of the stop sequence, a third one sends SIGKILL. SIGHUP reloads the
configuration and applies the changes. SIGUSR1 logs the descriptors that the
supervisor has open.

Exit codes:
    0  every child ended with success or in the stop
    1  a child failed permanently (a critical child sets its own code)
    2  the command line or the configuration is wrong
    3  the stop has a finding, see --findings (with --strict)
  124  a process had to be killed`)
	v.run = func([]string) (code int, err error) {
		if o.Config, err = c.Locate(); err != nil {
			return 0, err
		}
		if _, once := hclconfig.Stream(o.Config); once && o.Watch {
			return 0, fmt.Errorf("--watch needs a file: %s is a pipe, which is read once", o.Config)
		}
		if o.VarFiles, err = absolute(c.varFiles); err != nil {
			return 0, err
		}
		o.Vars, o.DefaultConfig = c.vars, c.Default
		return p.Run(o), nil
	}
	c.AddFile(v.Flags)
	c.AddVars(v.Flags)
	o.addFlags(v.Flags)
	return v
}

func (o *RunOptions) addFlags(f *pflag.FlagSet) {
	f.StringSliceVar(
		&o.Only, "only", nil,
		"run only these `children` or instances, separated by commas (default all); their other "+
			"dependencies count as met",
	)
	f.BoolVar(&o.Watch, "watch", false, "reload when a file of the configuration changes")
	f.StringVar(
		&o.PidFile, "pid-file", "",
		"write the pid of the supervisor to this `file`, and remove the file at the end",
	)
	f.BoolVar(
		&o.AllowSecond, "allow-second", false,
		"start although another supervisor runs children of the same file",
	)
	f.BoolVar(
		&o.Strict, "strict", false, "exit with code 3 if the stop has a finding",
	)
	addStrictConfig(f, &o.StrictConfig)
	addFindings(f, &o.Findings, "as the configuration says")
	f.StringVar(
		&o.Report, "report", "",
		"write the report of the stop to this `file`: HTML if the name ends in .html, else JSON",
	)
	addChoice(
		f, &o.LogLevel, "log-level", []string{"trace", "debug", "info", "warn", "error"},
		"log lines of this `level` and above (default as the configuration says)",
	)
	addChoice(
		f, &o.LogFormat, "log-format", []string{"text", "json"},
		"log in this `format` (default as the configuration says)",
	)
}

// addStrictConfig adds --strict-config.
func addStrictConfig(f *pflag.FlagSet, strict *bool) {
	f.BoolVar(
		strict, "strict-config", false,
		"refuse a configuration that users other than root and yours can change",
	)
}

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	hclconfig "tp0/supervisor/config/hcl"
)

const runVerb = "run"

func (c *cli) runCommand() *cobra.Command {
	var o RunOptions
	cmd := &cobra.Command{
		Use:   runVerb,
		Short: "Run the children of a configuration until they end or a signal stops them",
		Long: `Run the children of a configuration until they end or a signal stops them.

SIGTERM, SIGINT and SIGQUIT start the stop. A second one escalates to the next
step of the stop sequence, a third one sends SIGKILL. SIGHUP reloads the
configuration and applies the changes. SIGUSR1 logs the descriptors that the
supervisor has open.

Exit codes:
    0  every child ended with success or in the stop
    1  a child failed permanently (a critical child sets its own code)
    2  the command line or the configuration is wrong
    3  the stop has a finding, see --findings (with --strict)
  124  a process had to be killed`,
		Args: checkNoArguments,
		RunE: func(*cobra.Command, []string) (err error) {
			if o.Config, err = c.path(); err != nil {
				return err
			}
			if _, once := hclconfig.Stream(o.Config); once && o.Watch {
				return fmt.Errorf("--watch needs a file: %s is a pipe, which is read once",
					o.Config)
			}
			if o.VarFiles, err = absolute(c.varFiles); err != nil {
				return err
			}
			o.Vars, o.DefaultConfig = c.vars, c.usual
			c.code = c.Run(o)
			return nil
		},
	}
	c.addConfig(cmd)
	c.addVars(cmd)
	addRunFlags(cmd, &o)
	return cmd
}

func addRunFlags(cmd *cobra.Command, o *RunOptions) {
	cmd.Flags().StringSliceVar(
		&o.Only, "only", nil,
		"run only these `children` or instances, separated by commas (default all); their other "+
			"dependencies count as met",
	)
	cmd.Flags().BoolVar(&o.Watch, "watch", false, "reload when a file of the configuration changes")
	cmd.Flags().StringVar(
		&o.PidFile, "pid-file", "",
		"write the pid of the supervisor to this `file`, and remove the file at the end",
	)
	cmd.Flags().BoolVar(
		&o.AllowSecond, "allow-second", false,
		"start although another supervisor runs children of the same file",
	)
	cmd.Flags().BoolVar(
		&o.Strict, "strict", false, "exit with code 3 if the stop has a finding",
	)
	addFindings(cmd, &o.Findings, "as the configuration says")
	cmd.Flags().StringVar(
		&o.Report, "report", "",
		"write the report of the stop to this `file`: HTML if the name ends in .html, else JSON",
	)
	addChoice(
		cmd, &o.LogLevel, "log-level", []string{"trace", "debug", "info", "warn", "error"},
		"log lines of this `level` and above (default as the configuration says)",
	)
	addChoice(
		cmd, &o.LogFormat, "log-format", []string{"text", "json"},
		"log in this `format` (default as the configuration says)",
	)
}

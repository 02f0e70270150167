package cli

import "github.com/spf13/cobra"

// RunOptions are the flags of run.
type RunOptions struct {
	Config  string   // absolute path
	Only    []string // children or instances; empty: all
	Watch   bool     // reload when a file of the configuration changes
	PidFile string   // empty: none
	Strict  bool     // as in shutdown { strict = true }
	Report  string   // in place of shutdown { report = … }

	Vars, VarFiles []string // see [config.Options]; the files by absolute paths
}

const runVerb = "run"

func (c *cli) runCommand() *cobra.Command {
	var o RunOptions
	cmd := &cobra.Command{
		Use:   runVerb,
		Short: "Run the children of a configuration until they end or a signal stops them",
		Long: `Run the children of a configuration until they end or a signal stops them.

SIGTERM, SIGINT and SIGQUIT begin a stop; a second one hastens it, a third one
kills. SIGHUP reads the configuration again and applies what changed. SIGUSR1
logs the descriptors that the supervisor has open.

Exit codes: 0 all ended well, 1 a child failed (or a critical one's own code),
2 usage or configuration, 3 a descriptor was left open (with --strict), 124
something had to be killed.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) (err error) {
			if o.Config, err = c.path(); err != nil {
				return err
			}
			if o.VarFiles, err = absolute(c.varFiles); err != nil {
				return err
			}
			o.Vars = c.vars
			c.code = c.Run(o)
			return nil
		},
	}
	c.addConfig(cmd)
	c.addVars(cmd)
	cmd.Flags().StringSliceVar(&o.Only, "only", nil, "run only these `children` or instances; what they depend on counts as met")
	cmd.Flags().BoolVar(&o.Watch, "watch", false, "reload when a file that the configuration was read from changes")
	cmd.Flags().StringVar(&o.PidFile, "pid-file", "", "write our pid to this `file`, and remove it at the end")
	cmd.Flags().BoolVar(&o.Strict, "strict", false, "exit 3 if a child left a descriptor open")
	cmd.Flags().StringVar(&o.Report, "report", "", "write the report of the stop to this `file`: a page if it ends in .html, else JSON")
	return cmd
}

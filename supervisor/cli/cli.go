// Package cli is the command line of the program supervisorctl. Each verb has a file of its own.
// The verbs of package verb are run by the program supervisor.
package cli

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/sibling"
	"tp0/supervisor/termtext"
	"tp0/supervisor/verb"
)

// Main runs the verb that args name and returns the exit code.
func Main(args []string, p Program) int {
	out := verb.NewOutput(p.Stdout)
	c := &cli{
		Program: p, out: out, toTerminal: isTerminal(p.Stdout), progressShows: isTerminal(p.Stderr),
	}
	// Names of files, arguments and contents of files are in what the verbs print.
	c.Stdout, c.Stderr = termtext.NewWriter(out), termtext.NewWriter(p.Stderr)
	c.warnMismatch()
	args = longFlags(args)
	root := c.root()
	root.SetArgs(args)
	if name, rest := ofSupervisor(root, args); name != "" {
		return c.callSupervisor(append([]string{name}, rest...))
	}
	if err := root.Execute(); err != nil {
		verb.WriteError(c.Stderr, err)
		c.code = exitcode.Usage
	}
	return out.Finish(c.code, c.Stderr)
}

// root returns the command line. The verbs of the program supervisor are a part of it for the help
// and the completion.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "supervisor",
		Short:         "Run programs, end them gracefully, and prove it",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          checkVerb,
		Version:       c.version(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(explainFlag)
	root.SetOut(c.Stdout)
	root.SetErr(c.Stderr)
	root.AddCommand(
		c.planCommand(), c.fmtCommand(), c.reportCommand(), c.initCommand(), c.statusCommand(),
		c.startCommand(), c.stopCommand(), c.restartCommand(), c.signalCommand(),
		c.reloadCommand(), c.waitCommand(), c.shutdownCommand(), c.eventsCommand(),
		c.logsCommand(), c.fdsCommand(), c.whyCommand(),
	)
	for _, v := range verb.All(verb.Program{}) {
		cmd := &cobra.Command{
			Use: v.UseLine(), Short: v.Short, Long: v.Long, Annotations: atSupervisor,
			Run: func(*cobra.Command, []string) {}, // Main calls the program supervisor
		}
		cmd.Flags().AddFlagSet(v.Flags)
		root.AddCommand(cmd)
	}
	return root
}

// atSupervisor marks a verb of the program supervisor.
var atSupervisor = map[string]string{"program": sibling.Supervisor}

// ofSupervisor returns the verb that args name and its arguments, if it is one of the program
// supervisor. Otherwise name is empty.
func ofSupervisor(root *cobra.Command, args []string) (name string, rest []string) {
	cmd, rest, err := root.Find(args)
	if err != nil || cmd.Annotations == nil {
		return "", nil
	}
	return cmd.Name(), rest
}

// callSupervisor executes the program supervisor. It returns only if that fails.
func (c *cli) callSupervisor(args []string) int {
	err := sibling.Exec(sibling.Supervisor, args, c.Version)
	fmt.Fprintf(c.Stderr, "supervisor: %q needs the program supervisor: %v\n", args[0], err)
	if errors.Is(err, fs.ErrNotExist) {
		return exitcode.NotFound
	}
	return exitcode.NotExecutable
}

// version returns what --version prints. It is the version of the supervisor that was called.
func (c *cli) version() string {
	if c.Caller != "" {
		return verb.VersionLine(c.Caller)
	}
	return verb.VersionLine(c.Version)
}

// warnMismatch warns if the two programs are of different versions.
func (c *cli) warnMismatch() {
	if c.Caller != "" && c.Caller != c.Version {
		fmt.Fprintf(c.Stderr, "supervisor: warning: supervisor has version %s and supervisorctl "+
			"has version %s. Install both from the same release.\n", c.Caller, c.Version)
	}
}

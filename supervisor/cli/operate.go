package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/config"
	"tp0/supervisor/termtext"
)

// waiting has the flags of the verbs that wait for the end of an operation.
type waiting struct {
	none    bool
	timeout time.Duration
}

// operateTimeout is how long a verb waits for its operation by default.
const operateTimeout = 2 * time.Minute

func (w *waiting) add(cmd *cobra.Command) {
	if cmd.Name() != string(api.Wait) {
		cmd.Flags().BoolVar(&w.none, "no-wait", false, "do not wait until it is done")
	}
	cmd.Flags().DurationVar(&w.timeout, "timeout", operateTimeout,
		"wait for this `time` at most; what was begun continues. 0 disables it")
}

func (w *waiting) check() error {
	if w.timeout < 0 {
		return fmt.Errorf("--timeout is %v: it must be 0 or more, such as 30s; 0 disables it",
			w.timeout)
	}
	return nil
}

// operationCommand returns the command of a verb that acts on instances. parse sets the operation
// from the arguments, and can be nil. Its error is a usage error.
func (c *cli) operationCommand(
	v api.Verb, use, short, long string, parse func(op *api.Operation, args []string) error,
) *cobra.Command {
	var w waiting
	op := api.Operation{Verb: v}
	cmd, r := c.command(use, short, long, func(
		r *running, ctx context.Context, found []*client.Supervisor, _ []string,
	) error {
		return r.operate(ctx, found, op, w)
	})
	cmd.PreRunE = func(_ *cobra.Command, args []string) error {
		op.Names = args
		if parse != nil {
			if err := parse(&op, args); err != nil {
				return err
			}
		}
		return w.check()
	}
	cmd.ValidArgsFunction = r.completeNames
	w.add(cmd)
	return cmd
}

func (c *cli) startCommand() *cobra.Command {
	cmd := c.operationCommand(api.Start, "start NAME...", "Start children that are stopped",
		`Start the instances that are stopped, have failed or have completed, and wait until
they are ready. A restart delay ends at once. NAME is a child or an instance.`, nil)
	cmd.Args = needNames
	return cmd
}

func (c *cli) stopCommand() *cobra.Command {
	cmd := c.operationCommand(api.Stop, "stop NAME...", "Stop children, and keep them stopped",
		`Stop instances by their stop sequence, and wait until no process of theirs is left.
They stay stopped, also over a reload, until they are started. Children that depend on
them keep their processes. To stop the supervisor, use shutdown.`, nil)
	cmd.Args = needNames
	return cmd
}

func (c *cli) restartCommand() *cobra.Command {
	cmd := c.operationCommand(api.Restart, "restart NAME...", "Replace the processes of children",
		`Replace the processes of instances as a reload does: as many at a time as
max_parallel says, with strategy = "overlap" the new one before the old one. The first
new process that fails halts the restart. It waits until each new process is ready, and
was ready for min_ready.`, nil)
	cmd.Args = needNames
	return cmd
}

func (c *cli) signalCommand() *cobra.Command {
	cmd := c.operationCommand(api.Signal, "signal SIGNAL NAME...", "Send a signal to children",
		`Send a signal, such as HUP, SIGUSR1 or 10, to the main processes of instances. The
restart policy applies if the signal ends one.`,
		func(op *api.Operation, args []string) error {
			op.Signal, op.Names = args[0], args[1:]
			_, err := config.ParseSignal(op.Signal)
			return err
		})
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) < 2 {
			return errors.New("signal needs a signal and the name of a child, such as " +
				"supervisor signal HUP server")
		}
		return nil
	}
	return cmd
}

func (c *cli) reloadCommand() *cobra.Command {
	cmd := c.operationCommand(api.Reload, "reload", "Read and apply the configuration",
		`Read the configuration of a running supervisor and apply it, as SIGHUP does. It waits
until the configuration is fully applied, and shows what changed, or why it was rejected.`,
		nil)
	cmd.Args = checkNoArguments
	return cmd
}

func (c *cli) waitCommand() *cobra.Command {
	var until string
	cmd := c.operationCommand(api.Wait, "wait [NAME...]",
		"Wait until children are ready or stopped",
		`Wait until the instances are ready (or completed), or until they have no process and
none follows. Without NAME it waits for all. It fails at once if an instance cannot reach
the state.`,
		func(op *api.Operation, _ []string) error {
			if until != "ready" && until != "stopped" {
				return fmt.Errorf("--for is %q: it must be ready or stopped", until)
			}
			op.For = until
			return nil
		})
	cmd.Flags().StringVar(&until, "for", "ready", "wait until they are `ready` or stopped")
	return cmd
}

func (c *cli) shutdownCommand() *cobra.Command {
	var deadline time.Duration
	var cmd *cobra.Command
	cmd = c.operationCommand(api.Shutdown, "shutdown", "Stop everything and end the supervisor",
		`Stop all children in their order and end the supervisor, as SIGTERM does. It waits
until all children have ended. The log of the supervisor has the verdict.`,
		func(op *api.Operation, _ []string) error {
			if deadline < 0 || deadline == 0 && cmd.Flags().Changed("deadline") {
				return fmt.Errorf("--deadline is %v: it must be above 0, such as 9s", deadline)
			}
			op.Deadline = api.Duration(deadline)
			return nil
		})
	cmd.Args = checkNoArguments
	cmd.Flags().DurationVar(&deadline, "deadline", 0,
		"use this `time` in place of shutdown.deadline of the configuration")
	return cmd
}

func needNames(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%s needs the name of a child or of an instance; supervisor status "+
			"shows them", cmd.Name())
	}
	return nil
}

// operate does an operation at each supervisor that has one of the names, and prints the results.
func (r *running) operate(
	ctx context.Context, found []*client.Supervisor, op api.Operation, w waiting,
) error {
	names, err := distribute(ctx, found, op.Names)
	if err != nil {
		return err
	}
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	var results []api.Result
	for i, s := range found {
		if len(op.Names) > 0 && len(names[i]) == 0 {
			continue
		}
		one := op
		one.Names = names[i]
		if w.none {
			if err := s.Begin(ctx, one); err != nil {
				return err
			}
			continue
		}
		result, err := s.Operate(ctx, one, r.progress())
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("not done within %v; the supervisor continues. "+
				"supervisor status shows the state", w.timeout)
		}
		if err != nil {
			return err
		}
		results = append(results, result)
	}
	return r.writeResults(results)
}

// distribute returns the names for each supervisor.
func distribute(
	ctx context.Context, found []*client.Supervisor, names []string,
) ([][]string, error) {
	byOne := make([][]string, len(found))
	if len(names) == 0 {
		return byOne, nil
	}
	all, err := statusOf(ctx, found)
	if err == nil {
		err = checkNames(all, names)
	}
	if err != nil {
		return nil, err
	}
	for i, status := range all {
		known := namesIn([]api.Status{status})
		for _, name := range names {
			if slices.Contains(known, name) {
				byOne[i] = append(byOne[i], name)
			}
		}
	}
	return byOne, nil
}

// progress returns a function that shows the steps of an operation to a person at a terminal.
func (r *running) progress() func(api.Progress) {
	if r.output != "text" || !r.progressShows {
		return nil
	}
	return func(p api.Progress) { fmt.Fprintln(r.Stderr, "  "+termtext.Escape(p.Message)) }
}

func (r *running) writeResults(results []api.Result) error {
	ok := true
	for _, result := range results {
		ok = ok && result.OK
		if r.output == "json" {
			if err := r.writeJSON(result); err != nil {
				return err
			}
			continue
		}
		w := r.Stdout
		if !result.OK {
			w = r.Stderr
		}
		if result.Message != "" {
			fmt.Fprintln(w, termtext.EscapeLines(result.Message))
		}
		writeDifference(r.Stdout, result.Difference)
	}
	if !ok {
		return failed
	}
	return nil
}

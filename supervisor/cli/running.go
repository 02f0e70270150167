package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/termtext"
	"tp0/supervisor/verb"
)

// running has what the verbs about a running supervisor have in common: their flags, and how their
// errors become exit codes.
type running struct {
	*cli
	socket string
	output string // text or json
}

const exitCodes = `Exit codes: 0 done, 1 failed, 2 usage, 4 no supervisor answers, 5 no such child.`

// command returns the command of a verb about a running supervisor. run gets the supervisors that
// are meant, one for each selection of --only.
func (c *cli) command(
	use, short, long string,
	run func(*running, context.Context, []*client.Supervisor, []string) error,
) (*cobra.Command, *running) {
	r := &running{cli: c}
	cmd := &cobra.Command{Use: use, Short: short, Long: long + "\n\n" + exitCodes}
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := verb.CheckOutput(r.output); err != nil {
			return err
		}
		found, err := r.find()
		if err == nil {
			defer closeAll(found)
			err = run(r, context.Background(), found, args)
		}
		return r.finish(err)
	}
	f := cmd.Flags()
	c.config.AddFile(f)
	f.StringVar(
		&r.socket, "socket", "", "ask the supervisor with the control socket at this `path`")
	verb.AddOutput(f, &r.output)
	return cmd, r
}

// find returns the supervisors that are meant. Without a configuration, the one that runs is meant.
func (r *running) find() ([]*client.Supervisor, error) {
	path, err := r.config.Locate()
	if err != nil {
		return nil, err
	}
	if r.config.Default {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			path = ""
		}
	}
	ctx, cancel := client.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	found, err := client.Find(ctx, client.Options{Config: path, Socket: r.socket})
	if err != nil {
		return nil, &codedError{noSupervisor, err}
	}
	configs := map[string]bool{}
	for _, s := range found {
		configs[s.Identity.ConfigPath()] = true
	}
	if len(configs) > 1 {
		defer closeAll(found)
		var all []string
		for _, s := range found {
			all = append(all, fmt.Sprintf("%s (pid %d)", s.Identity.ConfigPath(), s.Peer.Pid))
		}
		return nil, fmt.Errorf("several supervisors run: %s. Choose one with --config",
			strings.Join(all, ", "))
	}
	return found, nil
}

func closeAll(all []*client.Supervisor) {
	for _, s := range all {
		s.Close()
	}
}

// finish prints an error and sets the exit code.
func (r *running) finish(err error) error {
	var coded *codedError
	var refused *api.Error
	code := exitcode.Failed
	switch {
	case err == nil:
		return nil
	case errors.As(err, &coded):
		code = coded.code
	case errors.As(err, &refused) && refused.Kind == api.UnknownName:
		code = noSuchChild
	case errors.As(err, &refused) && refused.Kind == api.BadRequest:
		code = exitcode.Usage
	case errors.As(err, new(*client.NotFoundError)):
		code = noSupervisor
	}
	r.code = code
	if text := err.Error(); text != "" {
		fmt.Fprintf(r.Stderr, "supervisor: %s\n", termtext.EscapeLines(text))
	}
	return nil
}

// completeNames completes the names of children and instances.
func (r *running) completeNames(
	_ *cobra.Command, args []string, _ string,
) ([]string, cobra.ShellCompDirective) {
	found, err := r.find()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer closeAll(found)
	all, err := statusOf(context.Background(), found)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	given := func(name string) bool { return slices.Contains(args, name) }
	names := slices.DeleteFunc(namesIn(all), given)
	return names, cobra.ShellCompDirectiveNoFileComp
}

// isTerminal reports whether a writer is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

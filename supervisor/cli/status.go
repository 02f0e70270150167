package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/termtext"
)

func (c *cli) statusCommand() *cobra.Command {
	var wide, watch bool
	cmd, r := c.command("status [NAME...]", "Show the state of the children",
		`Show the state of each instance of a running supervisor: whether it is ready, its
process, how long it runs, how often it was restarted, its memory, and why it is in
its state. NAME is a child or an instance.`,
		func(r *running, ctx context.Context, found []*client.Supervisor, names []string) error {
			if !watch {
				return r.writeStatus(ctx, found, names, wide)
			}
			return r.watchStatus(ctx, found, names, wide)
		})
	cmd.Aliases = []string{"ps"}
	cmd.ValidArgsFunction = r.completeNames
	cmd.Flags().BoolVarP(&wide, "wide", "w", false,
		"show also CPU time, descriptors, processes, checks, the last exit and the command")
	cmd.Flags().BoolVar(&watch, "watch", false, "show the state again every second")
	return cmd
}

func (r *running) writeStatus(
	ctx context.Context, found []*client.Supervisor, names []string, wide bool,
) error {
	all, err := statusOf(ctx, found, names...)
	if err != nil {
		return err
	}
	if r.output == "json" {
		if len(all) == 1 {
			return r.writeJSON(all[0])
		}
		return r.writeJSON(all)
	}
	now := time.Now()
	for _, status := range all {
		writeSupervisor(r.Stdout, &status.Supervisor, now)
		writeInstances(r.Stdout, status.Instances, wide, now)
	}
	return nil
}

// watchStatus writes the status every second until the supervisor ends. On a terminal it replaces
// what it wrote before.
func (r *running) watchStatus(
	ctx context.Context, found []*client.Supervisor, names []string, wide bool,
) error {
	for {
		if r.toTerminal && r.output == "text" {
			fmt.Fprint(r.out, "\x1b[H\x1b[2J") // Stdout escapes control sequences
		}
		err := r.writeStatus(ctx, found, names, wide)
		var notFound *client.NotFoundError
		if err != nil && !errors.As(err, &notFound) {
			return err
		}
		if err := r.outputLost(); err != nil {
			return err
		}
		time.Sleep(time.Second)
	}
}

// writeSupervisor writes what concerns the supervisor itself, if there is more to say than that it
// runs.
func writeSupervisor(w io.Writer, s *api.Supervisor, now time.Time) {
	if s.State != "running" {
		left := ""
		if s.Deadline != nil {
			left = fmt.Sprintf(", %v until the deadline", termtext.Duration(s.Deadline.Sub(now)))
		}
		fmt.Fprintf(w, "The supervisor (pid %d) is %s%s.\n", s.Pid, s.State, left)
	}
	if s.Reload != nil {
		fmt.Fprintln(w, termtext.Wrap(termtext.Escape(reloadText(s.Reload)), columns))
	}
}

// reloadText returns the sentence about a reload or a restart that is not complete.
func reloadText(s *api.ReloadState) string {
	switch {
	case s.State == "halted" && s.Reason != "": // the restart of web is halted: …
		return strings.ToUpper(s.Reason[:1]) + s.Reason[1:] + "."
	case s.Kind == "restart" && len(s.Names) > 0:
		return "A restart of " + listed(s.Names) + " is under way."
	case s.Reason != "":
		return "A reload is " + api.StateWords(s.State) + ": " + s.Reason + "."
	}
	return "A reload is " + api.StateWords(s.State) + "."
}

// listed returns names for a sentence, some at most.
func listed(names []string) string {
	const most = 5
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s, %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

func writeInstances(w io.Writer, all []api.Instance, wide bool, now time.Time) {
	header := []string{"NAME", "STATE", "PID", "UPTIME", "RESTARTS", "MEMORY"}
	if wide {
		header = append(header, "CPU", "FDS", "PROCESSES", "CHECKS", "LAST EXIT", "COMMAND")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(append(header, "NOTE"), "\t"))
	for i := range all {
		fmt.Fprintln(t, strings.Join(cells(&all[i], wide, now), "\t"))
	}
	t.Flush()
}

// none is a cell without a value.
const none = "-"

// cells returns the row of an instance.
func cells(inst *api.Instance, wide bool, now time.Time) []string {
	pid, uptime, memory := none, none, none
	if inst.Pid != 0 {
		pid = fmt.Sprint(inst.Pid)
	}
	if inst.StartedAt != nil {
		uptime = termtext.Duration(now.Sub(*inst.StartedAt))
	}
	if u := inst.Usage; u != nil {
		memory = size(u.MemoryBytes)
	}
	name := inst.Name
	if inst.Surge {
		name += " (next)"
	}
	row := []string{
		name, api.StateWords(inst.State), pid, uptime, fmt.Sprint(inst.Restarts),
		memory,
	}
	if wide {
		row = append(row, wideCells(inst, now)...)
	}
	row = append(row, note(inst, now))
	for i := range row {
		row[i] = termtext.Escape(row[i])
	}
	return row
}

// wideCells returns the cells that only a wide table has.
func wideCells(inst *api.Instance, now time.Time) []string {
	cpu, fds, processes := none, none, none
	if u := inst.Usage; u != nil {
		cpu = termtext.Duration(time.Duration(u.CPUSeconds * float64(time.Second)))
		processes = fmt.Sprint(u.Processes)
		if u.FDs >= 0 {
			fds = fmt.Sprint(u.FDs)
		}
	}
	var checks []string
	for _, c := range inst.Checks {
		state := "ok"
		if c.Failures > 0 {
			state = fmt.Sprintf("failed %d×", c.Failures)
		}
		checks = append(checks, c.Name+" "+state)
	}
	exit := none
	if e := inst.LastExit; e != nil {
		exit = fmt.Sprintf("%s %s ago", e.Reason, termtext.Duration(now.Sub(e.At)))
	}
	return []string{cpu, fds, processes, orNone(strings.Join(checks, ", ")), exit, inst.Command}
}

// note returns what a person may have to act on.
func note(inst *api.Instance, now time.Time) string {
	var notes []string
	add := func(text string) {
		if text != "" {
			notes = append(notes, text)
		}
	}
	add(stoppedNote(inst.Usage))
	add(inst.Reason)
	add(inst.Status)
	for _, c := range inst.Checks {
		if c.Failures > 0 {
			add(fmt.Sprintf("check %s fails: %s", c.Name, c.Reason))
		}
	}
	if e := inst.LastExit; e != nil && inst.Restarts > 0 && inst.State == "ready" {
		add(fmt.Sprintf("last exit %s ago: %s", termtext.Duration(now.Sub(e.At)), e.Reason))
	}
	return strings.Join(notes, "; ")
}

// stoppedNote says which processes a signal stopped. Empty: none is stopped.
func stoppedNote(u *api.Usage) string {
	switch {
	case u == nil || u.Stopped == 0:
		return ""
	case u.Processes == 1:
		return "its process is stopped by a signal"
	}
	return fmt.Sprintf("%d of its %d processes are stopped by a signal", u.Stopped, u.Processes)
}

func orNone(text string) string {
	if text == "" {
		return none
	}
	return text
}

// size returns a number of bytes with a unit.
func size(bytes int64) string {
	const kib, mib, gib = 1 << 10, 1 << 20, 1 << 30
	switch n := float64(bytes); {
	case bytes < kib:
		return fmt.Sprintf("%d B", bytes)
	case bytes < mib:
		return fmt.Sprintf("%.0f KiB", n/kib)
	case bytes < gib:
		return fmt.Sprintf("%.1f MiB", n/mib)
	default:
		return fmt.Sprintf("%.1f GiB", n/gib)
	}
}

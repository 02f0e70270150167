package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/termtext"
)

// defaultLines is how many lines of each instance logs prints without a flag.
const defaultLines = 20

func (c *cli) logsCommand() *cobra.Command {
	var q api.LogQuery
	var since, stream string
	var all, timestamps bool
	cmd, r := c.command("logs [NAME...]", "Show the last output of children",
		`Show the last lines that the children printed, in the order in which they came. The
supervisor keeps them in memory, as many as logs.retain says, also of the processes
before. Older lines are read from the log files, renamed and compressed ones too. NAME is
a child or an instance. With --output json, each line is one object.`,
		func(r *running, ctx context.Context, found []*client.Supervisor, names []string) error {
			if len(found) > 1 {
				return errors.New("several supervisors run parts of the configuration. " +
					"Choose one with --socket")
			}
			if _, err := statusOf(ctx, found, names...); err != nil {
				return err // of a name that is not known
			}
			q.Names = names
			return found[0].Logs(ctx, q, func(l api.LogLine) error {
				return r.writeLine(l, timestamps)
			})
		})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		return setQuery(&q, since, stream, all, time.Now())
	}
	cmd.ValidArgsFunction = r.completeNames
	f := cmd.Flags()
	f.IntVarP(&q.Last, "lines", "n", defaultLines, "show this `number` of lines of each instance")
	f.BoolVar(&all, "all", false, "show all lines that are kept")
	f.BoolVarP(&q.Follow, "follow", "f", false, "show new lines as they come")
	f.BoolVar(&q.Previous, "previous", false, "show the lines of the process before the last start")
	f.StringVar(
		&since, "since", "", "show lines from this `time` on, such as 10m or 2006-01-02T15:04:05Z")
	f.StringVar(&stream, "stream", "", "show only this `stream`: stdout or stderr")
	f.BoolVarP(&timestamps, "timestamps", "t", false, "show the time of each line")
	cmd.MarkFlagsMutuallyExclusive("previous", "follow")
	cmd.MarkFlagsMutuallyExclusive("lines", "all")
	return cmd
}

// setQuery sets what a query has from flags that are texts. The error says what would be right.
func setQuery(q *api.LogQuery, since, stream string, all bool, now time.Time) error {
	switch {
	case all:
		q.Last = -1
	case q.Last < 0:
		return fmt.Errorf("--lines is %d: it must be 0 or more; --all shows all", q.Last)
	}
	if stream != "" && stream != "stdout" && stream != "stderr" {
		return fmt.Errorf("--stream is %q: it must be stdout or stderr", stream)
	}
	q.Stream = stream
	if since == "" {
		return nil
	}
	if ago, err := time.ParseDuration(since); err == nil && ago >= 0 {
		q.Since = now.Add(-ago)
		return nil
	}
	var err error
	if q.Since, err = time.Parse(time.RFC3339Nano, since); err != nil {
		return fmt.Errorf("--since is %q: write a duration such as 10m, or a time such as "+
			"2006-01-02T15:04:05Z", since)
	}
	return nil
}

// writeLine writes a line of output as the log of the supervisor has it.
func (r *running) writeLine(l api.LogLine, timestamp bool) error {
	if r.output == "json" {
		_ = json.NewEncoder(r.Stdout).Encode(l)
		return r.outputLost()
	}
	if l.Missed > 0 {
		fmt.Fprintf(r.Stdout, "[%s] ... %s missed\n", termtext.Escape(l.Instance),
			termtext.Count(l.Missed, "line", "lines"))
	}
	if l.Note != "" {
		fmt.Fprintf(r.Stderr, "supervisor: %s\n", termtext.Escape(l.Note))
		return nil
	}
	at, partial := "", ""
	if timestamp {
		at = "- " // a line of a file without times
		if !l.At.IsZero() {
			at = l.At.UTC().Format("2006-01-02T15:04:05.000Z ")
		}
	}
	if l.Partial {
		partial = "…"
	}
	name := l.Instance
	if l.Hook != "" {
		name += " " + l.Hook
	}
	fmt.Fprintf(r.Stdout, "%s[%s] %s%s\n", at, termtext.Escape(name), termtext.Escape(l.Text),
		partial)
	return r.outputLost()
}

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/termtext"
)

func (c *cli) eventsCommand() *cobra.Command {
	var follow bool
	cmd, _ := c.command("events", "Show what happened",
		`Show the last events of a running supervisor, as its log has them: starts, exits,
restarts, signals, reloads. With --follow, go on until the supervisor ends. With
--output json, each event is one line.`,
		func(r *running, ctx context.Context, found []*client.Supervisor, _ []string) error {
			if len(found) > 1 {
				return errors.New("several supervisors run parts of the configuration. " +
					"Choose one with --socket")
			}
			return found[0].Events(ctx, 0, follow, r.writeEvent)
		})
	cmd.Args = checkNoArguments
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "show new events as they come")
	return cmd
}

func (r *running) writeEvent(e api.Event) error {
	if r.output == "json" {
		_ = json.NewEncoder(r.Stdout).Encode(e)
		return r.outputLost()
	}
	if e.Missed > 0 {
		fmt.Fprintf(r.Stdout, "... %s missed\n", termtext.Count(e.Missed, "event", "events"))
	}
	text := fmt.Sprintf("%s %-5s %s", e.At.UTC().Format("2006-01-02T15:04:05.000Z"),
		strings.ToUpper(e.Level), e.Message)
	for _, key := range slices.Sorted(maps.Keys(e.Fields)) {
		text += fmt.Sprintf(" %s=%v", key, e.Fields[key])
	}
	fmt.Fprintln(r.Stdout, termtext.Escape(text))
	return r.outputLost()
}

// writeDifference writes what a reload changed.
func writeDifference(w io.Writer, d *api.Difference) {
	if d == nil {
		return
	}
	for _, row := range []struct {
		sign, what string
		names      []string
	}{
		{"+", "added", d.Added}, {"-", "removed", d.Removed}, {"~", "changed", d.Changed},
		{"=", "kept", d.Kept},
	} {
		if len(row.names) > 0 {
			fmt.Fprintf(w, "%s %-8s %s\n", row.sign, row.what,
				termtext.Escape(strings.Join(row.names, ", ")))
		}
	}
}

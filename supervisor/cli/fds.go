package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"tp0/supervisor/api"
	"tp0/supervisor/api/client"
	"tp0/supervisor/termtext"
)

// shownFDs is the number of descriptors of a process that fds shows without --all.
const shownFDs = 50

func (c *cli) fdsCommand() *cobra.Command {
	var all bool
	cmd, r := c.command("fds NAME...", "Show the open descriptors of children",
		`Show the open descriptors of the processes of instances and of their descendants: their
number by kind, how it changed since one second after the process was ready, the share of
the limit, and what each descriptor refers to. NAME is a child or an instance.`,
		func(r *running, ctx context.Context, found []*client.Supervisor, names []string) error {
			return r.showFDs(ctx, found, names, all)
		})
	cmd.Args = needNames
	cmd.ValidArgsFunction = r.completeNames
	cmd.Flags().BoolVar(&all, "all", false,
		fmt.Sprintf("show all descriptors of a process, and not only %d", shownFDs))
	return cmd
}

// showFDs asks each supervisor that has one of the names, and prints the answers.
func (r *running) showFDs(
	ctx context.Context, found []*client.Supervisor, names []string, all bool,
) error {
	byOne, err := distribute(ctx, found, names)
	if err != nil {
		return err
	}
	answer := api.FDs{Instances: []api.InstanceFDs{}}
	for i, s := range found {
		if len(byOne[i]) == 0 {
			continue
		}
		one, err := s.FDs(ctx, byOne[i]...)
		if err != nil {
			return err
		}
		answer.Instances = append(answer.Instances, one.Instances...)
	}
	if r.output == "json" {
		return r.writeJSON(answer)
	}
	shown := shownFDs
	if all {
		shown = int(^uint(0) >> 1)
	}
	for i := range answer.Instances {
		if i > 0 {
			fmt.Fprintln(r.Stdout)
		}
		writeFDs(r.Stdout, &answer.Instances[i], shown)
	}
	return nil
}

// writeFDs writes the descriptors of an instance.
func writeFDs(w io.Writer, inst *api.InstanceFDs, shown int) {
	if len(inst.Processes) == 0 {
		fmt.Fprintf(w, "%s has no process.\n", termtext.Escape(inst.Name))
	}
	for i := range inst.Processes {
		if i > 0 {
			fmt.Fprintln(w)
		}
		p := &inst.Processes[i]
		var before *api.FDCount
		if inst.AtReady != nil && inst.AtReady.Pid == p.Pid {
			before = inst.AtReady
		}
		fmt.Fprintln(w, termtext.Escape(fdsTitle(inst.Name, p)))
		if p.Open >= 0 {
			writeKinds(w, p, before)
			writeOpen(w, p, shown)
		}
	}
	if inst.Omitted > 0 {
		fmt.Fprintf(w, "\n%s not read: there are too many.\n",
			termtext.Count(inst.Omitted, "more process is", "more processes are"))
	}
}

// fdsTitle returns how many descriptors a process has open.
func fdsTitle(instance string, p *api.ProcessFDs) string {
	who := fmt.Sprintf("%s: %s (pid %d)", instance, p.Command, p.Pid)
	if p.Open < 0 {
		return who + " has open descriptors, but " + p.Error + "."
	}
	text := who + " has " + termtext.Count(p.Open, "open descriptor", "open descriptors")
	if p.Limit > 0 && p.Limit < 1<<62 {
		share := fmt.Sprintf("%.1f %%", 100*float64(p.Open)/float64(p.Limit))
		if share == "0.0 %" {
			share = "less than 0.1 %"
		}
		text += fmt.Sprintf(", %s of its limit of %d", share, p.Limit)
	}
	return text + "."
}

// writeKinds writes the number of descriptors by kind, and the change since the count before.
func writeKinds(w io.Writer, p *api.ProcessFDs, before *api.FDCount) {
	kinds := maps.Clone(p.Kinds)
	if before != nil {
		for kind := range before.Kinds {
			kinds[kind] += 0 // also a kind of which none is left
		}
	}
	names := slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
		if n := kinds[b] - kinds[a]; n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "KIND\tOPEN"
	if before != nil {
		header += "\tSINCE READY"
	}
	fmt.Fprintln(t, header)
	for _, kind := range names {
		row := fmt.Sprintf("%s\t%d", termtext.Escape(kind), kinds[kind])
		if before != nil {
			row += "\t" + signed(kinds[kind]-before.Kinds[kind])
		}
		fmt.Fprintln(t, row)
	}
	t.Flush()
}

// signed returns a change with its sign; a zero has none.
func signed(n int) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%+d", n)
}

// writeOpen writes the descriptors of a process. If it leaves some out, it also writes the most
// common targets.
func writeOpen(w io.Writer, p *api.ProcessFDs, shown int) {
	listed := p.FDs[:min(len(p.FDs), shown)]
	if len(listed) < p.Open && len(p.Common) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "OPEN\tMOST COMMON TARGETS")
		for _, c := range p.Common {
			fmt.Fprintf(t, "%d\t%s\n", c.Open, termtext.Escape(target(c.Kind, c.Target)))
		}
		t.Flush()
	}
	if len(listed) > 0 {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "FD\tKIND\tTARGET")
		for i := range listed {
			f := &listed[i]
			fmt.Fprintf(t, "%d\t%s\t%s\n", f.FD, termtext.Escape(f.Kind),
				termtext.Escape(fdWords(f)))
		}
		t.Flush()
	}
	switch more := len(p.FDs) - len(listed); {
	case more > 0:
		fmt.Fprintf(w, "%s not shown: use --all.\n",
			termtext.Count(more, "more descriptor is", "more descriptors are"))
	case p.Omitted > 0:
		fmt.Fprintf(w, "%s not listed: there are too many.\n",
			termtext.Count(p.Omitted, "descriptor is", "descriptors are"))
	}
}

func target(kind, target string) string {
	if kind == target {
		return kind
	}
	return kind + " " + target
}

// fdWords returns what a descriptor refers to, and what is special about it.
func fdWords(f *api.OpenFD) string {
	var more []string
	add := func(is bool, text string) {
		if is && text != "" {
			more = append(more, text)
		}
	}
	state, _ := strings.CutPrefix(f.State, "listen, ")
	add(state != "listen", state)
	add(f.Unread > 0, fmt.Sprintf("%d bytes unread", f.Unread))
	add(f.Unsent > 0, fmt.Sprintf("%d bytes unsent", f.Unsent))
	add(f.Mode != "", f.Mode)
	add(f.Lock != "", "lock: "+f.Lock)
	add(f.Deleted && !strings.HasSuffix(f.Target, "(deleted)"), "deleted")
	if len(more) == 0 {
		return f.Target
	}
	return f.Target + " (" + strings.Join(more, ", ") + ")"
}

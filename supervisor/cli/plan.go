package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mitchellh/go-wordwrap"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
)

func (c *cli) planCommand() *cobra.Command {
	var from string
	var mermaid bool
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show the order of the start and of the stop, or what a reload would do",
		Long: `Show in which order a configuration is started and stopped, and how long a stop
can take. With --from, show what a reload from that file would do. Nothing is
started. A faulty file is exit code 2.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if from != "" && mermaid {
				return errors.New("--from and --mermaid cannot be had together")
			}
			path, err := c.path()
			if err != nil {
				return err
			}
			cfg, err := c.load(path)
			if cfg == nil {
				return err
			}
			switch {
			case mermaid:
				writeFlowchart(c.Stdout, cfg)
			case from == "":
				writeOrder(c.Stdout, cfg)
			default:
				old, err := c.load(from)
				if old == nil {
					return err
				}
				writeReload(c.Stdout, old, cfg)
			}
			return nil
		},
	}
	c.addConfig(cmd)
	c.addVars(cmd)
	cmd.Flags().StringVar(&from, "from", "", "show what a reload from this `file` would do")
	cmd.Flags().BoolVar(&mermaid, "mermaid", false, "print the order as a flowchart for mermaid")
	return cmd
}

// columns is the width of a page; what is longer is wrapped.
const columns = 80

// rows writes a table of two columns behind a lead, such as the number of a
// layer.
type rows struct {
	w     io.Writer
	width int // of the first column
}

func newRows(w io.Writer, names []string) rows {
	const most = 28 // one that is longer has a line of its own
	width := 0
	for _, name := range names {
		if n := utf8.RuneCountInString(name); n <= most {
			width = max(width, n)
		}
	}
	return rows{w, width}
}

func (r rows) row(lead, name, text string) {
	indent := len(lead) + r.width + 2
	text = wordwrap.WrapString(text, uint(columns-indent))
	text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", indent))
	if utf8.RuneCountInString(name) > r.width && text != "" {
		text = "\n" + strings.Repeat(" ", indent) + text
	}
	if text != "" && !strings.HasPrefix(text, "\n") {
		name = fmt.Sprintf("%-*s  ", r.width, name)
	}
	fmt.Fprintln(r.w, lead+name+text)
}

// writeOrder shows the layers of the start and of the stop, and how long the
// stop can take.
func writeOrder(w io.Writer, cfg *config.Config) {
	var names []string
	for _, c := range cfg.Children {
		names = append(names, c.Name)
	}
	r := newRows(w, names)
	fmt.Fprintln(w, "Start, each as soon as what it waits for is there:")
	for i, layer := range cfg.StartLayers() {
		for j, c := range layer {
			r.row(lead(i, j), c.Name, strings.Join(append(traits(c), waits(cfg, c)...), ", "))
		}
	}
	s := cfg.Shutdown
	fmt.Fprintln(w, "\nStop, each as soon as nobody needs it any more; how long each may take:")
	latest := cfg.LatestStops()
	for i, layer := range cfg.StopLayers() {
		for j, c := range layer {
			r.row(lead(i, j), c.Name, takes(c, latest[c.Name]))
		}
	}
	chain, sum := cfg.WorstCase()
	var parts []string
	for _, c := range chain {
		parts = append(parts, fmt.Sprintf("%s %v", c.Name, c.KillTimeout()))
	}
	worst := fmt.Sprintf("At worst: %s. That is %v of the deadline of %v; %v are kept for the sweep and the flush, and %v are left.",
		strings.Join(parts, ", then "), sum, s.Deadline, s.Reserve, s.Deadline-s.Reserve-sum)
	if len(chain) == 0 {
		worst = "Nothing has to be stopped."
	}
	fmt.Fprintf(w, "\n%s\n", wordwrap.WrapString(worst, columns))
}

// lead is the number of a layer, before the first of its rows.
func lead(layer, row int) string {
	if row > 0 {
		return "      "
	}
	return fmt.Sprintf("%4d  ", layer+1)
}

// traits are what sets a child apart.
func traits(c *config.Child) []string {
	var words []string
	switch n := len(c.Instances); {
	case c.Disabled:
		return []string{"disabled"}
	case n == 0:
		return []string{"no instances"}
	case n > 1:
		words = append(words, fmt.Sprintf("%d instances", n))
	}
	p := c.Instances[0].Policy
	for _, t := range []struct {
		has  bool
		name string
	}{{p.Oneshot, "oneshot"}, {p.Sidecar, "sidecar"}, {critical(c), "critical"}} {
		if t.has {
			words = append(words, t.name)
		}
	}
	return words
}

func critical(c *config.Child) bool {
	return slices.ContainsFunc(c.Instances, func(i *config.Instance) bool { return i.Policy.Critical })
}

// waits is what a child waits for. One without instances is not waited for.
func waits(cfg *config.Config, c *config.Child) []string {
	var words []string
	for i, d := range c.DependsOn {
		verb := "is"
		if d.Until == config.UntilCompleted {
			verb = "has"
		}
		if len(cfg.Child(d.Child).Instances) == 0 {
			verb = "counts as"
		}
		word := fmt.Sprintf("%s %s %s", d.Child, verb, d.Until)
		if i == 0 {
			word = "once " + word
		}
		words = append(words, word)
	}
	return words
}

func takes(c *config.Child, latest time.Duration) string {
	if len(c.Instances) == 0 {
		return "nothing to stop"
	}
	text := c.KillTimeout().String()
	if c.Instances[0].Policy.SharedTimeout {
		text += ", its share"
	}
	if c.Sidecar() {
		text += ", sidecar"
	}
	if latest > c.KillTimeout() {
		text += fmt.Sprintf("; over after %v", latest)
	}
	return text
}

// writeReload shows what it takes to get from one configuration to the other.
func writeReload(w io.Writer, old, cfg *config.Config) {
	plan := config.PlanChange(old, cfg)
	if plan.Empty() {
		fmt.Fprintln(w, "A reload would change nothing.")
	} else {
		fmt.Fprintln(w, "A reload would do this:")
	}
	globals, differences := config.Differences(old, cfg)
	changed := map[string]config.Change{}
	for _, c := range plan.Changed {
		changed[c.Name] = c
	}
	down := goingDown(cfg, changed)
	r := newRows(w, slices.Concat(plan.Added, plan.Removed, plan.Kept, namesOf(plan.Changed)))
	for _, name := range plan.Added {
		r.row("  + ", name, "is started")
	}
	for _, name := range plan.Removed {
		r.row("  - ", name, "is stopped")
	}
	for _, i := range cfg.Instances() {
		if c, ok := changed[i.Name]; ok {
			r.row("  ~ ", c.Name, verdict(i, c, differences[c.Name], down)+told(i, c.Restart))
			writeDifferences(w, differences[c.Name])
		}
	}
	for _, i := range cfg.Instances() {
		if slices.Contains(plan.Kept, i.Name) {
			r.row("  = ", i.Name, "is kept"+told(i, false))
		}
	}
	writeTurns(w, cfg, changed, down)
	if cfg.Reload.Rollback && (len(plan.Added) > 0 || slices.ContainsFunc(plan.Changed, func(c config.Change) bool { return c.Restart })) {
		fmt.Fprintln(w, "If one of them does not get ready, all is brought back to what it was.")
	}
	if len(globals) > 0 {
		fmt.Fprintln(w, "For all, at once and without a restart:")
		writeDifferences(w, globals)
	}
}

// goingDown finds the children that have no turns: what they need is stopped
// before it comes back.
func goingDown(cfg *config.Config, changed map[string]config.Change) map[string]bool {
	down, stops := map[string]bool{}, map[string]bool{}
	for _, layer := range cfg.StartLayers() { // what is needed comes first
		for _, c := range layer {
			for _, d := range c.DependsOn {
				down[c.Name] = down[c.Name] || d.StopsAfterDependent() && stops[d.Child]
			}
			stops[c.Name] = slices.ContainsFunc(c.Instances, func(i *config.Instance) bool {
				return changed[i.Name].Restart && (!i.Policy.OverlapUpdate || down[c.Name])
			})
		}
	}
	return down
}

// writeTurns says of each child with many restarts how many come at a time.
func writeTurns(w io.Writer, cfg *config.Config, changed map[string]config.Change, down map[string]bool) {
	for _, c := range cfg.Children {
		if down[c.Name] {
			continue // as a whole
		}
		n := 0
		for _, i := range c.Instances {
			if changed[i.Name].Restart {
				n++
			}
		}
		if n < 2 {
			continue
		}
		if most := c.Instances[0].Policy.MaxParallel; most < n {
			fmt.Fprintf(w, "Of the %d of %s, %d at a time: the next when these are ready.\n", n, c.Name, most)
		}
	}
}

func namesOf(changes []config.Change) []string {
	var names []string
	for _, c := range changes {
		names = append(names, c.Name)
	}
	return names
}

// verdict says whether a change restarts an instance, and why.
func verdict(i *config.Instance, c config.Change, all []config.Difference, down map[string]bool) string {
	if !c.Restart {
		return "goes on: no run is made of what changes"
	}
	var why []string
	for _, d := range all {
		if d.Restart {
			why = append(why, d.Attribute)
		}
	}
	how := "is restarted"
	switch {
	case down[i.Child]:
		how = "is restarted together with what it needs"
	case i.Policy.OverlapUpdate:
		how = "gets a new run, and its old one is stopped when that is ready"
	}
	return how + ", for its " + strings.Join(why, ", ")
}

// told says whether a run that goes on hears of the reload.
func told(i *config.Instance, restart bool) string {
	sig := i.Policy.ReloadSignal
	if sig == 0 || restart {
		return ""
	}
	if name := unix.SignalName(sig); name != "" {
		return ", and gets " + name
	}
	return fmt.Sprintf(", and gets signal %d", int(sig))
}

func writeDifferences(w io.Writer, all []config.Difference) {
	var names []string
	for _, d := range all {
		names = append(names, d.Attribute)
	}
	r := newRows(w, names)
	for _, d := range all {
		text := d.Old + " → " + d.New
		if d.Attribute == "env" {
			var parts []string
			if d.New != "" {
				parts = append(parts, "sets "+d.New)
			}
			if d.Old != "" {
				parts = append(parts, "drops "+d.Old)
			}
			text = strings.Join(parts, "; ")
		}
		r.row("      ", d.Attribute, text)
	}
}

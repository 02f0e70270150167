package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/termtext"
)

// writeReload prints the effect of a reload from old to cfg.
func writeReload(w io.Writer, old, cfg *config.Config) {
	changes := plan.Compare(old, cfg)
	if changes.Empty() {
		fmt.Fprintln(w, "A reload would change nothing.")
	} else {
		fmt.Fprintln(w, "A reload would do this:")
	}
	globals, differences := plan.Differences(old, cfg)
	changed := map[string]plan.Change{}
	for _, c := range changes.Changed {
		changed[c.Name] = c
	}
	h := findHandOvers(old, cfg)
	down := goingDown(cfg, changed, h)
	names := slices.Concat(changes.Added, changes.Removed, changes.Kept, namesOf(changes.Changed))
	r := newRows(w, names)
	for _, name := range changes.Added {
		r.row("  + ", name, "is started"+h.waits[name])
	}
	for _, name := range changes.Removed {
		r.row("  - ", name, "is stopped")
	}
	for _, i := range cfg.Instances() {
		if c, ok := changed[i.Name]; ok {
			how := verdict(i, c, differences[c.Name], down, h)
			r.row("  ~ ", c.Name, how+h.waits[c.Name]+reloadSignalNote(i, c.Restart))
			writeDifferences(w, differences[c.Name])
		}
	}
	for _, i := range cfg.Instances() {
		if slices.Contains(changes.Kept, i.Name) {
			r.row("  = ", i.Name, "is kept"+reloadSignalNote(i, false))
		}
	}
	writeUpdateSlots(w, cfg, changed, down)
	h.writeDoubleClaims(w)
	if cfg.Reload.Rollback &&
		(len(changes.Added) > 0 || slices.ContainsFunc(
			changes.Changed, func(c plan.Change) bool { return c.Restart },
		)) {
		fmt.Fprintln(w, termtext.Wrap(
			"If one of them does not become ready, or fails within its min_ready, the old "+
				"configuration is restored.", columns))
	}
	if len(globals) > 0 {
		fmt.Fprintln(w, "For the supervisor, without a restart:")
		writeDifferences(w, globals)
	}
}

// goingDown returns the children that are stopped as a whole, because the update stops a child that
// they depend on.
func goingDown(
	cfg *config.Config, changed map[string]plan.Change, h handOvers,
) map[string]bool {
	down, stops := map[string]bool{}, map[string]bool{}
	for _, layer := range plan.StartLayers(cfg) { // dependencies come first
		for _, c := range layer {
			for _, d := range c.DependsOn {
				down[c.Name] = down[c.Name] || d.StopsAfterDependent() && stops[d.Child]
			}
			stops[c.Name] = slices.ContainsFunc(c.Instances, func(i *config.Instance) bool {
				overlap := i.Policy.OverlapUpdate && !h.part[i.Name]
				return changed[i.Name].Restart && (!overlap || down[c.Name])
			})
		}
	}
	return down
}

// writeUpdateSlots prints max_parallel of the children with more restarts than that.
func writeUpdateSlots(
	w io.Writer, cfg *config.Config, changed map[string]plan.Change, down map[string]bool,
) {
	for _, c := range cfg.Children {
		if down[c.Name] {
			continue // it is stopped as a whole
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
		p := &c.Instances[0].Policy
		if p.MaxParallel >= n {
			continue
		}
		text := fmt.Sprintf(
			"Rolling update of the %d instances of %s: %d at a time, each until it %s",
			n, c.Name, p.MaxParallel, isUpdated(p),
		)
		if p.MinReady > 0 {
			groups := (n + p.MaxParallel - 1) / p.MaxParallel
			text += fmt.Sprintf("; at least %v in all", time.Duration(groups)*p.MinReady)
			text = termtext.Wrap(text, columns)
		}
		fmt.Fprintln(w, text+".")
	}
}

// isUpdated says when a new process counts as updated.
func isUpdated(p *config.Policy) string {
	if p.MinReady == 0 {
		return "is ready"
	}
	return fmt.Sprintf("has been ready for %v", p.MinReady)
}

// namesOf returns the names of the changed instances.
func namesOf(changes []plan.Change) []string {
	var names []string
	for _, c := range changes {
		names = append(names, c.Name)
	}
	return names
}

// verdict says whether a change restarts an instance, and why.
func verdict(
	i *config.Instance, c plan.Change, all []plan.Difference, down map[string]bool, h handOvers,
) string {
	if !c.Restart {
		return "keeps running: the change does not concern its process"
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
		how = "is restarted together with its dependencies"
	case i.Policy.OverlapUpdate && h.part[i.Name]:
		how = "is restarted without an overlap, because an address is handed over"
	case i.Policy.OverlapUpdate:
		how = "is replaced, and the old process is stopped when the new one " + isUpdated(&i.Policy)
	}
	return how + ", for its " + strings.Join(why, ", ")
}

// reloadSignalNote says whether an instance that keeps running gets the reload signal. Empty: it
// gets none.
func reloadSignalNote(i *config.Instance, restart bool) string {
	sig := i.Policy.ReloadSignal
	if sig == 0 || restart {
		return ""
	}
	if name := unix.SignalName(sig); name != "" {
		return ", and gets " + name
	}
	return fmt.Sprintf(", and gets signal %d", int(sig))
}

// writeDifferences prints the changed attributes of an instance.
func writeDifferences(w io.Writer, all []plan.Difference) {
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

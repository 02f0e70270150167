package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"tp0/supervisor/config"
	"tp0/supervisor/config/plan"
	"tp0/supervisor/termtext"
)

// writeOrder prints the layers of the start and of the stop, and how long the stop can take.
func writeOrder(w io.Writer, cfg *config.Config) {
	var names []string
	for _, c := range cfg.Children {
		names = append(names, c.Name)
	}
	r := newRows(w, names)
	fmt.Fprintln(w, "Start order; each child starts when its dependencies are met:")
	for i, layer := range plan.StartLayers(cfg) {
		for j, c := range layer {
			r.row(lead(i, j), c.Name, strings.Join(append(traits(c), waits(cfg, c)...), ", "))
		}
	}
	s := cfg.Shutdown
	fmt.Fprintln(w, "\nStop order; each child stops after its dependents, within this time:")
	latest := plan.LatestStops(cfg)
	for i, layer := range plan.StopLayers(cfg) {
		for j, c := range layer {
			r.row(lead(i, j), c.Name, takes(c, latest[c.Name]))
		}
	}
	chain, sum := plan.WorstCase(cfg)
	var parts []string
	for _, c := range chain {
		parts = append(parts, fmt.Sprintf("%s %v", c.Name, c.StopTime()))
	}
	worst := fmt.Sprintf(
		"Worst case: %s. That is %v of the deadline of %v; %v are reserved for the orphan "+
			"cleanup and the flush, and %v are left.",
		strings.Join(parts, ", then "), sum, s.Deadline, s.Reserve, left(cfg, sum),
	)
	if len(chain) == 0 {
		worst = "Nothing has to be stopped."
	}
	fmt.Fprintf(w, "\n%s\n", termtext.Wrap(worst, columns))
}

// left returns what is left of the deadline after a stop that takes sum.
func left(cfg *config.Config, sum time.Duration) time.Duration {
	return cfg.Shutdown.Deadline - cfg.Shutdown.Reserve - sum
}

// lead returns the prefix of a row: the number of the layer in its first row.
func lead(layer, row int) string {
	if row > 0 {
		return "      "
	}
	return fmt.Sprintf("%4d  ", layer+1)
}

// traits returns the properties of a child that differ from the default.
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
	return append(words, properties(c)...)
}

// properties returns those of traits that are not about the number of instances.
func properties(c *config.Child) (words []string) {
	if len(c.Instances) == 0 {
		return nil
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
	return append(words, hooks(&p.Hooks)...)
}

// hooks returns the hooks of a child as properties.
func hooks(h *config.Hooks) (words []string) {
	for _, name := range config.HookNames {
		if h.Named(name).Set() {
			words = append(words, name+" hook")
		}
	}
	return words
}

// critical reports whether an instance of the child is critical.
func critical(c *config.Child) bool {
	return slices.ContainsFunc(
		c.Instances, func(i *config.Instance) bool { return i.Policy.Critical },
	)
}

// waits returns the conditions for the start of a child. A dependency without instances is met.
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

// takes returns how long a child can take to stop.
func takes(c *config.Child, latest time.Duration) string {
	if len(c.Instances) == 0 {
		return "nothing to stop"
	}
	p := &c.Instances[0].Policy
	text := c.StopTime().String()
	if _, shares := c.GivenStopTime(); shares > 0 {
		text += ", its share"
	}
	if p.Hooks.PostStop.Set() {
		text += fmt.Sprintf(", with %v for post_stop", p.Hooks.StopTimeout)
	}
	if c.Sidecar() {
		text += ", sidecar"
	}
	if latest > c.StopTime() {
		text += fmt.Sprintf("; ends after %v at most", latest)
	}
	return text
}

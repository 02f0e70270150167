package report

import (
	"fmt"
	"slices"
	"strings"

	"tp0/supervisor/api"
	"tp0/supervisor/termtext"
)

// Why explains how an instance ended, or of all instances of a child, in the stop of a
// document. Without an instance of that name it returns none. The texts are untrusted.
func Why(d *Document, name string) (all []api.Why) {
	for i := range d.Children {
		if c := &d.Children[i]; isOf(c.Child, name) {
			all = append(all, d.whyChild(c))
		}
	}
	for _, b := range d.Before {
		if isOf(b.Child, name) {
			all = append(all, d.whyEarlier(b))
		}
	}
	return all
}

// Names returns the names of the instances in a document.
func (d *Document) Names() (all []string) {
	add := func(name string) {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, c := range d.Children {
		add(c.Child)
	}
	for _, b := range d.Before {
		add(b.Child)
	}
	return all
}

// isOf reports whether a name is that of an instance or of its child. With a count, the name of the
// instance is the name of the child and a number.
func isOf(instance, name string) bool {
	number, ok := strings.CutPrefix(instance, name)
	return ok && strings.Trim(number, "0123456789") == ""
}

// whyChild explains a process of the stop.
func (d *Document) whyChild(c *Child) api.Why {
	w := api.Why{Name: c.Child, Child: c.Child, Situation: api.Ended, Evidence: []string{}}
	switch {
	case len(c.Why) > 0:
		w.Situation = api.TakesLongToStop
		w.Answer = c.Why[0] + "."
		for _, sentence := range c.Why[1:] {
			w.Evidence = append(w.Evidence, sentence+".")
		}
	case c.Ended == nil:
		w.Answer = c.Child + " survived the stop."
	case len(c.Steps) == 0:
		w.Answer = fmt.Sprintf("%s ended by itself, with %s.", c.Child, endOf(c.Exit))
	default:
		w.Answer = fmt.Sprintf("%s ended gracefully, %s ms after %s, with %s.", c.Child,
			formatMS(c.took(d.Elapsed)), c.Steps[0].Signal, endOf(c.Exit))
	}
	add := func(format string, a ...any) {
		w.Evidence = append(w.Evidence, fmt.Sprintf(format, a...))
	}
	for _, s := range c.Steps {
		add("%s was sent %s ms after the stop began (step %d).", s.Signal, formatMS(s.At), s.Step)
	}
	for _, s := range d.Budget {
		if s.Who == c.Child && s.Pid == c.Pid {
			add("It determined %s ms of the %s ms of the stop: the rest of the stop waited for it.",
				formatMS(s.To-s.From), formatMS(d.Elapsed))
		}
	}
	if len(c.DependsOn) > 0 {
		add("It is stopped before its dependencies: %s.", strings.Join(c.DependsOn, ", "))
	}
	for _, f := range d.Findings {
		if f.Child == c.Child && f.Pid == c.Pid {
			add("Descriptor %d (%s) is a finding: %s", f.FD, f.Target, f.Harm)
		}
	}
	d.addEarlier(&w, c.Restarts)
	w.Next = []string{"supervisor report FILE # shows the whole stop"}
	return w
}

// whyEarlier explains an instance that had ended before the stop.
func (d *Document) whyEarlier(b EarlierEnd) api.Why {
	w := api.Why{Name: b.Child, Child: b.Child, Situation: api.Ended, Evidence: []string{}}
	what := "had ended before the stop began"
	if slices.Contains(d.Failed, b.Child) {
		w.Situation, what = api.FailedForGood, "had failed before the stop began"
	}
	w.Answer = fmt.Sprintf("%s %s: %s.", b.Child, what, b.Exit)
	d.addEarlier(&w, b.Restarts)
	w.Next = []string{"supervisor report FILE # shows the whole stop"}
	return w
}

// addEarlier adds the restarts before the stop, and the warnings about an instance.
func (d *Document) addEarlier(w *api.Why, restarts int) {
	if restarts > 0 {
		w.Evidence = append(w.Evidence, fmt.Sprintf("It was restarted %s before the stop.",
			termtext.Count(restarts, "time", "times")))
	}
	for _, i := range d.Warnings {
		if i.Child != w.Name {
			continue
		}
		when := formatMS(i.At) + " ms after the stop began"
		if i.At < 0 {
			when = formatMS(-i.At) + " ms before the stop began"
		}
		w.Evidence = append(w.Evidence, fmt.Sprintf("%s: %s: %s.", when, i.What, i.Why))
	}
}

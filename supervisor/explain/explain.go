package explain

import (
	"strings"

	"tp0/supervisor/api"
)

// Explain returns why the instance is in its state.
func Explain(f *Facts) api.Why {
	a := &answer{Facts: f, Why: api.Why{
		Name: f.Instance.Name, Child: f.Instance.Child, State: f.Instance.State,
		Evidence: []string{}, Next: []string{},
	}}
	if f.Hook != "" {
		a.hook()
	} else {
		a.state(f.Instance.State)
	}
	a.shutdown()
	a.config()
	return a.Why
}

// state explains the state of an instance without a hook that runs.
func (a *answer) state(state string) {
	switch state {
	case "waiting":
		a.waiting()
	case "starting":
		a.starting()
	case "ready":
		a.ready()
	case "backing_off":
		a.backingOff()
	case "failed":
		a.failed()
	case "succeeded":
		a.say(api.Completed, "it has completed: its process ended with success, and is not "+
			"started again")
		a.lastExit()
	case "stopped":
		a.stopped()
	default: // unready, ending, replacing and stopping
		a.stopping()
	}
}

// hook explains an instance whose hook runs.
func (a *answer) hook() {
	situation := api.TakesLongToStop
	switch a.Instance.State {
	case "preparing":
		situation = api.StartsUp
	case "failing":
		situation = api.FailedForGood
	}
	a.say(situation, "it is %s: %s", api.StateWords(a.Instance.State), a.Hook)
	if a.HookNext != "" && !a.Due.IsZero() {
		a.add("In %s %s", a.in(a.Due), a.HookNext)
	}
	if a.Instance.State == "failing" {
		a.add("It has failed: %s", a.process(a.Restart.Reason))
	}
	a.lastExit()
	a.next("supervisor logs "+a.Name, "shows the output of the hook")
}

// shutdown adds that everything is being stopped.
func (a *answer) shutdown() {
	if a.ShuttingTo != nil {
		a.add("The supervisor stops all children: the deadline is in %s", a.in(*a.ShuttingTo))
	}
}

// config adds what a reload would change.
func (a *answer) config() {
	c := &a.Config
	names := strings.Join(c.Attributes, ", ")
	switch {
	case c.Fault != "":
		a.add("The configuration on disk cannot be read: %s", c.Fault)
		a.next("supervisor validate", "lists its faults")
	case c.Removed:
		a.add("The configuration on disk does not have the instance: a reload removes it")
	case c.Restart:
		a.add("The configuration on disk differs in %s: a reload replaces the process", names)
	case names != "":
		a.add("The configuration on disk differs in %s: a reload applies it without a restart",
			names)
	default:
		return
	}
	if c.Fault == "" {
		a.next("supervisor reload", "applies the configuration on disk")
	}
}

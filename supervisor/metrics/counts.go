package metrics

import (
	"maps"
	"slices"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/findings"
)

// The closed sets of label values.
var (
	exitReasons  = []string{"success", "failure", "signal", "stopped", "killed"}
	verdicts     = []string{string(event.Graceful), string(event.Leaky), string(event.Forced)}
	findingKinds = []string{
		string(findings.UnreadData), string(findings.UnsentData), string(findings.ClientsWaiting),
		string(findings.ListenerOpen), string(findings.ConnectionOpen), string(findings.Open),
	}
	checkResults = []string{
		string(event.CheckIsPassed), string(event.CheckIsFailed), string(event.CheckIsExcused),
	}
	hookResults   = []string{"success", "failure", "not_started"}
	fdWarnings    = []string{"leak", "limit"}
	reloadResults = []string{"success", "rejected", "ignored"}
	streams       = []string{"stdout", "stderr"}
)

// tally counts the values of a closed set, by their index.
type tally []uint64

func newTally(values []string) tally { return make(tally, len(values)) }

// add counts a value. A value outside the set, which cannot be, counts as the last one.
func (t tally) add(values []string, value string) {
	i := slices.Index(values, value)
	if i < 0 {
		i = len(values) - 1
	}
	t[i]++
}

// instance counts the facts about an instance.
type instance struct {
	child                                   string
	starts, restarts, spawnFailures, killed uint64
	exits, stops, findings, fdWarnings      tally
	checks                                  map[string]tally // by the name of the check
	hooks                                   map[string]tally // by the kind of hook
	cpu                                     float64          // seconds of main processes that ended
	cpuShown                                float64          // the last value that was written
	latest                                  process
}

// process is what is known of the last process of an instance, for the verdict of its stop.
type process struct{ killed, leaked bool }

func newInstance(child string) *instance {
	return &instance{
		child: child, exits: newTally(exitReasons), stops: newTally(verdicts),
		findings: newTally(findingKinds), fdWarnings: newTally(fdWarnings),
		checks: map[string]tally{}, hooks: map[string]tally{},
	}
}

// clone returns a copy that does not change.
func (i *instance) clone() *instance {
	c := *i
	c.exits, c.stops = slices.Clone(i.exits), slices.Clone(i.stops)
	c.findings, c.fdWarnings = slices.Clone(i.findings), slices.Clone(i.fdWarnings)
	c.checks, c.hooks = cloneAll(i.checks), cloneAll(i.hooks)
	return &c
}

func cloneAll(all map[string]tally) map[string]tally {
	c := maps.Clone(all)
	for name, t := range c {
		c[name] = slices.Clone(t)
	}
	return c
}

// addCheck counts an attempt of a check.
func (i *instance) addCheck(check string, r event.CheckResult) {
	if i.checks[check] == nil {
		i.checks[check] = newTally(checkResults)
	}
	i.checks[check].add(checkResults, string(r))
}

// hook returns the counts of a hook.
func (i *instance) hook(name string) tally {
	if i.hooks[name] == nil {
		i.hooks[name] = newTally(hookResults)
	}
	return i.hooks[name]
}

// emit counts a fact about the instance.
func (i *instance) emit(e event.Event) {
	switch e := e.(type) {
	case event.Spawned:
		i.starts++
		i.latest = process{}
	case event.SpawnFailed:
		i.spawnFailures++
	case event.Restarting:
		i.restarts++
	case event.SignalSent:
		if e.Signal == "SIGKILL" && e.Step > 0 && e.Hook == "" {
			i.killed++
			i.latest.killed = true
		}
	case event.FDClosed:
		if e.Finding != "" {
			i.findings.add(findingKinds, e.Finding)
			i.latest.leaked = true
		}
	case event.FDLeakSuspected:
		i.fdWarnings.add(fdWarnings, "leak")
	case event.FDLimitNear:
		i.fdWarnings.add(fdWarnings, "limit")
	case event.HookStarted:
		i.hook(e.Hook) // the counter is 0 until the first end
	case event.HookEnded:
		i.hook(e.Hook).add(hookResults, hookResult(e))
	case event.HookNotStarted:
		i.hook(e.Hook).add(hookResults, "not_started")
	case event.Reaped:
		i.exits.add(exitReasons, exitReason(e))
		i.cpu += (e.User + e.System).Seconds()
		if e.Stopped {
			i.stops.add(verdicts, i.latest.verdict())
		}
	}
}

func exitReason(e event.Reaped) string {
	switch {
	case e.Stopped && e.Exit.Signal == "SIGKILL":
		return "killed"
	case e.Stopped:
		return "stopped"
	case e.Success:
		return "success"
	case e.Exit.Signal != "":
		return "signal"
	}
	return "failure"
}

func hookResult(e event.HookEnded) string {
	if e.Failure != "" {
		return "failure"
	}
	return "success"
}

func (p *process) verdict() string {
	switch {
	case p.killed:
		return string(event.Forced)
	case p.leaked:
		return string(event.Leaky)
	}
	return string(event.Graceful)
}

// reloads counts the reloads of the configuration.
type reloads struct {
	results tally
	failed  bool      // the last one was rejected
	success time.Time // of the last success, at first of the start
}

// clone returns a copy that does not change.
func (r *reloads) clone() reloads {
	c := *r
	c.results = slices.Clone(c.results)
	return c
}

// add counts a reload.
func (r *reloads) add(result string) {
	r.results.add(reloadResults, result)
	switch result {
	case "success":
		r.failed, r.success = false, time.Now()
	case "rejected":
		r.failed = true
	}
}

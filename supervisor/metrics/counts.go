package metrics

import (
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
	exits, stops, findings                  tally
	checks                                  map[string]tally // by the name of the check
	cpu                                     float64          // seconds of main processes that ended
	cpuShown                                float64          // the last value that was written
	latest                                  process
}

// process is what is known of the last process of an instance, for the verdict of its stop.
type process struct{ killed, leaked bool }

func newInstance(child string) *instance {
	return &instance{
		child: child, exits: newTally(exitReasons), stops: newTally(verdicts),
		findings: newTally(findingKinds), checks: map[string]tally{},
	}
}

// clone returns a copy that does not change.
func (i *instance) clone() *instance {
	c := *i
	c.exits, c.stops, c.findings = slices.Clone(i.exits), slices.Clone(i.stops),
		slices.Clone(i.findings)
	c.checks = make(map[string]tally, len(i.checks))
	for name, t := range i.checks {
		c.checks[name] = slices.Clone(t)
	}
	return &c
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

package explain

import (
	"fmt"
	"strings"

	"tp0/supervisor/api"
	"tp0/supervisor/termtext"
)

// ready explains a process that is ready. What a person must act on comes first.
func (a *answer) ready() {
	switch {
	case !a.Instance.Ready:
		a.say(api.TakesLongToStop, "it stops by itself: it sent STOPPING=1")
	case len(a.StopsAfter) > 0:
		a.say(api.WaitsForStop, "it is stopped once %s has ended", names(a.StopsAfter))
		a.next("supervisor why "+a.StopsAfter[0], "explains the state of "+a.StopsAfter[0])
	case a.Update != nil:
		a.update()
	default:
		a.health()
	}
	if s := a.Instance.StartedAt; s != nil {
		a.add("Its process (pid %d) was started %s", a.Instance.Pid, a.ago(*s))
	}
	a.says()
	a.lastExit()
}

// update explains a process that is to be replaced.
func (a *answer) update() {
	u := a.Update
	switch {
	case u.Halted != "":
		a.say(api.UpdateHalted, "it keeps its process, because its update is halted: %s",
			u.Halted)
		a.next("supervisor restart "+a.Name, "tries the new process again")
		a.next("supervisor reload", "applies the configuration, once you have corrected it")
	case u.Surge != "":
		a.say(api.WaitsForUpdate, "it is replaced once its new process is ready: the new process "+
			"is %s", api.StateWords(u.Surge))
	case u.HasSlot:
		a.say(api.WaitsForUpdate, "it is about to be replaced: other instances are "+
			"stopped first")
	case len(u.Holders) > 0:
		a.say(api.WaitsForUpdate, "it waits for an update slot, which is used by %s",
			names(u.Holders))
		a.add("At most %d of its instances are replaced at a time (max_parallel)", u.MaxParallel)
		a.next("supervisor why "+u.Holders[0], "explains the update that has the slot")
	default:
		a.say(api.WaitsForUpdate, "it waits for an update slot, until its dependencies are ready")
	}
}

// health explains a process that is to stay.
func (a *answer) health() {
	failing := a.failingChecks()
	stale := a.needsRestart()
	switch {
	case a.Process.Stopped:
		a.say(api.StoppedBySignal, "it %s", stoppedText)
	case len(failing) > 0:
		a.say(api.CheckFails, "it is ready, but %s", failing[0])
		a.next("supervisor logs "+a.Name, "shows its output")
	case len(a.Leaks) > 0:
		a.say(api.LeaksFDs, "it leaks descriptors: %s", a.Leaks[0])
	case len(a.NearLimit) > 0:
		a.say(api.NearFDLimit, "it is near its limit of descriptors: %s", a.NearLimit[0])
	case stale != "":
		a.say(api.NeedsRestart, "%s", stale)
	default:
		a.say(api.Runs, "it is ready, and nothing is known to be wrong")
	}
	said := 1 // of failing, by the answer
	if a.Process.Stopped {
		a.next("supervisor signal CONT "+a.Name, "continues it")
		said = 0
	}
	for _, text := range failing[min(len(failing), said):] {
		a.add("Also, %s", text)
	}
	a.descriptors()
	a.stale(stale)
	if a.Process.Unknown != "" {
		a.add("Its process could not be examined: %s", a.Process.Unknown)
	}
}

// descriptors adds what watch_fds found and what is not over.
func (a *answer) descriptors() {
	for _, text := range a.Leaks {
		a.add("watch_fds found a leak: %s", text)
	}
	for _, text := range a.NearLimit {
		a.add("watch_fds counted its descriptors: %s", text)
	}
	if len(a.Leaks)+len(a.NearLimit) > 0 {
		a.next("supervisor fds "+a.Name, "shows its open descriptors")
	}
}

// failingChecks returns a sentence for each check that fails.
func (a *answer) failingChecks() (all []string) {
	for _, c := range a.Instance.Checks {
		if c.Failures == 0 {
			continue
		}
		all = append(all, fmt.Sprintf("its check %q fails: %s", c.Name, c.Reason))
		a.add("The check %q has failed %s in a row. After %d the instance is restarted", c.Name,
			termtext.Count(c.Failures, "time", "times"), a.Limits[c.Name])
	}
	return all
}

// needsRestart says why a restart would change the process. It is empty if a restart would not.
func (a *answer) needsRestart() string {
	p := &a.Process
	switch {
	case p.Program != "":
		return "it needs a restart: " + p.Program + " was replaced on disk after its start"
	case len(p.Libraries) > 0:
		return "it needs a restart: libraries were replaced on disk after its start: " +
			names(p.Libraries)
	case a.Config.Restart:
		return "it needs a restart: its configuration on disk differs in " +
			strings.Join(a.Config.Attributes, ", ")
	case len(p.Files) > 0: // a program can notice the change itself
		return "it may need a restart: files of its command line changed after its start: " +
			names(p.Files)
	}
	return ""
}

// stale adds what a restart would change.
func (a *answer) stale(reason string) {
	p := &a.Process
	if reason == "" || p.Program == "" && len(p.Libraries)+len(p.Files) == 0 {
		return // config adds the rest
	}
	if p.Program != "" {
		a.add("The process runs the old program, which it has loaded already")
	}
	if len(p.Libraries) > 0 {
		a.add("The process uses the old libraries, which it has loaded already")
	}
	if len(p.Files) > 0 {
		a.add("Files of its command line changed after the start: %s", names(p.Files))
	}
	a.next("supervisor restart "+a.Name, "starts a process with what is on disk")
}

// stopping explains a stop sequence that is under way.
func (a *answer) stopping() {
	s := a.Stop
	if s == nil {
		a.say(api.TakesLongToStop, "it is about to be stopped")
		a.because()
		return
	}
	took := termtext.Duration(a.Now.Sub(s.Began))
	switch {
	case s.MainEnded:
		a.say(api.TakesLongToStop, "it has been stopping for %s: its main process has ended, but "+
			"its descendants have not", took)
	default:
		a.say(api.TakesLongToStop, "it has been stopping for %s: it %s", took,
			reaction(s.Signal, a.Process.Disposition))
	}
	a.because()
	if s.Next != "" && !a.Due.IsZero() {
		a.add("Step %d of %d: %s. %s follows in %s", s.Step, s.Steps, s.Signal, s.Next,
			a.in(a.Due))
	} else {
		a.add("Step %d of %d: %s, the last one. A process that survives SIGKILL sleeps in the "+
			"kernel, often on a device or a network file system, or is traced",
			s.Step, s.Steps, s.Signal)
	}
	a.threads()
	a.next("supervisor fds "+a.Name, "shows its open descriptors")
	if s.Next != "" {
		a.next("supervisor signal KILL "+a.Name, "ends the process now, without its own cleanup")
	}
}

// because adds why the process is stopped.
func (a *answer) because() {
	switch by := a.Instance.StoppedBy; {
	case by != nil:
		a.add("%s stopped it %s", by, a.ago(by.At))
	case a.Instance.State == "replacing":
		a.add("A reload or a restart replaces its process")
	case a.Instance.Reason != "":
		a.add("It is stopped: %s", a.Instance.Reason)
	}
}

// reaction says how a process handles a signal, in a stop that takes long.
func reaction(signal, disposition string) string {
	if signal == "SIGKILL" { // no process handles it
		return "has not ended after SIGKILL"
	}
	switch disposition {
	case "caught":
		return "handles " + signal + ", and has not ended yet"
	case "awaited":
		return "takes " + signal + " with sigwait(3), and has not ended yet"
	case "ignored":
		return "ignores " + signal
	case "blocked":
		return "blocks " + signal + ", so the signal is not delivered"
	case "default":
		return "has no " + signal + " handler, and the signal did not end it"
	}
	return "has not ended after " + signal
}

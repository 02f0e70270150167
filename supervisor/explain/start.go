package explain

import (
	"strings"

	"tp0/supervisor/api"
)

// waiting explains an instance that is not started yet.
func (a *answer) waiting() {
	if len(a.Waits) == 0 {
		a.say(api.WaitsForStart, "it is about to be started")
		return
	}
	w := a.Waits[0]
	text := waitWords(w)
	if w.State != "" {
		text += ": " + w.For + " is " + api.StateWords(w.State)
	}
	a.say(api.WaitsForStart, "it waits for %s", text)
	for i, w := range a.Waits {
		if i > 0 {
			a.add("It also waits for %s", waitWords(w))
		}
		switch {
		case w.Until == ended && w.Reason != "":
			a.add("%s must end first: %s", w.For, w.Reason)
		case w.Reason != "":
			a.add("%s is %s: %s", w.For, api.StateWords(w.State), w.Reason)
		}
		switch w.State {
		case "stopped":
			a.next("supervisor start "+w.For, "starts "+w.For)
		case "failed":
			a.next("supervisor why "+w.For, "explains why "+w.For+" has failed")
		default:
			a.next("supervisor why "+w.For, "explains the state of "+w.For)
		}
	}
	a.lastExit()
}

// waitWords says what a start waits for.
func waitWords(w Wait) string {
	if w.Until == ended {
		return "the end of " + w.For
	}
	return w.For + " to be " + w.Until
}

// ended is the Until of a wait for a hand-over.
const ended = "ended"

// starting explains a process that is not ready yet.
func (a *answer) starting() {
	if a.Instance.Pid == 0 {
		a.say(api.StartsUp, "it is being started")
		a.lastExit()
		return
	}
	if a.Ready == "" {
		a.say(api.StartsUp, "it runs, and has not completed yet")
	} else {
		a.say(api.StartsUp, "it is not ready yet: its ready block waits for %s", a.Ready)
	}
	if s := a.Instance.StartedAt; s != nil {
		a.add("Its process (pid %d) was started %s", a.Instance.Pid, a.ago(*s))
	}
	if !a.Due.IsZero() {
		a.add("It fails if it is not ready within %s", a.in(a.Due))
	}
	a.says()
	a.threads()
	a.lastExit()
	a.next("supervisor logs "+a.Name, "shows its output")
}

// backingOff explains a delay before a restart.
func (a *answer) backingOff() {
	r := &a.Restart
	situation := api.BacksOff
	if a.OOM {
		situation = api.OutOfMemory
	}
	switch {
	case r.LogFile != "":
		a.say(situation, "it could not be started because its log file %s cannot be opened: the "+
			"file system has not responded. The start is tried again in %s", r.LogFile, a.in(a.Due))
	case r.Shortage:
		a.say(situation, "it could not be started for lack of a resource, and is tried again in %s",
			a.in(a.Due))
		a.add("The reason: %s", r.Reason)
	default:
		a.say(situation, "it is restarted in %s: %s", a.in(a.Due), a.process(r.Reason))
		a.add("This is restart %d of %d within %v. The delay doubles each time", r.Attempt,
			r.Attempts, r.Interval)
	}
	a.lastExit()
	a.memory()
	a.output()
	a.next("supervisor start "+a.Name, "starts it now")
}

// failed explains a failure without a restart.
func (a *answer) failed() {
	situation := api.FailedForGood
	if a.OOM {
		situation = api.OutOfMemory
	}
	a.say(situation, "it has failed, and is not restarted: %s", a.process(a.Restart.Reason))
	a.lastExit()
	a.memory()
	a.output()
	if a.Restart.OnFailure != "" {
		a.add("Its on_failure is %q", a.Restart.OnFailure)
	}
	a.next("supervisor start "+a.Name, "starts it again, once you have removed the cause")
}

// memory adds what to do about the OOM killer.
func (a *answer) memory() {
	if !a.OOM {
		return
	}
	a.add("The kernel killed it because memory ran out: %s", strings.TrimPrefix(a.Cause, "; "))
	a.next("supervisor status --wide", "shows the memory of each child. Raise the limit of the "+
		"container, or lower what the program needs")
}

// stopped explains an instance that was stopped.
func (a *answer) stopped() {
	by := a.Instance.StoppedBy
	if by == nil {
		a.say(api.Ended, "it was stopped, and is not started again")
		a.lastExit()
		return
	}
	a.say(api.StoppedByUser, "it is stopped: %s stopped it %s", by, a.ago(by.At))
	a.add("It stays stopped, also over a reload, until it is started")
	a.lastExit()
	a.next("supervisor start "+a.Name, "starts it")
}

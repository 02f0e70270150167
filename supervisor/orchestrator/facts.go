package orchestrator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/lifecycle"
	"tp0/supervisor/output"
	"tp0/supervisor/process"
)

// learn handles a fact of the process loop.
func (f *Orchestrator) learn(fact process.Fact) {
	switch x := fact.(type) {
	case process.Spawned:
		f.spawned(x)
	case process.SpawnFailed:
		f.spawnFailed(x)
	case process.Signalled:
		f.signalled(x)
	case process.Exited:
		f.exited(x)
	case process.TreeEnded:
		f.treeEnded(x)
	case process.MainChanged:
		f.mainChanged(x)
	case process.Inspected:
		f.glanced(x)
	case process.Diagnosed:
		f.diagnosed(x)
	case process.DescendantEnded:
		f.endedBelow(x)
	case process.OrphanSignalled:
		if x.Signal == unix.SIGKILL {
			f.books.killed++
		}
		f.opt.Sink.Emit(event.SignalSent{Orphan: x.Command, Pid: x.Pid, Signal: signalName(x.Signal), Step: x.Step})
	case process.OrphanReaped:
		f.books.orphans++
		f.opt.Sink.Emit(event.OrphanReaped{Child: x.Child, Pid: x.Pid, Command: x.Command, Exit: x.Exit})
	case process.OrphanCleanupDone:
		f.swept(x)
	}
}

func (f *Orchestrator) spawned(x process.Spawned) {
	u := f.runs[x.Process]
	f.pending--
	f.books.spawned++
	u.pid, u.spawned = x.Pid, x.At
	u.short, f.books.unspawned = shortage{}, nil
	f.opt.Sink.Emit(event.Spawned{Child: u.spec.Name, Pid: x.Pid, Command: u.spec.Launch.Command})
	u.relay.Started()
	if u.state == lifecycle.Starting {
		f.probe(u)
	}
	f.claim()
}

func (f *Orchestrator) spawnFailed(x process.SpawnFailed) {
	defer f.claim()
	f.pending--
	u := f.runs[x.Process]
	delete(f.runs, x.Process)
	if u.relay != nil {
		u.relay.Started()
		u.relay = nil
	}
	if errors.Is(x.Err, process.ErrRevoked) {
		f.ended(u, outcome{reason: x.Err.Error()})
		return
	}
	f.books.unspawned = x.Err
	if f.spawnLater(u, x.Err) {
		return
	}
	f.opt.Sink.Emit(event.SpawnFailed{Child: u.spec.Name, Command: u.spec.Launch.Command, Reason: x.Err.Error()})
	f.ended(u, outcome{reason: "it could not be spawned: " + x.Err.Error()})
}

func (f *Orchestrator) signalled(x process.Signalled) {
	u := f.runs[x.Process]
	if x.Err == nil {
		if x.Descendant != "" && x.Signal == unix.SIGKILL {
			f.books.killed++ // a main process counts at its end
		}
		if x.Step > 1 && x.Signal != unix.SIGKILL {
			f.books.forced++
		}
		f.opt.Sink.Emit(event.SignalSent{Child: u.spec.Name, Pid: x.Pid, Process: x.Descendant, Signal: signalName(x.Signal), Step: x.Step})
	} else if !errors.Is(x.Err, unix.ESRCH) {
		f.opt.Sink.Emit(event.SignalFailed{Child: u.spec.Name, Pid: x.Pid, Signal: signalName(x.Signal), Reason: x.Err.Error()})
	}
}

func (f *Orchestrator) exited(x process.Exited) {
	u := f.runs[x.Process]
	before := f.books.tally
	f.books.reaped++
	f.books.status = x.Status
	if u.code = x.Status.ExitStatus(); x.Status.Signaled() {
		u.code = exitcode.OfSignal(x.Status.Signal())
	}
	if x.Killed {
		f.books.killed++
	}
	f.unprobe(u)
	u.unwatch()
	defer u.forget()
	f.reaped(u, x)
	reason := fmt.Sprintf("exited with code %d", x.Exit.Code)
	if x.Exit.Signal != "" {
		reason = "ended by " + x.Exit.Signal
	}
	well := u.succeeded(x.Status)
	if u.rung == 0 && !well {
		words := event.UnexpectedEnd{Child: u.spec.Name, Pid: x.Pid, Reason: reason, Core: x.Exit.Core, Known: u.lastKnown()}
		if u.held = f.hold(u, x.At, words); u.held == nil && !f.stop.together(askedToEnd(u.code), x.At) {
			f.lastWords(u.relay, words)
		}
	}
	if u.state == lifecycle.Unready {
		well, reason = false, u.why
	}
	u.relay = nil
	u.outcome = &outcome{
		well: well, reason: reason, early: u.state == lifecycle.Starting, wanted: u.goal == toRun, before: before,
	}
	if len(x.Survivors) == 0 {
		f.treeEnded(process.TreeEnded{Process: x.Process})
		return
	}
	f.outlived(u, x)
	f.feed(u, lifecycle.MainEnded)
}

// outcome is how the main process of a run ended.
type outcome struct {
	well   bool
	reason string
	early  bool // it was not ready yet
	wanted bool // nobody had asked it to end
	before tally
}

// failedBefore judges a main process that ended for good before the stop began, while its
// descendants were still to end.
func (f *Orchestrator) failedBefore(u *unit, o outcome) {
	if f.stop.phase == running || !o.wanted || o.well || u.failed {
		return
	}
	d := u.restarts.Decide(lifecycle.RestartPolicy(u.spec.Policy.Restart), time.Now(), o.well, o.reason, random())
	if d.Event != lifecycle.EndedBadly {
		return // it would have been restarted
	}
	u.failed = true
	f.opt.Sink.Emit(event.Failed{Child: u.spec.Name, Attempts: u.restarts.Count(), Reason: d.Reason})
	if u.spec.Policy.Critical && f.books.critical == 0 {
		f.books.critical = u.code
	}
}

// treeEnded goes on once nothing is left of the process tree of a run.
func (f *Orchestrator) treeEnded(x process.TreeEnded) {
	u := f.runs[x.Process]
	delete(f.runs, x.Process)
	if u.held != nil {
		f.holdOn(u)
		return
	}
	o := u.outcome
	u.outcome = nil
	f.books.judging(o.before, func() { f.ended(u, *o) })
}

// outlived tells of the descendants that outlive a main process.
func (f *Orchestrator) outlived(u *unit, x process.Exited) {
	e := event.DescendantsOutlive{Child: u.spec.Name, Pid: x.Pid, Exit: x.Exit, InStop: u.rung > 0}
	for _, s := range x.Survivors {
		e.Descendants = append(e.Descendants, s.String())
	}
	f.opt.Sink.Emit(e)
}

// mainChanged takes over the successor of a main process.
func (f *Orchestrator) mainChanged(x process.MainChanged) {
	u := f.runs[x.Process]
	u.pid, u.successor = x.Pid, 0
	f.opt.Sink.Emit(event.MainChanged{Child: u.spec.Name, Pid: x.Pid, From: x.From, Exit: x.Exit})
	if u.stopChecks != nil { // a check looks at the process that it was made for
		u.uncheck()
		f.check(u)
	}
}

// succeeded says whether an end is a success, by its code or as shells count
// signals.
func (u *unit) succeeded(status unix.WaitStatus) bool {
	code := status.ExitStatus()
	if status.Signaled() {
		code = exitcode.OfSignal(status.Signal())
	}
	return slices.Contains(u.spec.Policy.SuccessCodes, code)
}

// ended asks the policy what follows a run, and tells the machine.
func (f *Orchestrator) ended(u *unit, o outcome) {
	if u.goal != toRun { // what follows was decided before
		f.failedBefore(u, o)
		f.feed(u, lifecycle.EndedBeforeStop)
		return
	}
	switch u.state {
	case lifecycle.Starting, lifecycle.Ready, lifecycle.Unready, lifecycle.Ending:
		r := u.spec.Policy.Restart
		u.last = u.restarts.Decide(lifecycle.RestartPolicy(r), time.Now(), o.well, o.reason, random())
		if (u.last.Event != lifecycle.EndedWell || !u.spec.Policy.Oneshot) && f.mayRollBack(u) {
			if o.early {
				o.reason += " before it was ready"
			}
			f.feed(u, lifecycle.EndedBeforeStop)
			f.rollBack(u, o.reason)
			return
		}
		f.feed(u, u.last.Event)
	default:
		f.feed(u, lifecycle.EndedWell)
	}
}

// reaped tells how a run ended and what became of its descriptors.
func (f *Orchestrator) reaped(u *unit, x process.Exited) {
	name, look := u.spec.Name, x.FDs
	if u.rung > 0 && x.Untraced > 0 {
		f.opt.Sink.Emit(event.ProofUnavailable{
			Child: name, Pid: x.Pid, Proof: event.ProofNone,
			Reason: fmt.Sprintf("%d processes below it were not traced: there was no time for so many", x.Untraced),
		})
	}
	if u.rung > 0 && look.Reason != "" {
		f.opt.Sink.Emit(event.ProofUnavailable{Child: name, Pid: x.Pid, Proof: look.Proof, Reason: look.Reason})
	}
	closed, left := f.judge(event.FDClosed{Owner: name, Pid: x.Pid}, look)
	e := event.Reaped{
		Child: name, Pid: x.Pid, Exit: x.Exit, Elapsed: x.At.Sub(u.spawned), Stopped: u.rung > 0,
		User: time.Duration(x.Rusage.Utime.Nano()), System: time.Duration(x.Rusage.Stime.Nano()), MaxRSS: x.Rusage.Maxrss,
		Closed: closed, Left: left, Proof: look.Proof,
	}
	e.Success = u.succeeded(x.Status)
	if e.Stopped {
		e.Stop = x.At.Sub(u.stopped)
		e.Tree = event.TreeCounts{Known: x.Threads > 0, Threads: x.Threads, ThreadsAtEnd: x.ThreadsAtEnd, Processes: x.Processes, Forked: x.Forked}
	}
	f.opt.Sink.Emit(e)
}

// endedBelow tells of the end of a process below a run.
func (f *Orchestrator) endedBelow(x process.DescendantEnded) {
	e := event.DescendantEnded{
		Child: x.Child, Pid: x.Pid, Parent: x.Parent, Command: x.Command, Exit: x.Exit, ExitUnknown: !x.Seen, InStop: x.InStop,
		Threads: x.Threads, Lifetime: x.Lifetime, Proof: x.FDs.Proof, Reason: x.FDs.Reason,
	}
	owner := x.Child
	if owner == "" {
		owner = x.Command
	}
	e.Closed, e.Left = f.judge(event.FDClosed{Owner: owner, Pid: x.Pid, Process: x.Command}, x.FDs)
	f.opt.Sink.Emit(e)
}

// judge tells of each descriptor of a process that is over, in the form of
// line, and counts those that it left.
func (f *Orchestrator) judge(line event.FDClosed, look process.FDResult) (closed, left int) {
	if look.Proof == event.ProofNone {
		return 0, 0
	}
	lines, closed, left := fdledger.Judge(look.Before, look.After, look.Inherited, look.Runtime)
	line.Proof = look.Proof
	for _, l := range lines {
		line.FD, line.Kind, line.Target, line.NotCounted = l.Num, l.Kind, l.Target, l.Uncounted
		line.Detail = event.FDDetail(l.Detail)
		line.By, line.HeldBy = event.ByKernel, look.Holders[l.Num]
		if l.ByChild {
			line.By, line.HeldBy = event.ByChild, ""
		}
		f.opt.Sink.Emit(line)
	}
	f.books.left += left
	if look.Proof == event.ProofExact {
		f.books.proven += left
	}
	return closed, left
}

// wordsLimit bounds the wait for the last lines of a run that crashed: its
// output can lag behind its exit, and a process that it left behind can hold
// the pipe for ever.
const wordsLimit = 200 * time.Millisecond

// lastWords tells of an unexpected end once the run's output is read.
func (f *Orchestrator) lastWords(r *output.ChildOutput, e event.UnexpectedEnd) {
	f.wg.Go(func() {
		select {
		case <-r.Done():
		case <-time.After(wordsLimit):
		}
		e.Output = r.Tail()
		f.opt.Sink.Emit(e)
	})
}

package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
)

// tracing is what the loop knows of the processes that are watched.
type tracing struct {
	watches map[int]*watched // by pid
	tids    map[int]*watched // by traced thread
	// unborn has the parents of what was forked and has not stopped for the first
	// time yet, by its pid.
	unborn     map[int]*watched
	holders    holders
	budget     proof.Budget
	loose      extent // of the orphans that are in no tree
	privileged bool   // we have CAP_SYS_PTRACE
}

func newTracing() tracing {
	return tracing{watches: map[int]*watched{}, tids: map[int]*watched{}, unborn: map[int]*watched{}}
}

// watched is a process that is watched while it is stopped: a run's own, one
// below it, or an orphan. Its state, and what belongs to that, are its machine's.
// The loop's thread owns it.
type watched struct {
	run     *run // whose tree it is in; nil: nobody's that we know
	pid     int
	parent  int
	comm    string // its name, when it was seen last
	since   time.Time
	inStop  bool          // it was forked after the stop began
	threads int           // that it had when it was seen first
	cpu     time.Duration // that it had used when its stop began

	machine proof.Machine
	tracees
	evidence     proof.Evidence
	threadsAtEnd int              // when its exit was seen; 0: it was not
	status       *unix.WaitStatus // of the thread that exited last
	scanning
	extent  extent // of the tree, where w is the process that its run is
	counted bool
}

// scanning is what is known of the fd scans of a process that are under way.
type scanning struct {
	scans        int           // how many
	unseen       int           // of them that are to tell what it has from where
	before, exit *halt         // of the scan before the signal, and of that in the exit stop
	limit        time.Duration // of the scan before the signal
	then         func()        // what waits for the scan of it, until thenAt
	thenAt       time.Time
}

// own reports whether w is the process that its run is.
func (w *watched) own() bool { return w.run != nil && w.run.pid == w.pid }

// is reports whether w is in a state.
func (w *watched) is(s proof.State) bool { return w.machine.State == s }

// watch begins to watch a process.
func (l *Loop) watch(w *watched) *watched {
	w.machine = proof.New(w.own(), l.privileged)
	w.since = time.Now()
	w.machine.SetBudget(l.budget, w.since)
	l.watches[w.pid] = w
	l.count(w)
	return w
}

// cause is what an event is about: the thread that stopped and the signal that
// is on its way to it, or the scan that saw something.
type cause struct {
	tid  int
	sig  unix.Signal
	scan *exitScan
}

// feed takes an event in: the machine says what is to be done, and it is done.
// Whatever is due in the new state is armed.
func (l *Loop) feed(w *watched, e proof.Event, c cause) {
	now, before := time.Now(), w.machine.State
	actions := w.machine.Handle(e, c.tid, now)
	if w.machine.State != before {
		at, _ := w.machine.Timer()
		l.soon(at)
		l.soon(l.leaveAt(w))
		l.count(w)
		if before.IsHeld() && !w.machine.State.IsHeld() {
			w.exit.now()
		}
	}
	for _, a := range actions {
		l.act(w, a, c)
	}
}

// act carries one action out.
func (l *Loop) act(w *watched, a proof.Action, c cause) {
	switch a {
	case proof.Continue:
		_ = ptrace(unix.PTRACE_CONT, c.tid, 0, uintptr(c.sig))
		l.expect()
	case proof.ContinueToSyscall:
		_ = ptrace(unix.PTRACE_SYSCALL, c.tid, 0, uintptr(c.sig))
	case proof.Listen:
		l.listen(w, c.tid)
	case proof.DetachExiting:
		w.exiting = append(w.exiting, c.tid)
		l.detach(c.tid, 0)
	case proof.Detach:
		l.detach(c.tid, c.sig)
	case proof.SetOptions:
		l.setOptions(w, c.tid)
	case proof.InterruptThreads:
		for _, tid := range w.traced {
			_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0)
		}
	case proof.ChangePrimary:
		l.moveAnchor(w, c.scan.Survivor)
	case proof.Seize:
		l.feed(w, l.trySeize(w), cause{})
	case proof.ScanAtFirstStop:
		l.scanInherited(w)
	case proof.ScanAtExit:
		l.scanAtExit(w)
	case proof.ScanChildren:
		l.scanChildren(w, c.scan)
	case proof.ScheduleScan:
		l.scheduleScan(w)
	case proof.Sample:
		l.sample(w)
	case proof.Poll:
		l.poll(w)
	case proof.JudgeEvidence:
		l.judge(w)
	case proof.Report:
		l.reportEnd(w)
	case proof.Forget:
		if l.watches[w.pid] == w {
			delete(l.watches, w.pid)
		}
	}
}

// tendWatched feeds a process what is due by the time alone. It says when it
// wants to be called again; zero: never.
func (l *Loop) tendWatched(w *watched, now time.Time) time.Time {
	if l.hurried() {
		l.hurryWatched(w)
	}
	l.tendThen(w, now)
	if at, e := w.machine.Timer(); !at.IsZero() && !now.Before(at) {
		l.feed(w, e, cause{tid: w.machine.Thread()})
		if e == proof.BudgetSpent && w.own() {
			l.settle(w.run) // its end waits for no scan any more
		}
	}
	if at := l.leaveAt(w); !at.IsZero() && !now.Before(at) {
		l.feed(w, proof.DetachDue, cause{})
		if len(w.traced) == 0 { // there is no thread to wait for
			l.feed(w, proof.ThreadsGone, cause{})
		}
	}
	at, _ := w.machine.Timer()
	for _, t := range []time.Time{l.leaveAt(w), w.thenAt} {
		if at.IsZero() || !t.IsZero() && t.Before(at) {
			at = t
		}
	}
	return at
}

// hurryWatched goes on with a process without its fd scans: the time for them is
// over.
func (l *Loop) hurryWatched(w *watched) {
	e := proof.BudgetSpent
	if w.is(proof.FirstStop) {
		_, e = w.machine.Timer() // as if its time were over
	}
	w.evidence.BudgetSpent = w.evidence.BudgetSpent || w.machine.State.IsHeld()
	l.feed(w, e, cause{tid: w.machine.Thread()})
}

// leaveAfter is how long what is below a run is watched after the run has
// ended. What lives on then lives on for good, and is not traced for it; the
// sweep comes back to it.
var leaveAfter = 10 * time.Second // a test has no such time

// leaveAt is when what outlived its run is to be let go of; zero: never, or not
// in this state.
func (l *Loop) leaveAt(w *watched) time.Time {
	outlived := !w.own() && w.run != nil && w.run.over()
	if !outlived || l.sweep != nil || !w.machine.State.Handles(proof.DetachDue) {
		return time.Time{}
	}
	return w.run.exited.At.Add(leaveAfter)
}

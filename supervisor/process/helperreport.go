package process

import (
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/process/tracehelper"
	"tp0/supervisor/procfs"
)

// handleReport handles a report of a trace helper.
func (l *Loop) handleReport(h *traceHelper, r tracehelper.Report) {
	if h.over {
		return
	}
	h.started = true
	pid, tid := int(r.Pid), int(r.Tid)
	switch r.Kind {
	case tracehelper.Pong:
		for len(h.pings) > 0 && h.pings[0].number <= r.Message {
			p := h.pings[0]
			h.pings = h.pings[1:]
			if p.then != nil {
				p.then()
			}
		}
	case tracehelper.Attached:
		if o := h.seizing[pid]; o != nil && l.tids[tid] == nil {
			l.addTracee(o, tid)
		}
	case tracehelper.Stopped:
		l.handlePtraceStop(h, ptraceStop{
			tid: tid, status: unix.WaitStatus(r.Status), message: uintptr(r.Message),
			hasMessage: r.HasMessage, entersExecve: r.EntersExecve,
		})
	case tracehelper.Ended:
		l.helperReapedThread(h, tid, unix.WaitStatus(r.Status))
	default:
		if o := h.seizing[pid]; o != nil {
			delete(h.seizing, pid)
			l.seizeAnswered(o, r)
		}
	}
	h.idleSince = time.Time{}
	l.schedule(time.Now().Add(helperLinger))
}

// seizeAnswered handles the answer to Seize.
func (l *Loop) seizeAnswered(o *observed, r tracehelper.Report) {
	switch r.Kind {
	case tracehelper.Seized:
		o.primary = int(r.Tid)
		o.evidence.Reason = ""
		l.handleEvent(o, proof.Seized, stopCause{})
		if !o.machine.State.IsTraced() { // it ended meanwhile: each thread is detached as it stops
			for _, tid := range o.traced {
				o.helper.request(unix.PTRACE_INTERRUPT, tid, 0)
			}
		}
	case tracehelper.Own:
		if parent := l.observations[o.parentPid]; parent != nil {
			l.forkParents[o.pid] = parent
		}
		l.handleEvent(o, proof.AlreadyTraced, stopCause{})
	case tracehelper.TooMany:
		threads := ptrace.TooManyThreadsError{Threads: int(r.Status)}
		l.seizeRefused(o, threads.Error())
	default:
		l.seizeRefused(o, refusalReason(o.pid, unix.Errno(r.Status)))
	}
}

// seizeRefused records that a trace helper does not trace a process.
func (l *Loop) seizeRefused(o *observed, reason string) {
	o.helper = nil
	if procfs.IsGone(o.pid) {
		o.evidence.Reason = reasonEnded
		l.handleEvent(o, proof.Gone, stopCause{})
		return
	}
	o.evidence.Reason = reason
	l.handleEvent(o, proof.Refused, stopCause{})
	l.sampleIfRefused(o)
}

// helperReapedThread handles the end of a thread that its trace helper reaped. The end of a main
// process has a status for the loop as well.
func (l *Loop) helperReapedThread(h *traceHelper, tid int, status unix.WaitStatus) {
	if o := l.tids[tid]; o != nil && o.helper == h {
		l.removeTracee(tid)
	}
	delete(l.forkParents, tid)
	if o := l.observations[tid]; o != nil && o.helper == h && !o.isMain() {
		o.status = &status
		l.observedEnded(o)
	}
}

// checkHelpers gives up each trace helper that is stopped: a process of its user sent it SIGSTOP
// while it seized, and its tracees would wait for it. The kernel announces it by SIGCHLD.
func (l *Loop) checkHelpers() {
	for pid, h := range l.helpers.byPid {
		var info ptrace.Siginfo
		if ptrace.Waitid(unix.P_PID, pid, &info, unix.WSTOPPED) == nil && info.Pid != 0 {
			l.giveUpHelper(h, "was stopped")
		}
	}
}

// tickHelpers does what is due for the trace helpers, and returns the time of the next tick. The
// zero time needs none.
func (l *Loop) tickHelpers(now time.Time) (next time.Time) {
	due := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	for _, h := range l.helpers.byIDs {
		switch {
		case len(h.pings) > 0 && !now.Before(h.pings[0].due):
			l.giveUpHelper(h, "did not answer in time")
		case len(h.pings) > 0:
			due(h.pings[0].due)
		case l.hasTracees(h):
		case h.idleSince.IsZero():
			h.idleSince = now
			due(now.Add(helperLinger))
		case now.Sub(h.idleSince) >= helperLinger:
			l.endHelper(h)
		default:
			due(h.idleSince.Add(helperLinger))
		}
	}
	return next
}

// giveUpHelper ends a trace helper that cannot be used any more. The kernel detaches from its
// tracees. why completes the sentence "the trace helper".
func (l *Loop) giveUpHelper(h *traceHelper, why string) {
	if h.over {
		return
	}
	l.endHelper(h)
	l.helpers.retryAt[h.ids] = time.Now().Add(helperRetry)
	reason := "the trace helper of its user " + why
	for _, o := range h.seizing {
		l.seizeRefused(o, reason)
	}
	for _, o := range slices.Collect(maps.Values(l.observations)) {
		if o.helper == h {
			l.helperLost(o, reason)
		}
	}
	for _, p := range h.pings {
		if p.then != nil {
			p.then()
		}
	}
}

// helperLost handles the end of the trace helper of a process.
func (l *Loop) helperLost(o *observed, reason string) {
	running := o.machine.State.IsTraced() && !o.machine.State.WaitsForScan()
	for _, tid := range slices.Clone(o.traced) {
		l.removeTracee(tid)
	}
	o.helper = nil
	if running && o.isMain() && o.inState(proof.TraceLost) {
		o.evidence.Reason = reason
		l.handleEvent(o, proof.SampleOnly, stopCause{})
	}
}

// helperReaped handles the end of a trace helper.
func (l *Loop) helperReaped(h *traceHelper) {
	delete(l.helpers.byPid, h.pid)
	l.giveUpHelper(h, "was killed")
}

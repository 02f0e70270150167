package process

import (
	"fmt"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// attach traces a run's own process, or samples it, as closely as asked for and
// as the kernel lets us.
func (l *Loop) attach(w *watched, asked event.Proof) {
	switch {
	case w.machine.State.IsTraced() && w.run.watch == event.ProofExact:
		l.feed(w, proof.StopStarted, cause{}) // now its threads get the options of a stop
	case !w.is(proof.Found):
	case asked == event.ProofExact:
		l.feed(w, proof.Attach, cause{})
		if w.is(proof.Untraceable) && w.evidence.Reason != endedAlready {
			l.feed(w, proof.SampleOnly, cause{})
		}
	case asked == event.ProofSampled:
		w.evidence.Reason = ""
		l.feed(w, proof.SampleOnly, cause{})
	}
}

// found begins to watch a process below another.
func (l *Loop) found(parent *watched, pid int) *watched {
	s, err := procfs.ReadStat(pid)
	if err != nil || l.watches[pid] != nil || l.pids[pid] != nil || s.Dead() && procfs.IsGone(pid) {
		return nil
	}
	if !l.admit(parent.run, pid) {
		return nil
	}
	w := l.watch(&watched{run: parent.run, pid: pid, parent: parent.pid, comm: s.Comm})
	w.inStop = parent.run != nil && s.StartTime > parent.run.stop.tick
	l.feed(w, proof.Attach, cause{})
	if w.is(proof.Forgotten) {
		l.unborn[pid] = parent
		return nil
	}
	return w
}

// trySeize seizes a process, says what came of it, and notes why it could not.
func (l *Loop) trySeize(w *watched) proof.Event {
	err := l.seize(w)
	if err == nil {
		return proof.Seized
	}
	if procfs.IsGone(w.pid) {
		w.evidence.Reason = endedAlready
		return proof.Gone
	}
	s, e := procfs.ReadStatus(w.pid)
	if e == nil && s.Tracer == l.tid && !w.own() && len(w.traced) == 0 {
		return proof.AlreadyTraced
	}
	w.evidence.Reason = refusal(w.pid, err)
	return proof.Refused
}

// take keeps what a scan saw of a process. What vanished from the table of a
// run while it was read was closed before the signal, and is no fault of the
// scan.
func (w *watched) take(m member) {
	w.threads = len(m.threads)
	e := &w.evidence
	e.Before, e.Runtime = m.fds, m.runtime
	if w.own() {
		return
	}
	e.Inherited = m.from
	if m.err != nil {
		e.Err = m.err
	}
}

// refusal says why a process cannot be traced.
func refusal(pid int, err error) string {
	if s, e := procfs.ReadStatus(pid); e == nil && s.Tracer != 0 {
		return fmt.Sprintf("it is traced already, by pid %d", s.Tracer)
	}
	return fmt.Sprintf("ptrace is refused: %v", err)
}

package process

import (
	"fmt"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// endedAlready is the reason of a process that ended before it could be scanned
// or traced.
const endedAlready = "it had ended already"

// scanBefore scans a run whose stop begins and all below it, attaches to them,
// and then lets the signals go that wait for it.
func (l *Loop) scanBefore(r *run, asked event.Proof) {
	w, most := r.watched, l.mostTraced()
	h := newHalt(r.stop.delivery.Until, spareFDs)
	w.before = h
	w.unseen++
	l.job(w, func() func() {
		cpu, _ := procfs.CPUTime(w.pid)
		tree, rest := l.members(w.pid, most, h)
		return func() {
			w.before = nil
			w.unseen--
			w.extent.leave(rest...)
			w.cpu = cpu
			if w.neverAttached() {
				w.evidence.Reason = endedAlready
			}
			if len(tree) > 0 && tree[0].stat.Pid == w.pid {
				w.take(tree[0])
				l.attach(w, asked)
				tree = tree[1:]
			}
			r.stop.processes = len(tree) + len(rest)
			if asked != event.ProofExact {
				l.advance(r, phase.Scanned)
				return
			}
			l.findBelow(w, tree, func() {
				l.findNew(w)
				l.advance(r, phase.Scanned)
			})
		}
	})
}

// neverAttached reports whether nobody tried to trace or to sample w.
func (w *watched) neverAttached() bool {
	v, over := w.machine.Data.(*proof.EndData)
	return w.is(proof.Found) || over && v.From == proof.Found
}

// findBelow begins to watch what a scan found below w, and then goes on with what comes after it.
// Of a large tree it takes a part at a time: others have their turns in between. Those parts end
// where the signal that waits for it goes without it.
func (l *Loop) findBelow(w *watched, tree []member, then func()) {
	n := min(len(tree), seizeAtOnce)
	for _, m := range tree[:n] {
		parent := l.watches[m.stat.PPid]
		if parent == nil {
			continue // it lost its parent meanwhile, and is an orphan
		}
		if w := l.found(parent, m.stat.Pid); w != nil {
			w.take(m)
		}
	}
	if tree = tree[n:]; len(tree) == 0 {
		then()
		return
	}
	w.scans++
	l.cmds.Put(func() {
		w.scans--
		if w.own() && w.run.stop.late != "" {
			for _, m := range tree {
				w.extent.leave(m.stat.Pid)
			}
			tree = nil
		}
		l.findBelow(w, tree, then)
		l.finish(w)
	})
}

// findNew begins to watch what a process forked between its scan and the
// moment when it was traced. One that has neither threads nor processes below
// it is believed not to fork in just that moment.
func (l *Loop) findNew(w *watched) {
	if len(w.traced) < 2 && w.run.stop.processes == 0 {
		return
	}
	for _, pid := range procfs.Children(w.pid) {
		if child := l.found(w, pid); child != nil {
			l.scanFound(child, w.evidence.Before, func() {})
		}
	}
}

// scanFound scans a process that is watched since a moment ago, and all below
// it. Its parent held of. What comes then does not wait for it longer than a signal does.
func (l *Loop) scanFound(w *watched, of []procfs.FD, then func()) {
	now, most := time.Now(), l.mostTraced()
	until := now.Add(l.budget.SignalDelay(now))
	h := newHalt(until, spareFDs)
	w.then, w.thenAt = then, until
	l.soon(until)
	w.unseen++
	l.job(w, func() func() {
		tree, rest := l.members(w.pid, most, h)
		if len(tree) > 0 {
			var err error
			parent := member{stat: procfs.Stat{Pid: w.parent}, fds: of}
			if tree[0].from, err = inherited(parent, tree[0], h); err != nil {
				tree[0].err = err
			}
		}
		return func() {
			w.unseen--
			l.extentOf(w.run).leave(rest...)
			if len(tree) == 0 || tree[0].stat.Pid != w.pid {
				w.goOn()
				return
			}
			w.take(tree[0])
			l.findBelow(w, tree[1:], w.goOn)
		}
	})
}

// goOn does what waits for the scan of a process.
func (w *watched) goOn() {
	if then := w.then; then != nil {
		w.then, w.thenAt = nil, time.Time{}
		then()
	}
}

// tendThen has what waits for the scan of a process not wait any longer.
func (l *Loop) tendThen(w *watched, now time.Time) {
	if !w.thenAt.IsZero() && !now.Before(w.thenAt) {
		w.evidence.ScanLate = tooLate(w.thenAt.Sub(w.since))
		w.goOn()
	}
}

// tooLate is the reason where a signal went before the fd scan that it waited for.
func tooLate(limit time.Duration) string {
	return fmt.Sprintf("the fd scan before the signal took more than %v", limit.Round(time.Millisecond))
}

package process

import (
	"tp0/supervisor/process/lifecycle"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// endedAlready is the reason of a process that ended before it could be scanned
// or traced.
const endedAlready = "it had ended already"

// scanBefore scans a run whose stop begins and all below it, attaches to them,
// and then lets the signals go that wait for it.
func (l *Loop) scanBefore(r *run, asked Proof) {
	w := r.watched
	l.job(w, func() func() {
		cpu, _ := procfs.CPU(w.pid)
		tree := l.members(w.pid)
		return func() {
			w.cpu = cpu
			if w.neverAttached() {
				w.evidence.Reason = endedAlready
			}
			if len(tree) > 0 && tree[0].stat.Pid == w.pid {
				w.take(tree[0])
				l.attach(w, asked)
				tree = tree[1:]
			}
			r.stop.processes = len(tree)
			if asked == Exact {
				l.findBelow(tree)
				l.findNew(w)
			}
			l.advance(r, lifecycle.Scanned)
		}
	})
}

// neverAttached reports whether nobody tried to trace or to sample w.
func (w *watched) neverAttached() bool {
	v, over := w.machine.Value.(*proof.Ending)
	return w.is(proof.Found) || over && v.From == proof.Found
}

// findBelow begins to watch what a scan found below a run.
func (l *Loop) findBelow(tree []member) {
	for _, m := range tree {
		parent := l.watches[m.stat.PPid]
		if parent == nil {
			continue // it lost its parent meanwhile, and is an orphan
		}
		if w := l.found(parent, m.stat.Pid); w != nil {
			w.take(m)
		}
	}
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
// it. Its parent held of.
func (l *Loop) scanFound(w *watched, of []procfs.FD, then func()) {
	l.job(w, func() func() {
		tree := l.members(w.pid)
		if len(tree) > 0 {
			tree[0].from = inherited(member{stat: procfs.Stat{Pid: w.parent}, fds: of}, tree[0])
		}
		return func() {
			if len(tree) > 0 && tree[0].stat.Pid == w.pid {
				w.take(tree[0])
				l.findBelow(tree[1:])
			}
			then()
		}
	})
}

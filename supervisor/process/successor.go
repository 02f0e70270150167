package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/phase"
)

// SetMainProcess names the process that is the main process of a run once the present
// one has ended, as sd_notify(3) has it with MAINPID. It must be in the process tree
// of the run by then, and our child: its parent is the present main process, or has
// ended. [MainChanged] follows then; a process that is neither ends as a survivor.
func (l *Loop) SetMainProcess(id ID, pid int) {
	l.cmds.Put(func() {
		if r := l.runs[id]; r != nil && !r.phase.MainEnded() {
			r.successor = pid
			if pid == r.pid {
				r.successor = 0
			}
		}
	})
}

// promote makes the successor of a main process that has ended the main process,
// and reports whether it did. In a stop nobody succeeds: what is left ends, too.
func (l *Loop) promote(r *run) bool {
	a := l.trees.adopted[r.successor]
	if r.successor == 0 || a == nil || a.run != r || r.stop.begun() || r.watched != nil {
		return false
	}
	delete(l.trees.adopted, a.stat.Pid)
	r.tree.alive--
	r.pid, r.successor = a.stat.Pid, 0
	r.phase.Handle(phase.Succeeded)
	l.pids[r.pid] = r
	if l.trees.byGroup[r.tree.group] == r {
		delete(l.trees.byGroup, r.tree.group) // nobody may be left in it, and the number is used again
	}
	if group, err := unix.Getpgid(r.pid); err == nil && group != unix.Getpgrp() {
		r.tree.group = group // nobody else gets the number while the process is in it
		l.trees.byGroup[group] = r
	} else {
		r.tree.group = r.pid
	}
	l.report(MainChanged{Process: r.id, From: r.exited.Pid, Exit: r.exited.Exit, Pid: r.pid})
	r.exited = Exited{}
	r.handling.since = time.Time{} // no signal waits until it is handled
	return true
}

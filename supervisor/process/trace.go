package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// How a process's descriptors are seen exactly. A thread that is traced with
// PTRACE_O_TRACEEXIT stops in its exit before it lets go of anything
// (ptrace(2), PTRACE_EVENT_EXIT). We let it stand there until its siblings are
// gone, so that nobody can change the table any more, read the table, and
// detach; the status then comes as always. One thread is enough for that, since
// the table is shared: the main thread, or any other where the main one has
// ended. It is called the anchor.
//
// The other threads are traced so that no fork is missed: what a process forks
// while it is stopped is traced from its first instruction, PTRACE_O_TRACEFORK.
// They do not stop in their exit.
//
// Nothing is attached before a stop begins. We never ask for EXITKILL: if we
// die the kernel detaches, and the processes end as they would have.
//
// A program with the set-user-ID bit does not get its rights while a process
// without privileges traces it (execve(2)), and a child may need one for its
// clean-up. So where a process that was forked in the stop could gain rights,
// it is stepped from system call to system call, and let go of as it is about
// to execute a program; see apart.go.
const (
	siblingOptions = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACEEXEC |
		unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACECLONE
	anchorOptions = siblingOptions | unix.PTRACE_O_TRACEEXIT
)

// stopped handles a ptrace stop of a thread.
func (l *Loop) stopped(tid int, status unix.WaitStatus) {
	what, sig := int(status>>16)&0xff, status.StopSignal()
	w := l.tids[tid]
	if w == nil {
		if w = l.stranger(tid); w == nil {
			_ = ptrace(unix.PTRACE_DETACH, tid, 0, 0)
			return
		}
	}
	switch {
	case w.leaving:
		l.lost(tid)
		if what != 0 {
			sig = 0
		}
		_ = ptrace(unix.PTRACE_DETACH, tid, 0, uintptr(sig))
		return
	case what == unix.PTRACE_EVENT_EXIT:
		l.exits(w, tid)
		return
	case what == unix.PTRACE_EVENT_EXEC:
		l.executed(w, tid)
	case what == unix.PTRACE_EVENT_FORK || what == unix.PTRACE_EVENT_VFORK || what == unix.PTRACE_EVENT_CLONE:
		l.forked(w, tid)
	case what == eventStop && (sig == unix.SIGSTOP || sig == unix.SIGTSTP || sig == unix.SIGTTIN || sig == unix.SIGTTOU):
		l.groupStop(w, tid)
		return
	case what == eventStop && w.hold != nil && w.hold.tid == tid: // it is born
		l.setOptions(w, tid)
		l.lookBorn(w)
		return
	case what == eventStop: // it was interrupted, or continued
		l.setOptions(w, tid)
		w.stands = false
	}
	if what != 0 {
		sig = 0 // else it is on its way: hand it on
	}
	l.goOn(w, tid, sig)
}

// setOptions gives a thread that stands the options that it needs by now: it
// may have become the anchor, or have those of the thread that made it, or of a
// time before the stop.
func (l *Loop) setOptions(w *watched, tid int) {
	options := uintptr(siblingOptions)
	if tid == w.anchor {
		options = anchorOptions
	}
	if w.own() && w.run.stopAt.IsZero() {
		options = spawnOptions
	}
	_ = ptrace(unix.PTRACE_SETOPTIONS, tid, 0, options)
}

// goOn lets a thread run to its next stop.
func (l *Loop) goOn(w *watched, tid int, sig unix.Signal) {
	if w.apart {
		l.step(w, tid, sig)
		return
	}
	_ = ptrace(unix.PTRACE_CONT, tid, 0, uintptr(sig))
	l.expect()
}

// stranger makes out whose thread it is that stops for the first time: a new
// one of a process that we watch, a process that one of those forked, or one
// that took the number of its main thread over in execve(2).
func (l *Loop) stranger(tid int) *watched {
	if w := l.watches[tid]; w != nil && w.told.IsZero() {
		l.traces(w, tid)
		return w
	}
	s, err := procfs.ReadStatus(tid)
	if err != nil {
		return nil
	}
	if w := l.watches[s.Tgid]; w != nil && w.told.IsZero() {
		l.traces(w, tid)
		return w
	}
	if s.Tgid != tid {
		return nil
	}
	parent := l.unborn[tid]
	if parent == nil {
		parent = l.watches[s.PPid]
	}
	return l.born(tid, parent)
}

// forked remembers whose a process is that we will see stop for the first time:
// its parent may be gone by then.
func (l *Loop) forked(w *watched, tid int) {
	var pid uintptr
	if err := ptraceMessage(tid, &pid); err == nil && l.tids[int(pid)] == nil {
		l.unborn[int(pid)] = w
	}
}

// born begins to watch a process that was just forked, and stands before its
// first instruction. Everything that it has now it inherited.
func (l *Loop) born(pid int, parent *watched) *watched {
	w := l.watch(&watched{pid: pid, inStop: true, threads: 1, apart: !l.privileged})
	if parent != nil {
		w.run, w.parent, w.comm = parent.run, parent.pid, parent.comm
	}
	if w.run != nil {
		w.run.forked++
	}
	w.look.Proof, w.attached = Exact, true
	l.traces(w, pid)
	l.hold(w, &hold{tid: pid, born: true, since: time.Now()})
	return w
}

// exits handles the exit stop of a thread.
func (l *Loop) exits(w *watched, tid int) {
	var status uintptr
	if err := ptraceMessage(tid, &status); err == nil {
		s := unix.WaitStatus(status)
		w.status = &s
	}
	if w.hold != nil && w.hold.tid == tid {
		w.hold = nil // it was born, and is killed
	}
	if w.anchor == 0 {
		w.anchor = tid
	}
	if tid != w.anchor || w.hold != nil || w.seen {
		w.exiting = append(w.exiting, tid)
		l.letGo(tid)
		return
	}
	l.hold(w, &hold{tid: tid, since: time.Now()})
	l.lookAfter(w, false, false)
}

// executed handles the stop of a thread that runs a new program: it has its
// process's number now, and is its only thread.
func (l *Loop) executed(w *watched, tid int) {
	var former uintptr
	if err := ptraceMessage(tid, &former); err == nil && int(former) != tid {
		l.lost(int(former))
	}
	w.execed, w.anchor, w.exiting = true, tid, nil
	l.setOptions(w, tid)
}

// groupStop leaves the thread in its job control stop, listening for SIGCONT.
func (l *Loop) groupStop(w *watched, tid int) {
	_ = ptrace(unix.PTRACE_LISTEN, tid, 0, 0)
	w.stands = true
	if r := w.run; r != nil && !r.reaped && len(r.waiting) == 0 { // else the signal goes first
		l.awaken(r) // for a worker too: who waits for it cannot end otherwise
	}
}

func (l *Loop) hold(w *watched, h *hold) {
	w.hold = h
	l.soon(h.since.Add(holdGiveUp))
}

func (l *Loop) letGo(tid int) {
	l.lost(tid)
	_ = ptrace(unix.PTRACE_DETACH, tid, 0, 0)
	l.expect()
}

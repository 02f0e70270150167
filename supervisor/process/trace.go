package process

import (
	"errors"
	"fmt"
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

const (
	// holdPoll is the time between two looks at the siblings of a held thread.
	holdPoll = 500 * time.Microsecond
	// holdLimit bounds a hold: a held thread ignores even SIGKILL.
	holdLimit = 250 * time.Millisecond
	// holdGiveUp bounds it where not even one look comes to its end.
	holdGiveUp = time.Second
	// holdLooks in a row must say that a sibling lives on; see procfs.Siblings.
	holdLooks = 10
)

// hold is a stop that a thread stands in while we look: that of its exit, or
// its very first one.
type hold struct {
	tid   int
	born  bool // the first one
	since time.Time
	next  time.Time // the next look; zero: one is under way
	looks int
	lives int // of them in a row that saw a sibling live on
}

// attach traces a run's own process, or samples it, as closely as proof asks
// and the kernel lets us.
func (l *Loop) attach(w *watched, proof Proof) {
	if w.attached {
		if w.run.watch == Exact { // from its spawn; now its threads get the options of a stop
			for _, tid := range w.traced {
				_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0)
			}
		}
		return
	}
	w.attached = true
	if proof == Exact {
		err := l.seize(w)
		if err == nil {
			w.look.Proof = Exact
			return
		}
		if procfs.Gone(w.pid) {
			w.look.Reason = "it had ended already"
			return
		}
		w.look.Reason = refusal(w.pid, err)
		proof = Sampled
	}
	if proof == Sampled {
		l.startSampling(w)
	}
}

// found begins to watch a process below another.
func (l *Loop) found(parent *watched, pid int) *watched {
	s, err := procfs.ReadStat(pid)
	if err != nil || l.watches[pid] != nil || l.pids[pid] != nil || s.Dead() && procfs.Gone(pid) {
		return nil
	}
	w := l.watch(&watched{run: parent.run, pid: pid, parent: parent.pid, comm: s.Comm, attached: true})
	w.inStop = parent.run != nil && s.Start > parent.run.stopTick
	if err := l.seize(w); err != nil {
		w.look.Reason = refusal(pid, err)
	} else {
		w.look.Proof = Exact
	}
	return w
}

// take keeps what a look saw of a process.
func (w *watched) take(m member) {
	w.threads = len(m.threads)
	w.look.Before, w.look.Runtime = m.fds, m.runtime
	if !w.own() {
		w.look.Inherited = m.from
	}
	if m.err != nil {
		w.look.Proof, w.look.Reason = None, m.err.Error()
	}
}

// seize traces all threads of a process, and last the one that becomes the
// anchor: the main one, or another where that has ended. Call it once for a
// process, before anything of it is traced.
//
// SEIZE waits for a thread of the process that is in execve(2) (it takes the
// cred_guard_mutex), and that one waits until all other threads are dead and
// waited for, by us, if we trace them. So while there are threads that we trace
// already none may stop in its exit, which only this thread could end; and
// somebody else waits for them if this takes long.
func (l *Loop) seize(w *watched) error {
	tids := procfs.Threads(w.pid)
	if len(tids) < 2 {
		return l.seizeAnchor(w, w.pid)
	}
	anchor := w.pid
	switch s, err := procfs.ReadStatus(w.pid); {
	case err == nil && s.Tracer != 0:
		return unix.EPERM // whoever traces it may want its other threads, too
	case err == nil && s.Dead:
		anchor = tids[1]
	}
	defer l.keepReaping(w.pid)()
	for more := true; more; tids = procfs.Threads(w.pid) {
		more = false
		for _, tid := range tids {
			if tid != anchor && l.tids[tid] == nil && l.seizeThread(w, tid, siblingOptions) == nil {
				more = true
			}
		}
	}
	err := l.seizeAnchor(w, anchor)
	if err != nil && len(w.traced) > 0 { // it ended just now
		l.moveAnchor(w, w.traced[0])
		return nil
	}
	return err
}

func (l *Loop) seizeAnchor(w *watched, tid int) error {
	err := l.seizeThread(w, tid, anchorOptions)
	if err == nil {
		w.anchor = tid
	}
	return err
}

func (l *Loop) seizeThread(w *watched, tid, options int) error {
	attach := func() error { return ptrace(unix.PTRACE_SEIZE, tid, 0, uintptr(options)) }
	err := attach()
	if errors.Is(err, unix.EPERM) {
		err = attachAs(w.pid, attach)
	}
	if err != nil {
		return err
	}
	l.traces(w, tid)
	return nil
}

// seizePatience is how long a SEIZE may take before its siblings are waited for
// beside the loop.
const seizePatience = 5 * time.Millisecond

// keepReaping waits for dead threads of a process, though not for itself, until
// the function that it returns is called. Any thread of ours may do that for a
// thread that another one traces (waitpid(2), __WNOTHREAD).
func (l *Loop) keepReaping(pid int) (stop func()) {
	done := make(chan struct{})
	start := time.AfterFunc(seizePatience, func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			for _, tid := range procfs.Threads(pid) {
				if tid == pid {
					continue
				}
				if got, err := unix.Wait4(tid, nil, unix.WNOHANG|unix.WALL, nil); err == nil && got == tid {
					l.cmds.Put(func() { l.lost(tid) })
				}
			}
		}
	})
	return func() {
		close(done)
		start.Stop()
	}
}

// refusal says why a process cannot be traced.
func refusal(pid int, err error) string {
	if s, e := procfs.ReadStatus(pid); e == nil && s.Tracer != 0 {
		return fmt.Sprintf("it is traced already, by pid %d", s.Tracer)
	}
	return fmt.Sprintf("ptrace is refused: %v", err)
}

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
	return l.born(tid, l.watches[s.PPid])
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

// resume ends a hold: a thread that exits does so now, one that was born runs.
func (l *Loop) resume(w *watched) {
	h := w.hold
	w.hold = nil
	switch {
	case !h.born:
		w.exiting = append(w.exiting, h.tid)
		l.letGo(h.tid)
	default:
		l.goOn(w, h.tid, 0)
	}
}

func (l *Loop) tendHold(w *watched, now time.Time) time.Time {
	h := w.hold
	if h == nil {
		return time.Time{}
	}
	if h.next.IsZero() { // a look is under way, or waits for its turn
		if giveUp := h.since.Add(holdGiveUp); now.Before(giveUp) {
			return giveUp
		}
		l.resume(w)
		return time.Time{}
	}
	if now.Before(h.next) {
		return h.next
	}
	h.next = time.Time{}
	l.lookAfter(w, now.Sub(h.since) >= holdLimit && h.looks >= holdLooks, h.lives == holdLooks-1)
	return time.Time{}
}

// looked handles what a look at a held thread saw.
func (l *Loop) looked(w *watched, h *hold, v view) {
	if w.hold != h {
		return // gone in between
	}
	h.looks++
	if v.survivor != 0 {
		h.lives++
	} else {
		h.lives = 0
	}
	if w.threadsAtEnd == 0 {
		w.threadsAtEnd = 1 + v.alive
	}
	switch {
	case v.alive == 0 || v.final:
		l.sawEnd(w, v)
	case h.lives >= holdLooks: // only this thread ends: another one becomes the anchor
		w.glimpse = v.fds
		l.resume(w)
		l.moveAnchor(w, v.survivor)
	default:
		h.next = time.Now().Add(holdPoll)
		l.soon(h.next)
	}
}

// sawEnd takes over what a process held in its exit.
func (l *Loop) sawEnd(w *watched, v view) {
	w.look.After, w.seen = v.fds, true
	if v.comm != "" {
		w.comm = v.comm
	}
	if w.execed {
		w.look.Runtime = v.runtime
	}
	switch {
	case v.err != nil:
		w.look.Proof, w.look.Reason = None, v.err.Error()
	case v.alive > 0:
		w.look.Proof, w.look.Reason = Sampled, fmt.Sprintf("%d threads were still there %v after the first one's exit", v.alive, holdLimit)
	}
	for _, pid := range v.children {
		if child := l.found(w, pid); child != nil {
			l.lookFound(child, v.fds, func() {})
		}
	}
	l.resume(w)
	if !w.own() {
		l.ended(w)
	}
}

// moveAnchor makes another thread the anchor, after that one ended alone. It
// gets the options for it as it stops for us.
func (l *Loop) moveAnchor(w *watched, survivor int) {
	if l.tids[survivor] != w {
		return // it was made in the moment that seize left open
	}
	w.anchor = survivor
	_ = ptrace(unix.PTRACE_INTERRUPT, survivor, 0, 0)
}

package process

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// How a run's descriptors are seen exactly. A thread that is traced with
// PTRACE_O_TRACEEXIT stops in its exit before it lets go of anything
// (ptrace(2), PTRACE_EVENT_EXIT). We let it stand there until its siblings are
// gone, so that nobody can change the table any more, read the table, and
// detach; the status then comes as always. One thread is enough, since the
// table is shared: the main thread, or any other where the main one has ended.
//
// Nothing is attached before a stop begins. We never ask for EXITKILL: if we
// die the kernel detaches, and the run ends as it would have.

const (
	// holdPoll is the time between two looks at the siblings of a held thread.
	holdPoll = 500 * time.Microsecond
	// holdLimit bounds a hold: a held thread ignores even SIGKILL.
	holdLimit = 250 * time.Millisecond
	// holdGiveUp bounds it where not even one look comes to its end.
	holdGiveUp = time.Second
	// holdLooks in a row must say that a sibling lives on; see procfs.Siblings.
	holdLooks = 3
)

// hold is an exit stop that a thread stands in.
type hold struct {
	tid   int
	since time.Time
	next  time.Time // the next look; zero: one is under way
	lives int       // looks in a row that saw a sibling live on
}

// attach begins to watch a run, as closely as proof asks and the kernel lets
// us.
func (l *Loop) attach(r *run, proof Proof) {
	if proof == Exact {
		err := l.seize(r)
		if err == nil {
			r.look.Proof = Exact
			return
		}
		if procfs.Gone(r.pid) {
			r.look.Reason = "it had ended already"
			return
		}
		r.look.Reason = refusal(r.pid, err)
		proof = Sampled
	}
	if proof == Sampled {
		l.startSampling(r)
	}
}

// seize traces the run's main thread, or any other if that one is gone. It
// must not be called while a thread of the run is held: SEIZE takes the
// cred_guard_mutex, which a sibling in execve(2) has while it waits for the
// held one to die.
func (l *Loop) seize(r *run) error {
	err := l.seizeThread(r, r.pid)
	if !errors.Is(err, unix.EPERM) {
		return err
	}
	if s, e := procfs.ReadStat(r.pid); e != nil || !s.Dead() {
		return err
	}
	for _, tid := range procfs.Threads(r.pid) {
		if tid != r.pid && l.seizeThread(r, tid) == nil {
			return nil
		}
	}
	return err
}

func (l *Loop) seizeThread(r *run, tid int) error {
	if err := ptrace(unix.PTRACE_SEIZE, tid, 0, unix.PTRACE_O_TRACEEXIT); err != nil {
		return err
	}
	r.anchor = tid
	l.tids[tid] = r
	return nil
}

// refusal says why a run cannot be traced.
func refusal(pid int, err error) string {
	if b, e := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid)); e == nil {
		_, rest, _ := strings.Cut(string(b), "TracerPid:\t")
		if tracer, _, _ := strings.Cut(rest, "\n"); tracer != "" && tracer != "0" {
			return "it is traced already, by pid " + tracer
		}
	}
	return fmt.Sprintf("ptrace is refused: %v", err)
}

// stopped handles a ptrace stop of a thread that we trace.
func (l *Loop) stopped(tid int, status unix.WaitStatus) {
	r, what, sig := l.tids[tid], int(status>>16)&0xff, status.StopSignal()
	switch {
	case r == nil: // detached already
		_ = ptrace(unix.PTRACE_DETACH, tid, 0, 0)
	case what == unix.PTRACE_EVENT_EXIT:
		r.hold = &hold{tid: tid, since: time.Now()}
		l.lookAfter(r, false)
	case what == eventStop && (sig == unix.SIGSTOP || sig == unix.SIGTSTP || sig == unix.SIGTTIN || sig == unix.SIGTTOU):
		l.groupStop(r, tid)
	case what != 0:
		_ = ptrace(unix.PTRACE_CONT, tid, 0, 0)
	default: // a signal on its way: hand it on
		_ = ptrace(unix.PTRACE_CONT, tid, 0, uintptr(sig))
	}
}

// groupStop leaves the thread in its job control stop, listening for SIGCONT.
func (l *Loop) groupStop(r *run, tid int) {
	_ = ptrace(unix.PTRACE_LISTEN, tid, 0, 0)
	r.halted = true
	if len(r.waiting) == 0 { // else the signal goes first
		l.awaken(r)
	}
}

func (l *Loop) tendHold(r *run, now time.Time) time.Time {
	h := r.hold
	if h == nil {
		return time.Time{}
	}
	if h.next.IsZero() { // a look is under way, or waits for its turn
		if giveUp := h.since.Add(holdGiveUp); now.Before(giveUp) {
			return giveUp
		}
		l.detach(r, h)
		return time.Time{}
	}
	if now.Before(h.next) {
		return h.next
	}
	h.next = time.Time{}
	l.lookAfter(r, now.Sub(h.since) >= holdLimit)
	return time.Time{}
}

// looked handles what a look at a held thread saw.
func (l *Loop) looked(r *run, h *hold, v view) {
	if r.hold != h {
		return // gone in between
	}
	if v.livesOn {
		h.lives++
	} else {
		h.lives = 0
	}
	switch {
	case v.alive == 0 || v.final:
		r.look.After, r.seen = v.fds, true
		switch {
		case v.err != nil:
			r.look.Proof, r.look.Reason = None, v.err.Error()
		case v.alive > 0:
			r.look.Proof, r.look.Reason = Sampled, fmt.Sprintf("%d threads were still there %v after the first one's exit", v.alive, holdLimit)
		}
		l.detach(r, h)
	case h.lives >= holdLooks: // only this thread ends: watch another one
		l.detach(r, h)
		if err := l.seize(r); err != nil {
			r.look.Proof, r.look.Reason = None, refusal(r.pid, err)
			l.startSampling(r)
		}
	default:
		h.next = time.Now().Add(holdPoll)
	}
}

func (l *Loop) detach(r *run, h *hold) {
	r.hold = nil
	delete(l.tids, h.tid)
	r.anchor = 0
	_ = ptrace(unix.PTRACE_DETACH, h.tid, 0, 0)
}

package process

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// seize traces all threads of a process. The last one becomes the primary thread: the main
// thread, or another one if the main thread has ended. Call it once for a process, before a
// thread of it is traced.
//
// PTRACE_SEIZE waits for a thread of the process that is in execve(2), since it takes the
// cred_guard_mutex. The execve waits until all other threads are dead and reaped; if they are
// traced, the supervisor has to reap them. So seize keeps no thread in an exit stop, which only
// the loop's thread could end, and another thread reaps if seize takes long.
func (l *Loop) seize(o *observed) error {
	if l.seizeMayBlock(o.pid) {
		return errInExecve
	}
	tids := procfs.Threads(o.pid)
	if len(tids) < 2 {
		return l.seizePrimary(o, o.pid)
	}
	if len(tids) > maxThreadsTraced {
		return fmt.Errorf("it has %d threads, more than %d", len(tids), maxThreadsTraced)
	}
	anchor := o.pid
	switch s, err := procfs.ReadStatus(o.pid); {
	case err == nil && s.Tracer != 0:
		return unix.EPERM // its tracer may want the other threads too
	case err == nil && s.Dead:
		anchor = tids[1]
	}
	defer l.reapDuringSeize(o.pid)()
	for more := true; more; tids = procfs.Threads(o.pid) {
		more = false
		for _, tid := range tids {
			if tid != anchor && l.tids[tid] == nil && l.seizeThread(o, tid, siblingOptions) == nil {
				more = true
			}
		}
	}
	err := l.seizePrimary(o, anchor)
	if err != nil && len(o.traced) > 0 { // the primary thread has just ended
		l.changePrimary(o, o.traced[0])
		return nil
	}
	return err
}

// seizePrimary seizes a thread as the primary thread.
func (l *Loop) seizePrimary(o *observed, tid int) error {
	err := l.seizeThread(o, tid, primaryOptions)
	if err == nil {
		o.primary = tid
	}
	return err
}

// seizeThread seizes a thread. If the kernel refuses, it tries again with the ids of the
// process.
func (l *Loop) seizeThread(o *observed, tid, options int) error {
	attach := func() error { return ptraceSeize(tid, uintptr(options)) }
	err := attach()
	if errors.Is(err, unix.EPERM) {
		err = attachAs(o.pid, attach)
	}
	if err != nil {
		return err
	}
	l.addTracee(o, tid)
	return nil
}

// reapDelay is how long seize may take before another thread starts to reap.
const reapDelay = 5 * time.Millisecond

// reapDuringSeize reaps dead threads of a process, except for the main thread, until stop is
// called. Any thread of the supervisor may reap a thread that another one traces (waitpid(2),
// __WNOTHREAD).
func (l *Loop) reapDuringSeize(pid int) (stop func()) {
	done := make(chan struct{})
	start := time.AfterFunc(reapDelay, func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
			for _, tid := range procfs.Threads(pid) {
				if s, err := procfs.ReadThread(pid, tid); tid == pid || err != nil || !s.Dead() {
					continue // the loop needs its ptrace stops, which wait4 would take
				}
				if got, err := unix.Wait4(tid, nil, unix.WNOHANG|unix.WALL, nil); err == nil &&
					got == tid {
					l.commands.Put(func() { l.removeTracee(tid) })
				}
			}
		}
	})
	return func() {
		close(done)
		start.Stop()
	}
}

// maxThreadsTraced is the highest number of threads of a traced process. The loop traces all
// threads at once, and 2,000 take some 10 ms.
const maxThreadsTraced = 2048

// reasonEnded is the reason of a process that ended before it was scanned or traced.
const reasonEnded = "it had ended already"

// tryAttach seizes a process and returns the event for its state machine. It records why the
// process cannot be traced.
func (l *Loop) tryAttach(o *observed) proof.Event {
	err := l.seize(o)
	if err == nil {
		return proof.Seized
	}
	if procfs.IsGone(o.pid) {
		o.evidence.Reason = reasonEnded
		return proof.Gone
	}
	s, e := procfs.ReadStatus(o.pid)
	if e == nil && s.Tracer == l.tid && !o.isMain() && len(o.traced) == 0 {
		return proof.AlreadyTraced
	}
	o.evidence.Reason = refusalReason(o.pid, err)
	return proof.Refused
}

// refusalReason says why a process cannot be traced.
func refusalReason(pid int, err error) string {
	if s, e := procfs.ReadStatus(pid); e == nil && s.Tracer != 0 {
		return fmt.Sprintf("it is traced already, by pid %d", s.Tracer)
	}
	return fmt.Sprintf("ptrace is refused: %v", err)
}

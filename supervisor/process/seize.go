package process

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/process/ptrace"
	"tp0/supervisor/procfs"
)

// seize traces all threads of a process, see [ptrace.Seizer].
func (l *Loop) seize(o *observed) error {
	if l.seizeMayBlock(o.pid) {
		return errInExecve
	}
	seizer := ptrace.Seizer{
		Attach: func(tid, options int) error { return ptrace.Attach(tid, uintptr(options)) },
		Traced: func(tid int) bool { return l.tids[tid] != nil },
		Reaped: func(tid int) { l.commands.Put(func() { l.removeTracee(tid) }) },
	}
	s, err := seizer.Seize(o.pid)
	if err != nil {
		return err
	}
	o.primary = s.Primary
	for _, tid := range s.Threads {
		l.addTracee(o, tid)
	}
	return nil
}

// tryAttach seizes a process and returns the event for its state machine. It records why the
// process cannot be traced. It returns false if a trace helper is asked, whose answer comes later.
func (l *Loop) tryAttach(o *observed) (e proof.Event, known bool) {
	err := l.seize(o)
	if err == nil {
		return proof.Seized, true
	}
	if procfs.IsGone(o.pid) {
		o.evidence.Reason = reasonEnded
		return proof.Gone, true
	}
	s, e2 := procfs.ReadStatus(o.pid)
	if e2 == nil && s.Tracer == l.tid && !o.isMain() && len(o.traced) == 0 {
		return proof.AlreadyTraced, true
	}
	if errors.Is(err, unix.EPERM) && e2 == nil && l.askHelper(o, s) {
		return 0, false
	}
	o.evidence.Reason = refusalReason(o.pid, err)
	return proof.Refused, true
}

// refusalReason says why a process cannot be traced.
func refusalReason(pid int, err error) string {
	if s, e := procfs.ReadStatus(pid); e == nil && s.Tracer != 0 {
		return fmt.Sprintf("it is traced already, by pid %d", s.Tracer)
	}
	return fmt.Sprintf("ptrace is refused: %v", err)
}

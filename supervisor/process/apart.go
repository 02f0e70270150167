package process

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// mostSteps bounds the system calls that a process is stepped through, some
// 20 µs each. After them it runs free, and there is no proof.
const mostSteps = 2000

// How often we look whether a process that we let go of has executed its
// program: at first, and later; whether one that we cannot trace has ended;
// whether one that has ended is reaped (at first; then less and less).
const (
	apartSooner = 100 * time.Microsecond
	apartFirst  = 10 * time.Millisecond
	apartEvery  = time.Millisecond
	toldEvery   = 20 * time.Millisecond
)

// step lets a thread of a process that could gain rights run to its next system
// call, unless that is the one which must not be traced.
func (l *Loop) step(w *watched, tid int, sig unix.Signal) {
	if sig == unix.SIGTRAP|0x80 { // PTRACE_O_TRACESYSGOOD
		sig = 0
		w.steps++
		if executes(tid) || w.steps > mostSteps {
			l.letGo(tid)
			w.freed = time.Now()
			return
		}
	}
	_ = ptrace(unix.PTRACE_SYSCALL, tid, 0, uintptr(sig))
}

// syscallInfo is the head of struct ptrace_syscall_info, ptrace(2).
type syscallInfo struct {
	op   uint8 // 1: it enters the call
	_    [3]uint8
	arch uint32
	_    [2]uint64
	nr   uint64
}

// executes reports whether a thread that stands at a system call is about to
// execute a program; and so does one where the kernel does not say.
func executes(tid int) bool {
	const getSyscallInfo, entry = 0x420e, 1
	const i386, execve386, execveat386 = 0x40000003, 11, 358
	var info syscallInfo
	n, _, e := unix.RawSyscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	if e != 0 || n < unsafe.Sizeof(info) && info.op == entry {
		return true
	}
	if info.op != entry {
		return false
	}
	if info.arch == i386 {
		return info.nr == execve386 || info.nr == execveat386
	}
	return info.nr == unix.SYS_EXECVE || info.nr == unix.SYS_EXECVEAT
}

// tendApart looks after a process below a run that we do not trace.
func (l *Loop) tendApart(w *watched, now time.Time) time.Time {
	if w.own() || w.told.IsZero() && (len(w.traced) > 0 || w.over || w.hold != nil) {
		return time.Time{}
	}
	if now.Before(w.nextApart) {
		return w.nextApart
	}
	w.nextApart = now.Add(apartEvery)
	if now.Sub(w.freed) < apartFirst {
		w.nextApart = now.Add(apartSooner)
	}
	s, err := procfs.ReadStat(w.pid)
	switch {
	case !w.told.IsZero():
		if err != nil {
			delete(l.watches, w.pid)
			return time.Time{}
		}
		w.nextApart = now.Add(max(toldEvery, now.Sub(w.told)))
	case err != nil || s.Dead() && procfs.Gone(w.pid):
		l.ended(w)
	case w.apart && s.Executed():
		w.apart, w.comm = false, s.Comm
		if err := l.seize(w); err != nil {
			w.look.Proof, w.look.Reason = None, refusal(w.pid, err)
		}
	}
	return w.nextApart
}

// Package ptrace has the system calls with which the supervisor traces processes and collects
// statuses, for the process loop and for the trace helper of package tracehelper. A request about
// a thread must come from the thread that traces it (ptrace(2)).
package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Siginfo is the head of siginfo_t as waitid(2) fills it in.
type Siginfo struct {
	Signo, Errno, Code, _ int32
	Pid                   int32
	UID                   uint32
	Status                int32
	_                     [100]byte
}

// Dead reports whether the process has ended: CLD_EXITED, CLD_KILLED or CLD_DUMPED, as opposed
// to a ptrace stop.
func (i *Siginfo) Dead() bool { return i.Code >= 1 && i.Code <= 3 }

// Waitid returns the pid, which the function of x/sys does not. It never waits (WNOHANG), so
// the raw call is safe: Go's scheduler does not see it.
func Waitid(kind, id int, info *Siginfo, options int) error {
	_, _, e := unix.RawSyscall6(unix.SYS_WAITID, uintptr(kind), uintptr(id),
		uintptr(unsafe.Pointer(info)), uintptr(options|unix.WNOHANG), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// Wait4 collects the status of a process that has one. It never waits, like Waitid.
func Wait4(pid int, status *unix.WaitStatus, usage *unix.Rusage) (int, error) {
	var word int32
	got, _, e := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&word)),
		unix.WNOHANG|unix.WALL, uintptr(unsafe.Pointer(usage)), 0, 0)
	if e != 0 {
		return 0, e
	}
	*status = unix.WaitStatus(word)
	return int(got), nil
}

// EventStop is PTRACE_EVENT_STOP of linux/ptrace.h, which x/sys does not have.
const EventStop = 128

// Request makes the requests that never wait: those about a stopped thread, and
// PTRACE_INTERRUPT. PTRACE_SEIZE can wait; see Attach.
func Request(request, tid int, data uintptr) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), 0, data, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// Message reads the message of a ptrace stop: PTRACE_GETEVENTMSG, ptrace(2). It fails if the thread
// is not stopped.
func Message(tid int) (message uintptr, err error) {
	_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETEVENTMSG, uintptr(tid), 0,
		uintptr(unsafe.Pointer(&message)), 0, 0)
	if e != 0 {
		return 0, e
	}
	return message, nil
}

// Attach traces a thread: PTRACE_SEIZE. It can wait for an execve, so it goes through Go's
// scheduler.
func Attach(tid int, options uintptr) error {
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, options, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// syscallInfo is the head of struct ptrace_syscall_info, ptrace(2).
type syscallInfo struct {
	op   uint8 // 1 at the entry of the call
	_    [3]uint8
	arch uint32
	_    [2]uint64
	nr   uint64
}

// EntersExecve reports whether a thread in a system call stop is about to execute a program. It
// returns true where the kernel does not tell.
func EntersExecve(tid int) bool {
	const getSyscallInfo, entry = 0x420e, 1
	const i386, execve386, execveat386 = 0x40000003, 11, 358
	var info syscallInfo
	n, _, e := unix.RawSyscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(tid), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
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

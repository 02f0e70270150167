package process

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// siginfo is the head of siginfo_t as waitid(2) fills it in.
type siginfo struct {
	Signo, Errno, Code, _ int32
	Pid                   int32
	UID                   uint32
	Status                int32
	_                     [100]byte
}

// dead reports whether the process has ended: CLD_EXITED, CLD_KILLED or CLD_DUMPED, as opposed
// to a ptrace stop.
func (i *siginfo) dead() bool { return i.Code >= 1 && i.Code <= 3 }

// waitid returns the pid, which the function of x/sys does not. It never waits (WNOHANG), so
// the raw call is safe: Go's scheduler does not see it.
func waitid(kind, id int, info *siginfo, options int) error {
	_, _, e := unix.RawSyscall6(unix.SYS_WAITID, uintptr(kind), uintptr(id),
		uintptr(unsafe.Pointer(info)), uintptr(options|unix.WNOHANG), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// wait4 collects the status of a process that has one. It never waits, like waitid.
func wait4(pid int, status *unix.WaitStatus, usage *unix.Rusage) (int, error) {
	var word int32
	got, _, e := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&word)),
		unix.WNOHANG|unix.WALL, uintptr(unsafe.Pointer(usage)), 0, 0)
	if e != 0 {
		return 0, e
	}
	*status = unix.WaitStatus(word)
	return int(got), nil
}

// eventStop is PTRACE_EVENT_STOP of linux/ptrace.h, which x/sys does not have.
const eventStop = 128

// ptrace makes the requests that never wait: those about a stopped thread, and
// PTRACE_INTERRUPT. PTRACE_SEIZE can wait; see ptraceSeize.
func ptrace(request, tid int, addr, data uintptr) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// ptraceMessage reads the message of a ptrace stop: PTRACE_GETEVENTMSG, ptrace(2).
func ptraceMessage(tid int, message *uintptr) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETEVENTMSG, uintptr(tid), 0,
		uintptr(unsafe.Pointer(message)), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// ptraceSeize traces a thread. It can wait for an execve, so it goes through Go's scheduler.
func ptraceSeize(tid int, options uintptr) error {
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

// entersExecve reports whether a thread in a system call stop is about to execute a program. It
// returns true where the kernel does not tell.
func entersExecve(tid int) bool {
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

// unchangedID tells setresuid(2) to keep an id.
//
// The kernel lets a thread read and trace a process with the ids of the thread (ptrace(2),
// "Ptrace access mode checking"). A child of another user has other ids. A supervisor that may
// change ids, such as root in a container, takes over the ids of the child for the call: the
// real ids to attach, the file system ids to read. Capabilities, effective ids and other
// threads are not changed. That needs raw system calls: setuid(3) and Go's functions change all
// threads.
const unchangedID = ^uintptr(0) // setresuid(2): leave this id as it is

// attachAs runs attach with the real ids of a process. Call it on the loop's thread only.
func attachAs(pid int, attach func() error) error {
	s, err := procfs.ReadStatus(pid)
	if err != nil {
		return err
	}
	uid, gid := unix.Getuid(), unix.Getgid()
	if int(s.UID) == uid && int(s.GID) == gid {
		return unix.EPERM
	}
	if err := rawCall(unix.SYS_SETRESGID, uintptr(s.GID), unchangedID, unchangedID); err != nil {
		return err
	}
	defer func() { _ = rawCall(unix.SYS_SETRESGID, uintptr(gid), unchangedID, unchangedID) }()
	if err := rawCall(unix.SYS_SETRESUID, uintptr(s.UID), unchangedID, unchangedID); err != nil {
		return err
	}
	defer func() { _ = rawCall(unix.SYS_SETRESUID, uintptr(uid), unchangedID, unchangedID) }()
	return attach()
}

func rawCall(call, a, b, c uintptr) error {
	if _, _, e := unix.RawSyscall(call, a, b, c); e != 0 {
		return e
	}
	return nil
}

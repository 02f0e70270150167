package process

import (
	"errors"
	"io/fs"
	"runtime"
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

// dead reports an end, as opposed to a ptrace stop: CLD_EXITED, CLD_KILLED or
// CLD_DUMPED.
func (i *siginfo) dead() bool { return i.Code >= 1 && i.Code <= 3 }

// waitid is not in x/sys in a form that tells the pid. It is for looks that do
// not wait, with WNOHANG: Go's scheduler is not told.
func waitid(kind, id int, info *siginfo, options int) error {
	_, _, e := unix.RawSyscall6(unix.SYS_WAITID, uintptr(kind), uintptr(id), uintptr(unsafe.Pointer(info)), uintptr(options|unix.WNOHANG), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// wait4 collects the status of a process that has one, as waitid does.
func wait4(pid int, status *unix.WaitStatus, usage *unix.Rusage) (int, error) {
	var word int32
	got, _, e := unix.RawSyscall6(unix.SYS_WAIT4, uintptr(pid), uintptr(unsafe.Pointer(&word)), unix.WNOHANG|unix.WALL, uintptr(unsafe.Pointer(usage)), 0, 0)
	if e != 0 {
		return 0, e
	}
	*status = unix.WaitStatus(word)
	return int(got), nil
}

// eventStop is PTRACE_EVENT_STOP, linux/ptrace.h; x/sys does not have it.
const eventStop = 128

// ptrace makes the requests that do not wait: of a thread that is stopped, or to
// stop one. For PTRACE_SEIZE, which may, there is ptraceSeize.
func ptrace(request, tid int, addr, data uintptr) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, uintptr(request), uintptr(tid), addr, data, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// ptraceMessage reads what a stop has to say: PTRACE_GETEVENTMSG, ptrace(2).
func ptraceMessage(tid int, message *uintptr) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_GETEVENTMSG, uintptr(tid), 0, uintptr(unsafe.Pointer(message)), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// ptraceSeize may wait, so Go's scheduler has to know of it.
func ptraceSeize(tid int, options uintptr) error {
	if _, _, e := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(tid), 0, options, 0, 0); e != 0 {
		return e
	}
	return nil
}

// syscallInfo is the head of struct ptrace_syscall_info, ptrace(2).
type syscallInfo struct {
	op   uint8 // 1: it enters the call
	_    [3]uint8
	arch uint32
	_    [2]uint64
	nr   uint64
}

// entersExecve reports whether a thread that is stopped at a system call is about to
// execute a program. Where the kernel does not say, the answer is yes.
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

// The kernel lets a thread look at a process whose ids are its own
// (ptrace(2), "Ptrace access mode checking"). A child of another user is none
// of ours, but who may change ids, as root in a container, may take over its
// ids for the moment of the look: the real ones to attach, those of the file
// system to read. Capabilities, effective ids and the other threads stay as
// they are, so these are raw system calls; setuid(3) and Go's own would change
// every thread.

const unchangedID = ^uintptr(0) // setresuid(2): leave this id as it is

// attachAs runs attach with the real ids of a process. On the loop's thread
// only.
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

// readAs runs read with the file system ids of a process, if reading it was
// denied to ours. setfsuid(2) makes a process undumpable; that is put right.
func readAs(pid int, read func() error) error {
	err := read()
	if !errors.Is(err, fs.ErrPermission) || unix.Geteuid() != 0 {
		return err
	}
	s, e := procfs.ReadStatus(pid)
	if e != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = rawCall(unix.SYS_SETFSGID, uintptr(s.GID), 0, 0)
	_ = rawCall(unix.SYS_SETFSUID, uintptr(s.UID), 0, 0)
	err = read()
	_ = rawCall(unix.SYS_SETFSUID, uintptr(unix.Geteuid()), 0, 0)
	_ = rawCall(unix.SYS_SETFSGID, uintptr(unix.Getegid()), 0, 0)
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
	return err
}

func rawCall(call, a, b, c uintptr) error {
	if _, _, e := unix.RawSyscall(call, a, b, c); e != 0 {
		return e
	}
	return nil
}

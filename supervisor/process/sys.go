package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
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

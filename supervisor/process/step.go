package process

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// syscallInfo is the head of struct ptrace_syscall_info, ptrace(2).
type syscallInfo struct {
	op   uint8 // 1: it enters the call
	_    [3]uint8
	arch uint32
	_    [2]uint64
	nr   uint64
}

// executes reports whether a thread that is stopped at a system call is about to
// execute a program. Where the kernel does not say, the answer is yes.
func executes(tid int) bool {
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

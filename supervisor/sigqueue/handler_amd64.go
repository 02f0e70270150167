package sigqueue

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// handlerAddress returns the address of the signal handler. restorerAddress returns the address of
// the code to which the handler returns.
func handlerAddress() uintptr
func restorerAddress() uintptr

// action is struct kernel_sigaction (rt_sigaction(2)).
type action struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

const (
	saSigInfo  = 0x00000004 // the handler gets a siginfo_t
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000
)

// install replaces Go's handler of a signal, and reports whether the kernel accepted the handler.
// The handler runs on the signal stack of Go's thread, with all signals blocked, as every handler
// of Go's runtime does. Go's fork resets the handler in the new process, but not that of SIGHUP or
// SIGINT if the signal was ignored at the start. Such a process shares the memory and the eventfd
// until its execve, so the supervisor gets a signal that was sent to the process.
func install(sig unix.Signal) bool {
	const flags = saSigInfo | saRestorer | saOnStack | saRestart
	a := action{handlerAddress(), flags, restorerAddress(), ^uint64(0)}
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&a)),
		0, unsafe.Sizeof(a.mask), 0, 0)
	return e == 0
}

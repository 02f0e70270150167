// Package sigaction calls rt_sigaction(2), past os/signal: to set the disposition of a signal, and
// to install signal handlers that are written in assembly.
//
// os/signal needs several thread switches for each signal that it catches and for each signal that
// arrives. The packages process/sigchld and sigqueue have a handler of their own for amd64, and use
// os/signal on other architectures.
//
// A handler cannot be a Go function. The kernel calls it as a C function, on the signal stack, at
// any instruction of any thread. A Go function needs a goroutine, and checks at its start whether
// the stack of the goroutine must grow.
//
// A handler returns to the restorer, which calls rt_sigreturn(2): the kernel then restores all
// registers and the signal mask. On amd64 the kernel delivers a signal only to a handler that has a
// restorer (arch/x86/kernel/signal_64.c). A C library provides one, Go's runtime does not export
// its own. So the restorer is in this package, in assembly too.
package sigaction

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Action is struct kernel_sigaction of rt_sigaction(2), as amd64 and arm64 have it. It differs from
// the struct of the C library, which sigaction(2) describes.
type Action struct {
	Handler         uintptr // its address; 0: the default, 1: the signal is ignored
	flags, restorer uintptr
	mask            uint64 // the signals that are blocked while the handler runs
}

// Get returns the action of a signal.
func Get(sig unix.Signal) (a Action, err error) {
	err = exchange(sig, nil, &a)
	return a, err
}

// Set sets the action of a signal. Set fails for SIGKILL, SIGSTOP and a number that is no signal.
// Go's runtime does not learn of the change.
func (a *Action) Set(sig unix.Signal) error { return exchange(sig, a, nil) }

func exchange(sig unix.Signal, set, get *Action) error {
	_, _, e := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(set)),
		uintptr(unsafe.Pointer(get)), unsafe.Sizeof(get.mask), 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

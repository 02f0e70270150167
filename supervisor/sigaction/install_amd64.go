package sigaction

import "golang.org/x/sys/unix"

// restorerAddress returns the address of the restorer.
func restorerAddress() uintptr

// handlerFlags are the flags that Go's runtime has for its own handlers. A handler without
// saOnStack would run on the small stack of a goroutine, and without saRestart it would interrupt
// system calls of Go (os/signal, "Go programs that use cgo or SWIG").
const (
	saSigInfo  = 0x00000004 // the handler gets a siginfo_t
	saRestorer = 0x04000000
	saOnStack  = 0x08000000
	saRestart  = 0x10000000

	handlerFlags = saSigInfo | saRestorer | saOnStack | saRestart
)

// Install replaces Go's handler of a signal with the assembly code at the address handler. The
// handler gets the signal in DI and the address of the siginfo_t in SI. It runs on the signal stack
// of Go's thread, with all signals blocked, as every handler of Go's runtime does. It must end with
// RET. Install fails as [Action.Set] does.
//
// A process that Go forks shares the memory of this one until its execve, so the handler can run
// there too. Go's fork resets the handler there before it unblocks the signals, except that of
// SIGHUP or SIGINT if the signal was ignored when this process started.
func Install(sig unix.Signal, handler uintptr) error {
	a := Action{handler, handlerFlags, restorerAddress(), ^uint64(0)}
	return a.Set(sig)
}

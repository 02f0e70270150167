package sigqueue

import (
	"golang.org/x/sys/unix"

	"tp0/supervisor/sigaction"
)

// handlerAddress returns the address of the signal handler.
func handlerAddress() uintptr

// install replaces Go's handler of a signal, and reports whether the kernel accepted the handler.
// A process that was just forked can still have the handler ([sigaction.Install]). It shares the
// eventfd too, so the supervisor gets a signal that was sent to the process.
func install(sig unix.Signal) bool { return sigaction.Install(sig, handlerAddress()) == nil }

package sigchld

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tp0/supervisor/sigaction"
)

// handlerAddress returns the address of the signal handler.
func handlerAddress() uintptr

// install replaces Go's handler of SIGCHLD.
func install() error {
	if err := sigaction.Install(unix.SIGCHLD, handlerAddress()); err != nil {
		return fmt.Errorf("cannot catch SIGCHLD: %w", err)
	}
	return nil
}

package process

import (
	"fmt"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/spawn"
)

// notExecuted says why the start verb of a run died.
func (r *run) notExecuted() error {
	const crashed = 2 // the exit code of a Go program that is refused a thread or memory
	switch exit := r.exited.Exit; {
	case r.exited.Killed:
		return ErrRevoked
	case exit.Code == crashed:
		return fmt.Errorf("%w: it was refused a thread or memory: %w", spawn.ErrNotExecuted, unix.EAGAIN)
	case exit.Signal != "":
		return fmt.Errorf("%w: it ended by %s", spawn.ErrNotExecuted, exit.Signal)
	default:
		return fmt.Errorf("%w: it exited with code %d", spawn.ErrNotExecuted, exit.Code)
	}
}

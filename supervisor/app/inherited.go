package app

import (
	"os/signal"

	"golang.org/x/sys/unix"

	"tp0/supervisor/entrypoint"
	"tp0/supervisor/process/spawn"
)

// inherited returns the signals that children inherit as ignored and as blocked: those
// that were so when we started. It must be called before any signal is caught. Without
// the record of package entrypoint, ignored has only the signals that Go's runtime leaves
// alone (HUP, INT and the ones it installs no handler for), and blocked is nil: not known.
func inherited() (ignored spawn.Signals, blocked *spawn.Signals) {
	if i, b, ok := entrypoint.Signals(); ok {
		mask := spawn.Signals(b)
		if mask == 0 {
			return spawn.Signals(i), nil
		}
		return spawn.Signals(i), &mask
	}
	for sig := unix.Signal(1); sig <= spawn.LastSignal; sig++ {
		if signal.Ignored(sig) {
			ignored = ignored.With(sig)
		}
	}
	return ignored, nil
}

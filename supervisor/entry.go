package main

import (
	"os/signal"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/spawn"
)

// What the assembly of entry notes before Go's runtime installs its handlers.
// It runs only where the linker was told to begin there (-E=main.entry, see the
// Makefile and docs/decisions/0009); a plain go build leaves all at zero.
var (
	recorded uint64 // 1: the two below are known
	ignored  uint64 // bit n-1: signal n was ignored
	blocked  uint64 // bit n-1: signal n was blocked
)

// inherited is what is handed on to children: the signals that were ignored
// and blocked when we started. Call it before any is caught. Without the record
// the former has those that Go's runtime leaves alone (HUP, INT and the ones it
// installs no handler for), and of the latter nothing is known.
func inherited() (spawn.Signals, *spawn.Signals) {
	if recorded != 0 {
		mask := spawn.Signals(blocked)
		if mask == 0 {
			return spawn.Signals(ignored), nil
		}
		return spawn.Signals(ignored), &mask
	}
	var all spawn.Signals
	for sig := unix.Signal(1); sig <= spawn.LastSignal; sig++ {
		if signal.Ignored(sig) {
			all = all.With(sig)
		}
	}
	return all, nil
}

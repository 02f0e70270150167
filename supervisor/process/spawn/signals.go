package spawn

import "golang.org/x/sys/unix"

// Signals is a set of signals in the layout of the kernel: bit n-1 is signal n.
type Signals uint64

// LastSignal is the highest signal number that Linux has (SIGRTMAX, signal(7)).
const LastSignal = unix.Signal(64)

// Has reports whether the set contains a signal.
func (s Signals) Has(sig unix.Signal) bool { return s>>(sig-1)&1 == 1 }

// With returns the set with a signal added.
func (s Signals) With(sig unix.Signal) Signals { return s | 1<<(sig-1) }

// Without returns the set with a signal removed.
func (s Signals) Without(sig unix.Signal) Signals { return s &^ (1 << (sig - 1)) }

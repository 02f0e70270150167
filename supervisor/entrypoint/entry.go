// Package entrypoint records which signals the parent process left ignored or blocked, before Go's
// runtime installs its own handlers. It also records whether standard output was closed, before
// Go's runtime opens /dev/null in its place.
//
// It works only where the linker puts the program's entry point here
// (-E=tp0/supervisor/entrypoint.entry, see the Makefile and docs/decisions/0009). A plain
// go build leaves the record empty.
package entrypoint

// The assembly code of entry writes these variables. Bit n-1 is signal n.
var (
	recorded uint64 // 1: ignored and blocked are known
	ignored  uint64 // signals that were ignored
	blocked  uint64 // signals that were blocked

	outputClosed uint64 // 1: standard output was closed
)

// Signals returns the signals that were ignored and blocked when the process was
// executed. Bit n-1 is signal n. ok is false if nothing was recorded.
func Signals() (ignoredSet, blockedSet uint64, ok bool) {
	return ignored, blocked, recorded != 0
}

// OutputClosed reports whether standard output was closed when the process was executed. It is
// false if nothing was recorded.
func OutputClosed() bool { return outputClosed != 0 }

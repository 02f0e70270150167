// Package exitcode declares the exit codes of the supervisor, as docs/reference lists them.
package exitcode

import "syscall"

// The exit codes. Where several apply, Usage goes first, then Forced, Failed, Leaky and OK.
const (
	OK     = 0
	Failed = 1   // a child failed permanently, or the supervisor has an internal fault
	Usage  = 2   // the command line or the configuration is wrong
	Leaky  = 3   // the stop is strict and a child left a descriptor open
	Forced = 124 // a process had to be killed, as timeout(1) says it

	// These two are the codes of exec for a command that does not start, as in a shell.
	NotExecutable = 126
	NotFound      = 127
)

// OfSignal returns the code of a process that a signal ended, as in a shell: 128 plus the
// number of the signal.
func OfSignal(sig syscall.Signal) int { return 128 + int(sig) }

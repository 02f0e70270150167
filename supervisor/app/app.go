// Package app is the composition root: it builds the parts of the supervisor, runs them as one
// group of actors, and closes everything at the end.
package app

import (
	"os"
	"runtime"

	"tp0/supervisor/process/spawn"
	"tp0/supervisor/process/tracehelper"
	"tp0/supervisor/verb"
)

// init locks the main thread for the start verb and the trace helper, which must run on it. Only an
// init function runs on the main thread for certain.
func init() { runtime.LockOSThread() }

// Main runs the verb that args name, without the name of the program, and returns the exit
// code. It must be called on the main thread, once.
func Main(args []string, version string) int {
	if len(args) > 0 && args[0] == spawn.StartVerb {
		return spawn.RunStartVerb(args[1:])
	}
	if len(args) > 0 && args[0] == tracehelper.Verb {
		return tracehelper.Run(args[1:])
	}
	runtime.UnlockOSThread()
	var s *signals
	if len(args) > 0 && (args[0] == verb.Run || args[0] == verb.Exec) {
		// First: a signal before this call ends the process.
		s = catchSignals(args[0] == verb.Exec)
	}
	p := verb.Program{
		Version: version,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Run:     func(o verb.RunOptions) int { return run(o, s, version) },
		Exec:    func(o verb.ExecOptions) int { return execute(o, s, version) },
	}
	if code, ok := verb.Main(args, p); ok {
		return code
	}
	return delegate(args, p)
}

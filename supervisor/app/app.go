// Package app is the composition root: it builds the parts of the supervisor, runs them as one
// group of actors, and closes everything at the end.
package app

import (
	"os"
	"runtime"

	"tp0/supervisor/cli"
	"tp0/supervisor/process/spawn"
)

// init locks the main thread for the start verb, which must run on it. Only an init
// function runs on the main thread for certain.
func init() { runtime.LockOSThread() }

// Main runs the verb that args name, without the name of the program, and returns the exit
// code. It must be called on the main thread, once.
func Main(args []string, version string) int {
	if len(args) > 0 && args[0] == spawn.StartVerb {
		return spawn.RunStartVerb(args[1:])
	}
	runtime.UnlockOSThread()
	signals := catchSignals() // first: a signal before this call ends the process
	return cli.Main(args, cli.Program{
		Version: version,
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Run:     func(o cli.RunOptions) int { return run(o, signals, version) },
		Exec:    func(o cli.ExecOptions) int { return execute(o, signals, version) },
		Brief:   signals.release,
	})
}

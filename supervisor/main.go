// Supervisor runs programs as its children, ends them gracefully, and proves
// that it did.
package main

import (
	"os"
	"runtime"

	"tp0/supervisor/cli"
	"tp0/supervisor/process/spawn"
)

// version is set by the linker.
var version = "dev"

// The start verb needs the main thread, and only an init function can be sure
// to run on it.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 && os.Args[1] == spawn.StartVerb {
		os.Exit(spawn.RunStartVerb(os.Args[2:]))
	}
	runtime.UnlockOSThread()
	signals := catch() // first of all: a signal from now on is a request, not our death
	os.Exit(cli.Main(os.Args[1:], cli.Program{
		Version: version,
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Run:     func(o cli.RunOptions) int { return run(o, signals) },
		Exec:    func(o cli.ExecOptions) int { return execute(o, signals) },
		Brief:   signals.release,
	}))
}

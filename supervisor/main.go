// Supervisor runs programs as its children, ends them gracefully, and proves
// that it did.
package main

import (
	"os"
	"runtime"

	"tp0/supervisor/app"
	"tp0/supervisor/process/spawn"
)

// version is set by the linker.
var version = "dev"

// The start verb needs the main thread, and only an init function is sure to run on it.
func init() { runtime.LockOSThread() }

func main() {
	if len(os.Args) > 1 && os.Args[1] == spawn.StartVerb {
		os.Exit(spawn.RunStartVerb(os.Args[2:]))
	}
	runtime.UnlockOSThread()
	os.Exit(app.Main(os.Args[1:], version))
}

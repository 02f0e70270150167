// Supervisor runs programs as its children, ends them gracefully, and proves
// that it did.
package main

import (
	"os"

	"tp0/supervisor/cli"
)

// version is set by the linker.
var version = "dev"

func main() {
	signals := catch() // first of all: a signal from now on is a request, not our death
	os.Exit(cli.Main(os.Args[1:], cli.Program{
		Version: version,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Run:     func(o cli.RunOptions) int { return run(o, signals) },
		Brief:   signals.release,
	}))
}

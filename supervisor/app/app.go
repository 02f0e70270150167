// Package app is the composition root: it builds the parts of the supervisor, runs them as
// one group of actors, and closes what is left at the end.
package app

import (
	"os"

	"tp0/supervisor/cli"
)

// Main does what the arguments say and returns the exit code.
func Main(args []string, version string) int {
	signals := catch() // first of all: from now on a signal is a request and does not kill us
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

// Command server is the echo server of TP0: it reads one line from each connection, sends the same
// line back, and ends gracefully.
package main

import (
	"os"
	"time"

	"tp0/workers/internal/graceful"
)

func main() {
	// This is the first statement: a signal that arrives earlier kills the process.
	signals := graceful.Catch(3 * time.Second)
	os.Exit(signals.Main(func() int { return run(signals, os.Args[1:], os.Stdout, os.Stderr) }))
}

// Command client is the client of TP0: it sends numbered messages to an echo server, checks the
// answers, and ends gracefully.
package main

import (
	"os"
	"time"

	"tp0/workers/internal/graceful"
)

func main() {
	// This is the first statement: a signal that arrives earlier kills the process.
	signals := graceful.Catch(time.Second)
	os.Exit(signals.Main(func() int { return run(signals, os.Args[1:], os.Stdout, os.Stderr) }))
}

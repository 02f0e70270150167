package main

import (
	"io"

	oklog "github.com/oklog/run"

	"tp0/workers/internal/graceful"
	"tp0/workers/internal/settings"
)

// version is set when the program is linked, with -X main.version=….
var version = "dev"

// run runs the program and returns its exit code.
func run(signals *graceful.Signals, args []string, stdout, stderr io.Writer) int {
	program := settings.Program{
		Name:    "client",
		Version: version,
		Summary: "client sends numbered messages to an echo server, one a connection, and " +
			"checks what comes back.",
		File: configFile,
	}
	var c config
	if code, ended := program.Arguments(args, c.table(), stdout, stderr); ended {
		return code
	}
	log := graceful.NewLog(stdout)
	if !c.load(log) {
		return signals.End(log, graceful.ExitUsage)
	}
	signals.SetDrain(c.drainTimeout)

	// The return of the loop ends the group. The signal actor runs until then.
	l := loop{config: c, requester: requester{address: c.address, log: log,
		stopping: signals.Stopping(), hurry: signals.Hurrying()}}
	var group oklog.Group
	group.Add(signals.Actor(log))
	group.Add(l.sendAll, func(error) {})
	err := group.Run()
	log.Success("close", "resource", "goroutine group", "group", "actors")
	if err != nil {
		return signals.End(log, graceful.ExitFailed)
	}
	return signals.End(log, 0)
}

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
		Name:    "server",
		Version: version,
		Summary: "server reads one line from each connection and sends the same line back.",
		File:    configFile,
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

	listener, err := inherit()
	c.inherited = listener != nil
	if err == nil && !c.inherited {
		listener, err = listen(c.port, c.backlog)
	}
	if err != nil {
		log.Fail("listen", "error", err)
		return signals.End(log, graceful.ExitFailed)
	}
	s := newServer(c, log, listener, signals.Stopping(), signals.Hurrying())

	// The return of serve ends the group. The signal actor runs until then.
	var group oklog.Group
	group.Add(signals.Actor(log))
	group.Add(s.serve, func(error) {})
	err = group.Run()
	log.Success("close", "resource", "goroutine group", "group", "actors")
	if err != nil {
		return signals.End(log, graceful.ExitFailed)
	}
	return signals.End(log, 0)
}

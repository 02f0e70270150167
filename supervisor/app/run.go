package app

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/config"
	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/guard"
	"tp0/supervisor/limits"
	"tp0/supervisor/notify"
	"tp0/supervisor/orchestrator"
	"tp0/supervisor/process"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/verb"
	"tp0/supervisor/watch"
)

// run runs the children of a configuration until the stop has ended, and returns the exit code.
func run(o verb.RunOptions, s *signals, version string) int {
	start := time.Now()
	manager, managerErr := notify.TakeEnvironment()
	a := newApp(false, version)
	a.reportPath, a.strict = o.Report, o.Strict
	a.atTerminal = hasControllingTerminal()
	s.catchTerminalStop()
	var first loadResult
	done := make(chan struct{})
	go func() { // a file system can block the load, and a stop signal must not wait for it
		defer close(done)
		first = a.load(o)
	}()
	if sig := s.await(done, loadGrace); sig != nil {
		return a.endEarly(sig, start)
	}
	if first.err != nil {
		if o.DefaultConfig {
			first.err = verb.MissingConfig(o.Config, first.err)
		}
		return refuse(first.err, exitcode.Usage)
	}
	a.configure(first.cfg)
	code := exitcode.OK
	ready := false
	s.during(func() {
		code, ready = a.prepare(o, s, first, manager, managerErr)
	}, func(sig os.Signal) {
		if isStopSignal(sig) {
			a.guard.Arm()
		}
	})
	if !ready {
		return code
	}
	a.runActors(s, a.handleSignal)
	return a.disarm(a.exitCode(a.close()))
}

// loadGrace is the time that the first load gets after a stop signal. Most loads end within it, and
// then the log has the format of the configuration.
const loadGrace = 200 * time.Millisecond

// prepare creates all parts of the app and writes the pid file. manager is the environment of the
// service manager, managerErr the fault in it. If ready is false, code is the exit code.
func (a *app) prepare(
	o verb.RunOptions, s *signals, first loadResult, manager notify.Environment, managerErr error,
) (code int, ready bool) {
	limits.BoundMemory()
	a.threadNeeds = threadNeedsOf(
		first.cfg, limits.ThreadNeeds{Watch: o.Watch, Manager: manager.Socket != ""},
	)
	var err error
	if a.threads, err = limits.Reserve(a.threadNeeds); err == nil {
		err = a.openLedger()
	}
	if err == nil {
		// First, before the sockets of another supervisor are touched.
		a.control, err = a.openControl(o, first.cfg)
	}
	if err == nil {
		err = a.openMetrics(first.cfg)
	}
	if err != nil {
		return a.refuse(err, exitcode.Failed), false
	}
	err = a.build(process.Options{}, orchestrator.Options{
		Config: first.cfg, Load: func() (*config.Config, error) { return a.reload(o) },
		Configure: a.configure, Terminal: isTerminal(os.Stderr),
		CountCheck: a.observation.metrics.CountCheck,
		ProcessDefaults: process.Spec{Spec: spawn.Spec{
			Stdin:   stdinFromNull,
			Ignored: s.ignored.Without(unix.SIGTERM).Without(unix.SIGINT).Without(unix.SIGQUIT),
		}},
	})
	if err == nil {
		warn := func(err error) {
			a.Emit(event.Warning{What: "service manager not notified", Reason: err.Error()})
		}
		a.serviceManager, err = notify.NewSender(manager, a.ledger, a.alive, warn)
		if managerErr != nil {
			warn(managerErr)
		}
	}
	if err != nil {
		return a.refuse(err, exitcode.Failed), false
	}
	a.warnOfDoubts(first.doubts)
	if o.Watch {
		a.watch()
	}
	if o.PidFile != "" { // last, so that no other error leaves the file
		if a.pidFile, err = writePidFile(o.PidFile); err != nil {
			code := exitcode.Usage
			if errors.As(err, new(*pidFileInUse)) {
				code = exitcode.Failed
			}
			return a.refuse(err, code), false
		}
	}
	if a.watcher != nil {
		a.watcher.SetSources(first.sources, false)
	}
	return exitcode.OK, true
}

// watch creates the watcher. A limit of inotify is no reason not to run the children, so a failure
// is a warning: SIGHUP still reloads.
func (a *app) watch() {
	warn := func(err error) {
		a.Emit(event.Warning{What: "edits can be missed", Reason: err.Error()})
	}
	var err error
	if a.watcher, err = watch.New(a.ledger, a.files, a.configEdited, warn); err != nil {
		a.watcher = nil
		warn(fmt.Errorf("%w. No file is watched: send SIGHUP after an edit", err))
	}
}

// endEarly writes the last lines of a supervisor that was stopped while it loaded its
// configuration. No child runs. The log has its default format, because the configured one is not
// known.
func (a *app) endEarly(sig os.Signal, start time.Time) int {
	settings := logSettingsOf(config.Log{Level: "info", Format: "text", FDs: event.LogChildren})
	lines := eventlog.Line(settings, event.SignalReceived{
		Signal:  unix.SignalName(sig.(unix.Signal)),
		Meaning: "stop; the configuration was not read yet",
	})
	complete := event.ShutdownComplete{Elapsed: time.Since(start), Verdict: event.Graceful}
	lines = append(lines, eventlog.Line(settings, complete)...)
	guard.Write(unix.Stderr, lines, lastLineReserve)
	return exitcode.OK
}

// handleSignal handles a signal to run: reload, log the ledger, or stop.
func (a *app) handleSignal(sig unix.Signal) {
	switch sig {
	case unix.SIGHUP:
		if a.atTerminal && !hasControllingTerminal() {
			a.guard.Arm()
			a.orchestrator.Signal(sig)
			return
		}
		a.Emit(event.SignalReceived{
			Signal: "SIGHUP", Meaning: "reload, and reopen the log files",
		})
		a.relay.Reopen()
		a.orchestrator.Reload()
	case unix.SIGTSTP:
		a.Emit(event.SignalReceived{Signal: "SIGTSTP", Meaning: "ignored: the output of the " +
			"children is not read while the supervisor is stopped. Press Ctrl-C to stop them"})
	case unix.SIGUSR1:
		a.Emit(event.SignalReceived{
			Signal: "SIGUSR1", Meaning: "reopen the log files, and log the open descriptors",
		})
		a.relay.Reopen()
		for _, e := range a.ledger.Entries() {
			a.Emit(event.LedgerEntry(e))
		}
	default:
		a.guard.Arm() // first, because the orchestrator can be blocked
		a.orchestrator.Signal(sig)
	}
}

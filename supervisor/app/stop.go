package app

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/eventlog"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/guard"
)

// close ends the parts of the app that are not actors: it flushes the output, closes the
// descriptors, checks the ledger, writes the report and logs the last line.
func (a *app) close() fdledger.Result {
	a.idleMemory.close()
	a.files.Abandon()
	a.threads.Close()
	if err := a.flush(a.relay.Settle, lastLineReserve); err != nil {
		a.Emit(event.Warning{What: "output not flushed", Reason: err.Error()})
	}
	if a.nullFD >= 0 {
		a.relay.WaitDrained()
		_ = a.ledger.Close(a.nullFD, func() error { return unix.Close(a.nullFD) })
	}
	if a.pidFile != nil {
		if err := a.pidFile.remove(); err != nil {
			a.Emit(event.Warning{What: "pid file not removed", Reason: err.Error()})
		}
	}
	complete, _ := a.result(1)      // 1: the socket of the service manager
	a.serviceManager.Emit(complete) // its last event
	a.serviceManager.Close()
	file := a.openReport()
	summary := a.openTerminationLog()
	a.checkLedger()
	openFDs := 0
	if file != nil {
		openFDs += file.Descriptors()
	}
	if summary != nil {
		openFDs++
	}
	a.writeReport(file, openFDs)
	a.writeTerminationLog(summary)
	complete, outcome := a.result(0)
	if !a.guard.LastLine(a.exitCode(outcome), complete) {
		select {} // the guard has fired: it writes the last line and exits
	}
	a.Emit(complete)
	_ = a.flush(a.log.Close, 0)
	_ = a.flush(a.relay.Close, 0)
	if a.relay.LostOutput("stderr") { // the last line can be among the lost output
		a.writeLastLine(complete)
	}
	a.guard.LineWritten()
	return outcome
}

// writeLastLine writes the last line again, past the relay. The lost one does not count.
func (a *app) writeLastLine(complete event.ShutdownComplete) {
	if lost := a.lostLines.Load(); lost > 0 {
		complete.LinesDropped = lost - 1
	}
	line := append([]byte{'\n'}, eventlog.Line(*a.logSettings.Load(), complete)...)
	guard.Write(unix.Stderr, line, lastLineReserve)
}

// ledgerRetries is the number of further checks of the ledger, at intervals of 1 ms, while an
// abandoned load or the open of a log file has a descriptor.
const ledgerRetries = 20

// checkLedger compares the ledger with the open descriptors. Each difference is a fault.
func (a *app) checkLedger() {
	diff, err := a.ledger.Check()
	for tries := 0; tries < ledgerRetries; tries++ {
		if err == nil && (len(diff) == 0 || a.pendingLoads.Load() == 0 &&
			len(a.relay.BlockedFiles()) == 0) {
			break
		}
		time.Sleep(time.Millisecond) // the load or the open closes its descriptors
		diff, err = a.ledger.Check()
	}
	if err != nil {
		a.fault("ledger", err)
	}
	reason := ""
	if blocked := a.relay.BlockedFiles(); len(blocked) > 0 {
		reason = ". The open of a log file has not returned, because its file system does not " +
			"respond: " + strings.Join(blocked, ", ")
	}
	for _, d := range diff {
		a.fault("ledger", errors.New(d+reason))
	}
}

// disarm disarms the guard and returns code. If the guard has fired, it blocks: the guard exits
// with its own code.
func (a *app) disarm(code int) int {
	if !a.guard.Disarm() {
		select {}
	}
	return code
}

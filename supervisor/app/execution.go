package app

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/exitcode"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/verb"
)

// execution is the app of exec.
type execution struct {
	*app
	opt     verb.ExecOptions
	signals *signals

	// The goroutine of the orchestrator owns the fields below until it ends.
	rows      []row       // of the table of --strict
	unproven  []string    // processes without an exact proof
	termTimer *time.Timer // of --term-after; nil: the command is not ready yet
	notReady  bool        // the command was not ready in time
}

// row is a row of the table of --strict: a finding, or a process that survived the stop.
type row struct{ process, fd, kind, target, finding, notes, advice string }

// rewrite returns the signal that the command gets in place of sig; 0 is no signal.
func (e *execution) rewrite(sig unix.Signal) unix.Signal {
	if to, ok := e.opt.Rewrite[sig]; ok {
		return to
	}
	return sig
}

// stops reports whether a signal starts a stop. It does not if --rewrite drops it.
func (e *execution) stops(sig os.Signal) bool {
	return sig == unix.SIGTERM && e.rewrite(unix.SIGTERM) != 0
}

// handleSignal forwards a signal to the command. SIGTERM also starts a stop: it is the first step
// of the stop sequence.
func (e *execution) handleSignal(sig unix.Signal) {
	if e.stops(sig) {
		e.guard.Arm() // first, because the orchestrator can be blocked
		e.orchestrator.Signal(sig)
		return
	}
	e.orchestrator.Forward(sig, e.rewrite(sig))
}

// code returns the exit code. An exit code of the stop other than 0 has priority over that of the
// command.
func (e *execution) code(o fdledger.Result) int {
	o.Failed = e.notReady // a failure of the command itself has the code of the command
	if code := o.Code(); code != exitcode.OK {
		return code
	}
	return e.commandCode()
}

// commandCode returns the command's own exit code. --success-code makes it 0.
func (e *execution) commandCode() int {
	status, err := e.orchestrator.ExitStatus()
	code := status.ExitStatus()
	switch {
	case err != nil:
		return startErrorCode(err)
	case status.Signaled():
		code = exitcode.OfSignal(status.Signal())
	}
	if slices.Contains(e.opt.Success, code) {
		return exitcode.OK
	}
	return code
}

// startErrorCode returns the exit code for a command that cannot be executed, as in a shell.
func startErrorCode(err error) int {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return exitcode.NotFound
	}
	return exitcode.NotExecutable
}

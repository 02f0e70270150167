package app

import (
	"errors"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/cli"
	"tp0/supervisor/exitcode"
	"tp0/supervisor/fdledger"
)

// execution is the app of exec.
type execution struct {
	*app
	opt cli.ExecOptions

	// The goroutine of the orchestrator owns the fields below until it ends.
	leaks     []leak      // for the table of --strict
	termTimer *time.Timer // of --term-after; nil: the command is not ready yet
	notReady  bool        // the command was not ready in time
}

// leak is something that the command leaked: a row of the table.
type leak struct{ process, fd, kind, target, notes string }

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

// code returns the exit code: the command's own, unless the stop has one that goes before it.
func (e *execution) code(o fdledger.Result) int {
	o.Failed = e.notReady // the end of the command is told by its own code
	code := o.Code()
	status, err := e.orchestrator.ExitStatus()
	switch {
	case code != exitcode.OK:
	case err != nil:
		code = startErrorCode(err)
	case status.Signaled():
		code = exitcode.OfSignal(status.Signal())
	default:
		code = status.ExitStatus()
	}
	if slices.Contains(e.opt.Success, code) && code != exitcode.Forced {
		code = exitcode.OK
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

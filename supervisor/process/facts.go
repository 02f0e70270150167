package process

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// ID identifies a child process for good, unlike its pid.
type ID uint64

// Fact is something that happened to a process. Facts are delivered in the order in which the
// loop saw them.
type Fact interface{ fact() }

type (
	// Spawned reports that the process has a pid.
	Spawned struct {
		Process ID
		Pid     int
		At      time.Time
	}
	// SpawnFailed reports that the process does not exist. It is the last fact of a process.
	SpawnFailed struct {
		Process ID
		Err     error
	}
	// Signalled reports that a signal was sent to a process, or that it could not be sent.
	Signalled struct {
		Process ID
		Pid     int
		// Descendant is the name of a descendant that outlived the main process. It is
		// empty for the main process.
		Descendant string
		Signal     unix.Signal
		Step       int
		Err        error
	}
	// Withheld reports that a signal of [Loop.Reload] was not sent: it would end the main process.
	Withheld struct {
		Process ID
		Pid     int
		Signal  unix.Signal
	}
	// Exited reports that the main process was reaped. Without survivors it is the last
	// fact of a process; else TreeEnded is.
	Exited struct {
		Process ID
		Pid     int
		Exit    event.Exit
		Status  unix.WaitStatus
		At      time.Time
		Rusage  unix.Rusage
		Killed  bool // the supervisor sent it SIGKILL
		FDs     FDResult
		// These are set after the start of a stop.
		Threads, ThreadsAtEnd int // at the start of the stop, and at its exit stop (0 without one)
		Processes, Forked     int // descendants at the start of the stop, and forked since then
		Untraced              int // descendants beyond the limit, which were not traced
		Survivors             []Survivor
	}
	// TreeEnded reports that all processes of a process tree are reaped. It is the last fact
	// with the ID of a process with survivors. DescendantEnded of a descendant can follow:
	// the next process does not wait for the fd scans and the search for holders that it
	// needs. It comes before OrphanCleanupDone.
	TreeEnded struct{ Process ID }
	// NotHandedOver reports that a survivor did not become the main process: it has ended, or the
	// stop has started.
	NotHandedOver struct{ Process ID }
	// MainChanged reports that a main process ended, and that its successor is the main
	// process now (sd_notify(3), MAINPID).
	MainChanged struct {
		Process ID
		From    int
		Exit    event.Exit
		Pid     int
	}
	// DescendantEnded reports that an observed descendant or orphan ended. OrphanReaped reports
	// that its status was collected, and can come earlier.
	DescendantEnded struct {
		Child    string // the instance; empty if it is unknown
		Pid      int
		Parent   int
		Command  string
		Exit     event.Exit
		Seen     bool // Exit is known
		InStop   bool // it was forked after the start of the stop
		Threads  int
		Lifetime time.Duration // since its first scan
		FDs      FDResult
	}
	// Diagnosed reports what a process does while its stop takes long.
	Diagnosed struct {
		Process     ID
		Pid         int
		Signal      unix.Signal   // that it got
		Disposition string        // of that signal, as procfs.Signals.Disposition says it
		CPU         time.Duration // since the first signal
		Threads     []string      // a description of each thread, of descendants too
	}
	// Inspected has the open descriptors of a process that is ready.
	Inspected struct {
		Process     ID
		Pid         int
		At          time.Time
		Disposition string // of the stop signal; empty if it is unknown
		FDs         []procfs.FD
	}
	// OrphanSignalled reports that the orphan cleanup signalled an adopted process.
	OrphanSignalled struct {
		Pid     int
		Command string
		Signal  unix.Signal
		Step    int
	}
	// OrphanReaped reports that an adopted process ended.
	OrphanReaped struct {
		Child   string // the instance of its process tree; empty if it is unknown
		Pid     int
		Command string // may be empty; see [Options.NamesOrphans]
		Exit    event.Exit
	}
	// OrphanCleanupDone reports that the orphan cleanup is over.
	OrphanCleanupDone struct{ Left []procfs.Stat } // processes that are still below the supervisor
)

func (Spawned) fact() {}

func (SpawnFailed) fact() {}

func (Signalled) fact() {}

func (Withheld) fact() {}

func (Exited) fact() {}

func (TreeEnded) fact() {}

func (NotHandedOver) fact() {}

func (MainChanged) fact() {}

func (DescendantEnded) fact() {}

func (Diagnosed) fact() {}

func (Inspected) fact() {}

func (OrphanSignalled) fact() {}

func (OrphanReaped) fact() {}

func (OrphanCleanupDone) fact() {}

// ErrRevoked is the error of a spawn that was revoked before its fork.
var ErrRevoked = errors.New("the stop started before the fork")

// FDResult is what the scans found about the descriptors of a process.
type FDResult = proof.Result

// Socket is what the scans found about a socket that a process had open at its exit.
type Socket = proof.Socket

// Survivor is a process that outlived the main process of its tree.
type Survivor struct {
	Pid     int
	Command string
}

func (s Survivor) String() string { return fmt.Sprintf("%s (pid %d)", s.Command, s.Pid) }

// exitOf translates a wait status.
func exitOf(s unix.WaitStatus) event.Exit {
	if s.Signaled() {
		name := unix.SignalName(s.Signal())
		if name == "" { // a realtime signal
			name = fmt.Sprintf("signal %d", int(s.Signal()))
		}
		return event.Exit{Signal: name, Core: s.CoreDump()}
	}
	return event.Exit{Code: s.ExitStatus()}
}

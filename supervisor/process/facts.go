package process

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// ID names one run for good, unlike its pid.
type ID uint64

// Fact is something that happened to a process. Facts are delivered in the
// order in which the loop saw them.
type Fact interface{ fact() }

type (
	// Spawned: the run has a pid.
	Spawned struct {
		Process ID
		Pid     int
		At      time.Time
	}
	// SpawnFailed: there will be no run. It is the last fact of its run.
	SpawnFailed struct {
		Process ID
		Err     error
	}
	// Signalled: a signal was sent to a run, or could not be.
	Signalled struct {
		Process ID
		Pid     int
		// Descendant is the name of a descendant that outlived the main process; empty:
		// the main process.
		Descendant string
		Signal     unix.Signal
		Step       int
		Err        error
	}
	// Exited: the status of the main process was collected. Without survivors it
	// is the last fact of its run; else TreeEnded is.
	Exited struct {
		Process ID
		Pid     int
		Exit    event.Exit
		Status  unix.WaitStatus
		At      time.Time
		Rusage  unix.Rusage
		Killed  bool // we sent it SIGKILL
		FDs     FDResult
		// Of a run whose stop began:
		Threads, ThreadsAtEnd int // then, and when its exit was seen (0: it was not)
		Processes, Forked     int // below it then, and forked since
		Untraced              int // of those, how many were not traced since they are too many
		Survivors             []Survivor
	}
	// TreeEnded: nothing is left of the process tree of a run. It is the last fact
	// of a run with survivors.
	TreeEnded struct{ Process ID }
	// MainChanged: the main process of a run ended, and its successor is the main
	// process from now on (sd_notify(3), MAINPID).
	MainChanged struct {
		Process ID
		From    int
		Exit    event.Exit
		Pid     int
	}
	// DescendantEnded: a process below a run ended, which its stop had found there; or an
	// orphan that was looked at. It says nothing of whether it was reaped.
	DescendantEnded struct {
		Child    string // the instance; empty: nobody's that we know
		Pid      int
		Parent   int
		Command  string
		Exit     event.Exit
		Seen     bool // how it ended
		InStop   bool // it was forked after the stop began
		Threads  int
		Lifetime time.Duration // since it was seen first
		FDs      FDResult
	}
	// Diagnosed: what a run does while its stop takes long.
	Diagnosed struct {
		Process     ID
		Pid         int
		Signal      unix.Signal   // that it was sent
		Disposition string        // of that signal, see Loop.disposition
		CPU         time.Duration // since the first signal
		Threads     []string      // each in words; those below it too
	}
	// Inspected: what a run held a moment after it was ready.
	Inspected struct {
		Process     ID
		Pid         int
		At          time.Time
		Disposition string // of the signal that is to stop it; empty: not known
		FDs         []procfs.FD
	}
	// OrphanSignalled: the sweep signalled an adopted process.
	OrphanSignalled struct {
		Pid     int
		Command string
		Signal  unix.Signal
		Step    int
	}
	// OrphanReaped: an adopted process ended.
	OrphanReaped struct {
		Child   string // the instance in whose tree it was; empty: not known
		Pid     int
		Command string
		Exit    event.Exit
	}
	// OrphanCleanupDone: the sweep is over.
	OrphanCleanupDone struct{ Left []procfs.Stat } // what is still below us
)

func (Spawned) fact() {}

func (SpawnFailed) fact() {}

func (Signalled) fact() {}

func (Exited) fact() {}

func (TreeEnded) fact() {}

func (MainChanged) fact() {}

func (DescendantEnded) fact() {}

func (Diagnosed) fact() {}

func (Inspected) fact() {}

func (OrphanSignalled) fact() {}

func (OrphanReaped) fact() {}

func (OrphanCleanupDone) fact() {}

// FDResult is what was seen of a run's descriptors.
type FDResult = proof.Result

// Survivor is a process that outlived the main process of its run.
type Survivor struct {
	Pid     int
	Command string
}

func (s Survivor) String() string { return fmt.Sprintf("%s (pid %d)", s.Command, s.Pid) }

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

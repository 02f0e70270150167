// Package event has the facts that the supervisor tells of itself and its
// children, as plain data. Whoever learns of a fact makes one event of it; the
// log and whatever else reports are sinks of the same events.
package event

import (
	"fmt"
	"time"
)

// Event is one fact. The types of this package are all there are.
type Event interface{ event() }

// Sink takes events. Emit never blocks and may be called by any goroutine.
type Sink interface{ Emit(Event) }

// Who closed a descriptor.
const (
	BySupervisor = "supervisor"
	ByChild      = "child"
	ByKernel     = "kernel" // it was still open when its process died
)

// Verdict judges a stop.
type Verdict string

// The verdicts, the best one first.
const (
	Graceful Verdict = "graceful"
	Leaky    Verdict = "leaky"  // a child left a descriptor open, or our own books do not balance
	Forced   Verdict = "forced" // something had to be killed
)

type (
	// Spawned: a run began.
	Spawned struct {
		Child   string
		Pid     int
		Command string
	}
	// SpawnFailed: no process could be made for a run.
	SpawnFailed struct{ Child, Command, Reason string }
	// SpawnDelayed: a spawn lacked something that is short, and is tried again
	// after Delay. That is no failure of the child.
	SpawnDelayed struct {
		Child           string
		Resource, Limit string
		Delay           time.Duration
		Reason          string
	}
	// ProbeSkipped: a probe could not be started, which says nothing of the run.
	ProbeSkipped struct {
		Child           string
		Pid             int
		Probe           string // the name of the check, or "ready"
		Resource, Limit string // what was short; empty: nothing
		Reason          string
	}
	// Ready: a run proved that it serves.
	Ready struct {
		Child   string
		Pid     int
		Elapsed time.Duration // since the spawn
	}
	// AllReady: every instance is ready or completed, for the first time or again.
	AllReady struct{ Children int } // instances
	// NotReady: a run did not prove within its time that it serves.
	NotReady struct {
		Child   string
		Pid     int
		Timeout time.Duration
		Reason  string
	}
	// CheckFailed: a check of a run failed that did not before.
	CheckFailed struct {
		Child  string
		Pid    int
		Check  string
		Reason string
	}
	// CheckPassed: it goes well again.
	CheckPassed struct {
		Child string
		Pid   int
		Check string
	}
	// Unhealthy: a run does not serve any more, and is stopped.
	Unhealthy struct {
		Child  string
		Pid    int
		Reason string
	}
	// Notified: a run said something of itself, by sd_notify(3).
	Notified struct {
		Child  string
		Pid    int
		What   string // status, reloading, reloaded, stopping, ignored
		Detail string
	}
	// SignalReceived: somebody signalled the supervisor.
	SignalReceived struct {
		Signal, Meaning string
		Passed          bool // on to the command, and no request
	}
	// SignalRepeated: a signal repeats the request before it, and is ignored.
	SignalRepeated struct {
		Signal string
		Within time.Duration // of that request
	}
	// SignalSent: the supervisor signalled a run, or an orphan.
	SignalSent struct {
		Child  string // the instance, or
		Orphan string // the name of a process that is no child's run
		Pid    int
		// Process is the name of a descendant that outlived the main process of the
		// child; empty: the main process.
		Process string
		Signal  string
		Step    int // of the ladder, from 1; 0: none, as SIGCONT for a stopped child
	}
	// SignalFailed: a signal could not be sent.
	SignalFailed struct {
		Child  string
		Pid    int
		Signal string
		Reason string
	}
	// FDOpened: a descriptor of the supervisor came into the books.
	FDOpened struct {
		FD           int
		Kind, Target string
	}
	// FDClosed: a descriptor of the supervisor, or of a run at its end, is closed.
	FDClosed struct {
		Owner        string // "supervisor" or the instance
		Pid          int    // of the run; 0 for the supervisor
		FD           int
		Kind, Target string
		By           string
		Proof        Proof  // for a run
		NotCounted   string // why it is not counted: "standard stream", "go runtime"; else empty
		Process      string // the command, where it was held by a process below the run
		Detail       FDDetail
		HeldBy       string // a process that still has it open: "sh (pid 20)"; else empty
	}
	// Reaped: the status of a run was collected.
	Reaped struct {
		Child   string
		Pid     int
		Exit    Exit
		Elapsed time.Duration // since the spawn
		Stop    time.Duration // since the first signal of its stop
		Stopped bool          // a stop was under way
		Success bool          // its code is one of a success
		User    time.Duration // CPU
		System  time.Duration
		MaxRSS  int64 // KiB
		Closed  int   // descriptors it closed itself after the stop began
		Left    int   // descriptors it left to the kernel
		Proof   Proof
		Tree    TreeCounts
	}
	// DescendantEnded: a process below a run ended while the run was stopped, or after it.
	DescendantEnded struct {
		Child       string // whose tree it was in
		Pid         int
		Parent      int // when it was seen first
		Command     string
		Exit        Exit
		ExitUnknown bool // how it ended is not known
		InStop      bool // it was forked after the stop began
		Closed      int
		Left        int
		Threads     int // when it was seen first
		Proof       Proof
		Reason      string // why the proof is not exact
		Lifetime    time.Duration
	}
	// SignalNotHandled: the signal that is to stop a run will not do so gracefully.
	SignalNotHandled struct {
		Child       string
		Pid         int
		Signal      string
		Disposition string // "ignored", or "default": it has no handler and just dies
	}
	// SlowStop: a stop takes long, and this is what the run does.
	SlowStop struct {
		Child       string
		Pid         int
		Stop        time.Duration // since the first signal
		Step        int           // the last one sent
		Signal      string        // that it was sent
		Disposition string        // of that signal: "caught", "ignored", "blocked", "default"
		CPU         time.Duration // used since the first signal
		Threads     []string      // each in words: "14 epoll_wait: waits for fd 4 (epoll: …)"
	}
	// UnexpectedEnd: a run ended though nobody asked it to, and not well.
	UnexpectedEnd struct {
		Child  string
		Pid    int
		Reason string
		Core   bool
		Output []string // its last lines
		Known  string   // what was last known of its descriptors, and when
	}
	// ProofUnavailable: a run's descriptors cannot be looked at as closely as asked.
	ProofUnavailable struct {
		Child  string
		Pid    int
		Proof  Proof // what there is in its place
		Reason string
	}
	// DescendantsOutlive: the main process of a child ended, and descendants outlive it. They
	// are ended before anything follows.
	DescendantsOutlive struct {
		Child       string
		Pid         int // of the main process
		Exit        Exit
		InStop      bool     // a stop of the child was under way
		Descendants []string // each as "nginx (pid 20)"
	}
	// MainChanged: the main process of a child ended, and the process that it named
	// as its successor is the main process now.
	MainChanged struct {
		Child string
		Pid   int
		From  int // the pid before
		Exit  Exit
	}
	// OrphanReaped: an adopted process ended.
	OrphanReaped struct {
		Child   string // the instance in whose process tree it was; empty: not known
		Pid     int
		Command string
		Exit    Exit
	}
	// Restarting: another run follows after Delay.
	Restarting struct {
		Child   string
		Attempt int // within the interval
		Delay   time.Duration
		Reason  string
	}
	// Completed: a child ended well and is not started again.
	Completed struct{ Child string }
	// Failed: a child failed for good.
	Failed struct {
		Child    string
		Attempts int
		Reason   string
	}
	// DependencyFailed: a child waits for an instance that failed for good.
	DependencyFailed struct{ Child, For string }
	// ShutdownBegun: everything is to end, and why, where no signal said so.
	ShutdownBegun struct {
		Reason   string
		Deadline time.Duration
	}
	// ConfigEdited: a file of the configuration is not what it was, so it is read again.
	ConfigEdited struct{}
	// ConfigReloaded: a new configuration is fully applied.
	ConfigReloaded struct{ Added, Removed, Changed, Kept []string }
	// ConfigRejected: a new configuration is not applied, and nothing changed.
	ConfigRejected struct{ Diagnostics string }
	// ReloadHalted: the instances of a child that a reload did not replace yet stay what
	// they are.
	ReloadHalted struct{ Child, Reason string }
	// RollbackStarted: a reload is taken back, since a run that it began is not what
	// was hoped for. Rejected follows when all is as it was before.
	RollbackStarted struct{ Child, Reason string }
	// ReloadIgnored: a reload was asked for when it could not be had.
	ReloadIgnored struct{ Reason string }
	// OutputDropped: output that could not be delivered.
	OutputDropped struct {
		Dest         string
		Lines, Bytes uint64
		Reason       string
	}
	// Leftover: something is still there at the end that should not be.
	Leftover struct {
		What   string // "process", "descriptor"
		Number int
		Detail string
	}
	// Fault: something that must not happen did; the exit code is 1.
	Fault struct{ What, Reason string }
	// Warning: something the user should know.
	Warning struct{ What, Reason string }
	// LedgerEntry: a descriptor of the supervisor as the books have it now.
	LedgerEntry struct {
		FD           int
		Kind, Target string
	}
	// ShutdownComplete: the last fact of all.
	ShutdownComplete struct {
		Spawned, Reaped, Orphans, Killed int
		Opened, Closed, Left             int
		KilledBefore, LeftBefore         int // before the stop, which the verdict does not judge
		Elapsed, Deadline                time.Duration
		Verdict                          Verdict
	}
)

// FDDetail is what else is known of a descriptor. What does not apply is empty.
type FDDetail struct {
	State   string // of a socket: "established", "close-wait", …
	Unread  uint64 // bytes that wait in a socket or a pipe to be read
	Unsent  uint64 // bytes that a socket has not sent, or that were not acknowledged
	Mode    string // of a file: "r", "w", "rw", with "a" for append
	Lock    string // on a file: "flock write", "posix read", …
	Deleted bool   // the file has no name any more
}

// TreeCounts counts the threads and the processes of a run.
type TreeCounts struct {
	Known        bool
	Threads      int // when the stop was asked for
	ThreadsAtEnd int // at the last look before the exit; 0: there was none
	Processes    int // below it when the stop was asked for
	Forked       int // below it after that
}

// Exit is how a process ended: with a code, or by a signal.
type Exit struct {
	Code   int    `json:"code" doc:"of an exit"`
	Signal string `json:"signal,omitempty" doc:"that ended it; not there: it exited"`
	Core   bool   `json:"core,omitempty" doc:"there is a core dump"`
}

// String returns the name of the signal, or the word code and the exit code.
func (e Exit) String() string {
	if e.Signal != "" {
		return e.Signal
	}
	return fmt.Sprint("code ", e.Code)
}

// OK reports an exit with code 0.
func (e Exit) OK() bool { return e.Signal == "" && e.Code == 0 }

func (Spawned) event()            {}
func (SpawnFailed) event()        {}
func (SpawnDelayed) event()       {}
func (ProbeSkipped) event()       {}
func (SignalRepeated) event()     {}
func (Ready) event()              {}
func (AllReady) event()           {}
func (NotReady) event()           {}
func (CheckFailed) event()        {}
func (CheckPassed) event()        {}
func (Unhealthy) event()          {}
func (Notified) event()           {}
func (SignalReceived) event()     {}
func (SignalSent) event()         {}
func (SignalFailed) event()       {}
func (FDOpened) event()           {}
func (FDClosed) event()           {}
func (Reaped) event()             {}
func (DescendantEnded) event()    {}
func (SlowStop) event()           {}
func (SignalNotHandled) event()   {}
func (UnexpectedEnd) event()      {}
func (ProofUnavailable) event()   {}
func (DescendantsOutlive) event() {}
func (MainChanged) event()        {}
func (OrphanReaped) event()       {}
func (Restarting) event()         {}
func (Completed) event()          {}
func (Failed) event()             {}
func (DependencyFailed) event()   {}
func (ShutdownBegun) event()      {}
func (ConfigEdited) event()       {}
func (ConfigReloaded) event()     {}
func (ConfigRejected) event()     {}
func (ReloadHalted) event()       {}
func (RollbackStarted) event()    {}
func (ReloadIgnored) event()      {}
func (OutputDropped) event()      {}
func (Leftover) event()           {}
func (Fault) event()              {}
func (Warning) event()            {}
func (LedgerEntry) event()        {}
func (ShutdownComplete) event()   {}

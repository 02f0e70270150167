// Package proof is the state machine of a traced process: what its ptrace
// stops, the fd scans of it, the ticks and its end mean, and what is to be done
// about them. It makes no system call and reads no clock. Package process turns
// what happens into an [Event], and carries the actions out.
package proof

// State is the state of one process that is watched while it is stopped.
type State uint8

// The states. A thread is held only in FirstStop, ExitStop and SyscallTracedExitStop, and
// each of these has a timer that ends it.
//
// The SyscallTraced states are for a process that was forked in the stop and could
// gain rights by the program that it executes (set-user-ID). An unprivileged
// tracer would take these rights from it (execve(2)). So it runs from system
// call to system call, and is detached from as it enters execve.
const (
	Found                 State = iota // watched, and not traced yet
	Seizing                            // PTRACE_SEIZE is under way
	FirstStop                          // its only thread is held before its first instruction
	Traced                             // its threads run, and stop for us
	TracedStopped                      // the same, and job control stopped it
	ExitStop                           // one thread is held in its exit stop
	SyscallTraced                      // as Traced, from system call to system call
	SyscallTracedStopped               // as TracedStopped
	SyscallTracedExitStop              // as ExitStop
	DetachedForExec                    // was Stepped; no thread is traced, it may execute a program
	TraceLost                          // was Traced; no thread is traced, its exit was not seen
	Untraceable                        // cannot be traced
	Sampling                           // is not traced; its fds are scanned again and again
	ScanMissed                         // its exit was seen, and the scan did not end in time
	Scanned                            // the final scan is done; its end is awaited
	Detaching                          // outlived its child; its threads are let go of as they stop
	Ended                              // its end was seen; fd scans of it are under way
	Judged                             // the result is there; other holders of what it leaked are searched
	Reported                           // its end is reported; its parent has not reaped it yet
	Forgotten                          // not watched any more
)

var stateNames = [...]string{
	"found", "seizing", "newborn", "traced", "traced, stopped", "exit stop",
	"stepped", "stepped, stopped", "stepped, exit stop", "released", "lost", "untraced",
	"sampling", "missed", "scanned", "detaching",
	"ended", "judged", "reported", "forgotten",
}

func (s State) String() string { return stateNames[s] }

// States lists them all.
func States() []State {
	all := make([]State, len(stateNames))
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// IsTraced reports whether threads of the process are traced and stop for us.
func (s State) IsTraced() bool {
	switch s {
	case FirstStop, Traced, TracedStopped, ExitStop, SyscallTraced, SyscallTracedStopped, SyscallTracedExitStop:
		return true
	}
	return false
}

// IsHeld reports whether a thread is held until a scan is done.
func (s State) IsHeld() bool { return s == FirstStop || s == ExitStop || s == SyscallTracedExitStop }

// IsJobStopped reports whether job control stopped the process.
func (s State) IsJobStopped() bool { return s == TracedStopped || s == SyscallTracedStopped }

// IsSyscallTraced reports whether the process is stepped from system call to system call.
func (s State) IsSyscallTraced() bool {
	return s == SyscallTraced || s == SyscallTracedStopped || s == SyscallTracedExitStop
}

// Event is what happens to a process.
type Event uint8

// The events. Those from ThreadStop to SiblingExit are ptrace stops: a thread
// stays stopped until an action lets it run.
const (
	ThreadStop  Event = iota // a signal is delivered to a thread, or it forked or cloned
	SystemCall               // a stepped thread is at a system call
	Execve                   // a stepped thread enters execve, or was stepped long enough
	Executed                 // a thread executed a program, and is its only thread now
	EventStop                // PTRACE_EVENT_STOP: its first stop, an interrupt, or SIGCONT
	GroupStop                // job control stops a thread
	PrimaryExit              // the anchor exits, see [Machine]
	SiblingExit              // another thread exits

	Forked              // a traced process forked it; its thread is in its first stop
	Attach              // it is to be traced
	Seized              // its threads are traced
	Refused             // the kernel refuses to have it traced
	Gone                // it ended before it could be traced
	AlreadyTraced       // it was forked by a traced thread; its first stop is to come
	SampleOnly          // it is to be sampled
	StopStarted         // it is traced since its spawn, and its stop begins
	KeepsPrivileges     // it executes programs with the same rights whether it is traced or not
	CouldGainPrivileges // it could execute a program with more rights
	NewThread           // a thread that was not known stops
	ThreadsGone         // no thread of it is traced any more

	SiblingsAlive   // a scan in the exit stop saw siblings that could change the table
	SiblingSurvives // a scan saw that another thread lives on: this is no exit of the process
	FinalScan       // a scan saw the table that nobody can change any more
	HeldThreadGone  // the thread in the exit stop was killed out of it
	ScanDue         // the next scan in the exit stop is due
	ScanTimeout     // no scan came to its end in time
	BudgetSpent     // the time for scans is over, since the deadline has passed
	SampleDue       // the next sample is due
	PollDue         // /proc is to be asked about a process that is not traced
	ExecSeen        // /proc says that it executed a program
	DetachDue       // it outlived its child for long enough
	End             // it is dead, or will be as soon as its thread may go
	ScansDone       // no scan of it is under way
	HoldersFound    // who else holds what it leaked is known
	Reaped          // its parent reaped it
)

var eventNames = [...]string{
	"thread stop", "system call", "execve", "executed", "trap", "group stop",
	"anchor exit", "sibling exit",
	"born", "attach", "seized", "refused", "gone", "already traced", "sample only", "stop begins",
	"keeps rights", "could gain rights", "new thread", "threads gone",
	"siblings live", "survivor", "final scan", "held gone", "scan due", "give up", "hurry",
	"sample due", "poll due", "exec seen", "leave due", "end", "quiet", "holders known", "reaped",
}

func (e Event) String() string { return eventNames[e] }

// Events lists them all.
func Events() []Event {
	all := make([]Event, len(eventNames))
	for i := range all {
		all[i] = Event(i)
	}
	return all
}

// IsPtraceStop reports whether the event is a ptrace stop of a thread.
func (e Event) IsPtraceStop() bool { return e <= SiblingExit }

// Action is what is to be done about an event. "The thread" is the one that
// stopped, or the one that was held in the state that the process leaves.
type Action uint8

// The actions.
const (
	Continue          Action = iota // let the thread run to its next stop
	ContinueToSyscall               // let the thread run to its next system call
	Listen                          // leave the thread in its group stop until SIGCONT
	DetachExiting                   // detach from a thread that exits: it touches no fd any more
	Detach                          // detach from the thread
	SetOptions                      // give the thread the ptrace options that it needs by now
	InterruptThreads                // have every traced thread stop, by a trap
	ChangePrimary                   // make the survivor the anchor
	Seize                           // trace all threads; Seized, Refused, Gone or AlreadyTraced follows
	ScanAtFirstStop                 // scan what a newborn has from its parent; its rights follow
	ScanAtExit                      // scan the siblings, and the table if they are gone
	ScanChildren                    // watch the children that it has at its exit
	ScheduleScan                    // scan again in a moment
	Sample                          // scan for a sample
	Poll                            // ask /proc; End, ExecSeen or Reaped may follow
	JudgeEvidence                   // make the result; HoldersKnown follows
	Report                          // report its end
	Forget                          // watch it no more
)

var actionNames = [...]string{
	"continue", "step", "listen", "let go", "detach", "set options", "interrupt threads",
	"move anchor", "seize", "scan inherited", "scan at exit", "scan children", "schedule scan",
	"sample", "poll", "judge", "report", "forget",
}

func (a Action) String() string { return actionNames[a] }

// frees reports whether the action lets a thread that stopped go on.
func (a Action) frees() bool { return a <= Detach }

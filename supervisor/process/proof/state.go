// Package proof is the state machine of a traced process: what its ptrace(2) stops, the fd scans of
// it, timers and its end mean, and which actions follow. It makes no system call and reads no
// clock. Package process turns what happens into an [Event] and carries out the actions.
package proof

// State is the state of one process that is watched during its stop.
type State uint8

// The states. A thread stays in a ptrace stop only in FirstStop, ExitStop and
// SyscallTracedExitStop. Each of these states has a timer that ends it.
//
// The SyscallTraced states are for a process that was forked during the stop and could gain
// privileges by the program that it executes (set-user-ID). An unprivileged tracer would take these
// privileges away (execve(2)). So the process runs from syscall stop to syscall stop, and is
// detached as it enters execve.
const (
	Found                 State = iota // watched, and not traced yet
	Seizing                            // PTRACE_SEIZE is under way
	FirstStop                          // its only thread is stopped before its first instruction
	Traced                             // its threads are traced and run
	TracedStopped                      // as Traced, and job control stopped it
	ExitStop                           // one thread is in its exit stop
	SyscallTraced                      // as Traced, with a stop at each system call
	SyscallTracedStopped               // as SyscallTraced, and job control stopped it
	SyscallTracedExitStop              // as ExitStop, and it was SyscallTraced before
	DetachedForExec                    // was SyscallTraced; not traced, may execute a program
	TraceLost                          // was Traced; not traced, its exit was not seen
	Untraceable                        // cannot be traced
	Sampling                           // not traced; its fds are scanned at intervals
	ScanMissed                         // its exit was seen, but no scan finished in time
	Scanned                            // the final scan is done; its end is awaited
	Detaching                          // outlived its child; its threads are being detached
	Ended                              // its end was seen; fd scans of it are under way
	Judged                             // has a result; holders of what it leaked are searched
	Reported                           // its end is reported; its parent has not reaped it yet
	Forgotten                          // not watched any more
)

var stateNames = [...]string{
	"found", "seizing", "first stop", "traced", "traced, stopped", "exit stop",
	"syscall-traced", "syscall-traced, stopped", "syscall-traced, exit stop",
	"detached for exec", "trace lost", "untraceable", "sampling", "scan missed", "scanned",
	"detaching", "ended", "judged", "reported", "forgotten",
}

func (s State) String() string { return stateNames[s] }

// States returns all states.
func States() []State {
	all := make([]State, len(stateNames))
	for i := range all {
		all[i] = State(i)
	}
	return all
}

// IsTraced reports whether threads of the process are traced, so that they can have ptrace stops.
func (s State) IsTraced() bool {
	switch s {
	case FirstStop, Traced, TracedStopped, ExitStop,
		SyscallTraced, SyscallTracedStopped, SyscallTracedExitStop:
		return true
	}
	return false
}

// WaitsForScan reports whether a thread stays in a ptrace stop until a scan is done.
func (s State) WaitsForScan() bool {
	return s == FirstStop || s == ExitStop || s == SyscallTracedExitStop
}

// IsJobStopped reports whether job control stopped the process.
func (s State) IsJobStopped() bool { return s == TracedStopped || s == SyscallTracedStopped }

// IsSyscallTraced reports whether the threads of the process stop at each system call.
func (s State) IsSyscallTraced() bool {
	return s == SyscallTraced || s == SyscallTracedStopped || s == SyscallTracedExitStop
}

// Event is what happens to a process.
type Event uint8

// The events. Those from ThreadStop to SiblingExit are ptrace stops: the thread stays stopped until
// an action lets it run.
const (
	ThreadStop  Event = iota // a signal is delivered to a thread, or it forked or cloned
	SystemCall               // syscall stop of a thread
	Execve                   // syscall stop at execve, or after too many syscall stops
	Executed                 // a thread executed a program, and is its only thread now
	EventStop                // PTRACE_EVENT_STOP: the first stop, an interrupt, or SIGCONT
	GroupStop                // job control stops a thread
	PrimaryExit              // the primary thread exits, see [Machine]
	SiblingExit              // another thread exits

	Forked              // a traced process forked it; its thread is in its first stop
	Attach              // it is to be traced
	Seized              // its threads are traced
	Refused             // the kernel refuses to trace it
	Gone                // it ended before it could be traced
	AlreadyTraced       // it was forked by a traced thread; its first stop is to come
	SampleOnly          // it is to be sampled
	StopStarted         // it has been traced since its spawn, and its stop starts
	KeepsPrivileges     // programs that it executes have the same privileges although it is traced
	CouldGainPrivileges // it could execute a program with more privileges
	NewThread           // a thread stops that was not known
	ThreadsGone         // no thread of it is traced any more

	SiblingsAlive     // a scan in the exit stop saw siblings that could change the fd table
	SiblingSurvives   // a scan saw that another thread lives on, so the process does not exit
	FinalScan         // a scan read the fd table, which cannot change any more
	StoppedThreadGone // the thread in the exit stop was killed
	ScanDue           // the next scan in the exit stop is due
	ScanTimeout       // no scan finished in time
	BudgetSpent       // the time for scans is over
	SampleDue         // the next sample is due
	PollDue           // the next poll of /proc is due, for a process that is not traced
	ExecSeen          // a poll saw that it executed a program
	DetachDue         // it outlived its child for so long that it is not traced any more
	End               // it is dead, or dies as soon as its thread is detached
	ScansDone         // no scan of it is under way
	HoldersFound      // the search for holders of what it leaked is done
	Reaped            // its parent reaped it
)

var eventNames = [...]string{
	"thread stop", "system call", "execve", "executed", "event stop", "group stop",
	"primary exit", "sibling exit",
	"forked", "attach", "seized", "refused", "gone", "already traced", "sample only",
	"stop started", "keeps privileges", "could gain privileges", "new thread", "threads gone",
	"siblings alive", "sibling survives", "final scan", "stopped thread gone", "scan due",
	"scan timeout", "budget spent", "sample due", "poll due", "exec seen", "detach due", "end",
	"scans done", "holders found", "reaped",
}

func (e Event) String() string { return eventNames[e] }

// Events returns all events.
func Events() []Event {
	all := make([]Event, len(eventNames))
	for i := range all {
		all[i] = Event(i)
	}
	return all
}

// IsPtraceStop reports whether the event is a ptrace stop of a thread.
func (e Event) IsPtraceStop() bool { return e <= SiblingExit }

// Action is what is to be done about an event. "The thread" is the thread that stopped, or the
// thread that was stopped in the state that the process leaves.
type Action uint8

// The actions.
const (
	Continue          Action = iota // let the thread run to its next stop: PTRACE_CONT
	ContinueToSyscall               // let the thread run to its next syscall stop: PTRACE_SYSCALL
	Listen                          // leave the thread in its group stop until SIGCONT
	DetachExiting                   // detach a thread that exits and uses no fd any more
	Detach                          // detach the thread
	SetOptions                      // set the ptrace options that the thread needs now
	InterruptThreads                // stop every traced thread: PTRACE_INTERRUPT
	ChangePrimary                   // make the survivor the primary thread
	Seize                           // trace all threads; the result is an event
	ScanAtFirstStop                 // scan the fds from its parent, and find its privileges
	ScanAtExit                      // scan the siblings, and the fd table if they are gone
	ScanChildren                    // watch the children that it has at its exit
	ScheduleScan                    // arm the next scan in the exit stop
	Sample                          // scan for a sample
	Poll                            // read /proc; End, ExecSeen or Reaped may follow
	JudgeEvidence                   // make the result; HoldersFound follows
	Report                          // report its end
	Forget                          // stop watching it
)

var actionNames = [...]string{
	"continue", "continue to syscall", "listen", "detach exiting", "detach", "set options",
	"interrupt threads", "change primary", "seize", "scan at first stop", "scan at exit",
	"scan children", "schedule scan", "sample", "poll", "judge", "report", "forget",
}

func (a Action) String() string { return actionNames[a] }

// resumes reports whether the action ends the ptrace stop of a thread.
func (a Action) resumes() bool { return a <= Detach }

// Package phase has the two state machines of a child process: its phase between the fork and the
// end of its process tree, and the delivery of the signals of its stop. Both are tables. The
// package makes no system call and reads no clock. Package process turns what happens into events,
// and performs the actions.
package phase

// Phase is the phase of a child process between its fork and the end of its process tree.
type Phase uint8

// The phases. In those with AtBarrier in their name the result of the execve is not known yet.
const (
	// AtBarrier means that the start verb waits at the barrier, sets the attributes or executes
	// the command. Signals other than SIGKILL wait until it has.
	AtBarrier Phase = iota
	// Running means that the main process is not reaped yet.
	Running
	// EndedAtBarrier is Ended before the result of the execve.
	EndedAtBarrier
	// Ended means that the main process is reaped. The adopted processes are not listed yet.
	Ended
	// ListedAtBarrier is Listed before the result of the execve.
	ListedAtBarrier
	// Listed means that the survivors are known. Fd scans of the main process may be running.
	Listed
	// Outlived means that the end of the main process is reported, and survivors are left.
	Outlived
	// Over means that the loop waits for nothing of the process tree any more.
	Over
)

var phaseNames = [...]string{
	"at barrier", "running", "ended at barrier", "ended", "listed at barrier", "listed",
	"outlived", "over",
}

func (p Phase) String() string { return phaseNames[p] }

// Change is an event in the life of a child process.
type Change uint8

// The changes.
const (
	Executed         Change = iota // the command was executed, or could not be
	MainReaped                     // the status of the main process was collected
	Succeeded                      // an adopted process is the main process from now on
	TreeListed                     // the adopted processes were listed after the main process ended
	NothingToWaitFor               // the end is reported; survivors, if any, may live on
	Survived                       // the end is reported, and survivors are left
	TreeEnded                      // the last survivor was reaped
)

var changeNames = [...]string{
	"executed", "main reaped", "succeeded", "tree listed", "nothing to wait for", "survived",
	"tree ended",
}

func (c Change) String() string { return changeNames[c] }

// phases is the state machine. A change that is not listed for a phase changes nothing.
//
// A main process can end before the result of its execve is known: the end of the start verb is
// seen by the reap and at the barrier, in either order.
var phases = map[Phase]map[Change]Phase{
	AtBarrier: {
		Executed:   Running,
		MainReaped: EndedAtBarrier,
	},
	Running: {
		MainReaped: Ended,
	},
	EndedAtBarrier: {
		Executed:   Ended,
		Succeeded:  AtBarrier,
		TreeListed: ListedAtBarrier,
	},
	Ended: {
		Succeeded:  Running,
		TreeListed: Listed,
	},
	ListedAtBarrier: {
		Executed: Listed,
	},
	Listed: {
		NothingToWaitFor: Over,
		Survived:         Outlived,
	},
	Outlived: {
		Succeeded: Running, // the process had named its successor, but the loop learns of it now
		TreeEnded: Over,
	},
	Over: {},
}

// Next returns the phase after a change. It is a pure function.
func (p Phase) Next(c Change) Phase {
	if to, ok := phases[p][c]; ok {
		return to
	}
	return p
}

// Handle changes the phase.
func (p *Phase) Handle(c Change) { *p = p.Next(c) }

// MainEnded reports whether the main process is reaped. Its pid may belong to another process
// then.
func (p Phase) MainEnded() bool { return p >= EndedAtBarrier }

// Unlisted reports whether the adopted processes are to be listed.
func (p Phase) Unlisted() bool { return p == Ended || p == EndedAtBarrier }

// Unexecuted reports whether the result of the execve is not known yet.
func (p Phase) Unexecuted() bool {
	return p == AtBarrier || p == EndedAtBarrier || p == ListedAtBarrier
}

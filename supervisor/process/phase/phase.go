// Package phase has the two state machines of a run: the phase that its life has
// come to, and the delivery of the signals of its stop. Both are tables. The package
// makes no system call and reads no clock. Package process turns what happens into an
// event, and carries the actions out.
package phase

// Phase is what a run has come to, from its fork to the end of its process tree.
type Phase uint8

// The phases. In those with AtBarrier in their name the goroutine that waits for the
// execve of the command has not returned yet.
const (
	// AtBarrier: the start verb waits at the barrier, sets the attributes or executes
	// the command. Signals other than SIGKILL wait until it has.
	AtBarrier Phase = iota
	// Running: the main process is not reaped yet.
	Running
	// EndedAtBarrier: as Ended.
	EndedAtBarrier
	// Ended: the main process is reaped. The adopted processes are not listed since.
	Ended
	// ListedAtBarrier: as Listed.
	ListedAtBarrier
	// Listed: the survivors are known. The fd scans of the main process are waited for.
	Listed
	// Outlived: the end of the main process is reported, and survivors are left.
	Outlived
	// Over: nothing is left that the run waits for.
	Over
)

var phaseNames = [...]string{
	"at barrier", "running", "ended at barrier", "ended", "listed at barrier", "listed",
	"outlived", "over",
}

func (p Phase) String() string { return phaseNames[p] }

// Change is what happens to a run.
type Change uint8

// The changes.
const (
	Executed    Change = iota // the command was executed, or could not be
	MainReaped                // the status of the main process was collected
	Succeeded                 // an adopted process is the main process from now on
	TreeListed                // the adopted processes were listed after the main process ended
	NothingLeft               // the end is reported, and the run waits for nothing
	Survived                  // the end is reported, and survivors are left
	TreeEnded                 // the last survivor was reaped
)

var changeNames = [...]string{
	"executed", "main reaped", "succeeded", "tree listed", "nothing left", "survived", "tree ended",
}

func (c Change) String() string { return changeNames[c] }

// phases is the whole machine. A change that is not listed for a phase changes nothing.
//
// A main process can end before the result of its execve is known: the end of the start
// verb is seen in two ways, by the reap and at the barrier, in either order.
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
		NothingLeft: Over,
		Survived:    Outlived,
	},
	Outlived: {
		TreeEnded: Over,
	},
	Over: {},
}

// Next is the phase that follows: a pure function.
func (p Phase) Next(c Change) Phase {
	if to, ok := phases[p][c]; ok {
		return to
	}
	return p
}

// Handle takes a change in.
func (p *Phase) Handle(c Change) { *p = p.Next(c) }

// MainEnded reports whether the main process is reaped. Its pid may belong to another
// process then.
func (p Phase) MainEnded() bool { return p >= EndedAtBarrier }

// Unlisted reports whether the adopted processes are to be listed.
func (p Phase) Unlisted() bool { return p == Ended || p == EndedAtBarrier }

// Unexecuted reports whether the result of the execve is not known yet.
func (p Phase) Unexecuted() bool {
	return p == AtBarrier || p == EndedAtBarrier || p == ListedAtBarrier
}

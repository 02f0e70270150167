package proof

import (
	"fmt"
	"slices"
	"time"

	"tp0/supervisor/event"
	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// Result is what is known of the fds of a process that ended.
type Result struct {
	Proof     event.Proof
	Reason    string           // why the proof is less than was asked for
	Before    []procfs.FD      // when its stop started
	After     []procfs.FD      // when it exited
	Inherited []procfs.FD      // the fds among these that came from its parent
	Runtime   fdledger.Runtime // of the program that it ran
	// Holders are the other processes that have an fd open, by its number in After: "sh (pid 20)".
	Holders map[int]string
	// Sockets has more facts about the sockets in After, by number. It is nil if they were not
	// examined.
	Sockets map[int]Socket
}

// Socket is what is known of a socket that a process had open at its exit.
type Socket struct {
	Given  bool // its process tree did not open it: it was passed on to the main process
	Shared bool // another process has it open, or the process that had it last was judged
	InTree bool // its peer belongs to the same process tree
}

// Evidence is what the fd scans of a process found.
type Evidence struct {
	Before       []procfs.FD // when its stop started
	Inherited    []procfs.FD
	Runtime      fdledger.Runtime
	Executed     bool        // it executed a program after Runtime was found
	AtThreadExit []procfs.FD // when a thread exited that was not the last
	Sample       []procfs.FD // the last sample
	Final        []procfs.FD // of the final scan
	// Sockets are those in Final that another process of the tree had open, by number.
	Sockets map[int]Socket
	Alive   int // threads that were still alive at the final scan
	// ScanLate says why the signal was sent before the scan was done. It is empty if the signal
	// waited for the scan.
	ScanLate         string
	BudgetSpent      bool // the time for the scan at its exit was over
	InheritedPending bool // a scan that finds Inherited is under way
	// SiblingWait and ScanTime are how long the exit stop could last: if siblings stayed alive, and
	// if no scan finished.
	SiblingWait, ScanTime time.Duration
	Reason                string // why it is not traced
	Err                   error  // of the scan that failed
}

// Judge returns the result for a process that ended in a state.
func Judge(from State, e Evidence) Result {
	r := Result{Before: e.Before, Inherited: e.Inherited, Runtime: e.Runtime}
	var after []procfs.FD
	r.Proof, r.Reason, after = e.assess(from)
	if r.Proof != event.ProofNone {
		r.After, r.Sockets = resolved(after, e.Before), e.Sockets
	}
	return r
}

// The reasons of a proof that is not exact.
const (
	threadsAlive   = "%d threads were still alive %v after the exit of the first one"
	deadlinePassed = "the deadline passed before the fd scan at its exit was done"
	notBefore      = "the fd scan before its end was not done in time"
	notScanned     = "the fd scan at its exit took more than %v"
	onlyThreadExit = "only the exit of another thread was seen"
	notSeen        = "its exit was not seen"
	couldGain      = "it was forked during the stop and could gain privileges by the program " +
		"that it executes, so it was not traced to its end"
)

// assess returns the kind of proof, the reason if it is not exact, and the fds at the exit.
func (e Evidence) assess(from State) (k event.Proof, reason string, after []procfs.FD) {
	switch {
	case e.Err != nil:
		return event.ProofNone, e.Err.Error(), nil
	case e.InheritedPending:
		return event.ProofNone, notBefore, nil
	case from == Scanned && e.Alive > 0:
		wait := e.SiblingWait.Round(time.Millisecond)
		return event.ProofSampled, fmt.Sprintf(threadsAlive, e.Alive, wait), e.Final
	case from == Scanned && e.ScanLate != "":
		return event.ProofSampled, e.ScanLate, e.Final
	case from == Scanned:
		return event.ProofExact, "", e.Final
	case from == Sampling && e.Sample != nil:
		return event.ProofSampled, e.Reason, e.Sample
	case from == Sampling && e.Before != nil:
		return event.ProofSampled, e.Reason, e.Before
	case from == ScanMissed && e.BudgetSpent:
		return event.ProofNone, deadlinePassed, nil
	case from == ScanMissed:
		return event.ProofNone, fmt.Sprintf(notScanned, e.ScanTime.Round(time.Millisecond)), nil
	case !from.wasTraced():
		return event.ProofNone, e.Reason, nil
	case e.AtThreadExit != nil:
		return event.ProofSampled, onlyThreadExit, e.AtThreadExit
	case from == DetachedForExec || from.IsSyscallTraced():
		return event.ProofNone, couldGain, nil
	}
	return event.ProofNone, notSeen, nil
}

// wasTraced reports whether a process in this state is traced, or was traced until its threads were
// gone.
func (s State) wasTraced() bool {
	return s.IsTraced() || s == DetachedForExec || s == TraceLost
}

// resolved returns fds in which an unresolved socket has the description that it had when the stop
// started. The kernel does not list every socket at the exit, such as a connection that was reset.
func resolved(fds, before []procfs.FD) []procfs.FD {
	copied := false
	for i, f := range fds {
		if f.Kind != "socket" || f.Resolved() {
			continue
		}
		at, ok := procfs.SearchFD(before, f.Num)
		if !ok || !before[at].Same(f) {
			continue
		}
		if !copied {
			fds, copied = slices.Clone(fds), true
		}
		fds[i].Target = before[at].Target
	}
	return fds
}

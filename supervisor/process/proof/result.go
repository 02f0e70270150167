package proof

import (
	"fmt"
	"slices"
	"time"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// Kind is how exact the knowledge of the fds of a process is.
type Kind string

// The kinds of proof.
const (
	Exact   Kind = "exact"   // the table of fds as it was when the last thread exited
	Sampled Kind = "sampled" // as it was up to a few milliseconds before
	None    Kind = "none"
)

// Result is what is known of the fds of a process that ended.
type Result struct {
	Proof     Kind
	Reason    string           // why it is less than was asked for
	Before    []procfs.FD      // when its stop began
	After     []procfs.FD      // when it exited
	Inherited []procfs.FD      // what of these came from its parent
	Runtime   fdledger.Runtime // of the program that it ran
	Holders   map[int]string   // who else has it open, by the number in After: "sh (pid 20)"
}

// Evidence is what the fd scans of a process brought.
type Evidence struct {
	Before           []procfs.FD // when its stop began
	Inherited        []procfs.FD
	Runtime          fdledger.Runtime
	Executed         bool        // it executed a program since Runtime was found
	AtThreadExit     []procfs.FD // when a thread exited that was not the last
	Sample           []procfs.FD // the last one
	Final            []procfs.FD // of the final scan
	Alive            int         // threads that were still there at the final scan
	ScanLate         string      // why the signal did not wait for the scan before it; empty: it did
	BudgetSpent      bool        // the time for the scan at its exit was over
	FirstScanPending bool        // the scan before its end has not told what it has from where yet
	// SiblingWait and ScanTime are how long the exit stop could last: where siblings stayed, and where
	// no scan came to its end.
	SiblingWait, ScanTime time.Duration
	Reason                string // why it is not traced
	Err                   error  // of the scan that failed
}

// MaxSignalDelay bounds how long a signal waits for the fd scan before it. The
// scan takes some 60 µs, and its turn comes late where a thousand processes are
// stopped at once. After it the signal goes, and what the scan then sees is no
// exact proof any more.
const MaxSignalDelay = 500 * time.Millisecond

// Judge says what the evidence is worth for a process that ended in a state.
// Every result is made here, once.
func Judge(from State, e Evidence) Result {
	r := Result{Proof: None, Before: e.Before, Inherited: e.Inherited, Runtime: e.Runtime}
	var after []procfs.FD
	r.Proof, r.Reason, after = e.worth(from)
	if r.Proof != None {
		r.After = named(after, e.Before)
	}
	return r
}

const (
	threadsStayed = "%d threads were still there %v after the first one's exit"
	hurried       = "the deadline passed before the fd scan at its exit was over"
	notBefore     = "the fd scan before its end was not over in time"
	notScanned    = "the fd scan at its exit took more than %v"
	glimpsed      = "only the exit of another thread was seen"
	notSeen       = "its exit was not seen"
	couldGain     = "it was forked in the stop and could gain rights by what it executes, " +
		"so it was not traced to its end"
)

func (e Evidence) worth(from State) (k Kind, reason string, after []procfs.FD) {
	switch {
	case e.Err != nil:
		return None, e.Err.Error(), nil
	case e.FirstScanPending:
		return None, notBefore, nil
	case from == Scanned && e.Alive > 0:
		return Sampled, fmt.Sprintf(threadsStayed, e.Alive, e.SiblingWait.Round(time.Millisecond)), e.Final
	case from == Scanned && e.ScanLate != "":
		return Sampled, e.ScanLate, e.Final
	case from == Scanned:
		return Exact, "", e.Final
	case from == Sampling && e.Sample != nil:
		return Sampled, e.Reason, e.Sample
	case from == Sampling && e.Before != nil:
		return Sampled, e.Reason, e.Before
	case from == ScanMissed && e.BudgetSpent:
		return None, hurried, nil
	case from == ScanMissed:
		return None, fmt.Sprintf(notScanned, e.ScanTime.Round(time.Millisecond)), nil
	case !from.wasTraced():
		return None, e.Reason, nil
	case e.AtThreadExit != nil:
		return Sampled, glimpsed, e.AtThreadExit
	case from == DetachedForExec || from.IsSyscallTraced():
		return None, couldGain, nil
	}
	return None, notSeen, nil
}

// wasTraced reports whether a process in this state is traced, or was until its
// threads were gone.
func (s State) wasTraced() bool { return s.IsTraced() || s == DetachedForExec || s == TraceLost }

// named returns fds with the sockets that the kernel lists no more, such as a
// connection that was reset, named as they were when the stop began.
func named(fds, before []procfs.FD) []procfs.FD {
	var numbers map[int]procfs.FD
	copied := false
	for i, f := range fds {
		if f.Kind != "socket" || f.Resolved() {
			continue
		}
		if numbers == nil {
			numbers = make(map[int]procfs.FD, len(before))
			for _, b := range before {
				numbers[b.Num] = b
			}
		}
		b, ok := numbers[f.Num]
		if !ok || !b.Same(f) {
			continue
		}
		if !copied {
			fds, copied = slices.Clone(fds), true
		}
		fds[i].Target = b.Target
	}
	return fds
}

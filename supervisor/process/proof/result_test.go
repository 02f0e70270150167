package proof

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/procfs"
)

var (
	fdsBefore = []procfs.FD{{Num: 3, Kind: "file", Target: "/before"}}
	fdsSeen   = []procfs.FD{{Num: 4, Kind: "file", Target: "/seen"}}
)

const reasonLate = "the fd scan before the signal was late"

var (
	reasonAlive  = fmt.Sprintf(threadsAlive, 2, MaxSiblingWait)
	reasonMissed = fmt.Sprintf(notScanned, MaxScanTime)
)

// judgement is what [Judge] gets and what it must return.
type judgement struct {
	from   State
	e      Evidence
	proof  event.Proof
	reason string
	after  []procfs.FD
}

var judgements = map[string]judgement{
	"final scan": {
		Scanned, Evidence{Before: fdsBefore, Final: fdsSeen, Reason: "x"},
		event.ProofExact, "", fdsSeen,
	},
	"nothing leaked": {Scanned, Evidence{Before: fdsBefore}, event.ProofExact, "", nil},
	"siblings stayed alive": {
		Scanned, Evidence{Final: fdsSeen, Alive: 2, SiblingWait: MaxSiblingWait},
		event.ProofSampled, reasonAlive, fdsSeen,
	},
	"first scan late": {
		Scanned, Evidence{Final: fdsSeen, ScanLate: reasonLate},
		event.ProofSampled, reasonLate, fdsSeen,
	},
	"siblings alive and scan late": {
		Scanned,
		Evidence{Final: fdsSeen, ScanLate: reasonLate, Alive: 2, SiblingWait: MaxSiblingWait},
		event.ProofSampled, reasonAlive, fdsSeen,
	},
	"inherited fds unknown": {
		Scanned, Evidence{Final: fdsSeen, InheritedPending: true}, event.ProofNone, notBefore, nil,
	},
	"scan failed": {
		Scanned, Evidence{Final: fdsSeen, Err: errors.New("no")}, event.ProofNone, "no", nil,
	},
	"scan timed out": {
		ScanMissed, Evidence{Before: fdsBefore, AtThreadExit: fdsSeen, ScanTime: MaxScanTime},
		event.ProofNone, reasonMissed, nil,
	},
	"deadline passed": {
		ScanMissed, Evidence{Before: fdsBefore, BudgetSpent: true},
		event.ProofNone, deadlinePassed, nil,
	},
	"exit not seen": {
		TraceLost, Evidence{Before: fdsBefore, Reason: "x"}, event.ProofNone, notSeen, nil,
	},
	"reaped in its exit stop": {ExitStop, Evidence{}, event.ProofNone, notSeen, nil},
	"thread exit seen": {
		Traced, Evidence{AtThreadExit: fdsSeen}, event.ProofSampled, onlyThreadExit, fdsSeen,
	},
	"syscall-traced":    {SyscallTraced, Evidence{}, event.ProofNone, couldGain, nil},
	"detached for exec": {DetachedForExec, Evidence{}, event.ProofNone, couldGain, nil},
	"detached for exec, thread exit seen": {
		DetachedForExec, Evidence{AtThreadExit: fdsSeen},
		event.ProofSampled, onlyThreadExit, fdsSeen,
	},
	"refused": {Untraceable, Evidence{Reason: "refused"}, event.ProofNone, "refused", nil},
	"sampled": {
		Sampling, Evidence{Before: fdsBefore, Sample: fdsSeen}, event.ProofSampled, "", fdsSeen,
	},
	"sampled, refused": {
		Sampling, Evidence{Reason: "refused", Sample: fdsSeen},
		event.ProofSampled, "refused", fdsSeen,
	},
	"only the scan before": {
		Sampling, Evidence{Before: fdsBefore}, event.ProofSampled, "", fdsBefore,
	},
	"no sample": {
		Sampling, Evidence{Reason: "refused"}, event.ProofNone, "refused", nil,
	},
	"not asked for": {Found, Evidence{}, event.ProofNone, "", nil},
}

func TestJudge(t *testing.T) {
	for name, tt := range judgements {
		r := Judge(tt.from, tt.e)
		if r.Proof != tt.proof || r.Reason != tt.reason ||
			!slices.EqualFunc(r.After, tt.after, procfs.FD.Same) {
			t.Errorf("%s: got %s (%q) %v, want %s (%q) %v", name,
				r.Proof, r.Reason, r.After, tt.proof, tt.reason, tt.after)
		}
	}
}

// TestJudgeResolvesSockets judges a socket that the kernel does not list any more. The result has
// the description from before the signal, and the evidence is not changed.
func TestJudgeResolvesSockets(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	after, err := procfs.OwnFD(pair[0])
	if err != nil || after.Resolved() {
		t.Fatalf("got %+v, %v", after, err)
	}
	before := after
	before.Target = "tcp 127.0.0.1:1"
	e := Evidence{Before: []procfs.FD{before}, Final: []procfs.FD{after}}
	if got := Judge(Scanned, e).After[0].Target; got != before.Target {
		t.Errorf("got target %q, want %q", got, before.Target)
	}
	if e.Final[0].Resolved() {
		t.Errorf("the evidence changed to %+v", e.Final[0])
	}
}

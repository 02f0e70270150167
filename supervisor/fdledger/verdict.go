package fdledger

import (
	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
)

// Result is the result of a stop, from which the verdict and the exit code follow.
type Result struct {
	Killed   int  // processes that needed SIGKILL or a later step of the stop sequence
	Findings int  // descriptors that children leaked and that are findings
	Survived int  // processes still there at the deadline
	Failed   bool // a child failed permanently
	Critical int  // exit code of the critical child whose end started the stop; 0: none
	Fault    bool // the fd ledger does not balance, or another internal fault
	Strict   bool // a finding makes the exit code exitcode.Leaky
}

// Verdict judges the stop: forced goes before leaky, leaky before graceful. A stop with an
// internal fault is never graceful.
func (r Result) Verdict() event.Verdict {
	switch {
	case r.Killed > 0 || r.Survived > 0:
		return event.Forced
	case r.Findings > 0 || r.Fault:
		return event.Leaky
	}
	return event.Graceful
}

// Code returns the exit code.
func (r Result) Code() int {
	switch {
	case r.Killed > 0 || r.Survived > 0:
		return exitcode.Forced
	case r.Critical != 0 && !r.Fault:
		return r.Critical
	case r.Failed || r.Fault:
		return exitcode.Failed
	case r.Strict && r.Findings > 0:
		return exitcode.Leaky
	}
	return exitcode.OK
}

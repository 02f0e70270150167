package fdledger

import (
	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
)

// Result is the result of a stop, from which the verdict and the exit code follow.
type Result struct {
	Killed     int  // processes that needed SIGKILL or a later step of the stop sequence
	FDsLeft    int  // descriptors that children leaked
	LeftProven int  // those of them with an exact proof
	Survived   int  // processes still there at the deadline
	Failed     bool // a child failed permanently
	Critical   int  // exit code of the critical child whose end started the stop; 0: none
	Fault      bool // the fd ledger does not balance, or another internal fault
	Strict     bool // a leak makes the exit code exitcode.Leaky
}

// Verdict judges the stop: forced goes before leaky, leaky before graceful. A stop with an
// internal fault is never graceful.
func (r Result) Verdict() event.Verdict {
	switch {
	case r.Killed > 0 || r.Survived > 0:
		return event.Forced
	case r.FDsLeft > 0 || r.Fault:
		return event.Leaky
	}
	return event.Graceful
}

// Code returns the exit code. Only leaks with an exact proof make a strict stop fail: a sample
// can be older than the child's own close.
func (r Result) Code() int {
	switch {
	case r.Killed > 0 || r.Survived > 0:
		return exitcode.Forced
	case r.Critical != 0 && !r.Fault:
		return r.Critical
	case r.Failed || r.Fault:
		return exitcode.Failed
	case r.Strict && r.LeftProven > 0:
		return exitcode.Leaky
	}
	return exitcode.OK
}

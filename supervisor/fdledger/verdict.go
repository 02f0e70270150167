package fdledger

import (
	"tp0/supervisor/event"
	"tp0/supervisor/exitcode"
)

// Result is everything that the verdict and the exit code follow from.
type Result struct {
	Killed     int  // runs and orphans that needed SIGKILL, or a rung after the first
	FDsLeft    int  // descriptors that children left open
	LeftProven int  // those of them with an exact proof
	Survived   int  // processes still there at the deadline
	Failed     bool // a child failed for good
	Critical   int  // the exit code of a critical child whose end ended all; 0: none of its own
	Fault      bool // our own books do not balance, or another internal fault
	Strict     bool
}

// Verdict judges the stop: forced before leaky before graceful. Books of our
// own that do not balance are never graceful.
func (o Result) Verdict() event.Verdict {
	switch {
	case o.Killed > 0 || o.Survived > 0:
		return event.Forced
	case o.FDsLeft > 0 || o.Fault:
		return event.Leaky
	}
	return event.Graceful
}

// Code is the exit code. Only what is proven makes a strict stop fail: a
// sample can be a moment too old, and would accuse a child that was just about
// to close.
func (o Result) Code() int {
	switch {
	case o.Killed > 0 || o.Survived > 0:
		return exitcode.Forced
	case o.Critical != 0 && !o.Fault:
		return o.Critical
	case o.Failed || o.Fault:
		return exitcode.Failed
	case o.Strict && o.LeftProven > 0:
		return exitcode.Leaky
	}
	return exitcode.OK
}

package proof

import "time"

// Machine is one process as the state machine knows it: a state, and the value
// that belongs to that state and to no other. It keeps no clock: the caller says
// what time it is.
//
// Of the threads of a process one is the anchor: the one that is held in its
// exit stop. The table of fds is shared, so one is enough: the main thread, or
// another one where that has ended.
type Machine struct {
	State State
	Value Value // nil: nothing belongs to the state
	own   bool  // its status is ours to collect, so /proc need not be polled for its end
	// privileged: what it executes keeps its rights though we trace it.
	privileged bool
	budget     Budget
}

// New is the machine of a process that was just found.
func New(own, privileged bool) Machine { return Machine{own: own, privileged: privileged} }

// Value is what belongs to a state. Timer says which event is due next by the
// time alone, and when; a zero time: none.
type Value interface {
	Timer() (at time.Time, e Event)
}

// Handle takes an event in, and returns what is to be done. The thread is the
// one that the event is about, 0 if it is about none.
func (m *Machine) Handle(e Event, thread int, now time.Time) []Action {
	to, do := Next(m.State, e)
	if to != m.State {
		m.Value = m.enter(to, thread, now)
		m.State = to
	}
	return do
}

// enter makes the value of the state that the process goes to.
func (m *Machine) enter(to State, thread int, now time.Time) Value {
	switch to {
	case Newborn:
		return m.birth(thread, now)
	case Stepped, SteppedStopped:
		return m.stepping()
	case ExitStop:
		if x, ok := m.Value.(*Exit); ok { // it is known by now that it keeps its rights
			x.stepping = nil
			return x
		}
		return m.exit(thread, now, nil)
	case SteppedExitStop:
		return m.exit(thread, now, m.stepping())
	case Released, Lost, Untraced, Missed:
		return &Polling{State: to, Since: now, Next: now}
	case Sampling:
		return &Samples{Since: now, Next: now}
	case Ended:
		v := &Ending{From: m.State, limit: m.budget.conclude(now)}
		v.Since = now
		return v
	case Judged:
		return m.Value
	case Reported:
		if v, ok := m.Value.(*Ending); ok {
			v.Polling = Polling{State: to, Since: now, Next: now}
			return v
		}
	}
	return nil
}

func (m *Machine) birth(thread int, now time.Time) *Birth {
	b := &Birth{Thread: thread, Since: now, Assume: CouldGainRights, limit: m.budget.Exit(now)}
	if m.privileged {
		b.Assume = KeepsRights
	}
	return b
}

func (m *Machine) exit(thread int, now time.Time, s *Stepping) *Exit {
	return &Exit{
		Thread: thread, Since: now, stepping: s,
		giveUp: m.budget.Exit(now), siblings: m.budget.siblings(now),
	}
}

// stepping carries the count of steps over from state to state.
func (m *Machine) stepping() *Stepping {
	switch v := m.Value.(type) {
	case *Stepping:
		return v
	case *Exit:
		if v.stepping != nil {
			return v.stepping
		}
	}
	return &Stepping{}
}

// Timer says which event is due next by the time alone, and when.
func (m *Machine) Timer() (at time.Time, e Event) {
	if m.Value == nil {
		return time.Time{}, 0
	}
	if at, e = m.Value.Timer(); m.own && e == PollDue {
		return time.Time{}, 0
	}
	return at, e
}

// Thread is the thread that is held in this state; 0: none.
func (m *Machine) Thread() int {
	switch v := m.Value.(type) {
	case *Birth:
		return v.Thread
	case *Exit:
		return v.Thread
	}
	return 0
}

// Call counts a system call that a thread is at.
func (m *Machine) Call(execve bool) Event {
	switch v := m.Value.(type) {
	case *Stepping:
		return v.call(execve)
	case *Exit:
		if v.stepping != nil {
			return v.stepping.call(execve)
		}
	}
	return SystemCall
}

// Polled arms the next poll of /proc.
func (m *Machine) Polled(now time.Time) {
	switch v := m.Value.(type) {
	case *Polling:
		v.Polled(now)
	case *Ending:
		v.Polled(now)
	}
}

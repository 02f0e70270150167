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
	Data  StateData // nil: nothing belongs to the state
	own   bool      // its status is ours to collect, so /proc need not be polled for its end
	// privileged: what it executes keeps its rights though we trace it.
	privileged bool
	budget     Budget
}

// New is the machine of a process that was just found.
func New(own, privileged bool) Machine { return Machine{own: own, privileged: privileged} }

// StateData is what belongs to a state. Timer says which event is due next by the
// time alone, and when; a zero time: none.
type StateData interface {
	Timer() (at time.Time, e Event)
}

// Handle takes an event in, and returns what is to be done. The thread is the
// one that the event is about, 0 if it is about none.
func (m *Machine) Handle(e Event, thread int, now time.Time) []Action {
	to, do := Next(m.State, e)
	if to != m.State {
		m.Data = m.enter(to, thread, now)
		m.State = to
	}
	return do
}

// enter makes the value of the state that the process goes to.
func (m *Machine) enter(to State, thread int, now time.Time) StateData {
	switch to {
	case FirstStop:
		return m.birth(thread, now)
	case SyscallTraced, SyscallTracedStopped:
		return m.stepping()
	case ExitStop:
		if x, ok := m.Data.(*ExitStopData); ok { // it is known by now that it keeps its rights
			x.stepping = nil
			return x
		}
		return m.exit(thread, now, nil)
	case SyscallTracedExitStop:
		return m.exit(thread, now, m.stepping())
	case DetachedForExec, TraceLost, Untraceable, ScanMissed:
		return &PollData{State: to, Since: now, Next: now}
	case Sampling:
		return &SampleData{Since: now, Next: now}
	case Ended:
		v := &EndData{From: m.State, limit: m.budget.conclude(now)}
		v.Since = now
		return v
	case Judged:
		return m.Data
	case Reported:
		if v, ok := m.Data.(*EndData); ok {
			v.PollData = PollData{State: to, Since: now, Next: now}
			return v
		}
	}
	return nil
}

func (m *Machine) birth(thread int, now time.Time) *FirstStopData {
	b := &FirstStopData{Thread: thread, Since: now, Assume: CouldGainPrivileges, limit: m.budget.ScanTime(now)}
	if m.privileged {
		b.Assume = KeepsPrivileges
	}
	return b
}

func (m *Machine) exit(thread int, now time.Time, s *SyscallData) *ExitStopData {
	return &ExitStopData{
		Thread: thread, Since: now, stepping: s,
		giveUp: m.budget.ScanTime(now), siblings: m.budget.siblings(now),
	}
}

// stepping carries the count of steps over from state to state.
func (m *Machine) stepping() *SyscallData {
	switch v := m.Data.(type) {
	case *SyscallData:
		return v
	case *ExitStopData:
		if v.stepping != nil {
			return v.stepping
		}
	}
	return &SyscallData{}
}

// Timer says which event is due next by the time alone, and when.
func (m *Machine) Timer() (at time.Time, e Event) {
	if m.Data == nil {
		return time.Time{}, 0
	}
	if at, e = m.Data.Timer(); m.own && e == PollDue {
		return time.Time{}, 0
	}
	return at, e
}

// Thread is the thread that is held in this state; 0: none.
func (m *Machine) Thread() int {
	switch v := m.Data.(type) {
	case *FirstStopData:
		return v.Thread
	case *ExitStopData:
		return v.Thread
	}
	return 0
}

// CountSyscall counts a system call that a thread is at.
func (m *Machine) CountSyscall(execve bool) Event {
	switch v := m.Data.(type) {
	case *SyscallData:
		return v.call(execve)
	case *ExitStopData:
		if v.stepping != nil {
			return v.stepping.call(execve)
		}
	}
	return SystemCall
}

// SchedulePoll arms the next poll of /proc.
func (m *Machine) SchedulePoll(now time.Time) {
	switch v := m.Data.(type) {
	case *PollData:
		v.SchedulePoll(now)
	case *EndData:
		v.SchedulePoll(now)
	}
}

package proof

import "time"

// Machine is the state machine of one process: a state, and the data that belongs to this state. It
// keeps no clock: the caller passes the time.
//
// One of the threads of a process is the primary thread, the one whose exit stop is used for the
// final scan. All threads share the fd table, so one of them suffices. The primary thread is the
// main thread, or another one if the main thread has ended.
type Machine struct {
	State State
	Data  StateData // nil if the state has no data
	own   bool      // the supervisor reaps the process, so its end is not polled
	// privileged says that what the process executes keeps its privileges although it is traced.
	privileged bool
	budget     Budget
}

// New returns the machine of a process that was just found.
func New(own, privileged bool) Machine { return Machine{own: own, privileged: privileged} }

// Handle applies an event and returns the actions for it, in order. thread is the thread that the
// event is about, 0 if it is about none.
func (m *Machine) Handle(e Event, thread int, now time.Time) []Action {
	to, do := Next(m.State, e)
	if to != m.State {
		m.Data = m.dataOf(to, thread, now)
		m.State = to
	}
	return do
}

// dataOf returns the data of the state that the process goes to.
func (m *Machine) dataOf(to State, thread int, now time.Time) StateData {
	switch to {
	case FirstStop:
		return m.firstStopData(thread, now)
	case SyscallTraced, SyscallTracedStopped:
		return m.syscallData()
	case ExitStop:
		if x, ok := m.Data.(*ExitStopData); ok { // the same stop: the process keeps its privileges
			x.syscalls = nil
			return x
		}
		return m.exitStopData(thread, now, nil)
	case SyscallTracedExitStop:
		return m.exitStopData(thread, now, m.syscallData())
	case DetachedForExec, TraceLost, Untraceable, ScanMissed:
		return &PollData{State: to, Since: now, Next: now}
	case Sampling:
		return &SampleData{Since: now, Next: now}
	case Ended:
		v := &EndData{From: m.State, limit: m.budget.reportDelay(now)}
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

func (m *Machine) firstStopData(thread int, now time.Time) *FirstStopData {
	f := &FirstStopData{Thread: thread, Since: now, limit: m.budget.ScanTime(now)}
	f.Assume = CouldGainPrivileges
	if m.privileged {
		f.Assume = KeepsPrivileges
	}
	return f
}

func (m *Machine) exitStopData(thread int, now time.Time, s *SyscallData) *ExitStopData {
	return &ExitStopData{
		Thread: thread, Since: now, syscalls: s,
		scanTime: m.budget.ScanTime(now), siblingWait: m.budget.siblingWait(now),
	}
}

// syscallData carries the count of system calls over from state to state.
func (m *Machine) syscallData() *SyscallData {
	switch v := m.Data.(type) {
	case *SyscallData:
		return v
	case *ExitStopData:
		if v.syscalls != nil {
			return v.syscalls
		}
	}
	return &SyscallData{}
}

// Timer returns the event that is due next by the time alone, and when. The time is zero if none is
// due.
func (m *Machine) Timer() (at time.Time, e Event) {
	if m.Data == nil {
		return time.Time{}, 0
	}
	if at, e = m.Data.Timer(); m.own && e == PollDue {
		return time.Time{}, 0
	}
	return at, e
}

// Thread returns the thread that stays in a ptrace stop in this state, or 0.
func (m *Machine) Thread() int {
	switch v := m.Data.(type) {
	case *FirstStopData:
		return v.Thread
	case *ExitStopData:
		return v.Thread
	}
	return 0
}

// CountSyscall counts a syscall stop of a thread and returns the event that it means.
func (m *Machine) CountSyscall(execve bool) Event {
	switch v := m.Data.(type) {
	case *SyscallData:
		return v.count(execve)
	case *ExitStopData:
		if v.syscalls != nil {
			return v.syscalls.count(execve)
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

// SetBudget sets the budget of a process and shortens the wait that is under way.
func (m *Machine) SetBudget(b Budget, now time.Time) {
	m.budget = b
	shorten := func(limit *time.Duration, since time.Time, left time.Duration) {
		*limit = min(*limit, now.Sub(since)+left)
	}
	switch v := m.Data.(type) {
	case *FirstStopData:
		shorten(&v.limit, v.Since, b.ScanTime(now))
	case *ExitStopData:
		shorten(&v.scanTime, v.Since, b.ScanTime(now))
		shorten(&v.siblingWait, v.Since, b.siblingWait(now))
	case *EndData:
		v.limit = now.Sub(v.Since) + b.reportDelay(now)
	}
}

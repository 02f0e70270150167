package proof

import "time"

// StateData is what belongs to one state and to no other. Timer returns the event that is due next
// by the time alone, and when. The time is zero if none is due.
type StateData interface {
	Timer() (at time.Time, e Event)
}

const (
	// scanInterval is the time between two scans in an exit stop.
	scanInterval = 500 * time.Microsecond
	// minSightings is how many scans in a row must see a sibling live on. A thread that has taken
	// its SIGKILL and has not started its exit looks the same as a thread that lives on.
	minSightings = 10
	// maxSyscalls bounds the system calls during which a process is syscall-traced; each costs
	// about 20 µs. After them the process runs untraced, and there is no proof.
	maxSyscalls = 2000
)

// FirstStopData belongs to FirstStop.
type FirstStopData struct {
	Thread int
	Since  time.Time
	// Assume is KeepsPrivileges or CouldGainPrivileges: the event if the scan does not finish in
	// time.
	Assume Event
	limit  time.Duration
}

// Timer implements [StateData].
func (f *FirstStopData) Timer() (time.Time, Event) { return f.Since.Add(f.limit), f.Assume }

// ExitStopData belongs to ExitStop and SyscallTracedExitStop.
type ExitStopData struct {
	Thread int
	Since  time.Time
	// next is the time of the next scan. It is zero while a scan is under way or queued.
	next      time.Time
	scans     int
	sightings int          // scans in a row that saw a sibling live on
	syscalls  *SyscallData // of SyscallTracedExitStop
	// scanTime bounds the stop if no scan finishes, siblingWait if siblings stay alive.
	scanTime, siblingWait time.Duration
}

// ScanDeadline returns the time after which the scan under way is not used any more.
func (x *ExitStopData) ScanDeadline() time.Time { return x.Since.Add(x.scanTime) }

// Limits returns how long the thread stays in its exit stop at most: if its siblings stay alive,
// and if no scan finishes.
func (x *ExitStopData) Limits() (siblingWait, scanTime time.Duration) {
	return x.siblingWait, x.scanTime
}

// Timer implements [StateData].
func (x *ExitStopData) Timer() (time.Time, Event) {
	if x.next.IsZero() {
		return x.ScanDeadline(), ScanTimeout
	}
	return x.next, ScanDue
}

// StartScan records that a scan starts. The scan reads the fd table even if siblings are alive in
// two cases: final says that the time for siblings is over, so the scan is the final one;
// lastSighting says that one more sighting of a survivor suffices to let the thread exit.
func (x *ExitStopData) StartScan(now time.Time) (final, lastSighting bool) {
	x.next = time.Time{}
	final = now.Sub(x.Since) >= x.siblingWait && x.scans >= minSightings
	return final, x.sightings == minSightings-1
}

// Siblings is what a scan in an exit stop saw of the other threads.
type Siblings struct {
	Alive    int  // threads that can still change the fd table
	Survivor int  // a thread among them that is not about to end; 0 if there is none
	InExecve bool // the survivor waits in execve for the thread in the exit stop
}

// ScanDone counts a scan and returns the event that it means.
func (x *ExitStopData) ScanDone(s Siblings, final bool) Event {
	x.scans++
	x.sightings++
	if s.Survivor == 0 {
		x.sightings = 0
	}
	switch {
	case s.Alive == 0 || final:
		return FinalScan
	case s.InExecve || x.sightings >= minSightings:
		return SiblingSurvives
	}
	return SiblingsAlive
}

// ScheduleScan arms the next scan.
func (x *ExitStopData) ScheduleScan(now time.Time) { x.next = now.Add(scanInterval) }

// SyscallData belongs to SyscallTraced, SyscallTracedStopped and SyscallTracedExitStop.
type SyscallData struct{ calls int }

// Timer implements [StateData].
func (*SyscallData) Timer() (at time.Time, e Event) { return at, e }

func (s *SyscallData) count(execve bool) Event {
	if s.calls++; execve || s.calls > maxSyscalls {
		return Execve
	}
	return SystemCall
}

// The times between two polls of a process that is not traced.
const (
	// execPollInterval is used during the first execPollTime of a process that may execute a
	// program. pollInterval is used after that time, and for every other process.
	execPollInterval = 100 * time.Microsecond
	execPollTime     = 10 * time.Millisecond
	pollInterval     = time.Millisecond
	// reapPollInterval is the first interval for a process that ended and is not reaped. Later the
	// interval equals the time since the end.
	reapPollInterval = 20 * time.Millisecond
)

// PollData belongs to the states of a process that is not traced.
type PollData struct {
	State State
	Since time.Time
	Next  time.Time
}

// Timer implements [StateData].
func (p *PollData) Timer() (time.Time, Event) { return p.Next, PollDue }

// SchedulePoll arms the next poll.
func (p *PollData) SchedulePoll(now time.Time) {
	interval, age := pollInterval, now.Sub(p.Since)
	switch {
	case p.State == Reported:
		interval = max(reapPollInterval, age)
	case p.State == DetachedForExec && age < execPollTime:
		interval = execPollInterval
	}
	p.Next = now.Add(interval)
}

// The times between two samples: in the first second, in which most processes end, and after it.
const (
	sampleInterval     = time.Millisecond
	lateSampleInterval = 10 * time.Millisecond
	lateSampleAge      = time.Second
)

// SampleData belongs to Sampling. The process can close a descriptor after the last sample, so
// samples are no exact proof.
type SampleData struct {
	Since time.Time
	Next  time.Time // zero while a sample is under way
}

// Timer implements [StateData].
func (s *SampleData) Timer() (time.Time, Event) { return s.Next, SampleDue }

// StartSample records that a sample is under way.
func (s *SampleData) StartSample() { s.Next = time.Time{} }

// SampleDone arms the next sample.
func (s *SampleData) SampleDone(now time.Time) {
	interval := sampleInterval
	if now.Sub(s.Since) > lateSampleAge {
		interval = lateSampleInterval
	}
	s.Next = now.Add(interval)
}

// EndData belongs to Ended, Judged and Reported.
type EndData struct {
	From   State // in which the process ended
	Result Result
	limit  time.Duration // from the end to the report, even during a scan; 0 sets no limit
	// PollData is complete in Reported. Before that, only its Since is set: the time of the end.
	PollData
}

// Timer implements [StateData].
func (v *EndData) Timer() (time.Time, Event) {
	switch {
	case v.State == Reported:
		return v.PollData.Timer()
	case v.limit > 0:
		return v.Since.Add(v.limit), BudgetSpent
	}
	return time.Time{}, 0
}

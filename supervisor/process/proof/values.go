package proof

import "time"

const (
	// scanEvery is the time between two scans in an exit stop.
	scanEvery = 500 * time.Microsecond
	// MaxSiblingWait bounds an exit stop whose siblings stay: a held thread ignores
	// even SIGKILL.
	MaxSiblingWait = 250 * time.Millisecond
	// MaxScanTime bounds a held thread where not even one scan comes to its end.
	MaxScanTime = time.Second
	// sureScans in a row must see a sibling live on: a thread that took its
	// SIGKILL and has not begun its exit yet cannot be told from one that lives on.
	sureScans = 10
	// mostSteps bounds the system calls that a process is stepped through, some
	// 20 µs each. After them it runs free, and there is no proof.
	mostSteps = 2000
)

// FirstStopData belongs to Newborn.
type FirstStopData struct {
	Thread int
	Since  time.Time
	// Assume is KeepsRights or CouldGainRights: what is taken for true if the scan
	// does not end in time.
	Assume Event
	limit  time.Duration
}

// Timer implements [StateData].
func (b *FirstStopData) Timer() (time.Time, Event) { return b.Since.Add(b.limit), b.Assume }

// ExitStopData belongs to ExitStop and SteppedExitStop.
type ExitStopData struct {
	Thread   int
	Since    time.Time
	next     time.Time // of the next scan; zero: one is under way, or waits for its worker
	scans    int
	lived    int          // of them in a row that saw a sibling live on
	stepping *SyscallData // of SteppedExitStop
	// giveUp and siblings are how long the thread is held where no scan ends, and where its
	// siblings stay.
	giveUp, siblings time.Duration
}

// ScanDeadline is when the scan that is under way is worth nothing any more.
func (x *ExitStopData) ScanDeadline() time.Time { return x.Since.Add(x.giveUp) }

// Limits are how long the thread is held at most where its siblings stay, and where no scan ends.
func (x *ExitStopData) Limits() (siblings, giveUp time.Duration) { return x.siblings, x.giveUp }

// Timer implements [StateData].
func (x *ExitStopData) Timer() (time.Time, Event) {
	if x.next.IsZero() {
		return x.ScanDeadline(), ScanTimeout
	}
	return x.next, ScanDue
}

// StartScan notes that a scan begins. It says whether that scan is to read the table
// whatever the siblings do: as the final one, since the time is over, or as a
// glimpse, since one sighting of a survivor more is enough to let the thread go.
func (x *ExitStopData) StartScan(now time.Time) (final, glimpse bool) {
	x.next = time.Time{}
	return now.Sub(x.Since) >= x.siblings && x.scans >= sureScans, x.lived == sureScans-1
}

// Siblings is what a scan in an exit stop saw of the other threads.
type Siblings struct {
	Alive    int  // that can still change the table
	Survivor int  // one of them that is not about to end; 0: none
	InExecve bool // the survivor waits in execve for the thread that is held
}

// ScanDone counts a scan, and says what it means.
func (x *ExitStopData) ScanDone(s Siblings, final bool) Event {
	x.scans++
	if x.lived++; s.Survivor == 0 {
		x.lived = 0
	}
	switch {
	case s.Alive == 0 || final:
		return FinalScan
	case s.InExecve || x.lived >= sureScans:
		return SiblingSurvives
	}
	return SiblingsAlive
}

// ScheduleScan arms the next scan.
func (x *ExitStopData) ScheduleScan(now time.Time) { x.next = now.Add(scanEvery) }

// SyscallData belongs to Stepped, SteppedStopped and SteppedExitStop.
type SyscallData struct{ calls int }

// Timer implements [StateData].
func (*SyscallData) Timer() (at time.Time, e Event) { return at, e }

func (s *SyscallData) call(execve bool) Event {
	if s.calls++; execve || s.calls > mostSteps {
		return Execve
	}
	return SystemCall
}

// The times between two polls of a process that is not traced: one that may
// execute its program at any moment, at first; every other one; one that ended
// and is not reaped, at first, then less and less often.
const (
	pollSooner   = 100 * time.Microsecond
	pollFirst    = 10 * time.Millisecond
	pollEvery    = time.Millisecond
	pollReported = 20 * time.Millisecond
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
	every, age := pollEvery, now.Sub(p.Since)
	switch {
	case p.State == Reported:
		every = max(pollReported, age)
	case p.State == DetachedForExec && age < pollFirst:
		every = pollSooner
	}
	p.Next = now.Add(every)
}

// The times between two samples: in the first second, when most processes end,
// and after it.
const (
	sampleEvery  = time.Millisecond
	sampleLater  = 10 * time.Millisecond
	sampleSooner = time.Second
)

// SampleData belongs to Sampling. The last sample can be older than the last fd
// that the process closed, so it is no exact proof.
type SampleData struct {
	Since time.Time
	Next  time.Time // zero: a sample is under way
}

// Timer implements [StateData].
func (s *SampleData) Timer() (time.Time, Event) { return s.Next, SampleDue }

// StartSample notes that a sample is under way.
func (s *SampleData) StartSample() { s.Next = time.Time{} }

// SampleDone arms the next sample.
func (s *SampleData) SampleDone(now time.Time) {
	every := sampleEvery
	if now.Sub(s.Since) > sampleSooner {
		every = sampleLater
	}
	s.Next = now.Add(every)
}

// EndData belongs to Ended, Judged and Reported.
type EndData struct {
	From     State // in which the process was when it ended
	Result   Result
	limit    time.Duration // until its end is reported whatever is under way; 0: none
	PollData               // of Reported; before that, Since is when it ended
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

package proof

import "time"

const (
	// scanEvery is the time between two scans in an exit stop.
	scanEvery = 500 * time.Microsecond
	// ScanLimit bounds an exit stop whose siblings stay: a held thread ignores
	// even SIGKILL.
	ScanLimit = 250 * time.Millisecond
	// GiveUpAfter bounds a held thread where not even one scan comes to its end.
	GiveUpAfter = time.Second
	// sureScans in a row must see a sibling live on: a thread that took its
	// SIGKILL and has not begun its exit yet cannot be told from one that lives on.
	sureScans = 10
	// mostSteps bounds the system calls that a process is stepped through, some
	// 20 µs each. After them it runs free, and there is no proof.
	mostSteps = 2000
)

// Birth belongs to Newborn.
type Birth struct {
	Thread int
	Since  time.Time
	// Assume is KeepsRights or CouldGainRights: what is taken for true if the scan
	// does not end in time.
	Assume Event
	limit  time.Duration
}

// Timer implements [Value].
func (b *Birth) Timer() (time.Time, Event) { return b.Since.Add(b.limit), b.Assume }

// Exit belongs to ExitStop and SteppedExitStop.
type Exit struct {
	Thread   int
	Since    time.Time
	next     time.Time // of the next scan; zero: one is under way, or waits for its worker
	scans    int
	lived    int       // of them in a row that saw a sibling live on
	stepping *Stepping // of SteppedExitStop
	// giveUp and siblings are how long the thread is held where no scan ends, and where its
	// siblings stay.
	giveUp, siblings time.Duration
}

// Until is when the scan that is under way is worth nothing any more.
func (x *Exit) Until() time.Time { return x.Since.Add(x.giveUp) }

// Limits are how long the thread is held at most where its siblings stay, and where no scan ends.
func (x *Exit) Limits() (siblings, giveUp time.Duration) { return x.siblings, x.giveUp }

// Timer implements [Value].
func (x *Exit) Timer() (time.Time, Event) {
	if x.next.IsZero() {
		return x.Until(), GiveUp
	}
	return x.next, ScanDue
}

// Begin notes that a scan begins. It says whether that scan is to read the table
// whatever the siblings do: as the final one, since the time is over, or as a
// glimpse, since one sighting of a survivor more is enough to let the thread go.
func (x *Exit) Begin(now time.Time) (final, glimpse bool) {
	x.next = time.Time{}
	return now.Sub(x.Since) >= x.siblings && x.scans >= sureScans, x.lived == sureScans-1
}

// Siblings is what a scan in an exit stop saw of the other threads.
type Siblings struct {
	Alive    int  // that can still change the table
	Survivor int  // one of them that is not about to end; 0: none
	Executes bool // the survivor waits in execve for the thread that is held
}

// Saw counts a scan, and says what it means.
func (x *Exit) Saw(s Siblings, final bool) Event {
	x.scans++
	if x.lived++; s.Survivor == 0 {
		x.lived = 0
	}
	switch {
	case s.Alive == 0 || final:
		return FinalScan
	case s.Executes || x.lived >= sureScans:
		return Survivor
	}
	return SiblingsLive
}

// Schedule arms the next scan.
func (x *Exit) Schedule(now time.Time) { x.next = now.Add(scanEvery) }

// Stepping belongs to Stepped, SteppedStopped and SteppedExitStop.
type Stepping struct{ calls int }

// Timer implements [Value].
func (*Stepping) Timer() (at time.Time, e Event) { return at, e }

func (s *Stepping) call(execve bool) Event {
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

// Polling belongs to the states of a process that is not traced.
type Polling struct {
	State State
	Since time.Time
	Next  time.Time
}

// Timer implements [Value].
func (p *Polling) Timer() (time.Time, Event) { return p.Next, PollDue }

// Polled arms the next poll.
func (p *Polling) Polled(now time.Time) {
	every, age := pollEvery, now.Sub(p.Since)
	switch {
	case p.State == Reported:
		every = max(pollReported, age)
	case p.State == Released && age < pollFirst:
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

// Samples belongs to Sampling. The last sample can be older than the last fd
// that the process closed, so it is no exact proof.
type Samples struct {
	Since time.Time
	Next  time.Time // zero: a sample is under way
}

// Timer implements [Value].
func (s *Samples) Timer() (time.Time, Event) { return s.Next, SampleDue }

// Begin notes that a sample is under way.
func (s *Samples) Begin() { s.Next = time.Time{} }

// Done arms the next sample.
func (s *Samples) Done(now time.Time) {
	every := sampleEvery
	if now.Sub(s.Since) > sampleSooner {
		every = sampleLater
	}
	s.Next = now.Add(every)
}

// Ending belongs to Ended, Judged and Reported.
type Ending struct {
	From    State // in which the process was when it ended
	Result  Result
	limit   time.Duration // until its end is reported whatever is under way; 0: none
	Polling               // of Reported; before that, Since is when it ended
}

// Timer implements [Value].
func (v *Ending) Timer() (time.Time, Event) {
	switch {
	case v.State == Reported:
		return v.Polling.Timer()
	case v.limit > 0:
		return v.Since.Add(v.limit), Hurry
	}
	return time.Time{}, 0
}

// Package timeout measures the timeouts of children. A timeout counts only the time for which the
// supervisor ran.
//
// A pause is a time for which the supervisor did not run: after SIGSTOP or docker pause, while the
// machine slept, or because the machine had no time for it. In a pause the supervisor reads no
// message and reaps no process, and in most cases its children do not run either. So a pause says
// nothing about a child.
package timeout

import "time"

// Tolerance is the largest delay of a timer that does not count as a pause.
const Tolerance = 200 * time.Millisecond

// Moment is a reading of a [Clock].
type Moment struct {
	ran     time.Duration // for which the supervisor ran, since the clock was made
	paused  time.Duration // for which it was paused
	resumed time.Duration // the value of ran at the end of the last pause
}

// advance moves the moment to a time since the clock was made. expected is the time at which the
// supervisor should have run at the latest. It returns how long the supervisor was paused.
//
// The time before expected counts as time for which the supervisor ran. So a timeout comes closer
// to its end even if the machine never has time for the supervisor at once.
func (m *Moment) advance(now, expected time.Duration) (paused time.Duration) {
	last := m.ran + m.paused // the supervisor ran then
	if late := now - max(expected, last); late > Tolerance {
		paused = late
		m.paused += late
		m.resumed = now - m.paused
	}
	m.ran = now - m.paused
	return paused
}

// Timeout is a limit for something that a child must do.
//
// A pause does not count, and after a pause the timeout starts again. All pauses together extend
// the timeout by its own length at most. So a child that hangs is found after it had twice the
// timeout, even if pauses never cease.
type Timeout struct {
	start  Moment
	length time.Duration
}

// Left returns the time until the end of the timeout. It is zero or negative after the end.
func (t Timeout) Left(now Moment) time.Duration {
	end := t.start.ran + t.length
	if now.paused > t.start.paused {
		end = max(end, min(now.resumed, end)+t.length)
	}
	return end - now.ran
}

package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/procfs"
)

// identity names a process for good: pids are used again, pids with their
// start time are not.
type identity struct {
	pid   int
	start uint64
}

func key(s procfs.Stat) identity { return identity{s.Pid, s.StartTime} }

// sweep is the end of everything below us that is no run of ours.
type sweep struct {
	killAt, giveUp time.Time
	proof          event.Proof      // how closely it is looked at
	told           map[identity]int // the last step that each was sent
	kill           killing
	killing        bool
	again          time.Time     // when it kills the next time
	next           time.Time     // when it is due again; zero unless it kills
	wakes          int           // how often that came so late that we stood still
	share          time.Duration // of what was killed; at least sweepLeast
	hurried        bool          // giveUp has passed: no fd scan is waited for any more
}

// sweepAgain is how often we look for new processes once we kill: one can fork
// between our look and our signal.
const sweepAgain = 5 * time.Millisecond

// sweepLeast is the time for what was killed to end and to be reaped. The time counts from the
// first SIGKILL, and again from the moment when the supervisor runs after it was stopped, however
// long the deadline has passed by then. It is granted once more when the fd scans are given up:
// a process that we hold in its exit stop can end only then. A stop that begins its sweep by its
// deadline so ends within twice this time after it.
const sweepLeast = 100 * time.Millisecond

// sweepWoken takes its place where the end of the sweep has passed for longer than that. The
// supervisor was stopped then: nothing can hold the deadline any more, and what was killed needs
// the processors at the same time as everybody else who was woken.
const sweepWoken = time.Second

// mostWakes bounds how often a sweep gets more time because it was woken late.
const mostWakes = 3

func (l *Loop) startSweep(killAt, giveUp time.Time, proof event.Proof) {
	if l.sweep != nil { // more haste; whom we signalled we know already
		l.sweep.killAt = killAt
		l.sweep.giveUp = later(l.sweep.giveUp, giveUp)
		return
	}
	l.sweep = &sweep{killAt: killAt, giveUp: giveUp, proof: proof, told: l.sent}
	l.sweep.kill.takeOver(l.runs)
	l.sweep.grant(time.Now())
}

// grant gives what was killed its time from now on.
func (s *sweep) grant(now time.Time) {
	if now.Sub(s.giveUp) > sweepLeast {
		s.share = sweepWoken
	}
	s.giveUp = later(s.giveUp, now.Add(max(s.share, sweepLeast)))
}

// woken grants time to a sweep that kills from now on, or that comes so late that the supervisor
// must have been stopped: until now it could reap nobody.
func (s *sweep) woken(now time.Time) {
	due := s.next
	s.next = time.Time{}
	switch {
	case !s.killing && !now.Before(s.killAt):
		s.killing = true
	case !due.IsZero() && now.Sub(due) > sweepLeast/2 && s.wakes < mostWakes:
		s.wakes++
	default:
		return
	}
	s.grant(now)
}

// hurried reports whether the time for fd scans is over.
func (l *Loop) hurried() bool { return l.sweep != nil && l.sweep.hurried }

// hurry gives the fd scans up that the sweep waits for.
func (l *Loop) hurry(now time.Time) {
	l.sweep.hurried = true
	l.sweep.grant(now)
	for _, w := range l.watches {
		l.hurryWatched(w)
	}
	for _, r := range l.runs {
		l.settle(r)
	}
}

// tendSweep signals what is there. A child that we adopted gets SIGTERM once,
// and its own descendants none while it lives: it may need them for its
// clean-up. They become ours when it dies.
func (l *Loop) tendSweep(now time.Time) time.Time {
	s := l.sweep
	s.woken(now)
	if !s.hurried && !now.Before(s.giveUp) {
		l.hurry(now)
		return now // what is held in its exit stop goes first
	}
	if !l.anyChild() {
		if l.looking() && !s.hurried {
			return s.giveUp // the end of the look wakes us
		}
		l.swept(nil)
		return time.Time{}
	}
	if !now.Before(s.giveUp) {
		l.swept(l.remaining())
		return time.Time{}
	}
	if !now.Before(s.killAt) {
		if s.next = s.again; now.Before(s.again) {
			return s.again
		}
		s.again = l.killAll(&s.kill, l.remaining, func(p procfs.Stat, err error) {
			if err != nil {
				return // it is named at the end
			}
			l.report(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGKILL, Step: 2})
		})
		s.next = s.again
		return s.next
	}
	for _, pid := range procfs.Children(os.Getpid()) {
		p, err := procfs.ReadStat(pid)
		if err != nil || ended(p) || l.trials[pid] != nil || s.told[key(p)] > 0 {
			continue
		}
		s.told[key(p)] = 1
		l.lookOrphan(p, func() { l.sweepTell(p) })
	}
	return earlier(s.killAt, now.Add(net))
}

// lookOrphan looks at an orphan and all below it before it is.told to end.
func (l *Loop) lookOrphan(p procfs.Stat, tell func()) {
	if l.watches[p.Pid] != nil || l.sweep.proof != event.ProofExact {
		tell()
		return
	}
	w := l.found(&watched{pid: p.PPid}, p.Pid)
	if w == nil && l.loose.untraced[p.Pid] {
		tell() // there are too many to trace
	}
	if w == nil {
		return
	}
	l.scanFound(w, l.handedOn(), tell)
}

// sweepTell asks an orphan to end.
func (l *Loop) sweepTell(p procfs.Stat) {
	if again, err := procfs.ReadStat(p.Pid); err != nil || key(again) != key(p) {
		return // it ended while we looked; we have not reaped it, or its number could be another's
	}
	w := l.watches[p.Pid]
	if p.Stopped() || w != nil && w.machine.State.IsJobStopped() {
		_ = unix.Kill(p.Pid, unix.SIGCONT) // what it was told already it can only hear then
	}
	if at, ok := l.told[p.PGrp]; ok && p.StartTime < at {
		return // its group was signalled when it was there already, a clock tick at least: a younger one may have lost it at its exec
	}
	if unix.Kill(p.Pid, unix.SIGTERM) == nil {
		l.report(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGTERM, Step: 1})
	}
}

// deliverLast sends a run SIGKILL in place of the signals that wait for the fd scan before its
// stop: the sweep has no time for it.
func (l *Loop) deliverLast(r *run) {
	last := r.last()
	l.advance(r, phase.DeadlinePassed)
	r.stop.late = "the deadline passed before the first fd scan"
	l.deliver(r, last)
}

func (l *Loop) remaining() []procfs.Stat {
	return appendTree(nil, os.Getpid())[1:]
}

// anyChild reports whether the kernel knows of a child of ours, dead ones that
// are not reaped yet included.
func (l *Loop) anyChild() bool {
	var info siginfo
	err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOWAIT|unix.WALL)
	return !errors.Is(err, unix.ECHILD)
}

// looking reports whether the end of a process is still to be told.
func (l *Loop) looking() bool {
	for _, w := range l.watches {
		if w.scans > 0 {
			return true
		}
	}
	return false
}

func (l *Loop) swept(left []procfs.Stat) {
	l.sweep = nil
	l.report(OrphanCleanupDone{Left: left})
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

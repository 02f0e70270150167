package process

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// identity names a process for good: pids are used again, pids with their
// start time are not.
type identity struct {
	pid   int
	start uint64
}

func key(s procfs.Stat) identity { return identity{s.Pid, s.Start} }

// sweep is the end of everything below us that is no run of ours.
type sweep struct {
	killAt, giveUp time.Time
	proof          Proof            // how closely it is looked at
	told           map[identity]int // the last step that each was sent
	kill           killing
	killing        bool
}

// sweepAgain is how often we look for new processes once we kill: one can fork
// between our look and our signal.
const sweepAgain = 5 * time.Millisecond

// sweepLeast is granted to each sweep, however late it begins: after we stood
// still past our deadline, what we killed must still be reaped.
const sweepLeast = 50 * time.Millisecond

func (l *Loop) startSweep(killAt, giveUp time.Time, proof Proof) {
	if least := time.Now().Add(sweepLeast); giveUp.Before(least) {
		giveUp = least
	}
	if l.sweep != nil { // more haste; whom we signalled we know already
		l.sweep.killAt, l.sweep.giveUp = killAt, giveUp
		return
	}
	l.sweep = &sweep{killAt: killAt, giveUp: giveUp, proof: proof, told: l.sent}
}

// tendSweep signals what is there. A child that we adopted gets SIGTERM once,
// and its own descendants none while it lives: it may need them for its
// clean-up. They become ours when it dies.
func (l *Loop) tendSweep(now time.Time) time.Time {
	s := l.sweep
	if !l.anyChild() {
		if l.looking() && now.Before(s.giveUp) {
			return s.giveUp // the end of the look wakes us
		}
		l.swept(nil)
		return time.Time{}
	}
	if !now.Before(s.killAt) && !s.killing {
		s.killing = true
		if !now.Before(s.giveUp) { // we were woken too late to have killed anybody
			s.giveUp = now.Add(sweepLeast)
		}
	}
	if !now.Before(s.giveUp) {
		l.swept(l.remaining())
		return time.Time{}
	}
	if !now.Before(s.killAt) {
		l.killAll(&s.kill, l.remaining, func(p procfs.Stat) {
			l.report(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGKILL, Rung: 2})
		})
		return now.Add(sweepAgain)
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
	if l.watches[p.Pid] != nil || l.sweep.proof != Exact {
		tell()
		return
	}
	w := l.found(&watched{pid: p.PPid}, p.Pid)
	if w == nil {
		return
	}
	l.lookFound(w, l.handedOn(), tell)
}

// sweepTell asks an orphan to end.
func (l *Loop) sweepTell(p procfs.Stat) {
	if again, err := procfs.ReadStat(p.Pid); err != nil || key(again) != key(p) {
		return // it ended while we looked; we have not reaped it, or its number could be another's
	}
	w := l.watches[p.Pid]
	if p.Stopped() || w != nil && w.stands {
		_ = unix.Kill(p.Pid, unix.SIGCONT) // what it was.told already it can only hear then
	}
	if at, ok := l.told[p.PGrp]; ok && p.Start < at {
		return // its group was signalled when it was there already, a clock tick at least: a younger one may have lost it at its exec
	}
	if unix.Kill(p.Pid, unix.SIGTERM) == nil {
		l.report(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGTERM, Rung: 1})
	}
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
		if w.looks > 0 {
			return true
		}
	}
	return false
}

func (l *Loop) swept(left []procfs.Stat) {
	l.sweep = nil
	l.report(Swept{Left: left})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

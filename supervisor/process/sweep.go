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
	told, killed   map[identity]bool
}

// sweepAgain is how often we look for new processes once we kill: one can fork
// between our look and our signal.
const sweepAgain = 5 * time.Millisecond

func (l *Loop) startSweep(killAt, giveUp time.Time) {
	if l.sweep != nil { // more haste; whom we signalled we know already
		l.sweep.killAt, l.sweep.giveUp = killAt, giveUp
		return
	}
	l.sweep = &sweep{killAt: killAt, giveUp: giveUp, told: map[identity]bool{}, killed: map[identity]bool{}}
}

// tendSweep signals what is there. A child that we adopted gets SIGTERM once,
// and its own descendants none while it lives: it may need them for its
// clean-up. They become ours when it dies.
func (l *Loop) tendSweep(now time.Time) time.Time {
	s := l.sweep
	if !l.anyChild() {
		l.swept(nil)
		return time.Time{}
	}
	if !now.Before(s.giveUp) {
		l.swept(l.remaining())
		return time.Time{}
	}
	if !now.Before(s.killAt) {
		for _, p := range l.remaining() {
			l.sweepKill(p)
		}
		return now.Add(sweepAgain)
	}
	for _, pid := range procfs.Children(os.Getpid()) {
		p, err := procfs.ReadStat(pid)
		if err != nil || p.Dead() || s.told[key(p)] {
			continue
		}
		s.told[key(p)] = true
		if w := l.watches[pid]; p.Stopped() || w != nil && w.stands {
			_ = unix.Kill(pid, unix.SIGCONT) // what it was told already it can only hear then
		}
		if at, ok := l.told[p.PGrp]; ok && p.Start < at {
			continue // its group was signalled when it was there already
		}
		if unix.Kill(pid, unix.SIGTERM) == nil {
			l.opt.Deliver(OrphanSignalled{Pid: pid, Command: p.Comm, Signal: unix.SIGTERM, Rung: 1})
		}
	}
	return earlier(s.killAt, now.Add(net))
}

// sweepKill kills a descendant. Only our own children cannot have been
// recycled since the look, so the handle is taken first and the look repeated.
func (l *Loop) sweepKill(p procfs.Stat) {
	if l.sweep.killed[key(p)] {
		return
	}
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if again, err := procfs.ReadStat(p.Pid); err != nil || key(again) != key(p) {
		return
	}
	if unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) == nil {
		l.sweep.killed[key(p)] = true
		l.opt.Deliver(OrphanSignalled{Pid: p.Pid, Command: p.Comm, Signal: unix.SIGKILL, Rung: 2})
	}
}

func (l *Loop) remaining() []procfs.Stat {
	var all []procfs.Stat
	for _, pid := range procfs.Descendants(os.Getpid()) {
		if p, err := procfs.ReadStat(pid); err == nil && !p.Dead() {
			all = append(all, p)
		}
	}
	return all
}

// anyChild reports whether the kernel knows of a child of ours, dead ones that
// are not reaped yet included.
func (l *Loop) anyChild() bool {
	var info siginfo
	err := waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT|unix.WALL)
	return !errors.Is(err, unix.ECHILD)
}

func (l *Loop) swept(left []procfs.Stat) {
	l.sweep = nil
	l.opt.Deliver(Swept{Left: left})
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

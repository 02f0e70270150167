package process

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/procfs"
)

// delivery is a signal on its way to a run.
type delivery struct {
	signal unix.Signal
	rung   int
}

// beforeLimit bounds how long a signal waits for the look at the run's
// descriptors before its stop. The look takes some 60 µs, and its turn comes
// late where a thousand runs are stopped at once. After it the signal goes, and
// what the look then sees is no proof any more.
const beforeLimit = 500 * time.Millisecond

func (l *Loop) signal(r *run, d delivery, proof Proof) {
	first := r.stopAt.IsZero()
	if first {
		r.stopAt, r.proof = time.Now(), proof
		r.stopTick, _ = procfs.Uptime()
		if r.watched == nil {
			r.watched = l.watch(&watched{run: r, pid: r.pid, comm: r.name})
		}
	}
	if !first && len(r.waiting) == 0 {
		l.deliver(r, d)
		return
	}
	r.waiting = append(r.waiting, d)
	switch {
	case first && !l.hears(r, d.signal, r.stopAt):
		r.held = true
	case first || r.held: // the next rung waits for nobody
		l.unhold(r)
	}
}

func (l *Loop) tendDelivery(r *run, now time.Time) time.Time {
	if r.held {
		return time.Time{}
	}
	if len(r.waiting) > 0 && !now.Before(r.waitEnd) {
		r.late = true
		l.attach(r.watched, r.proof)
		l.deliverWaiting(r)
	}
	if len(r.waiting) == 0 {
		return time.Time{}
	}
	return r.waitEnd
}

func (l *Loop) deliverWaiting(r *run) {
	waiting := r.waiting
	r.waiting = nil
	for _, d := range waiting {
		l.deliver(r, d)
	}
}

func (l *Loop) deliver(r *run, d delivery) {
	if r.reaped {
		return // it ended while we looked
	}
	if d.signal == unix.SIGKILL {
		r.killed = true
	}
	err := l.kill(r, d.signal)
	l.opt.Deliver(Signalled{Run: r.id, Pid: r.pid, Signal: d.signal, Rung: d.rung, Err: err})
	if d.signal != unix.SIGKILL && r.stands() {
		l.awaken(r)
	}
}

// kill signals the process group that the run was given, and the run itself
// where it has left that group (setsid(2)). The run is not reaped, so neither
// number can belong to somebody else.
func (l *Loop) kill(r *run, sig unix.Signal) error {
	l.tell(r.pid)
	err := unix.Kill(-r.pid, sig)
	if group, e := unix.Getpgid(r.pid); e == nil && group != r.pid {
		return unix.Kill(r.pid, sig)
	}
	if errors.Is(err, unix.ESRCH) {
		return unix.Kill(r.pid, sig)
	}
	return err
}

// tell notes when a group was signalled first, so that the sweep does not
// signal its members again: a second SIGTERM can cut short a clean-up.
func (l *Loop) tell(group int) {
	if _, ok := l.told[group]; ok {
		return
	}
	if now, err := procfs.Uptime(); err == nil {
		l.told[group] = now
	}
}

// stands reports whether job control stopped the run. A traced one told us
// itself, see groupStop.
func (r *run) stands() bool {
	if w := r.watched; w != nil && w.anchor != 0 {
		return w.stands
	}
	s, err := procfs.ReadStat(r.pid)
	return err == nil && s.Stopped()
}

// awaken continues a run that job control stopped, once: it cannot act upon
// the signal otherwise, and its whole time would pass for nothing. (systemd
// does the same, systemd.kill(5).)
func (l *Loop) awaken(r *run) {
	if r.awoken {
		return
	}
	r.awoken = true
	err := l.kill(r, unix.SIGCONT)
	l.opt.Deliver(Signalled{Run: r.id, Pid: r.pid, Signal: unix.SIGCONT, Err: err})
}

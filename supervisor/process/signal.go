package process

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// delivery is a signal on its way to a run.
type delivery struct {
	signal unix.Signal
	rung   int
}

func (l *Loop) signal(r *run, d delivery, proof Proof) {
	first := r.stopAt.IsZero()
	if r.reaped {
		if first {
			r.stopAt, r.proof = time.Now(), proof
			l.soon(r.stopAt.Add(net))
			r.stopTick, _ = procfs.Uptime()
		}
		l.sendStep(r, d)
		return
	}
	if first {
		r.stopAt, r.proof = time.Now(), proof
		l.soon(r.stopAt.Add(net))
		l.spin.begin()
		r.stopTick, _ = procfs.Uptime()
		if r.watched == nil {
			l.watchRun(r)
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
		l.soon(r.stopAt)
	case r.turnEnd.After(time.Now()): // the next rung waits for nobody
		l.lookFirst(r)
	case first || r.held:
		l.unhold(r)
	}
}

// A stop of thousands is paced: a run gets its signal once the looks that are
// due are few again. All at once they would stand still in their exits, and
// most of the looks would come too late. Only looks count; a run that takes its
// time to end is in nobody's way.
const (
	mostDue   = 256             // looks
	turnLimit = 5 * time.Second // nobody waits longer for a turn
)

// awaitTurn has a run's signals wait for its look, and the look for its turn.
func (l *Loop) awaitTurn(r *run) {
	if len(l.turns) == 0 && !l.more && l.lookers.backlog() < mostDue {
		l.lookFirst(r)
		return
	}
	r.turnEnd = time.Now().Add(turnLimit)
	l.soon(r.turnEnd)
	l.turns = append(l.turns, r)
}

// takeTurns lets those go on whose turn it is.
func (l *Loop) takeTurns(now time.Time) {
	for len(l.turns) > 0 {
		r := l.turns[0]
		if !r.turnEnd.IsZero() && now.Before(r.turnEnd) && (l.more || l.lookers.backlog() >= mostDue) {
			return
		}
		l.turns = l.turns[1:]
		if !r.turnEnd.IsZero() && !r.reaped { // else it went before, or is gone
			l.lookFirst(r)
		}
	}
}

// lookFirst begins the look before the signals.
func (l *Loop) lookFirst(r *run) {
	r.turnEnd = time.Time{}
	r.waitEnd = time.Now().Add(proof.BeforeLimit)
	l.soon(r.waitEnd)
	l.scanBefore(r, r.proof)
}

func (l *Loop) tendDelivery(r *run, now time.Time) time.Time {
	if r.held || !r.turnEnd.IsZero() {
		return r.turnEnd
	}
	if len(r.waiting) > 0 && !now.Before(r.waitEnd) {
		r.late = fmt.Sprintf("the fd scan before the signal took more than %v", proof.BeforeLimit)
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
	if r.reaped { // it ended while it was scanned
		if d.rung > 0 {
			l.sendStep(r, d)
		}
		return
	}
	if d.signal == unix.SIGKILL {
		r.killed = true
	}
	err := l.kill(r, d)
	l.report(Signalled{Run: r.id, Pid: r.pid, Signal: d.signal, Rung: d.rung, Err: err})
	if d.rung > 0 {
		l.sendStep(r, d)
	}
	if d.rung > 0 && d.signal != unix.SIGKILL {
		if r.signalled = true; r.stands() {
			l.awaken(r)
		}
	}
}

// forward passes a signal on. A run in the background gets the terminal back
// before it goes on, and what stops a run by the terminal's wish stops us too:
// whoever sent it waits for that.
func (l *Loop) forward(r *run, came, sig unix.Signal) {
	if came == unix.SIGCONT {
		l.giveTerminal(r)
	}
	switch {
	case sig == 0: // swallowed
	case len(r.waiting) > 0: // not before what came earlier
		r.waiting = append(r.waiting, delivery{signal: sig})
	default:
		l.deliver(r, delivery{signal: sig})
	}
	if (came == unix.SIGTSTP || came == unix.SIGTTIN || came == unix.SIGTTOU) && os.Getpid() != 1 {
		_ = unix.Kill(os.Getpid(), unix.SIGSTOP)
	}
}

// Scope is whom a run's signals reach.
type Scope string

// The scopes. The zero value is ScopeGroup.
const (
	ScopeProcess Scope = "process" // the run alone
	ScopeGroup   Scope = "group"   // the process group that it was given
	ScopeTree    Scope = "tree"    // all its descendants at that moment, wherever they went
)

// kill signals a run as far as its scope reaches. The run is not reaped, so
// its number cannot belong to somebody else.
func (l *Loop) kill(r *run, d delivery) error {
	defer l.expect()
	switch r.scope {
	case ScopeProcess:
		return unix.Kill(r.pid, d.signal)
	case ScopeTree:
		return l.killTree(r, d)
	}
	if d.rung > 0 {
		l.tell(r.tree.group)
	}
	return killGroup(r.pid, r.tree.group, d.signal)
}

// killGroup signals the process group that a run was given, and the run itself
// where it has left that group (setsid(2)).
func killGroup(pid, group int, sig unix.Signal) error {
	err := unix.Kill(-group, sig)
	if now, e := unix.Getpgid(pid); e == nil && now != group {
		return unix.Kill(pid, sig)
	}
	if errors.Is(err, unix.ESRCH) {
		return unix.Kill(pid, sig)
	}
	return err
}

// killTree signals a run and its descendants, each once. They are listed first:
// those of one that dies of the signal would be found no more.
func (l *Loop) killTree(r *run, d delivery) error {
	below := appendTree(nil, r.pid)
	l.scanAdopted() // a daemon that forked twice is none of its descendants any more
	for _, a := range l.survivors(r) {
		below = appendTree(below, a.stat.Pid)
	}
	err := unix.Kill(r.pid, d.signal)
	for _, s := range below {
		if s.Pid != r.pid && killExactly(s, d.signal) == nil && d.rung > 0 {
			r.tree.sent[key(s)] = d.rung
			if d.signal == unix.SIGKILL {
				r.tree.killing.add(s)
			}
		}
	}
	return err
}

// killExactly signals a process unless its number was recycled: the handle is
// taken first and the look repeated.
func killExactly(p procfs.Stat, sig unix.Signal) error {
	fd, err := unix.PidfdOpen(p.Pid, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if again, err := procfs.ReadStat(p.Pid); err != nil || key(again) != key(p) {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
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
	if w := r.watched; w != nil && w.machine.State.Traced() {
		return w.machine.State.JobStopped()
	}
	if r.terminal { // its stops are collected, see lookAtJobs
		s, err := procfs.ReadStat(r.pid)
		return err == nil && s.Stopped()
	}
	var info siginfo
	return waitid(unix.P_PID, r.pid, &info, unix.WSTOPPED|unix.WNOWAIT) == nil && info.Pid != 0
}

// awaken continues a run that job control stopped, once: it cannot act upon
// the signal otherwise, and its whole time would pass for nothing. (systemd
// does the same, systemd.kill(5).)
func (l *Loop) awaken(r *run) {
	if r.awoken || r.stopAt.IsZero() { // before its stop it may stand as long as it likes
		return
	}
	r.awoken = true
	err := l.kill(r, delivery{signal: unix.SIGCONT})
	l.report(Signalled{Run: r.id, Pid: r.pid, Signal: unix.SIGCONT, Err: err})
}

package process

import (
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/procfs"
)

// stop is the stop of a run. The zero value is that of a run whose stop has not begun.
type stop struct {
	at    time.Time   // when the first step was asked for; zero: the stop has not begun
	tick  uint64      // the same, as procfs.Stat.Start
	proof event.Proof // that is asked for

	delivery phase.Delivery
	waiting  []delivery // the signals that wait; none unless the state of delivery says so
	late     string     // why the signals did not wait for the fd scan; empty: they did

	toldAt    time.Time // when the first step was sent
	postponed time.Time // when last is sent; zero: none is postponed
	last      delivery  // SIGKILL that came too soon after the first step

	continuation continuation
	killed       bool // the main process was sent SIGKILL
	processes    int  // below the main process when the stop began
	forked       int  // below it since then
}

// begun reports whether the stop has begun.
func (s *stop) begun() bool { return !s.at.IsZero() }

// beginStop begins the stop of a run.
func (l *Loop) beginStop(r *run, asked event.Proof) {
	s := &r.stop
	s.at, s.proof = time.Now(), asked
	l.soon(s.at.Add(net))
	s.tick, _ = procfs.Uptime()
	if r.phase.MainEnded() {
		return // the stop is that of the survivors
	}
	l.spin.begin()
	if r.watched == nil {
		l.watchRun(r)
	}
}

// stops is what the loop keeps for the stops that are under way.
type stops struct {
	queue []*run // whose fd scan before the stop waits
	spin  spin
	told  map[int]uint64   // when each process group was sent its first step, as procfs.Stat.Start
	sent  map[identity]int // steps that were sent to processes one by one, of runs that are over
}

func newStops() stops {
	return stops{told: map[int]uint64{}, sent: map[identity]int{}}
}

// tell notes when a process group was sent its first step. The orphan cleanup does not
// signal its members again: a second SIGTERM can cut short a clean-up.
func (l *Loop) tell(group int) {
	if _, ok := l.told[group]; ok {
		return
	}
	if now, err := procfs.Uptime(); err == nil {
		l.told[group] = now
	}
}

// continuation says whether the main process gets SIGCONT. A process that job control
// stopped cannot act on a signal before that, and would be sent SIGKILL when its time is
// over. (systemd does the same, systemd.kill(5).) It gets SIGCONT once: a second stop is
// taken for intended.
type continuation uint8

const (
	notSignalled      continuation = iota // it may stay stopped
	continueIfStopped                     // it was sent a step of its stop sequence
	continued                             // it was sent SIGCONT
)

// signalled notes that a step of the stop sequence was sent.
func (s *stop) signalled() {
	if s.continuation == notSignalled {
		s.continuation = continueIfStopped
	}
}

// continueDue continues a run that was sent a step, if job control stopped it. Such a
// stop takes a moment, or comes later, so continueDue is called again.
func (l *Loop) continueDue(r *run) {
	if r.stop.continuation == continueIfStopped && !r.phase.MainEnded() && r.stopped() {
		l.continueRun(r)
	}
}

// continueRun sends SIGCONT to a run whose stop has begun, unless it was sent SIGCONT
// before.
func (l *Loop) continueRun(r *run) {
	if r.stop.continuation == continued || !r.stop.begun() {
		return
	}
	r.stop.continuation = continued
	err := l.kill(r, delivery{signal: unix.SIGCONT})
	l.report(Signalled{Process: r.id, Pid: r.pid, Signal: unix.SIGCONT, Err: err})
}

// stopped reports whether job control stopped the main process. Of a traced one its
// state machine knows, see proof.GroupStop.
func (r *run) stopped() bool {
	if w := r.watched; w != nil && w.machine.State.IsTraced() {
		return w.machine.State.IsJobStopped()
	}
	if r.terminal { // its stops are collected, see lookAtJobs
		s, err := procfs.ReadStat(r.pid)
		return err == nil && s.Stopped()
	}
	var info siginfo
	return waitid(unix.P_PID, r.pid, &info, unix.WSTOPPED|unix.WNOWAIT) == nil && info.Pid != 0
}

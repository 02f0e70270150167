package process

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/event"
	"tp0/supervisor/process/phase"
	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// Bounds of what is scanned and traced in a stop. A child may have any number of descriptors and
// of descendants; to see all of them must not take the time that others need to end in.

// SetDeadline tells when the final stop that has begun has to be over. From now on each fd scan has a
// share of the time that is left; see [proof.Budget].
func (l *Loop) SetDeadline(t time.Time) {
	l.cmds.Put(func() {
		now := time.Now()
		l.budget.End = t
		for _, w := range l.watches {
			w.machine.SetBudget(l.budget, now)
		}
		for _, r := range l.runs { // those that are stopped already
			l.shortenWait(r, now)
		}
		l.soon(now)
	})
}

// shortenWait has the signals of a run that wait for the fd scan before them wait no longer than
// the final stop allows.
func (l *Loop) shortenWait(r *run, now time.Time) {
	d, limits := &r.stop.delivery, l.deliveryLimits(now)
	switch d.State {
	case phase.Queued:
		d.Until = earlier(d.Until, now.Add(limits.Queued))
	case phase.Scanning:
		until := now.Add(limits.Scanning)
		if w := r.watched; until.Before(d.Until) {
			w.limit -= d.Until.Sub(until)
			d.Until = until
			if w.before != nil {
				w.before.shorten(until)
			}
		}
	}
}

// deliveryLimits are how long the signals of a run wait for the fd scan before them.
func (l *Loop) deliveryLimits(now time.Time) phase.Limits {
	limits := phase.Limits{Queued: queueLimit, Scanning: l.budget.SignalDelay(now)}
	if !l.budget.End.IsZero() {
		limits.Queued = min(queueLimit, max(l.budget.End.Sub(now)/2, limits.Scanning))
	}
	return limits
}

// inFirstMoment reports whether SIGKILL to a run is to wait, since the run was told to end just
// now: in the final stop, or where the first step itself had to wait.
func (l *Loop) inFirstMoment(r *run, now time.Time) bool {
	s := &r.stop
	return !s.toldAt.IsZero() && now.Sub(s.toldAt) < firstMoment && l.momentLeft(now) &&
		(s.late != "" || !l.budget.End.IsZero())
}

// spared reports whether a process is, or is in the process group of, a main process that was
// told to end just now.
func (l *Loop) spared(p procfs.Stat) bool {
	r := l.pids[p.Pid]
	if r == nil {
		r = l.trees.byGroup[p.PGrp]
	}
	return r != nil && !r.phase.MainEnded() && l.inFirstMoment(r, time.Now())
}

func (l *Loop) momentLeft(now time.Time) bool {
	return l.budget.End.IsZero() || l.budget.End.Sub(now) > 2*firstMoment
}

// killInSweep ends a run that is still there when the sweep kills. One that was never told to end
// is told first, where there is time for that.
func (l *Loop) killInSweep(r *run) {
	waiting := r.stop.waiting
	switch {
	case r.stop.toldAt.IsZero() && l.momentLeft(time.Now()) &&
		(len(waiting) == 0 || waiting[0].signal != unix.SIGKILL):
		l.deliverFirst(r)
	case r.stop.delivery.State.Waits():
		l.deliverLast(r)
	default:
		l.deliver(r, delivery{signal: unix.SIGKILL})
	}
}

// deliverFirst sends a run the first step of its stop, and has SIGKILL wait for a moment.
func (l *Loop) deliverFirst(r *run) {
	first, last := delivery{signal: unix.SIGTERM, rung: 1}, r.last()
	if len(r.stop.waiting) > 0 {
		first = r.stop.waiting[0]
	}
	if !r.stop.begun() { // the fleet sent none
		l.beginStop(r, event.ProofNone)
		l.advance(r, phase.NoScan)
	}
	l.advance(r, phase.DeadlinePassed)
	r.stop.late = "the deadline passed before the first fd scan"
	l.deliver(r, first)
	l.deliver(r, last)
}

// last is the SIGKILL that waits for the fd scan before the stop of a run, or one without a step.
func (r *run) last() delivery {
	last := delivery{signal: unix.SIGKILL}
	for _, d := range r.stop.waiting {
		if d.signal == unix.SIGKILL {
			last = d
		}
	}
	return last
}

// halt ends an fd scan that is worth nothing any more, so that it keeps no processor busy.
type halt struct {
	until atomic.Int64 // Unix time in nanoseconds; 0: without limit
	spare int          // descriptors of each table that are read in any case
}

// spareFDs is what a scan before a signal still reads of each table after its time: an ordinary
// table, which takes some milliseconds. What is known late is worth less, but not nothing.
const spareFDs = 256

func newHalt(until time.Time, spare int) *halt {
	h := &halt{spare: spare}
	h.until.Store(until.UnixNano())
	return h
}

// now has the scan end at once.
func (h *halt) now() {
	if h != nil {
		h.until.Store(1)
	}
}

func (h *halt) shorten(until time.Time) {
	h.until.Store(min(h.until.Load(), until.UnixNano()))
}

// over reports whether a scan is to end that has read so many descriptors of a table.
func (h *halt) over(read int) bool {
	return h != nil && read >= h.spare && h.late()
}

// late reports whether the time of a scan is over.
func (h *halt) late() bool {
	if h == nil {
		return false
	}
	until := h.until.Load()
	return until != 0 && time.Now().UnixNano() >= until
}

// yieldEvery is the number of descriptors after which the scan of a large table lets those go
// first that wait for their turn: some two milliseconds.
const yieldEvery = 256

// paced is what the scan of a table asks from time to time. It lets other scans go first, and
// reports whether this one is to end.
func (l *Loop) paced(h *halt) func(read int) bool {
	return func(read int) bool {
		if read%yieldEvery == 0 && unix.Gettid() != l.tid {
			l.lookers.aside(func() {})
		}
		return h.over(read)
	}
}

// The number of descendants of one child that are traced at a time. To scan one, to trace it and
// to see its end takes up to a millisecond on a busy machine, so of the time that the final stop
// has left it may be a sixteenth.
const (
	leastTraced = 64
	mostTraced  = 1024
	tracedShare = 16 * time.Millisecond // of the time left, for each of them
)

func (l *Loop) mostTraced() int {
	if l.budget.End.IsZero() {
		return mostTraced
	}
	return max(leastTraced, min(mostTraced, int(time.Until(l.budget.End)/tracedShare)))
}

// extent is how many processes of a tree, without its main process, are traced, and which ones
// are not since they are too many.
type extent struct {
	traced   int
	untraced map[int]bool // by pid
}

// leave notes processes that are not traced.
func (x *extent) leave(pids ...int) {
	if x.untraced == nil && len(pids) > 0 {
		x.untraced = map[int]bool{}
	}
	for _, pid := range pids {
		x.untraced[pid] = true
	}
}

// extentOf is that of a run, or of all orphans that are in no tree.
func (l *Loop) extentOf(r *run) *extent {
	if r == nil || r.watched == nil {
		return &l.loose
	}
	return &r.watched.extent
}

// admit reports whether one more process of a tree may be traced.
func (l *Loop) admit(r *run, pid int) bool {
	x := l.extentOf(r)
	if x.traced > 0 && x.traced >= l.mostTraced() {
		x.leave(pid)
		return false
	}
	return true
}

// count counts a process as one of its tree while it is traced.
func (l *Loop) count(w *watched) {
	if counts := !w.own() && w.machine.State < proof.Ended; counts != w.counted {
		w.counted = counts
		if counts {
			l.extentOf(w.run).traced++
		} else {
			l.extentOf(w.run).traced--
		}
	}
}

// seizeAtOnce is the number of processes that the loop begins to trace before it does something
// else that it was asked for: some two milliseconds.
const seizeAtOnce = 32

// mostThreadsTraced is the number of threads up to which a process is traced. The loop traces all
// threads of a process at once: 2,000 take some ten milliseconds.
const mostThreadsTraced = 2048

// firstMoment is the time between the first step of a stop and SIGKILL where both are due at once
// since the first one had to wait: whoever was not told yet can still end well in it.
const firstMoment = 15 * time.Millisecond

// table reads a table of descriptors; torn ones are read again, a few times:
// only a process that opens and closes all the time tears each.
func (l *Loop) table(pid, tid int, h *halt) (fds []procfs.FD, err error) {
	over := l.paced(h)
	err = readAs(pid, func() (err error) {
		for range 3 {
			if fds, err = procfs.ReadFDsUntil(pid, tid, over); err != procfs.ErrTableChanged {
				return err
			}
		}
		return nil
	})
	return fds, err
}

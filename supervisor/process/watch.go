package process

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/ledger"
	"tp0/supervisor/procfs"
)

// watched is a process that we look at while it is stopped: a run's own, one
// below it, or an orphan. The loop's thread owns it.
type watched struct {
	run     *run // whose tree it is in; nil: nobody's that we know
	pid     int
	parent  int
	comm    string // its name, when it was seen last
	since   time.Time
	inStop  bool      // it was forked after the stop began
	apart   bool      // it is stepped, and not traced as it executes a program; see apart.go
	steps   int       // so far
	freed   time.Time // when it was let go of for that
	threads int       // that it had when it was seen first

	attached     bool // we tried to trace it
	threadsAtEnd int  // when its exit was seen; 0: it was not
	nextApart    time.Time
	look         Look
	seen         bool        // look.After is what it held when it exited
	glimpse      []procfs.FD // what it held when a thread exited that was not the last
	traced       []int       // threads
	anchor       int         // the one whose exit we look at; 0: none
	exiting      []int       // threads that we let go in their exit: they touch no descriptor any more
	stands       bool        // job control stopped it while we traced it
	hold         *hold
	status       *unix.WaitStatus // of the thread that exited last
	execed       bool             // it runs another program than when the stop began
	cpu          time.Duration    // that it had used when its stop began
	sample       sampling
	asked        bool // who else holds what it left
	looks        int  // under way
	over         bool
	leaving      bool      // it is not looked at any more; its threads are let go of as they stop
	told         time.Time // when we told of its end; it is kept until it is reaped, so as not to be found anew
}

// own reports whether w is the process that its run is.
func (w *watched) own() bool { return w.run != nil && w.run.pid == w.pid }

// watch begins to watch a process.
func (l *Loop) watch(w *watched) *watched {
	w.look.Proof = None
	w.since = time.Now()
	l.watches[w.pid] = w
	if !w.own() {
		l.soon(w.since)
	}
	return w
}

// traces notes that we trace a thread.
func (l *Loop) traces(w *watched, tid int) {
	l.tids[tid] = w
	delete(l.unborn, tid)
	w.traced = append(w.traced, tid)
	w.exiting = slices.DeleteFunc(w.exiting, func(t int) bool { return t == tid }) // the number is used again
	if w.anchor == 0 {
		w.anchor = tid
	}
}

// lost notes that we do not trace a thread any more.
func (l *Loop) lost(tid int) {
	w := l.tids[tid]
	if w == nil {
		return
	}
	delete(l.tids, tid)
	w.traced = slices.DeleteFunc(w.traced, func(t int) bool { return t == tid })
	if w.anchor == tid {
		w.anchor = 0
	}
	if w.leaving && len(w.traced) == 0 && l.watches[w.pid] == w {
		delete(l.watches, w.pid)
	}
	if !w.own() {
		l.soon(time.Now())
	}
}

// leaveAfter is how long what is below a run is looked at after the run has
// ended. What lives on then lives on for good, and is not traced for it; the
// sweep comes back to it.
var leaveAfter = 10 * time.Second // a test has no such time

// tendLeft lets go of what outlived its run.
func (l *Loop) tendLeft(w *watched, now time.Time) time.Time {
	if w.own() || w.run == nil || !w.run.over() || w.leaving || w.over || l.sweep != nil {
		return time.Time{}
	}
	if at := w.run.exited.At.Add(leaveAfter); now.Before(at) {
		return at
	}
	w.leaving = true
	if len(w.traced) == 0 {
		delete(l.watches, w.pid)
	}
	for _, tid := range w.traced {
		_ = ptrace(unix.PTRACE_INTERRUPT, tid, 0, 0)
	}
	return time.Time{}
}

// ended tells of the end of a process below a run, or of an orphan, once no
// look at it is under way. Threads of it that we still trace tell us of their
// own ends.
func (l *Loop) ended(w *watched) {
	w.over = true
	if !w.told.IsZero() || !l.hurried() && (w.looks > 0 || l.askHolders(w)) {
		return
	}
	w.told = time.Now()
	l.soon(w.told)
	e := Ended{
		Pid: w.pid, Parent: w.parent, Command: w.comm, InStop: w.inStop, Threads: w.threads,
		Lifetime: time.Since(w.since), Look: w.judged(),
	}
	if w.run != nil {
		e.Child = w.run.name
	}
	if w.status != nil {
		e.Exit, e.Seen = exitOf(*w.status), true
	}
	l.report(e)
}

// member is a process of a tree as a look saw it.
type member struct {
	stat    procfs.Stat
	threads []int
	runtime ledger.Runtime
	fds     []procfs.FD
	from    []procfs.FD // those of fds that it has from its parent
	err     error       // of the look at fds
}

// members looks at a process and at all below it, parents first. It is called
// beside the loop.
func (l *Loop) members(pid int) (all []member) {
	pids, since := []int{pid}, time.Now()
	for i := 0; i < len(pids); i++ {
		m := member{stat: procfs.Stat{Pid: pids[i]}, threads: procfs.Threads(pids[i])}
		if i > 0 || len(m.threads) != 1 { // of the first nothing else is asked, and its table is empty if it is dead
			var err error
			if m.stat, err = procfs.ReadStat(pids[i]); err != nil || m.stat.Dead() && len(m.threads) < 2 {
				continue
			}
		}
		l.awaitExecve(pids[i], m.threads, since)
		m.runtime = l.runtime(pids[i])
		m.fds, m.err = l.table(pids[i], m.alive())
		l.resolve(pids[i], m.fds, fresh())
		for _, parent := range all {
			if parent.stat.Pid == m.stat.PPid {
				m.from = inherited(parent, m)
			}
		}
		all = append(all, m)
		for _, t := range m.threads {
			pids = append(pids, procfs.ThreadChildren(pids[i], t)...)
		}
	}
	return all
}

// inherited says what a process has open that it took over from its parent when
// it was forked: the same open file at the same number. Where the kernel does
// not tell that, one with the same name is taken for the same; but epolls,
// timers and their like all have one name, and count as its own.
func inherited(parent, m member) (same []procfs.FD) {
	numbers := map[int]procfs.FD{}
	for _, f := range parent.fds {
		numbers[f.Num] = f
	}
	for _, f := range m.fds {
		if g, ok := numbers[f.Num]; ok && f.Same(g) && !f.Std() {
			shared, err := procfs.SameFile(parent.stat.Pid, m.stat.Pid, f)
			if err == nil && shared || err != nil && !f.Anonymous() {
				same = append(same, f)
			}
		}
	}
	return same
}

// alive is a thread whose table is that of the process: the table of a main
// thread that has ended is empty.
func (m member) alive() int {
	if m.stat.Dead() && len(m.threads) > 1 {
		return m.threads[1]
	}
	return m.stat.Pid
}

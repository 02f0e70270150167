package process

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

// yieldEvery is the number of descriptors after which the scan of a large table lets those go
// first that wait for their turn: some two milliseconds.
const yieldEvery = 256

// scanPacer is what the scan of a table asks from time to time. It lets other scans go first, and
// reports whether this one is to end.
func (l *Loop) scanPacer(limit *scanLimit) func(read int) bool {
	return func(read int) bool {
		if read%yieldEvery == 0 && unix.Gettid() != l.tid {
			l.workers.waitOutside(func() {})
		}
		return limit.exceeded(read)
	}
}

// readFDs reads a table of descriptors; torn ones are read again, a few times:
// only a process that opens and closes all the time tears each.
func (l *Loop) readFDs(pid, tid int, limit *scanLimit) (fds []procfs.FD, err error) {
	over := l.scanPacer(limit)
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

// resolve names the sockets among the fds of a process, as they were at since
// or later. Those of another network namespace than ours are looked for
// there, last. After the time of h it stops where it is.
func (l *Loop) resolve(pid int, fds []procfs.FD, since time.Time, limit *scanLimit) {
	unknown := func() bool {
		return slices.ContainsFunc(fds, func(f procfs.FD) bool {
			return f.Kind == "socket" && !f.IsStandard() && !f.Resolved()
		})
	}
	for _, since := range []time.Time{since, time.Now()} {
		if !unknown() {
			return
		}
		for part := range l.sockets {
			if limit.exceeded(len(fds)) {
				return
			}
			if !procfs.NeedsSocketPart(pid, fds, part) {
				continue
			}
			var known map[uint64]sockdiag.Socket
			l.workers.waitOutside(func() { known = l.sockets.listedSince(part, since) })
			procfs.Resolve(fds, known)
		}
	}
	if unknown() {
		if foreign, err := sockdiag.ListForeign(pid); err == nil {
			procfs.Resolve(fds, foreign)
		}
	}
	if unknown() {
		procfs.ResolveUnlisted(pid, fds, limit.exceeded)
	}
}

// runtimeOf says what the program of a process is built on.
func (l *Loop) runtimeOf(pid int) (r fdledger.Runtime) {
	_ = readAs(pid, func() (err error) {
		r, err = l.runtimes.Of(pid)
		return err
	})
	return r
}

// inheritedFDs lists what children inherit from whoever started us, beyond the
// standard streams.
func (l *Loop) inheritedFDs() []procfs.FD {
	if !l.opt.Inherit || l.inherited != nil {
		return l.inherited
	}
	l.inherited = []procfs.FD{}
	if own, err := spawn.NotCloseOnExec(); err == nil { // else they count as the children's
		l.inherited = own
	}
	return l.inherited
}

// scannedProcess is a process of a tree as an fd scan saw it.
type scannedProcess struct {
	stat      procfs.Stat
	threads   []int
	runtime   fdledger.Runtime
	fds       []procfs.FD
	inherited []procfs.FD // those of fds that it has from its parent
	err       error       // of the scan of fds
}

// scanTree scans a process and all below it, parents first, but no more than most below it, nor
// any after the time of h. rest are those that it knows of and has not scanned. It is called
// beside the loop.
func (l *Loop) scanTree(pid, most int, limit *scanLimit) (all []scannedProcess, rest []int) {
	pids, since := []int{pid}, time.Now()
	for i := 0; i < len(pids); i++ {
		if i > 0 && (len(all) > most || limit.expired()) {
			return all, pids[i:]
		}
		m := scannedProcess{stat: procfs.Stat{Pid: pids[i]}, threads: procfs.Threads(pids[i])}
		var err error
		// Of the first nothing else is asked, and its table is empty if it is dead.
		if i > 0 || len(m.threads) != 1 {
			if m.stat, err = procfs.ReadStat(pids[i]); err != nil || m.stat.Dead() && len(m.threads) < 2 {
				continue
			}
		}
		l.awaitExecve(pids[i], m.threads, since)
		m.runtime = l.runtimeOf(pids[i])
		m.fds, m.err = l.readFDs(pids[i], m.liveThread(), limit)
		l.resolve(pids[i], m.fds, recently(), limit)
		for _, parent := range all {
			if parent.stat.Pid == m.stat.PPid {
				if m.inherited, err = inheritedFrom(parent, m, limit); err != nil && m.err == nil {
					m.err = err
				}
			}
		}
		all = append(all, m)
		if len(pids) > most+i {
			continue // there are enough
		}
		for _, t := range m.threads {
			pids = append(pids, procfs.ThreadChildren(pids[i], t)...)
		}
	}
	return all, nil
}

// inheritedFrom says what a process has open that it took over from its parent when
// it was forked: the same open file at the same number. Where the kernel does
// not tell that, one with the same name is taken for the same; but epolls,
// timers and their like all have one name, and count as its own.
func inheritedFrom(parent, m scannedProcess, limit *scanLimit) (same []procfs.FD, err error) {
	numbers := map[int]procfs.FD{}
	for _, f := range parent.fds {
		numbers[f.Num] = f
	}
	for i, f := range m.fds {
		if i%minScannedFDs == 0 && limit.exceeded(i) {
			return nil, procfs.ErrScanAborted
		}
		if g, ok := numbers[f.Num]; ok && f.Same(g) && !f.IsStandard() {
			shared, err := procfs.SameFile(parent.stat.Pid, m.stat.Pid, f)
			if err == nil && shared || err != nil && !f.Anonymous() {
				same = append(same, f)
			}
		}
	}
	return same, nil
}

// liveThread is a thread whose table is that of the process: the table of a main
// thread that has ended is empty.
func (m scannedProcess) liveThread() int {
	if m.stat.Dead() && len(m.threads) > 1 {
		return m.threads[1]
	}
	return m.stat.Pid
}

// PTRACE_SEIZE waits while a thread of the process is in execve(2), and that can
// take for ever: another tracer need not let a sibling go, and a file system
// need not answer. The loop must not wait. So a look, which is beside the loop,
// waits for such a thread for a moment, and notes a process whose execve does
// not end. The loop does not trace that one. A thread that enters execve between
// the check and the SEIZE is left to the last guard.

const (
	execveLimit = 50 * time.Millisecond // for all processes of a look
	execvePoll  = time.Millisecond
)

var errInExecve = errors.New("a thread of it is in execve, which does not end")

// awaitExecve waits, for a bounded time, until no thread of a process is in
// execve. On the loop's thread it does not wait.
func (l *Loop) awaitExecve(pid int, threads []int, since time.Time) {
	for anyInExecve(pid, threads) {
		if unix.Gettid() == l.tid || time.Since(since) >= execveLimit {
			l.inExecve.Store(pid, true)
			return
		}
		l.workers.waitOutside(func() { time.Sleep(execvePoll) })
	}
}

// seizeMayBlock reports whether a SEIZE of a process might wait. For most of them that
// is one read of a file.
func (l *Loop) seizeMayBlock(pid int) bool {
	if procfs.InExecve(pid, pid) {
		return true
	}
	if _, noted := l.inExecve.Load(pid); !noted {
		return false
	}
	if anyInExecve(pid, procfs.Threads(pid)) {
		return true
	}
	l.inExecve.Delete(pid)
	return false
}

func anyInExecve(pid int, threads []int) bool {
	for _, tid := range threads {
		if procfs.InExecve(pid, tid) {
			return true
		}
	}
	return false
}

// scanNewProgram has a look at a program that is new to us: what it is built on takes long
// to find out and is remembered, and so is how long the sockets take.
func (l *Loop) scanNewProgram(program string, pid int) {
	if l.scannedPrograms[program] {
		return
	}
	l.scannedPrograms[program] = true
	l.workers.submit(func() { l.scanTree(pid, minTraced, nil) })
}

func (l *Loop) canScanInline(o *observed) bool {
	return o.isMain() && len(l.processes) <= maxInlineProcesses && l.sockets.isFast() && procfs.HasFewFDs(o.pid, maxInlineFDs) &&
		!procfs.InExecve(o.pid, o.pid) && l.workers.tryEnterSlot()
}

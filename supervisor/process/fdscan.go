package process

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/process/spawn"
	"tp0/supervisor/procfs"
	"tp0/supervisor/sockdiag"
)

// yieldEvery is the number of descriptors after which a scan lets waiting scans run. Reading
// them takes some 2 ms.
const yieldEvery = 256

// scanPacer returns the function that a scan calls between descriptors. The function lets other
// scans run, and reports whether this scan is to end.
func (l *Loop) scanPacer(limit *scanLimit) func(read int) bool {
	return func(read int) bool {
		if read%yieldEvery == 0 && unix.Gettid() != l.tid {
			l.workers.waitOutside(func() {})
		}
		return limit.exceeded(read)
	}
}

// readFDs reads the descriptors of a process. A table that changed meanwhile is read again,
// three times at most: only a process that opens and closes all the time changes each. A table
// that is too large for the limit is not read.
func (l *Loop) readFDs(pid, tid int, limit *scanLimit) (fds []procfs.FD, err error) {
	end, err := l.large.start(procfs.CountFDs(pid, tid), limit)
	if err != nil {
		return nil, err
	}
	defer end()
	over := l.scanPacer(limit)
	err = procfs.ReadAs(pid, func() (err error) {
		for range 3 {
			if fds, err = procfs.ReadFDsUntil(pid, tid, over); err != procfs.ErrTableChanged {
				return err
			}
		}
		return nil
	})
	return fds, err
}

// resolve names the sockets among the descriptors of a process, as they were at since or later.
// Sockets of another network namespace come last. After the deadline of limit it stops.
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

// runtimeOf returns the language runtime of the program of a process.
func (l *Loop) runtimeOf(pid int) (r fdledger.Runtime) {
	_ = procfs.ReadAs(pid, func() (err error) {
		r, err = l.runtimes.Of(pid)
		return err
	})
	return r
}

// inheritedFDs lists the descriptors, beyond the standard streams, that children inherit from
// the process that started the supervisor.
func (l *Loop) inheritedFDs() []procfs.FD {
	if !l.opt.Inherit || l.inherited != nil {
		return l.inherited
	}
	l.inherited = []procfs.FD{}
	// After an error the descriptors count as opened by the children.
	if own, err := spawn.NotCloseOnExec(); err == nil {
		l.inherited = own
	}
	return l.inherited
}

// scannedProcess is a process of a tree as an fd scan found it.
type scannedProcess struct {
	stat      procfs.Stat
	threads   []int
	runtime   fdledger.Runtime
	fds       []procfs.FD
	inherited []procfs.FD // those of fds that it inherited from its parent
	err       error       // of the scan of fds
}

// scanTree scans a process and its descendants, parents first. It scans most descendants at
// most, and none after the deadline of limit. It also returns the pids that it found but did
// not scan. Call it on a worker.
func (l *Loop) scanTree(pid, most int, limit *scanLimit) (all []scannedProcess, rest []int) {
	pids, since := []int{pid}, time.Now()
	for i := 0; i < len(pids); i++ {
		if i > 0 && (len(all) > most || limit.expired()) {
			return all, pids[i:]
		}
		m := scannedProcess{stat: procfs.Stat{Pid: pids[i]}, threads: procfs.Threads(pids[i])}
		var err error
		// The stat of the first process is not needed. If it is dead it has no descriptors.
		if i > 0 || len(m.threads) != 1 {
			if m.stat, err = procfs.ReadStat(pids[i]); err != nil ||
				m.stat.Dead() && len(m.threads) < 2 {
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
			continue // enough are found
		}
		for _, t := range m.threads {
			pids = append(pids, procfs.ThreadChildren(pids[i], t)...)
		}
	}
	return all, nil
}

// inheritedFrom returns the descriptors of a process that it inherited from its parent at the
// fork: the same open file at the same number. Where the kernel does not tell whether a file is
// the same, equal names count. But epolls, timers and other anonymous files have equal names,
// and count as opened by the process.
func inheritedFrom(parent, m scannedProcess, limit *scanLimit) (same []procfs.FD, err error) {
	if errors.As(parent.err, &tooManyFDsError{}) {
		return nil, fmt.Errorf("what it inherited is unknown: its parent: %w", parent.err)
	}
	for i, f := range m.fds {
		if i%minScannedFDs == 0 && limit.exceeded(i) {
			return nil, procfs.ErrScanAborted
		}
		at, ok := procfs.SearchFD(parent.fds, f.Num)
		if ok && f.Same(parent.fds[at]) && !f.IsStandard() {
			shared, err := procfs.SameFile(parent.stat.Pid, m.stat.Pid, f)
			if err == nil && shared || err != nil && !f.Anonymous() {
				same = append(same, f)
			}
		}
	}
	return same, nil
}

// liveThread returns a thread with the descriptors of the process: those of a dead main thread
// are gone.
func (m scannedProcess) liveThread() int {
	if m.stat.Dead() && len(m.threads) > 1 {
		return m.threads[1]
	}
	return m.stat.Pid
}

// PTRACE_SEIZE waits while a thread of the process is in execve(2), which may never return:
// another tracer may keep a sibling stopped, or a file system may not answer. The loop must not
// wait. So an fd scan, which runs on a worker, waits a short time for such a thread. It records a
// process whose execve does not end, and the loop does not trace that one. If a thread enters
// execve between the check and PTRACE_SEIZE, the loop may wait without a limit. Package guard then
// ends the stop at its deadline.
const (
	execveLimit = 50 * time.Millisecond // for all processes of a scan
	execvePoll  = time.Millisecond
)

var errInExecve = errors.New("a thread of it is in an execve that does not end")

// awaitExecve waits until no thread of a process is in execve, for execveLimit at most. On the
// loop's thread it does not wait.
func (l *Loop) awaitExecve(pid int, threads []int, since time.Time) {
	for anyInExecve(pid, threads) {
		if unix.Gettid() == l.tid || time.Since(since) >= execveLimit {
			l.inExecve.Store(pid, true)
			return
		}
		l.workers.waitOutside(func() { time.Sleep(execvePoll) })
	}
}

// seizeMayBlock reports whether PTRACE_SEIZE of a process could wait. For most processes that
// takes one read of a file.
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

// scanNewProgram scans the first process of a program. That fills the cache with the runtime of
// the program, which takes long to determine.
func (l *Loop) scanNewProgram(program string, pid int) {
	if l.scannedPrograms[program] {
		return
	}
	l.scannedPrograms[program] = true
	l.workers.submit(func() { l.scanTree(pid, minTraced, nil) })
}

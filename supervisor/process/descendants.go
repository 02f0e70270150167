package process

import (
	"errors"
	"fmt"
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// observeDescendant starts to observe a process below another one. It returns nil if it cannot.
func (l *Loop) observeDescendant(parent *observed, pid int) *observed {
	s, err := procfs.ReadStat(pid)
	if err != nil || l.observations[pid] != nil || l.byPid[pid] != nil ||
		s.Dead() && procfs.IsGone(pid) {
		return nil
	}
	if !l.mayTrace(parent.owner, pid) {
		return nil
	}
	o := l.observe(&observed{owner: parent.owner, pid: pid, parentPid: parent.pid, comm: s.Comm})
	o.forkedInStop = parent.owner != nil && s.StartTime > parent.owner.stop.requestedTick
	l.handleEvent(o, proof.Attach, stopCause{})
	if o.inState(proof.Forgotten) {
		l.forkParents[pid] = parent
		return nil
	}
	return o
}

// observeAdopted starts to observe a process whose parent has ended. Its parent is the supervisor
// now, which is not observed, so a value that is in no list names the owner and the pid. It returns
// nil if it cannot.
func (l *Loop) observeAdopted(owner *childProcess, s procfs.Stat) *observed {
	return l.observeDescendant(&observed{owner: owner, pid: s.PPid}, s.Pid)
}

// observeForked starts to observe a process that was just forked, and is stopped before its
// first instruction. All its descriptors are inherited.
func (l *Loop) observeForked(h *traceHelper, pid int, parent *observed) *observed {
	o := &observed{pid: pid, forkedInStop: true, threads: 1}
	if parent != nil {
		o.owner, o.parentPid, o.comm = parent.owner, parent.pid, parent.comm
	}
	o.helper = h
	l.observe(o)
	if o.owner != nil {
		o.owner.stop.forked++
	}
	l.addTracee(o, pid)
	l.handleEvent(o, proof.Forked, stopCause{tid: pid})
	return o
}

// recordFirstScan records the first scan of a process. An error of the scan of a main process
// is not recorded: a descriptor that vanished during that scan was closed before the signal. But
// without a scan the proof is not exact.
func (o *observed) recordFirstScan(m scannedProcess) {
	o.threads = len(m.threads)
	e := &o.evidence
	e.Before, e.Runtime = m.fds, m.runtime
	o.sockets.add(m.fds)
	if o.isMain() {
		if errors.As(m.err, &tooManyFDsError{}) {
			e.ScanLate = m.err.Error()
		}
		return
	}
	e.Inherited = m.inherited
	if m.err != nil {
		e.Err = m.err
	}
}

// seizeBatch is the number of processes that the loop traces before it runs other commands. It
// takes some 2 ms.
const seizeBatch = 32

// observeTree starts to observe the descendants that a scan found below a process, and then
// calls then. It does so in batches, with other commands in between. It ends early when the
// signal that waits for it is sent without it.
func (l *Loop) observeTree(o *observed, tree []scannedProcess, then func()) {
	n := min(len(tree), seizeBatch)
	for _, m := range tree[:n] {
		parent := l.observations[m.stat.PPid]
		if parent == nil {
			continue // its parent ended meanwhile, and it is an orphan
		}
		if o := l.observeDescendant(parent, m.stat.Pid); o != nil {
			o.recordFirstScan(m)
		}
	}
	if tree = tree[n:]; len(tree) == 0 {
		then()
		return
	}
	o.running++
	l.commands.Put(func() {
		o.running--
		if o.isMain() && o.owner.stop.scanSkipped != "" {
			for _, m := range tree {
				o.traceSet.addUntraced(m.stat.Pid)
			}
			tree = nil
		}
		l.observeTree(o, tree, then)
		l.finish(o)
	})
}

// observeNewChildren starts to observe what a process forked between its scan and its first
// ptrace stop. A process with one thread and no descendants is assumed not to fork at that
// moment.
func (l *Loop) observeNewChildren(o *observed) {
	if len(o.traced) < 2 && o.owner.stop.processes == 0 {
		return
	}
	for _, pid := range procfs.Children(o.pid) {
		if child := l.observeDescendant(o, pid); child != nil {
			if reason := o.evidence.ScanLate; reason != "" {
				child.evidence.Err = fmt.Errorf("what it inherited is unknown: its parent: %s",
					reason)
			}
			l.scanDescendant(child, o.evidence.Before, func() {})
		}
	}
}

// scanDescendant scans a newly observed process and its descendants, and then calls then.
// parentFDs are the descriptors of its parent. then does not wait longer than a signal waits
// for a scan.
func (l *Loop) scanDescendant(o *observed, parentFDs []procfs.FD, then func()) {
	now, most := time.Now(), l.maxTracedNow()
	until := now.Add(l.budget.SignalDelay(now))
	limit := newScanLimit(until, minScannedFDs)
	o.afterScan, o.afterScanDue = then, until
	l.schedule(until)
	o.firstScans++
	l.scan(o, func() func() {
		tree, rest := l.scanTree(o.pid, most, limit)
		if len(tree) > 0 {
			var err error
			parent := scannedProcess{stat: procfs.Stat{Pid: o.parentPid}, fds: parentFDs}
			if tree[0].inherited, err = inheritedFrom(parent, tree[0], limit); err != nil {
				tree[0].err = err
			}
		}
		return func() {
			o.firstScans--
			l.traceSetOf(o.owner).addUntraced(rest...)
			if len(tree) == 0 || tree[0].stat.Pid != o.pid {
				o.runAfterScan()
				return
			}
			o.recordFirstScan(tree[0])
			l.observeTree(o, tree[1:], func() { l.afterSeizes(o.runAfterScan) })
		}
	})
}

// scanInherited scans the descriptors of a forked process before its first instruction, and
// reads its privileges. After a late scan the process may have continued; what the scan says
// about its privileges is still true.
func (l *Loop) scanInherited(o *observed) {
	now := time.Now()
	limit := newScanLimit(now.Add(l.budget.ScanTime(now)), minScannedFDs)
	o.firstScans++
	l.scan(o, func() func() {
		fds, err := l.readFDs(o.pid, o.pid, limit)
		l.resolve(o.pid, fds, recently(), limit)
		s, _ := procfs.ReadStatus(o.pid)
		return func() {
			o.firstScans--
			e := &o.evidence
			e.Before, e.Inherited, e.Executed = fds, fds, true // its program is unknown yet
			o.sockets.add(fds)
			if err != nil {
				e.Err = err
			}
			rights := proof.CouldGainPrivileges
			if l.keepsPrivileges(s) {
				rights = proof.KeepsPrivileges
			}
			l.handleEvent(o, rights, stopCause{tid: o.machine.Thread()})
		}
	})
}

// keepsPrivileges reports whether a process executes programs with the same privileges whether
// it is traced or not: because the supervisor is privileged, because the process gains none
// (no_new_privs), or because it has all of them. See cap_bprm_creds_from_file in
// security/commoncap.c.
func (l *Loop) keepsPrivileges(s procfs.Status) bool {
	const setids = 1<<6 | 1<<7 // CAP_SETGID, CAP_SETUID
	return l.privileged || s.NoNewPriv ||
		s.Effective&setids == setids && s.Bounding&^s.Permitted == 0
}

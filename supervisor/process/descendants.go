package process

import (
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// observeDescendant begins to watch a process below another.
func (l *Loop) observeDescendant(parent *observed, pid int) *observed {
	s, err := procfs.ReadStat(pid)
	if err != nil || l.observed[pid] != nil || l.byPid[pid] != nil || s.Dead() && procfs.IsGone(pid) {
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

// observeForked begins to watch a process that was just forked, and is stopped before its
// first instruction. It inherited everything that it has now.
func (l *Loop) observeForked(pid int, parent *observed) *observed {
	o := &observed{pid: pid, forkedInStop: true, threads: 1}
	if parent != nil {
		o.owner, o.parentPid, o.comm = parent.owner, parent.pid, parent.comm
	}
	l.observe(o)
	if o.owner != nil {
		o.owner.stop.forked++
	}
	l.addTracee(o, pid)
	l.handleEvent(o, proof.Forked, stopCause{tid: pid})
	return o
}

// recordFirstScan keeps what a scan saw of a process. What vanished from the table of a
// run while it was read was closed before the signal, and is no fault of the
// scan.
func (o *observed) recordFirstScan(m scannedProcess) {
	o.threads = len(m.threads)
	e := &o.evidence
	e.Before, e.Runtime = m.fds, m.runtime
	if o.isMain() {
		return
	}
	e.Inherited = m.inherited
	if m.err != nil {
		e.Err = m.err
	}
}

// seizeBatch is the number of processes that the loop begins to trace before it does something
// else that it was asked for: some two milliseconds.
const seizeBatch = 32

// observeTree begins to watch what a scan found below w, and then goes on with what comes after it.
// Of a large tree it takes a part at a time: others have their turns in between. Those parts end
// where the signal that waits for it goes without it.
func (l *Loop) observeTree(o *observed, tree []scannedProcess, then func()) {
	n := min(len(tree), seizeBatch)
	for _, m := range tree[:n] {
		parent := l.observed[m.stat.PPid]
		if parent == nil {
			continue // it lost its parent meanwhile, and is an orphan
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

// observeNewChildren begins to watch what a process forked between its scan and the
// moment when it was traced. One that has neither threads nor processes below
// it is believed not to fork in just that moment.
func (l *Loop) observeNewChildren(o *observed) {
	if len(o.traced) < 2 && o.owner.stop.processes == 0 {
		return
	}
	for _, pid := range procfs.Children(o.pid) {
		if child := l.observeDescendant(o, pid); child != nil {
			l.scanDescendant(child, o.evidence.Before, func() {})
		}
	}
}

// scanDescendant scans a process that is watched since a moment ago, and all below
// it. Its parent held of. What comes then does not wait for it longer than a signal does.
func (l *Loop) scanDescendant(o *observed, of []procfs.FD, then func()) {
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
			parent := scannedProcess{stat: procfs.Stat{Pid: o.parentPid}, fds: of}
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
			l.observeTree(o, tree[1:], o.runAfterScan)
		}
	})
}

// scanInherited scans what a process inherited, before its first instruction,
// and asks what rights it could gain. A scan that comes too late finds it gone
// on; what it says of the rights is true still.
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
			e.Before, e.Inherited, e.Executed = fds, fds, true // its program is not known yet
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

// keepsPrivileges reports whether a process executes programs with the same rights
// whether we trace it or not: since we are privileged, since it gains none
// anyhow (no_new_privs), or since it has all there are. See
// cap_bprm_creds_from_file in security/commoncap.c.
func (l *Loop) keepsPrivileges(s procfs.Status) bool {
	const setids = 1<<6 | 1<<7 // CAP_SETGID, CAP_SETUID
	return l.privileged || s.NoNewPriv || s.Effective&setids == setids && s.Bounding&^s.Permitted == 0
}

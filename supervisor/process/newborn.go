package process

import (
	"time"

	"tp0/supervisor/process/proof"
	"tp0/supervisor/procfs"
)

// born begins to watch a process that was just forked, and is stopped before its
// first instruction. It inherited everything that it has now.
func (l *Loop) born(pid int, parent *watched) *watched {
	w := &watched{pid: pid, inStop: true, threads: 1}
	if parent != nil {
		w.run, w.parent, w.comm = parent.run, parent.pid, parent.comm
	}
	l.watch(w)
	if w.run != nil {
		w.run.stop.forked++
	}
	l.traces(w, pid)
	l.feed(w, proof.Forked, cause{tid: pid})
	return w
}

// scanInherited scans what a process inherited, before its first instruction,
// and asks what rights it could gain. A scan that comes too late finds it gone
// on; what it says of the rights is true still.
func (l *Loop) scanInherited(w *watched) {
	now := time.Now()
	h := newHalt(now.Add(l.budget.ScanTime(now)), spareFDs)
	w.unseen++
	l.job(w, func() func() {
		fds, err := l.table(w.pid, w.pid, h)
		l.resolve(w.pid, fds, fresh(), h)
		s, _ := procfs.ReadStatus(w.pid)
		return func() {
			w.unseen--
			e := &w.evidence
			e.Before, e.Inherited, e.Executed = fds, fds, true // its program is not known yet
			if err != nil {
				e.Err = err
			}
			rights := proof.CouldGainPrivileges
			if l.keepsRights(s) {
				rights = proof.KeepsPrivileges
			}
			l.feed(w, rights, cause{tid: w.machine.Thread()})
		}
	})
}

// keepsRights reports whether a process executes programs with the same rights
// whether we trace it or not: since we are privileged, since it gains none
// anyhow (no_new_privs), or since it has all there are. See
// cap_bprm_creds_from_file in security/commoncap.c.
func (l *Loop) keepsRights(s procfs.Status) bool {
	const setids = 1<<6 | 1<<7 // CAP_SETGID, CAP_SETUID
	return l.privileged || s.NoNewPriv || s.Effective&setids == setids && s.Bounding&^s.Permitted == 0
}

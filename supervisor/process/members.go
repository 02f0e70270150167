package process

import (
	"time"

	"tp0/supervisor/fdledger"
	"tp0/supervisor/procfs"
)

// member is a process of a tree as an fd scan saw it.
type member struct {
	stat    procfs.Stat
	threads []int
	runtime fdledger.Runtime
	fds     []procfs.FD
	from    []procfs.FD // those of fds that it has from its parent
	err     error       // of the scan of fds
}

// members scans a process and all below it, parents first, but no more than most below it, nor
// any after the time of h. rest are those that it knows of and has not scanned. It is called
// beside the loop.
func (l *Loop) members(pid, most int, h *halt) (all []member, rest []int) {
	pids, since := []int{pid}, time.Now()
	for i := 0; i < len(pids); i++ {
		if i > 0 && (len(all) > most || h.late()) {
			return all, pids[i:]
		}
		m := member{stat: procfs.Stat{Pid: pids[i]}, threads: procfs.Threads(pids[i])}
		var err error
		// Of the first nothing else is asked, and its table is empty if it is dead.
		if i > 0 || len(m.threads) != 1 {
			if m.stat, err = procfs.ReadStat(pids[i]); err != nil || m.stat.Dead() && len(m.threads) < 2 {
				continue
			}
		}
		l.awaitExecve(pids[i], m.threads, since)
		m.runtime = l.runtime(pids[i])
		m.fds, m.err = l.table(pids[i], m.alive(), h)
		l.resolve(pids[i], m.fds, fresh(), h)
		for _, parent := range all {
			if parent.stat.Pid == m.stat.PPid {
				if m.from, err = inherited(parent, m, h); err != nil && m.err == nil {
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

// inherited says what a process has open that it took over from its parent when
// it was forked: the same open file at the same number. Where the kernel does
// not tell that, one with the same name is taken for the same; but epolls,
// timers and their like all have one name, and count as its own.
func inherited(parent, m member, h *halt) (same []procfs.FD, err error) {
	numbers := map[int]procfs.FD{}
	for _, f := range parent.fds {
		numbers[f.Num] = f
	}
	for i, f := range m.fds {
		if i%spareFDs == 0 && h.over(i) {
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

// alive is a thread whose table is that of the process: the table of a main
// thread that has ended is empty.
func (m member) alive() int {
	if m.stat.Dead() && len(m.threads) > 1 {
		return m.threads[1]
	}
	return m.stat.Pid
}

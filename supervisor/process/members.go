package process

import (
	"time"

	"tp0/supervisor/ledger"
	"tp0/supervisor/procfs"
)

// member is a process of a tree as an fd scan saw it.
type member struct {
	stat    procfs.Stat
	threads []int
	runtime ledger.Runtime
	fds     []procfs.FD
	from    []procfs.FD // those of fds that it has from its parent
	err     error       // of the scan of fds
}

// members scans a process and all below it, parents first. It is called
// beside the loop.
func (l *Loop) members(pid int) (all []member) {
	pids, since := []int{pid}, time.Now()
	for i := 0; i < len(pids); i++ {
		m := member{stat: procfs.Stat{Pid: pids[i]}, threads: procfs.Threads(pids[i])}
		// Of the first nothing else is asked, and its table is empty if it is dead.
		if i > 0 || len(m.threads) != 1 {
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
